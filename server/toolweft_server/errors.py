"""Everything the server raises on purpose. Each type names the boundary that failed.

    ToolweftError
    ├── ConfigError        the configuration, a pattern, an environment variable it names
    ├── StoreError         the database file: locked, read-only, full, corrupt, newer than the code
    ├── UpstreamError      a person's server or service: not found, not starting, gone, garbled
    ├── SandboxError       the place where programs run could not do its work (never: the program failed)
    ├── AnswerError        an answer to a question that is not open, or not ours
    ├── LibraryError       a saved function: unknown, refused, broken folder
    ├── IndexFolderError   an index folder that cannot be read
    ├── EncoderError       the text encoder's files: missing, damaged, of another version; or numbers that are none
    ├── HeadsError         the codes' files: the same, or made for another encoder
    └── ExamplesError      the example requests' files: the same

What the model can fix is data in a result (`toolweft_catalog.call.Failure`, `wire.Error`) and not in this tree.
The message says what happened, with which value, and what to do next.
"""

from __future__ import annotations


class ToolweftError(Exception):
    """Base of all. `str(error)` is fit to show to a person: no secrets, one to three sentences."""


class ConfigError(ToolweftError):
    pass


class StoreError(ToolweftError):
    pass


class UpstreamError(ToolweftError):
    """A server or service behind us.

    `cause` is one word for tables: not_found, no_start, hangs, gone, protocol, auth, network, spec, import.
    """

    def __init__(self, server: str, cause: str, message: str, *, fix: str = "") -> None:
        super().__init__(f"{server}: {message}" + (f" {fix}" if fix else ""))
        self.server, self.cause, self.message, self.fix = server, cause, message, fix


class SandboxError(ToolweftError):
    pass


class AnswerError(ToolweftError):
    """Somebody answers a question of a program and cannot: `execution` is the program, empty if unknown."""

    def __init__(self, execution: str, message: str) -> None:
        hint = f" Call execute_code with retry_of={execution!r} for what became of the program." if execution else ""
        super().__init__(f"{message}; nothing was run.{hint}")
        self.execution = execution


class LibraryError(ToolweftError):
    pass


class IndexFolderError(ToolweftError):
    pass


class EncoderError(ToolweftError):
    pass


class HeadsError(ToolweftError):
    pass


class ExamplesError(ToolweftError):
    pass


def innermost(error: BaseException) -> BaseException:
    """The one failure inside a task group's wrapping; a group of several stays as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error

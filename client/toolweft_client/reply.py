"""What a model's reply must be: exactly one fenced Python block. Everything else has a name, for one re-ask."""

from __future__ import annotations

import re

from toolweft_catalog.parsing import parse
from toolweft_client.model.base import Reply

_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
_THOUGHT = re.compile(r"<(think|thinking)>.*?</\1>", re.DOTALL)


class DefectError(ValueError):
    """What is wrong with a reply, in words for the model that wrote it."""


def program_in(reply: Reply, *, parsed: bool = False) -> str:
    """The code of the one fence in the reply; thoughts that a local model prints before it are dropped.

    `parsed` also demands valid Python.

    Raises:
        DefectError: There is none, more than one, an open one, or nothing in it.

    """
    text = _THOUGHT.sub("", reply.text).replace("\r\n", "\n")
    if not text.strip():
        raise DefectError("the reply was empty")
    blocks, still_open = _blocks(text)
    if still_open or reply.stop_reason == "length":
        raise DefectError("the reply was cut off before the code fence was closed; write a shorter program")
    if not blocks:
        raise DefectError("the reply had no ```python fence, only prose")
    if len(blocks) > 1:
        raise DefectError(f"the reply had {len(blocks)} code fences instead of one")
    if not blocks[0].strip():
        raise DefectError("the code fence was empty")
    if parsed and (complaint := syntax_error(blocks[0])):
        raise DefectError(f"the code is not valid Python: {complaint}")
    return blocks[0].strip("\n") + "\n"


def syntax_error(code: str) -> str | None:
    """Line and message of the first syntax error; `None` when the code parses."""
    try:
        parse(code)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _blocks(text: str) -> tuple[list[str], bool]:
    """The bodies of the closed fences, and whether the last one is still open."""
    blocks: list[str] = []
    mark, body = "", list[str]()
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if not mark and fence:
            mark, body = fence["mark"], []
        elif mark and fence and fence["mark"].startswith(mark) and not fence["info"].strip():
            blocks.append("\n".join(body))
            mark = ""
        elif mark:
            body.append(line)
    return blocks, bool(mark)

"""`Dialect`: what a server calls the two tools and their arguments, and how its answers are read.

Our own answers are held to our models. Any other server answers text, or structures of its own, which is text, too:
what a search brings goes into prompts as it is, and what a program printed is all that is known of it. Nobody knows
signatures then, no call is on record and none is replayed: a name that a program calls is taken for a tool.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from mcp_types import CallToolResult, TextContent, Tool
from pydantic import BaseModel, ValidationError

from toolweft_catalog.wire import Error, Execution, FoundTool, FoundTools, Status
from toolweft_client import prompt
from toolweft_client.errors import SessionError

FIND, EXECUTE = "find_tools", "execute_code"
LONGEST = 4_000
"""Characters of what a search answers, in a prompt."""
_TEXT = "text "
"""How the id of a card begins that is no tool but a text; no program can name it."""
_NAME = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
_PACKAGE = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,38}[A-Za-z0-9])?)(?![\w.-]).*", re.ASCII)
"""A requirement, and the name in it, which alone goes into prompts: no sentence fits into that."""
_RAISED = re.compile(r"^(\w*(?:Error|Exception|Interrupt)): ?(.*)$", re.MULTILINE)

_M = TypeVar("_M", bound=BaseModel)


class Verb(NamedTuple):
    """One of the two tools."""

    name: str
    argument: str
    """What takes the request, or the program."""
    takes: frozenset[str]

    @classmethod
    def of(cls, tool: Tool, preferred: str) -> Verb:
        """
        Raises:
            SessionError: No argument is called `preferred`, and not exactly one text is required.

        """
        properties = tool.input_schema.get("properties") or {}
        texts = [
            name for name in tool.input_schema.get("required") or ()
            if isinstance(schema := properties.get(name), dict) and schema.get("type") == "string"
        ]  # fmt: skip
        if preferred not in properties and len(texts) != 1:
            raise SessionError(
                f"{tool.name} takes {', '.join(sorted(properties)) or 'no arguments'}: none is {preferred!r}, and it "
                "does not require exactly one text. Name other tools with --find and --execute."
            )
        return cls(tool.name, preferred if preferred in properties else texts[0], frozenset(properties))


@dataclass(frozen=True, slots=True)
class Dialect:
    find: Verb
    execute: Verb
    packages: tuple[str, ...] = ()
    """What programs may import beside the standard library, as far as the server says so."""

    @classmethod
    def of(cls, find: Tool, execute: Tool) -> Dialect:
        told = (execute.meta or {}).get("dev.toolweft/packages")
        names = told if isinstance(told, list) else []
        found = [_PACKAGE.fullmatch(each) for each in names if isinstance(each, str)]
        packages = tuple(dict.fromkeys(each[1] for each in found if each))
        return cls(Verb.of(find, "query"), Verb.of(execute, "code"), packages)

    @property
    def ours(self) -> bool:
        """Whether the server keeps the record of calls that `retry_of` names, and so answers as ours does."""
        return "retry_of" in self.execute.takes

    def asked(self, verb: Verb, text: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a request. What another server means by a name of ours is known of `limit` alone."""
        known = more.keys() if self.ours else {"limit"} & verb.takes
        return {verb.argument: text} | {name: more[name] for name in more if name in known and more[name] is not None}

    def found(self, query: str, result: CallToolResult) -> FoundTools:
        """
        Raises:
            SessionError: It refused the request, or answers ours in another shape.

        """
        if (found := self._structured(FoundTools, self.find, result)) is not None:
            return found
        if result.is_error:
            raise SessionError(f"{self.find.name} failed: {text_of(result)[:400]!r}")
        card = _named(query) if _NAME.fullmatch(query) else _text(text_of(result))
        return FoundTools(tools=[card] if card.call else [], total=1, catalogue=1, index="lexical")

    def ran(self, execution: str | None, result: CallToolResult) -> Execution:
        """
        Raises:
            SessionError: It refused the request, or answers ours in another shape.

        """
        if (ran := self._structured(Execution, self.execute, result)) is not None:
            return ran
        text, error = text_of(result), None
        if result.is_error:
            raised = _RAISED.findall(text)
            kind, message = raised[-1] if raised else ("Error", text.strip().rpartition("\n")[2])
            error = Error(type=kind, message=message[:1_000])
        status: Status = "error" if result.is_error else "ok"
        return Execution(id=execution or "unknown", status=status, backend=self.execute.name, stdout=text, error=error)

    def _structured(self, model: type[_M], verb: Verb, result: CallToolResult) -> _M | None:
        """Of our own: a failed program is structured content, too; without any, the request itself was refused."""
        if result.structured_content is None:
            if self.ours:
                raise SessionError(f"{verb.name} answered without structured content: {text_of(result)[:400]!r}")
            return None
        try:
            return model.model_validate(result.structured_content)
        except ValidationError as error:
            if self.ours:
                raise SessionError(
                    f"{verb.name} answered something else than {model.__name__}: {first(error)}"
                ) from error
            return None


def is_text(tool: FoundTool) -> bool:
    """Whether a card is no tool but what a search answered."""
    return tool.id.startswith(_TEXT)


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def first(error: ValidationError) -> str:
    one = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, one['loc'])) or 'whole'}: {one['msg']}"


def _text(text: str) -> FoundTool:
    """Equal texts are one card."""
    name = _TEXT + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
    return FoundTool(id=name, call=prompt.cut(text.strip(), LONGEST), summary="", origin="mcp", score=1.0, why=[])


def _named(name: str) -> FoundTool:
    """A tool of which the name is known and nothing else, so that any call of it passes the check."""
    return FoundTool(id=name, call=f"{name}(…)", summary="", origin="mcp", score=1.0, why=["name"])

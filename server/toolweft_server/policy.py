"""Which calls may run: `allow`, `ask` or `block`, by pattern over tool ids; the most specific pattern wins.

A preset decides where no pattern does. A policy can only restrict: annotations come from strangers, so a tool that
calls itself read-only gains nothing that the person's own patterns forbid.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol, get_args

from toolweft_catalog.call import Call, Failure
from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import Decision
from toolweft_server.errors import ConfigError

Preset = Literal["host", "careful", "trust"]
"""`host`: the host already asks about each program, so only destructive tools ask. `careful`: every tool asks that does
not say it only reads. `trust`: all run."""


_PATTERN = re.compile(r"[A-Za-z0-9_.*?\-]+")


class Approve(Protocol):
    """Asks a person whether a call may be made."""

    def __call__(self, call: Call, reason: str, /, *, doubt: bool = False) -> Awaitable[str | None]:
        """Why not, as a sentence, or `None`. With `doubt`, what was allowed before does not count."""
        ...


class Permit(Protocol):
    """Decides whether a call may be made."""

    def __call__(self, call: Call, /, *, doubt: str = "") -> Awaitable[Failure | None]:
        """The refusal; `None` lets it pass. `doubt` says why a person must decide, whatever the policy allows."""
        ...


class Limited(Protocol):
    """What a client adds to the policy for one program."""

    @property
    def careful(self) -> bool: ...

    @property
    def calls(self) -> int | None: ...

    @property
    def writes(self) -> int | None:
        """Of those that no person was asked about."""
        ...


class Verdict(NamedTuple):
    decision: Decision
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    preset: Preset | None = None
    """What the person chose; `host` where they chose nothing, unless a client is more careful."""
    patterns: Mapping[str, Decision] = field(default_factory=dict)

    @classmethod
    def parse(cls, document: object, *, where: str = "the policy") -> Policy:
        """
        Raises:
            ConfigError: Not an object, an unknown preset or decision, or something that is no pattern.

        """
        if document is None:
            return cls()
        if not isinstance(document, dict):
            raise ConfigError(f"{where}: 'policy' must be an object of patterns, not {document!r:.80}")
        preset = document.get("default")
        if preset is not None and preset not in get_args(Preset):
            raise ConfigError(f"{where}: policy 'default' must be host, careful or trust, not {preset!r:.80}")
        patterns: dict[str, Decision] = {}
        for text, decision in document.items():
            if text == "default":
                continue
            if (whole := pattern(text)) is None:
                raise ConfigError(f"{where}: {text!r:.80} is no tool pattern; write 'server.tool' or 'server.*'")
            if decision not in get_args(Decision):
                raise ConfigError(f"{where}: policy {text!r} must be allow, ask or block, not {decision!r:.80}")
            patterns[whole] = decision
        return cls(preset, patterns)

    def judge(self, tool: Tool) -> Verdict:
        fitting = [each for each in self.patterns if fits(tool.id, each)]
        if fitting:
            best = max(fitting, key=_specific)
            return Verdict(self.patterns[best], f"the policy says {best!r}: {self.patterns[best]!r}")
        preset = self.preset or "host"
        if preset == "host" and tool.annotations.destructive is True and not tool.annotations.read_only:
            return Verdict("ask", "the tool says that it is destructive")
        if preset == "careful" and tool.annotations.read_only is not True:
            return Verdict("ask", "the policy is 'careful' and the tool does not say that it only reads")
        return Verdict("allow", f"the policy is {preset!r}")

    def under(self, terms: Limited) -> Policy:
        """What holds for a client that is more careful than a person who chose nothing."""
        return replace(self, preset="careful") if terms.careful and self.preset is None else self

    def seen(self, tools: Iterable[Tool], *, careful: bool) -> bool:
        """Whether a person saw what was called before it ran: the program, as hosts show it, or call by call.

        A `careful` client is one that asks for care: nobody sees its programs, whatever preset the person chose.
        """
        if careful or self.preset == "careful":
            return all(self.judge(tool).decision == "ask" for tool in tools)
        return self.preset != "trust"

    def gate(self, approve: Approve | None = None, terms: Limited | None = None) -> Permit:
        """Decides about each call, and counts those that it lets pass where `terms` allow so many and no more.

        `approve` is who asks a person; without it, what must ask is refused. A call that a person allowed is none of
        the writes that are counted: their number bounds what happens without anybody's approval.
        """
        left = {"calls": terms.calls if terms else None, "calls that may write": terms.writes if terms else None}

        def counted(call: Call, *, approved: bool = False) -> Failure | None:
            writes = not approved and call.tool.annotations.effect != "read"
            kinds = ["calls", *(["calls that may write"] if writes else [])]
            for kind in kinds:
                if left[kind] == 0:
                    said = f"the client's limit on {kind} in this program is reached; {call.tool.id} was not called"
                    return Failure("limit", said, sent=False)
            left.update({kind: number - 1 for kind in kinds if (number := left[kind]) is not None})
            return None

        async def permit(call: Call, /, *, doubt: str = "") -> Failure | None:
            decision, reason = self.judge(call.tool)
            if decision == "block":
                return Failure("refused", f"{call.tool.id} is blocked: {reason}.", sent=False)
            if decision == "allow" and not doubt:
                return counted(call)
            if approve is None:
                refusal: str | None = nobody(call, doubt or reason, doubt=bool(doubt))
            else:
                refusal = await approve(call, doubt or reason, doubt=bool(doubt))
            return counted(call, approved=True) if refusal is None else Failure("refused", refusal, sent=False)

        return permit


def nobody(call: Call, reason: str, *, doubt: bool = False) -> str:
    """The refusal where no person can be asked."""
    return f"{call.tool.id} needs a person's approval ({reason}) and nobody can be asked here. {remedy(call, doubt)}"


def remedy(call: Call, doubt: bool) -> str:
    if doubt:
        return "Find out by reading what is there and go on from that; do not write the same thing twice."
    line = f'"policy": {{"{call.tool.id}": "allow"}}'
    return f"To allow it, the person adds {line} to the toolweft configuration."


def pattern(text: str) -> str | None:
    """The pattern over tool ids that a person wrote, a bare server's name made whole; `None` if it is none."""
    if not _PATTERN.fullmatch(text):
        return None
    return text if "." in text or text == "*" else text + ".*"


def fits(tool_id: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(tool_id, pattern)


def _specific(pattern: str) -> tuple[int, int, str]:
    """Fixed characters count, then fewer wildcards; the text itself makes ties deterministic."""
    wild = pattern.count("*") + pattern.count("?")
    return (len(pattern) - wild, -wild, pattern)

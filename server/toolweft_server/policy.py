"""Which calls may run: `allow`, `ask` or `block`, by pattern over tool ids; the most specific pattern wins.

A preset decides where no pattern does. A policy can only restrict: annotations come from strangers, so a tool that
calls itself read-only gains nothing that the person's own patterns forbid.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from toolweft_catalog.call import Call, Caller, Result, failed
from toolweft_catalog.tool import Tool
from toolweft_server.errors import ConfigError

Decision = Literal["allow", "ask", "block"]
Preset = Literal["host", "careful", "trust"]

_PATTERN = re.compile(r"[A-Za-z0-9_.*?\-]+")


class Verdict(NamedTuple):
    decision: Decision
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    preset: Preset = "host"
    """`host`: the host already asks about each program, so only destructive tools ask. `careful`: every tool asks
    that does not say it only reads. `trust`: all run."""
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
        preset = document.get("default", "host")
        if preset not in get_args(Preset):
            raise ConfigError(f"{where}: policy 'default' must be host, careful or trust, not {preset!r:.80}")
        patterns: dict[str, Decision] = {}
        for pattern, decision in document.items():
            if pattern == "default":
                continue
            if not _PATTERN.fullmatch(pattern):
                raise ConfigError(f"{where}: {pattern!r:.80} is no tool pattern; write 'server.tool' or 'server.*'")
            if decision not in get_args(Decision):
                raise ConfigError(f"{where}: policy {pattern!r} must be allow, ask or block, not {decision!r:.80}")
            patterns[pattern if "." in pattern or pattern == "*" else pattern + ".*"] = decision
        return cls(preset, patterns)

    def judge(self, tool: Tool) -> Verdict:
        fitting = [pattern for pattern in self.patterns if fnmatch.fnmatchcase(tool.id, pattern)]
        if fitting:
            pattern = max(fitting, key=_specific)
            return Verdict(self.patterns[pattern], f"the policy says {pattern!r}: {self.patterns[pattern]!r}")
        if self.preset == "host" and tool.annotations.destructive is True and not tool.annotations.read_only:
            return Verdict("ask", "the tool says that it is destructive")
        if self.preset == "careful" and tool.annotations.read_only is not True:
            return Verdict("ask", "the policy is 'careful' and the tool does not say that it only reads")
        return Verdict("allow", f"the policy is {self.preset!r}")

    def guard(self, proceed: Caller) -> Caller:
        """`proceed` for allowed calls; a refusal that says why, and what to write, for all others."""

        async def guarded(call: Call) -> Result:
            decision, reason = self.judge(call.tool)
            if decision == "allow":
                return await proceed(call)
            if decision == "block":
                return failed("refused", f"{call.tool.id} is blocked: {reason}.", sent=False)
            line = f'"policy": {{"{call.tool.id}": "allow"}}'
            return failed(
                "refused",
                f"{call.tool.id} needs a person's approval ({reason}) and nobody can be asked here. "
                f"To allow it, the person adds {line} to the toolweft configuration.",
                sent=False,
            )

        return guarded


def _specific(pattern: str) -> tuple[int, int, str]:
    """Fixed characters count, then fewer wildcards; the text itself makes ties deterministic."""
    wild = pattern.count("*") + pattern.count("?")
    return (len(pattern) - wild, -wild, pattern)

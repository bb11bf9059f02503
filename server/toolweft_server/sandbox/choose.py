"""`ChosenSandbox`: the first tier, of those that a platform may offer, that passes its self-check on this machine.

Chosen by running the checks, never by reading what a kernel claims; kept until the next boot, so that only the first
start pays for it. A backend that the configuration names is taken as it is, or refused: never replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import anyio

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox import checked, platforms
from toolweft_server.sandbox.base import Finding, Sandbox, Session
from toolweft_server.sandbox.checked import Verdict, Verdicts
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.packages import Environment, environment
from toolweft_server.sandbox.self_check import NOT_STOPPED

logger = logging.getLogger(__name__)

Make: TypeAlias = Callable[[str, Environment | None], Sandbox]
"""A tier by name, with the packages that its programs may import."""
Report: TypeAlias = Callable[[str], None]

STARTS = "it starts"


def _silent(_line: str) -> None:
    pass


class ChosenSandbox:
    """Passes the contract of `base.Sandbox`. Nothing starts before the first `open`."""

    def __init__(
        self,
        tiers: Sequence[str],
        make: Make,
        *,
        named: bool = False,
        packages: Sequence[str] = (),
        configuration: object = None,
        cache: Path | None = None,
    ) -> None:
        """`named`: a person chose the one tier of `tiers`, so it is used unchecked, and no other in its place.

        `configuration` is whatever the outcome of the checks depends on beside the machine, as JSON data.
        """
        self.tiers = tuple(tiers)
        self._named = named
        self._make, self._packages, self._cache = make, packages, cache
        self._key = checked.key([list(tiers), configuration])
        self._inner: Sandbox | None = None
        self._choosing = anyio.Lock()

    @property
    def name(self) -> str:
        """The tier in use; before the first `open` the one that is asked for."""
        if self._inner is not None:
            return self._inner.name
        return self.tiers[0] if self._named else "auto"

    async def open(self, limits: Limits) -> Session:
        """
        Raises:
            SandboxError: No tier works here (the text says what each of them lacks), or this one failed to start.

        """
        async with self._choosing:
            if self._inner is None:
                self._inner = await self._choose()
                try:
                    return await self._inner.open(limits)
                except SandboxError as error:
                    # What worked at the last check may not any more; later failures are the tier's own.
                    if self._named:
                        raise
                    logger.warning(
                        "the tier %s does not start any more, so the choice is made anew: %s", self.name, error
                    )
                    await self._inner.aclose()
                    self._inner = None
                    self._inner = await self._choose(fresh=True)
            inner = self._inner
        return await inner.open(limits)

    async def examine(self, *, fresh: bool = False, report: Report = _silent) -> Verdicts:
        """What each tier showed, in order, up to the first that works; from the last time unless `fresh`, or none
        worked then: a person who was told what helps may have done it.

        Raises:
            SandboxError: The packages could not be installed.

        """
        found = None if fresh else checked.load(self._key, folder=self._cache)
        if found is not None and (_best(found) is not None or self._named):
            return found
        ready = await self._environment(report)
        verdicts: dict[str, Verdict] = {}
        for tier in self.tiers:
            report(f"checking {tier}")
            sandbox = self._make(tier, ready)
            try:
                verdicts[tier] = await _examine(sandbox)
            finally:
                await sandbox.aclose()
            if verdicts[tier].ok:
                break
        await anyio.to_thread.run_sync(lambda: checked.store(self._key, verdicts, folder=self._cache))
        return verdicts

    async def self_check(self) -> Sequence[Finding]:
        """The findings of the tier in use; of the last one tried, when none works."""
        verdicts = await self.examine(fresh=True)
        return list(verdicts.values())[-1].findings

    async def aclose(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner.aclose()

    async def _choose(self, *, fresh: bool = False) -> Sandbox:
        ready = await self._environment(logger.info)
        if self._named:
            return self._make(self.tiers[0], ready)
        verdicts = await self.examine(fresh=fresh, report=logger.info)
        best = _best(verdicts)
        if best is None:
            raise SandboxError(platforms.refused({tier: verdict.why_not for tier, verdict in verdicts.items()}))
        logger.info("programs run in the tier %s", best)
        return self._make(best, ready)

    async def _environment(self, report: Report) -> Environment | None:
        return await environment(self._packages, report=report) if self._packages else None


def _best(verdicts: Verdicts) -> str | None:
    return next((tier for tier, verdict in verdicts.items() if verdict.ok), None)


def _got_through(finding: Finding) -> bool:
    return not finding.passed and finding.detail.startswith(NOT_STOPPED)


def _of_both(first: Finding, second: Finding) -> Finding:
    if _got_through(first) or (first.passed and not _got_through(second)):
        return first
    return second


async def _examine(sandbox: Sandbox) -> Verdict:
    """A check counts as failed when it fails twice: under load one of them may be late. A wall that something got
    through once is none.
    """
    try:
        findings = list(await sandbox.self_check())
        if any(not each.passed and not _got_through(each) for each in findings) and findings[0].ok:
            again = {each.check: each for each in await sandbox.self_check()}
            findings = [_of_both(each, again.get(each.check, each)) for each in findings]
    except SandboxError as error:
        return Verdict(ok=False, findings=(Finding(STARTS, ok=False, detail=str(error)),))
    return Verdict(ok=all(each.passed for each in findings), findings=tuple(findings))

"""What `toolweft doctor sandbox` says: the tier in use, why, what it stops and what not, and every check."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolweft_server.sandbox.texts import clean
from toolweft_server.sandbox.tiers import TIERS

if TYPE_CHECKING:
    from toolweft_server.config import Config
    from toolweft_server.sandbox.choose import ChosenSandbox

ELSEWHERE = "more"
"""Where findings are listed that name no area."""


async def of_configuration(config: Config, fresh: bool) -> dict[str, Any]:
    from toolweft_server.parts import sandbox_of

    sandbox = sandbox_of(config)
    try:
        return await of(sandbox, named=config.sandbox.backend != "auto", fresh=fresh)
    finally:
        await sandbox.aclose()


async def of(sandbox: ChosenSandbox, *, named: bool, fresh: bool) -> dict[str, Any]:
    """The report as JSON. `named`: the configuration names the tier, so that it is used even if a check fails."""
    from toolweft_server.errors import SandboxError

    progress: list[str] = []

    def tell(line: str) -> None:
        progress.append(line)
        print(f"… {clean(line)}", file=sys.stderr)

    try:
        verdicts = await sandbox.examine(fresh=fresh, report=tell)
    except SandboxError as error:
        return {"ok": False, "backend": None, "why": str(error), "tiers": [], "stops": [], "leaves": [], "findings": []}
    passed = next((name for name, verdict in verdicts.items() if verdict.ok), None)
    used = passed or (next(iter(verdicts), None) if named else None)
    shown = used or next(reversed(list(verdicts)), None)
    tier = TIERS.get(used or "")
    return {
        "ok": passed is not None,
        "backend": used,
        "summary": tier.summary if tier else "",
        "why": _why(named=named, used=used, tried=len(verdicts)),
        "tiers": [
            {
                "tier": name, "ok": verdict.ok, "why_not": verdict.why_not,
                "remedy": TIERS[name].remedy if name in TIERS and not verdict.ok else "",
            }
            for name, verdict in verdicts.items()
        ],
        "stops": list(tier.stops) if tier else [],
        "leaves": list(tier.leaves) if tier else [],
        "checked": shown,
        "cached": not progress,
        "findings": [
            {"area": each.area or ELSEWHERE, "check": each.check, "ok": each.ok, "detail": each.detail}
            for each in (verdicts[shown].findings if shown else ())
        ],
    }  # fmt: skip


def _why(*, named: bool, used: str | None, tried: int) -> str:
    if used is None:
        return "no tier passed its checks here, so no program runs"
    if named:
        return "the configuration names it"
    return "the strongest tier that passed its checks here" if tried > 1 else "the strongest tier of this platform"


def lines(report: dict[str, Any]) -> list[str]:
    """The report for a terminal."""
    name = report["backend"] or "none"
    shown = [f"sandbox: {name}" + (f", {report['summary']}" if report.get("summary") else ""), f"why: {report['why']}"]
    for tier in report["tiers"]:
        if not tier["ok"]:
            shown += [f"{_mark(False)} {tier['tier']}: {tier['why_not'][:500]}", *_arrow(tier["remedy"])]
    for title, points in (("it stops", report["stops"]), ("it does not stop", report["leaves"])):
        shown += ["", f"{title}:", *(f"  - {point}" for point in points)] if points else []
    findings = report["findings"]
    if findings:
        good, note = sum(each["ok"] for each in findings), ""
        if report["cached"]:
            note = " (found earlier since this boot; --fresh checks again)"
        shown += ["", f"{good} of {len(findings)} checks of {report['checked']} passed{note}"]
    for area in dict.fromkeys(each["area"] for each in findings):
        shown += [f"{area}:", *_rows([each for each in findings if each["area"] == area])]
    return [clean(line) for line in shown]


def _rows(findings: Sequence[dict[str, Any]]) -> list[str]:
    return [f"  {_mark(each['ok'])} {each['check']}  {each['detail']}".rstrip() for each in findings]


def _arrow(remedy: str) -> list[str]:
    return [f"    → {remedy}"] if remedy else []


def _mark(is_ok: bool) -> str:
    return "ok  " if is_ok else "FAIL"

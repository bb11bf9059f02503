"""`toolweft report`: success, cost, failures and the library's use over many runs, from their traces alone."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolweft_client.account import Account
    from toolweft_client.report import Figures, Part

EXAMPLES = """\
examples:
  toolweft report                             every run of `toolweft ask` on this machine
  toolweft report runs/traces other.jsonl     folders and files
  toolweft report runs/traces --plot curve.svg
  toolweft report runs/traces --json

"answered" is not "right": what an answer is worth, `toolweft eval pass-rate` asks a model.
Exit codes: 0 done, 1 a budget was exceeded or a write was made twice, 2 no traces or wrong usage.
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "traces", nargs="*", type=Path, metavar="TRACE", help="files or folders (default: the traces of `toolweft ask`)"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the library curve; needs matplotlib")
    parser.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="everything, run by run too")


def run(args: argparse.Namespace) -> int:
    from toolweft_client import report
    from toolweft_client.account import account_of
    from toolweft_client.commands.reading import read_all
    from toolweft_client.errors import AgentError

    try:
        runs = [account_of(steps, name=str(path)) for path, steps in read_all(args.traces)]
    except AgentError as error:
        print(f"toolweft report: {error}", file=sys.stderr)
        return 2
    gone = report.resumed(runs)
    runs = [each for each in runs if each.name not in gone]
    if gone:
        print(f"{len(gone)} runs were resumed: each counts once, by its latest trace", file=sys.stderr)
    if not runs:
        print("toolweft report: no traces there; `toolweft ask` writes one for each task", file=sys.stderr)
        return 2
    total, parts = report.figures(runs), report.curve(runs)
    if args.plot and not _plotted(parts, args.plot):
        return 2
    if args.json:
        print(json.dumps(_json(runs, total, parts), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_text(runs, total, parts)))
    return 1 if total.exceeded or total.duplicate_writes else 0


def _text(runs: Sequence[Account], total: Figures, parts: Sequence[Part]) -> list[str]:
    from toolweft_client import report

    begun = sorted(each.at for each in runs)
    rows = [
        ["runs", f"{total.runs}, begun {begun[0][:16]} to {begun[-1][:16]} UTC"],
        ["ended as", _counted(total.statuses)],
        ["answered", f"{total.answered} of those that ended"],
        *([name.replace("_", " "), str(getattr(total, name) or "none")] for name in _SPREADS),
        ["repairs", f"{total.repairs}; replans {total.replans}; probes {total.probes}"],
        ["repaired", _counted(total.failures)],
        ["failed because", _counted(total.reasons)],
        ["over budget", _counted(total.exceeded) if total.exceeded else "never"],
        ["writes made twice", f"{total.duplicate_writes}; after no answer {total.doubtful_writes}; "
         f"asked for twice by one program {total.repeated_writes}"],
        ["functions", f"offered in {total.functions.offered} runs ({total.functions.names_offered} functions), used in "
         f"{total.functions.used} ({total.functions.names_used}), saved in {total.functions.saved} "
         f"({total.functions.names_saved})"],
    ]  # fmt: skip
    lines = _aligned(rows)
    groups = report.by(runs, lambda each: f"{each.mode}\n{each.model}")
    if len(groups) > 1:
        table = [["mode", "model", "runs", "model calls", "tokens in", "seconds", "answered"]]
        for name, group in groups.items():
            found = report.figures(group)
            medians = [f"{each.median:g}" if each else "–"
                       for each in (found.model_calls, found.input_tokens, found.seconds)]  # fmt: skip
            table.append([*name.split("\n"), str(found.runs), *medians, str(found.answered)])
        lines += ["", "By mode and model; medians:", *_aligned(table)]
    if len(parts) > 1:
        table = [["runs until", "model calls here", "so far", "saved so far", "runs here with one", "answered so far"]]
        table += [
            [str(each.until), f"{each.model_calls:.2f}", f"{each.model_calls_so_far:.2f}", str(each.saved_so_far),
             f"{each.used.hits:g}/{each.used.of}", str(each.answered)]
            for each in parts
        ]  # fmt: skip
        lines += ["", "As the library grows; means, in order of time:", *_aligned(table)]
    return lines


_SPREADS = ("model_calls", "input_tokens", "output_tokens", "tool_calls", "seconds")


def _json(runs: Sequence[Account], total: Figures, parts: Sequence[Part]) -> dict[str, Any]:
    from toolweft_client import report

    groups = report.by(runs, lambda each: f"{each.mode}\n{each.model}")
    return {
        "total": _figures(total),
        "groups": [
            {"mode": (names := name.split("\n"))[0], "model": names[1], **_figures(report.figures(group))}
            for name, group in groups.items()
        ],
        "curve": [
            part._asdict() | {"answered": part.answered.json(), "used": part.used.json()} for part in parts
        ],
        "runs": [asdict(each) | {"writes": each.writes._asdict()} for each in runs],
    }  # fmt: skip


def _figures(found: Figures) -> dict[str, Any]:
    spreads = {name: each._asdict() if (each := getattr(found, name)) else None for name in _SPREADS}
    return asdict(found) | spreads | {"answered": found.answered.json(), "functions": found.functions._asdict()}


def _plotted(parts: Sequence[Part], path: Path) -> bool:
    """Whether the library curve was drawn; why not is said."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("toolweft report: --plot needs matplotlib: pip install matplotlib", file=sys.stderr)
        return False
    figure = Figure(figsize=(7.0, 6.0), layout="constrained", dpi=150)
    success, calls, saved = figure.subplots(3, sharex=True)
    runs = [each.until for each in parts]
    bounds = [each.answered.interval for each in parts]
    success.fill_between(runs, [100 * low for low, _ in bounds], [100 * high for _, high in bounds], alpha=0.2)
    success.plot(runs, [100 * each.answered.share for each in parts], marker="o")
    success.set(ylabel="answered so far, %", ylim=(0, 105))
    calls.plot(runs, [each.model_calls for each in parts], marker="o")
    calls.set(ylabel="model calls a run")
    calls.set_ylim(bottom=0)
    saved.plot(runs, [each.saved_so_far for each in parts], marker="o")
    saved.set(ylabel="functions saved", xlabel="runs, in order of time")
    saved.set_ylim(bottom=0)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        print(f"toolweft report: {path} cannot be drawn: {error}", file=sys.stderr)
        return False
    print(f"drawn: {path}", file=sys.stderr)
    return True


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side; the last one is as long as it is."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]

"""Records -> figures -> text: rates, costs, failure classes, recovery by fault. Runs are counted by their traces."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.agent.faults import BY_NAME
from benchmarks.agent.run import Record

from toolweft_client.rate import Rate, Spread


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Everything that is printed, for `--json`."""
    measures = list(records[0].measures) if records else []
    return {
        "runs": len(records),
        "measures": {each: _rate(records, each) for each in measures},
        "model_calls": _spread([each.model_calls for each in records]),
        "input_tokens": _spread([each.input_tokens for each in records]),
        "output_tokens": _spread([each.output_tokens for each in records]),
        "tool_calls": _spread([each.tool_calls for each in records]),
        "seconds": _spread([each.seconds for each in records]),
        "reasons": dict(Counter(each.reason for each in records if each.reason).most_common()),
        "failures": dict(Counter(kind for each in records for kind in each.failures).most_common()),
        "duplicate_writes": sum(each.duplicates for each in records),
        "stray_writes": sum(each.strays for each in records),
        "over_budget": dict(Counter(name for each in records for name in each.over_budget)),
        "tools_shown": round(statistics.mean(each.found for each in records), 4) if records else None,
        "faults": by_fault(records),
    }


def by_fault(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """Only runs in which the fault that was asked for was really made. Success is the first measure."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for each in records:
        if each.fault and each.fault in each.made:
            groups[each.fault].append(each)
    return {fault: _of_fault(fault, group) for fault, group in sorted(groups.items())}


def recovery(records: Iterable[Record]) -> Rate:
    """Over all runs with a recoverable fault."""
    able = [each for each in records if each.fault in each.made and expected(each.fault) == "recovers"]
    return Rate(sum(_solved(each) for each in able), len(able))


def expected(fault: str) -> str:
    return BY_NAME[fault.partition("@")[0]].expected


def text(title: str, records: Sequence[Record]) -> str:
    found = summary(records)
    if not records:
        return f"== {title}: no runs; nothing there can have this fault"
    lines = [f"== {title}: {found['runs']} runs"]
    lines += [f"{name:<18} {Rate(each['hits'], each['of'])}" for name, each in found["measures"].items()]
    for name in ("model_calls", "input_tokens", "output_tokens", "tool_calls", "seconds"):
        each = found[name]
        lines.append(f"{name:<18} mean {each['mean']:g}, median {each['median']:g}, most {each['most']:g}")
    lines.append(f"{'tools shown':<18} {100 * found['tools_shown']:.1f} % of the gold tools, by the first search")
    lines.append(f"{'duplicate writes':<18} {found['duplicate_writes']}; stray writes {found['stray_writes']}")
    lines.append(f"{'over budget':<18} {found['over_budget'] or 'never'}")
    for name in ("reasons", "failures"):
        lines.append(f"{name:<18} {', '.join(f'{key} {count}' for key, count in found[name].items()) or 'none'}")
    if found["faults"]:
        lines += ["", f"{'fault':<28}  runs solved  calls  dup stray  expected; reasons"]
        for fault, each in found["faults"].items():
            why = ", ".join(f"{key} {count}" for key, count in each["reasons"].items())
            solved = 100 * each["solved"] / each["runs"]
            lines.append(
                f"{fault:<28} {each['runs']:>5} {solved:>5.1f}% {each['model_calls']:>5.2f} {each['duplicates']:>4} "
                f"{each['strays']:>5}  {each['expected']}{'; ' + why if why else ''}"
            )
        able = recovery(records)
        one = [each for each in records if each.fault in each.made and expected(each.fault) == "recovers"
               and len(each.made) == 1]  # fmt: skip
        lines.append(f"\nrecovery from recoverable faults {able}")
        if one:
            lines.append(f"mean model calls at one fault {statistics.mean(each.model_calls for each in one):.2f}")
    return "\n".join(lines)


def _of_fault(fault: str, group: Sequence[Record]) -> dict[str, Any]:
    return {
        "expected": expected(fault), "runs": len(group), "solved": sum(_solved(each) for each in group),
        "model_calls": round(statistics.mean(each.model_calls for each in group), 3),
        "duplicates": sum(each.duplicates for each in group), "strays": sum(each.strays for each in group),
        "reasons": dict(Counter(each.reason for each in group if each.reason).most_common()),
    }  # fmt: skip


def _solved(record: Record) -> bool:
    return next(iter(record.measures.values()))


def _rate(records: Sequence[Record], measure: str) -> dict[str, Any]:
    return Rate(sum(each.measures[measure] for each in records), len(records)).json()


def _spread(values: Sequence[float]) -> dict[str, float]:
    found = Spread.of(values)
    return found._asdict() if found else {}

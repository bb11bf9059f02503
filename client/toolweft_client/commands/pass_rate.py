"""Asks a model of finished runs whether the task could be solved, and whether it was; most votes decide."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolweft_client.commands import judging as shared

if TYPE_CHECKING:
    from toolweft_client.judging import Judge, PassRate, Verdict

HELP = "whether a model finds that tasks were solved"
EXAMPLES = f"""\
  toolweft eval pass-rate runs/traces --model openai:gpt-5
  toolweft eval pass-rate one.jsonl two.jsonl --model anthropic:claude-opus-4-5 --votes 5
  toolweft eval pass-rate runs/traces --model openai:gpt-5 --record votes.jsonl --json
  toolweft eval pass-rate runs/traces --model cassette:votes.jsonl

{shared.CODES}"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACE", help="files or folders")
    shared.add(parser)


def run(args: argparse.Namespace) -> int:
    import anyio

    from toolweft_client.errors import AgentError
    from toolweft_client.judging import PassRate, passed

    try:
        cases = shared.cases(args.traces)
        judge, verdicts = anyio.run(
            shared.judged, args, len(cases), lambda judge, tell: passed(judge, cases, votes=args.votes, tell=tell),
            lambda verdict: verdict.solved,
        )  # fmt: skip
    except AgentError as error:
        print(f"toolweft eval pass-rate: {error}", file=sys.stderr)
        return 2
    rate = PassRate.of(verdicts)
    if args.json:
        print(json.dumps(_json(args, judge, rate, verdicts), ensure_ascii=False, indent=2))
    else:
        print(f"solved              {rate.solved}")
        print(f"solved of solvable  {rate.solved_of_solvable}")
        print(f"verdicts            {', '.join(f'{word} {count}' for word, count in rate.verdicts.items()) or 'none'}")
        print(f"agreement           {rate.agreement}")
        print(f"… on solvable       {rate.agreement_on_solvable}")
    return shared.ended(judge, rate.unreadable, rate.unjudged, len(verdicts))


def _json(args: argparse.Namespace, judge: Judge, rate: PassRate, verdicts: list[Verdict]) -> dict[str, object]:
    return {
        "judge": judge.name, "votes": args.votes, "solved": rate.solved.json(),
        "solved_of_solvable": rate.solved_of_solvable.json(), "verdicts": dict(rate.verdicts),
        "agreement": rate.agreement._asdict(), "agreement_on_solvable": rate.agreement_on_solvable._asdict(),
        "unreadable_votes": rate.unreadable, "unjudged": rate.unjudged, "broken": judge.broken,
        "tasks": [
            {"task": each.task, "trace": each.name, "solvable": each.solvable, "solved": each.solved,
             "votes": [dict(vote) for vote in each.votes]}
            for each in verdicts
        ],
    }  # fmt: skip

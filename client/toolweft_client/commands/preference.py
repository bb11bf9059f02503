"""Asks a model, task by task, which of two sets of runs serves the person better; places change from vote to vote."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolweft_client.commands import judging as shared

if TYPE_CHECKING:
    from toolweft_client.judging import Judge, Pair, Preference, Verdict

HELP = "which of two sets of runs a model prefers"
EXAMPLES = f"""\
  toolweft eval preference ours/traces theirs/traces --model openai:gpt-5
  toolweft eval preference new.jsonl old.jsonl --model anthropic:claude-opus-4-5 --votes 5 --json

Runs of the same task are compared, by the task's text.
{shared.CODES}"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=Path, metavar="A", help="a file or folder of traces")
    parser.add_argument("b", type=Path, metavar="B", help="another")
    shared.add(parser)


def run(args: argparse.Namespace) -> int:
    import anyio

    from toolweft_client.errors import AgentError
    from toolweft_client.judging import Preference, preferred

    try:
        pairs = _pairs(args)
        judge, verdicts = anyio.run(
            shared.judged, args, len(pairs), lambda judge, tell: preferred(judge, pairs, votes=args.votes, tell=tell),
            lambda verdict: verdict.better,
        )  # fmt: skip
    except AgentError as error:
        print(f"toolweft eval preference: {error}", file=sys.stderr)
        return 2
    found = Preference.of(verdicts)
    if args.json:
        print(json.dumps(_json(args, judge, found, verdicts), ensure_ascii=False, indent=2))
    else:
        print(f"A preferred   {found.a}, ties count half")
        print(f"verdicts      {', '.join(f'{word} {count}' for word, count in found.better.items()) or 'none'}")
        print(f"agreement     {found.agreement}")
        print(f"first place   {found.first} of votes that are no ties")
    return shared.ended(judge, found.unreadable, found.unjudged, len(verdicts))


def _pairs(args: argparse.Namespace) -> list[Pair]:
    from toolweft_client.errors import UsageError
    from toolweft_client.judging import paired

    a, b = shared.cases([args.a]), shared.cases([args.b])
    pairs = paired(a, b)
    if not pairs:
        raise UsageError(f"No task of {args.a} is among those of {args.b}: runs are compared by the task's text.")
    if left := len(a) + len(b) - 2 * len(pairs):
        print(f"{left} runs have no other run of the same task and are not compared", file=sys.stderr)
    return pairs


def _json(args: argparse.Namespace, judge: Judge, found: Preference, verdicts: list[Verdict]) -> dict[str, object]:
    return {
        "judge": judge.name, "votes": args.votes, "a": found.a.json(), "better": dict(found.better),
        "agreement": found.agreement._asdict(), "first_place": found.first.json(),
        "unreadable_votes": found.unreadable, "unjudged": found.unjudged, "broken": judge.broken,
        "tasks": [
            {"task": each.task, "traces": each.name, "better": each.better,
             "votes": [dict(vote) for vote in each.votes]}
            for each in verdicts
        ],
    }  # fmt: skip

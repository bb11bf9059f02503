"""What `eval pass-rate` and `eval preference` share: their options, the judge, and how verdicts are told."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from toolweft_client.case import Case
    from toolweft_client.judging import Judge, Verdict

Telling: TypeAlias = "Callable[[Verdict], None]"
Judging: TypeAlias = "Callable[[Judge, Telling], Awaitable[list[Verdict]]]"

CODES = "Exit codes: 0 done, 1 the model failed or no vote could be read, 2 wrong usage, 130 interrupted."
LONGEST = 70


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default=os.environ.get("TOOLWEFT_MODEL"),
        help="the judge: openai:NAME, anthropic:NAME, scripted:PATH or cassette:FILE (default: TOOLWEFT_MODEL)",
    )  # fmt: skip
    parser.add_argument("--base-url", help="an endpoint of your own that speaks the provider's API")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write what the judge says into a new cassette")
    parser.add_argument("--votes", type=_votes, default=3, help="how often each question is asked (default: 3)")
    parser.add_argument("--quiet", action="store_true", help="show no progress on stderr")
    parser.add_argument("--json", action="store_true", help="everything, every vote and its reason too")


def cases(given: Sequence[Path]) -> list[Case]:
    """The finished runs among them; what was cut short is counted on stderr.

    Raises:
        UsageError: There are none, or a name is neither file nor folder.
        TraceError: A file that was named is no trace.

    """
    from toolweft_client.case import case_of
    from toolweft_client.commands.reading import read_all
    from toolweft_client.errors import UsageError

    read = [case_of(steps, name=str(path)) for path, steps in read_all(given)]
    found = [case for case in read if case is not None]
    if not found:
        raise UsageError(f"No finished run in {', '.join(map(str, given))}.")
    if len(found) < len(read):
        print(f"{len(read) - len(found)} runs were cut short and are not judged", file=sys.stderr)
    return found


class Judged(NamedTuple):
    judge: Judge
    verdicts: list[Verdict]


async def judged(args: argparse.Namespace, total: int, judging: Judging, word: Callable[[Verdict], str]) -> Judged:
    """The judge that `args` names was asked; `word` is a verdict in one word, for who watches.

    Raises:
        UsageError: No model, or one that cannot be opened.

    """
    from toolweft_client.errors import UsageError
    from toolweft_client.judging import Judge
    from toolweft_client.model.cassette import Recording
    from toolweft_client.model.spec import open_model

    if not args.model:
        raise UsageError("No model: give --model openai:NAME, anthropic:NAME or scripted:PATH, or set TOOLWEFT_MODEL.")
    done = 0

    def tell(verdict: Verdict) -> None:
        nonlocal done
        done += 1
        if not args.quiet:
            print(f"… {done} of {total}: {word(verdict):<8} {shortened(verdict.task)}", file=sys.stderr, flush=True)

    async with open_model(args.model, base_url=args.base_url) as opened:
        judge = Judge(Recording(opened, args.record) if args.record else opened)
        return Judged(judge, await judging(judge, tell))


def shortened(task: str) -> str:
    # A task is foreign text: what would move the cursor or colour the screen is left out.
    line = "".join(c for c in task if c.isprintable())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def ended(judge: Judge, unreadable: int, unjudged: int, verdicts: int) -> int:
    """The exit code; what the judging took, and what is missing from it, is told on stderr."""
    print(f"judge {judge.name}: {judge.calls} calls, {judge.input_tokens} tokens in, {judge.output_tokens} out",
          file=sys.stderr)  # fmt: skip
    if unreadable:
        print(f"{unreadable} votes could not be read and do not count; {unjudged} tasks have none", file=sys.stderr)
    if judge.broken:
        print(f"toolweft eval: the judge failed, and this is what it had judged by then: {judge.broken}",
              file=sys.stderr)  # fmt: skip
    return 1 if judge.broken or unjudged == verdicts else 0


def _votes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 99:
        raise argparse.ArgumentTypeError(f"a number from 1 to 99 is needed, not {text!r}")
    return int(text)

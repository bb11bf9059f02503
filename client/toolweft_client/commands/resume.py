"""`toolweft resume`: goes on with a task that was cut short, or whose model or server was gone, from its trace."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolweft_client.stages.answer import Answer

EXAMPLES = """\
examples:
  toolweft resume                            the latest run
  toolweft resume 20261121-0503              by the beginning of its trace's name
  toolweft resume run.jsonl --json           a file
  toolweft resume --model openai:gpt-5       with another model from here on

Nothing is done twice: what the model and the tools answered is taken from the trace, and a program that was running is
run again with the record of its calls. A write of which nobody knows whether it took effect is put to you, or refused.
A run that failed because its model or its server was gone goes on, too; any other failure is the end.
Exit codes: 0 answered, 1 failed, 2 wrong usage or configuration, 130 interrupted.
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("which", nargs="?", default="last", help="last, a file, or the beginning of a trace's name")
    parser.add_argument("--model", help="another model than before")
    parser.add_argument("--base-url", help="another endpoint than before")
    parser.add_argument("--config", type=Path, help="another configuration of the server than before")
    parser.add_argument("--server", help="another MCP server than before: a URL, or a command in quotes")
    parser.add_argument(
        "--trace", type=Path, metavar="PATH", help="the new trace's file (default: in the state folder)"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress on stderr")
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")


def run(args: argparse.Namespace) -> int:
    from toolweft_client.commands.solving import answered

    return answered("toolweft resume", args, _resume)


async def _resume(args: argparse.Namespace, path: list[Path]) -> Answer:
    from toolweft_client.account import over
    from toolweft_client.commands.solving import RESUMABLE, Setup, solved
    from toolweft_client.commands.trace import path_of
    from toolweft_client.errors import UsageError
    from toolweft_client.tape import Tape, masked
    from toolweft_client.trace import read

    source = path_of(args.which)
    steps = read(source)
    begun, last = steps[0], steps[-1]
    status = str(last.data.get("status")) if last.event == "task.end" else ""
    if over(status, str(last.data.get("reason"))):
        raise UsageError(f"{source} has ended: {status}. There is nothing left to do.")
    setup = Setup.of(begun.data)
    if status == "unresumable":
        whole = setup.resumes or "the trace that it goes on from"
        raise UsageError(f"{source} is a resumption that did not fit its trace. Start the task anew, or try {whole}.")
    if setup.mode not in RESUMABLE:
        raise UsageError(
            f"A run in mode {setup.mode} cannot be resumed: what it had computed was in the server's session. "
            "Start the task anew."
        )
    if masked(steps):
        raise UsageError(
            f"Secrets in {source} are masked, in the task, the setup or what the model wrote, so it cannot be "
            "repeated as it was. Start the task anew."
        )
    setup = setup.changed(resumes=str(source.resolve()), model=args.model, base_url=args.base_url, server=args.server,
                          config=str(args.config) if args.config else None)  # fmt: skip
    if not args.quiet:
        print(f"resuming {source.name}: {len(steps)} steps so far", file=sys.stderr)
    return await solved(str(begun.data.get("task", "")), setup, Tape(steps), args, path)

"""`toolweft ask`: the agent solves one task with your tools."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolweft_client.commands import budgets

if TYPE_CHECKING:
    from toolweft_client.stages.answer import Answer

EXAMPLES = """\
examples:
  toolweft ask --model openai:gpt-5 "Which of my repositories has the oldest issue?"
  toolweft ask --model anthropic:claude-opus-4-5 --json "Convert 12 miles to kilometres"
  toolweft ask --model openai:qwen3 --base-url http://localhost:11434/v1 "What time is it in Oslo?"
  toolweft ask --model scripted:replies/ --trace run.jsonl "A task with replies written beforehand"
  toolweft ask --mode toolweaver --model toolweaver:./lm "A task like those that the model was taught"
  toolweft ask --server http://127.0.0.1:8765/mcp --model openai:gpt-5 "A task on a server that runs already"
  toolweft ask --server "their-server --stdio" --find search --execute execute --model openai:gpt-5 "A task on any"

An interrupted run goes on with `toolweft resume`.
Keys: OPENAI_API_KEY, ANTHROPIC_API_KEY, or the system's keyring (service toolweft).
TOOLWEFT_MODEL is the model when --model is not given.
Exit codes: 0 answered, 1 failed, 2 wrong usage or configuration, 130 interrupted.
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("task", help="what to do, in your words; - reads it from stdin")
    default = os.environ.get("TOOLWEFT_MODEL")
    parser.add_argument(
        "--model",
        default=default,
        help="openai:NAME, anthropic:NAME, local:FOLDER, toolweaver:FOLDER, scripted:PATH or cassette:FILE",
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write what the model says into a new cassette")
    parser.add_argument("--base-url", help="an endpoint of your own that speaks the provider's API")
    parser.add_argument("--config", type=Path, help="configuration of the server that is started")
    parser.add_argument("--server", help="another MCP server: a URL, or a command in quotes")
    parser.add_argument(
        "--find", default="find_tools", metavar="NAME", help="what that server calls its search of tools"
    )
    parser.add_argument(
        "--execute", default="execute_code", metavar="NAME", help="what it calls the tool that runs code"
    )
    parser.add_argument("--trace", type=Path, metavar="PATH", help="the trace's file (default: in the state folder)")
    parser.add_argument(
        "--mode", choices=["program", "paper", "codeact", "react", "toolweaver"], default="program",
        help="program: write one program and mend it; paper, codeact, react: other methods, to compare it with; "
        "toolweaver: one tool after the other, by a model taught to",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="show no progress on stderr")
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    budgets.add(parser, model_calls="8; paper 12, codeact 20, react 30, toolweaver 60")


def run(args: argparse.Namespace) -> int:
    from toolweft_client.commands.solving import answered

    return answered("toolweft ask", args, _ask)


async def _ask(args: argparse.Namespace, path: list[Path]) -> Answer:
    from toolweft_client.commands.solving import Setup, solved
    from toolweft_client.errors import UsageError
    from toolweft_client.modes import mode
    from toolweft_client.tape import Tape

    task = sys.stdin.read() if args.task == "-" else args.task
    if not task.strip():
        raise UsageError("The task is empty: say what to do.")
    if (args.mode == "toolweaver") != (args.model or "").startswith("toolweaver:") and args.model:
        raise UsageError(
            f"--mode toolweaver and --model toolweaver:FOLDER go together, not {args.mode} and {args.model}."
        )
    if args.readings and args.mode != "program":
        raise UsageError(f"--readings is a part of --mode program; {args.mode} has no second reading.")
    if not args.model:
        raise UsageError("No model: give --model openai:NAME, anthropic:NAME or scripted:PATH, or set TOOLWEFT_MODEL.")
    budget = budgets.budget_of(args, model_calls=mode(args.mode).model_calls)
    config = str(args.config) if args.config else None
    setup = Setup(args.model, args.mode, budget, base_url=args.base_url, config=config, server=args.server,
                  find=args.find, execute=args.execute)  # fmt: skip
    return await solved(task, setup, Tape(), args, path)

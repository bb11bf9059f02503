"""`toolweft ask`: the agent solves one task with your tools."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

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

Keys: OPENAI_API_KEY, ANTHROPIC_API_KEY, or the system's keyring (service toolweft).
TOOLWEFT_MODEL is the model when --model is not given.
Exit codes: 0 answered, 1 failed, 2 wrong usage or configuration, 130 interrupted.
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("task", help="what to do, in your words; - reads it from stdin")
    default = os.environ.get("TOOLWEFT_MODEL")
    parser.add_argument(
        "--model", default=default, help="openai:NAME, anthropic:NAME, toolweaver:FOLDER or scripted:PATH"
    )
    parser.add_argument("--base-url", help="an endpoint of your own that speaks the provider's API")
    parser.add_argument("--config", type=Path, help="configuration of the server that is started")
    parser.add_argument("--server", help="another MCP server: a URL, or a command in quotes")
    parser.add_argument("--trace", type=Path, metavar="PATH", help="the trace's file (default: in the state folder)")
    parser.add_argument(
        "--mode", choices=["program", "paper", "codeact", "react", "toolweaver"], default="program",
        help="program: write one program and mend it; paper, codeact, react: other methods, to compare it with; "
        "toolweaver: one tool after the other, by a model taught to",
    )  # fmt: skip
    parser.add_argument(
        "--model-calls", type=_positive,
        help="budget of model calls (default: 8; paper 12, codeact 20, react 30, toolweaver 60)",
    )  # fmt: skip
    parser.add_argument("--repairs", type=_count, default=3, help="budget of repairs (default: 3)")
    parser.add_argument("--replans", type=_count, default=2, help="budget of new designs (default: 2)")
    parser.add_argument("--probes", type=_count, default=3, help="budget of runs of a reading part (default: 3)")
    parser.add_argument(
        "--writes", type=_positive, default=5, help="no program starts after so many calls that write (default: 5)"
    )
    parser.add_argument(
        "--tool-calls", type=_positive, default=40, help="no program starts after so many (default: 40)"
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="budget of time for the whole task (default: 600)")
    parser.add_argument("--quiet", action="store_true", help="show no progress on stderr")
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")


def run(args: argparse.Namespace) -> int:
    import anyio

    from toolweft_client.errors import AgentError

    path: list[Path] = []
    try:
        answer = anyio.run(_interruptible, args, path)
    except AgentError as error:
        print(f"toolweft ask: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        answer = None
    if answer is None:
        print(f"interrupted; the trace so far: {path[0]}" if path else "interrupted", file=sys.stderr)
        return 130
    _show(answer, as_json=args.json)
    return 0 if answer.status == "answered" else 1


async def _interruptible(args: argparse.Namespace, path: list[Path]) -> Answer | None:
    """The answer, or `None` after Ctrl-C.

    A cancelled scope keeps on cancelling until everything has ended; the single cancellation with which Python
    answers Ctrl-C is lost when it meets another one on its way.
    """
    import anyio

    from toolweft_client.errors import AgentError

    answer: Answer | None = None
    failure: AgentError | None = None
    async with anyio.create_task_group() as tasks:

        async def stop() -> None:
            with anyio.open_signal_receiver(signal.SIGINT) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

        if sys.platform != "win32":
            tasks.start_soon(stop)
        try:
            answer = await _ask(args, path)
        except AgentError as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer


async def _ask(args: argparse.Namespace, path: list[Path]) -> Answer:
    """`path` receives the trace's path as soon as there is one, for a run that is interrupted."""
    from toolweft_client.agent import Agent
    from toolweft_client.asking import Terminal
    from toolweft_client.budget import Budget
    from toolweft_client.errors import UsageError
    from toolweft_client.model.spec import open_model
    from toolweft_client.modes import mode
    from toolweft_client.progress import display
    from toolweft_client.session import Session, own_server
    from toolweft_client.trace import Trace, new_path

    task = sys.stdin.read() if args.task == "-" else args.task
    if not task.strip():
        raise UsageError("The task is empty: say what to do.")
    if (args.mode == "toolweaver") != (args.model or "").startswith("toolweaver:") and args.model:
        raise UsageError(
            f"--mode toolweaver and --model toolweaver:FOLDER go together, not {args.mode} and {args.model}."
        )
    if not args.model:
        raise UsageError("No model: give --model openai:NAME, anthropic:NAME or scripted:PATH, or set TOOLWEFT_MODEL.")
    solve, calls = mode(args.mode)
    budget = Budget(
        model_calls=args.model_calls or calls, repairs=args.repairs, replans=args.replans, probes=args.probes,
        tool_calls=args.tool_calls, writes=args.writes, seconds=args.seconds,
    )  # fmt: skip
    person = Terminal.if_any()
    async with (
        open_model(args.model, base_url=args.base_url) as model,
        Session.connect(_target(args.server) or own_server(args.config), ask=person) as session,
    ):
        with display(quiet=args.quiet, person=person) as watch:
            trace = Trace.to(args.trace or new_path(task), watchers=[watch])
            path += [trace.path] if trace.path else []
            return await Agent(model, session, budget=budget, loop=solve).run(task, trace=trace)


def _target(server: str | None) -> str | list[str] | None:
    if not server or server.startswith(("http://", "https://")):
        return server
    return shlex.split(server)


def _show(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer.json(), ensure_ascii=False, indent=2))
        return
    print(answer.text)
    spent = answer.spent
    lines = [f"note: {each}" for each in answer.notes]
    lines += [f"saved: functions.{each.name} (version {each.version}, {each.state})" for each in answer.saved]
    if spent:
        lines.append(
            f"{answer.status}: {spent.model_calls} model calls, {spent.input_tokens} tokens in, "
            f"{spent.output_tokens} out, {spent.repairs} repairs, {spent.replans} replans, {spent.probes} probes, "
            f"{spent.tool_calls} tool calls, {spent.seconds:g} s"
        )
    lines += [f"trace: {answer.trace}"] if answer.trace else []
    print("\n".join(lines), file=sys.stderr)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than nothing")
    return number

"""`toolweft solve-server`: an MCP server whose tool `solve` runs the agent with the host's own model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolweft_client.commands import budgets

if TYPE_CHECKING:
    import anyio

    from toolweft_client.asking import Ask
    from toolweft_client.commands.solving import Setup
    from toolweft_client.model.base import ChatModel
    from toolweft_client.session import Target
    from toolweft_client.solves import Solver
    from toolweft_client.stages.answer import Answer
    from toolweft_client.trace import Watcher

MODEL_CALLS = 6
"""Of the eight rounds that a call may take on protocol 2026-07-28 each takes one; two are left for questions."""
EXAMPLES = """\
examples:
  toolweft solve-server                                   what a host starts; with your own toolweft behind it
  toolweft solve-server --config ~/.mcp.json              with another configuration
  toolweft solve-server --server http://127.0.0.1:8808/mcp

It speaks MCP over stdin and stdout. The host must offer sampling; it may ask you before its model is used.
On protocol 2026-07-28 one task may take eight rounds, for the model and for questions to you together.
Exit codes: 0 the host has left, 2 wrong usage.
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("--config", type=Path, help="configuration of the server that is started")
    parser.add_argument("--server", help="another MCP server with the tools: a URL, or a command in quotes")
    parser.add_argument("--traces", type=Path, metavar="FOLDER", help="where traces go (default: the state folder)")
    budgets.add(parser, model_calls=str(MODEL_CALLS), seconds="600, the host's model included")


def run(args: argparse.Namespace) -> int:
    import logging

    import anyio

    # stdout belongs to the protocol; everything for people goes to stderr.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="toolweft %(levelname)s: %(message)s")
    anyio.run(_serve, solver(args))
    return 0


def solver(args: argparse.Namespace) -> Solver:
    """What solves a task as `args` say."""
    from toolweft_client.commands.solving import Setup, target_of
    from toolweft_client.session import own_server

    budget = budgets.budget_of(args, model_calls=MODEL_CALLS)
    config = str(args.config) if args.config else None
    setup = Setup("sampling:host", "program", budget, config=config, server=args.server)
    folder = args.traces.resolve() if args.traces else None
    return against(target_of(args.server) or own_server(args.config), setup, folder=folder)


def against(target: Target, setup: Setup, *, folder: Path | None = None) -> Solver:
    """Solves tasks with the tools of `target`. Each has a connection of its own, so that what the server asks of a
    person is asked of the one whose task it is.
    """
    from toolweft_client.agent import Agent
    from toolweft_client.session import Session
    from toolweft_client.trace import Trace, new_path

    async def solve(task: str, *, model: ChatModel, ask: Ask | None, watch: Watcher) -> Answer:
        path = new_path(task)
        async with Session.connect(target, ask=ask) as session:
            trace = Trace.to(folder / path.name if folder else path, watchers=[watch])
            return await Agent(model, session, budget=setup.budget).run(task, trace=trace, setup=setup.json())

    return solve


async def _serve(solver: Solver) -> None:
    import os
    import signal

    import anyio
    from mcp.server.stdio import stdio_server

    from toolweft_client.solving_server import build

    server = build(solver)

    async def stop_on_signal(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                scope.cancel()
                return

    async with stdio_server() as (incoming, outgoing):
        async with anyio.create_task_group() as tasks:
            if sys.platform != "win32":
                tasks.start_soon(stop_on_signal, tasks.cancel_scope)
            await server.run(incoming, outgoing, server.create_initialization_options())
            tasks.cancel_scope.cancel()
            return
        # A signal: tasks and their servers have ended; the SDK's thread would read stdin until the host closes it.
        os._exit(0)

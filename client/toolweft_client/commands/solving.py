"""What `ask` and `resume` share: how a run is set up, watched, interrupted and shown."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from toolweft_catalog.tool import Json
from toolweft_client.account import BROKEN_OFF
from toolweft_client.budget import Budget
from toolweft_client.dialect import EXECUTE, FIND
from toolweft_client.errors import AgentError, TraceError

if TYPE_CHECKING:
    from toolweft_client.stages.answer import Answer
    from toolweft_client.tape import Tape

OPTIONAL = ("base_url", "config", "server", "find", "execute", "resumes")
RESUMABLE = frozenset({"program", "paper", "react", "toolweaver"})
"""Modes in which all that a run knows is in its trace."""

Solving: TypeAlias = "Callable[[argparse.Namespace, list[Path]], Awaitable[Answer]]"
"""The list receives the trace's path as soon as there is one, for a run that is interrupted."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How the model and the server of a run are found; it stands in the trace, so that the run can be resumed."""

    model: str
    mode: str
    budget: Budget
    base_url: str | None = None
    config: str | None = None
    server: str | None = None
    find: str = FIND
    execute: str = EXECUTE
    """What the server calls its two tools."""
    resumes: str | None = None
    """The trace that the run goes on from."""

    @classmethod
    def of(cls, begun: Mapping[str, Json]) -> Setup:
        """From the data of `task.start`.

        Raises:
            TraceError: It says nothing of the kind: the run was not started from the command line.

        """
        setup, limits = begun.get("setup"), begun.get("budget")
        if not isinstance(setup, dict) or not isinstance(limits, dict) or not setup:
            raise TraceError(
                "The trace does not say how its model and server are found; only `toolweft ask` writes so."
            )
        texts = {key: value for key in OPTIONAL if isinstance(value := setup.get(key), str)}
        known = {each.name for each in fields(Budget)}
        numbers = {key: value for key, value in limits.items() if key in known and isinstance(value, int | float)}
        return cls(str(setup.get("model")), str(setup.get("mode")), Budget(**numbers), **texts)  # type: ignore[arg-type]

    def changed(self, **given: str | None) -> Setup:
        return replace(self, **{key: value for key, value in given.items() if value})  # type: ignore[arg-type]

    def json(self) -> dict[str, Json]:
        return {key: value for key, value in asdict(self).items() if key != "budget"}


def answered(label: str, args: argparse.Namespace, solving: Solving) -> int:
    """The exit code; the answer is shown."""
    import anyio

    path: list[Path] = []
    try:
        answer = anyio.run(_interruptible, args, path, solving)
    except AgentError as error:
        print(f"{label}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        answer = None
    if answer is None:
        print(f"interrupted; the trace so far: {path[0]}" if path else "interrupted", file=sys.stderr)
        if path and getattr(args, "mode", "program") in RESUMABLE:
            print(f"`toolweft resume {path[0]}` goes on", file=sys.stderr)
        return 130
    _show(answer, as_json=args.json)
    if answer.trace and answer.reason in BROKEN_OFF and getattr(args, "mode", "program") in RESUMABLE:
        print(f"`toolweft resume {answer.trace}` goes on from there", file=sys.stderr)
    return 0 if answer.status == "answered" else 1


async def _interruptible(args: argparse.Namespace, path: list[Path], solving: Solving) -> Answer | None:
    """The answer, or `None` after Ctrl-C.

    A cancelled scope keeps on cancelling until everything has ended; the single cancellation with which Python
    answers Ctrl-C is lost when it meets another one on its way.
    """
    import anyio

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
            answer = await solving(args, path)
        except AgentError as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer


async def solved(task: str, setup: Setup, tape: Tape, args: argparse.Namespace, path: list[Path]) -> Answer:
    """Solves a task, from the beginning or with the answers of a tape."""
    from toolweft_client.agent import Agent
    from toolweft_client.asking import Terminal
    from toolweft_client.model.cassette import Recording
    from toolweft_client.model.spec import open_model
    from toolweft_client.modes import mode
    from toolweft_client.progress import display
    from toolweft_client.session import Session, own_server
    from toolweft_client.trace import Trace, new_path

    person = Terminal.if_any()
    config = Path(setup.config) if setup.config else None
    with display(quiet=args.quiet, person=person) as shown:
        async with (
            open_model(setup.model, base_url=setup.base_url, asked=tape.count("llm"), heard=shown.heard) as opened,
            Session.connect(
                target_of(setup.server) or own_server(config), ask=person, find=setup.find, execute=setup.execute
            ) as session,
        ):
            model = Recording(opened, args.record) if getattr(args, "record", None) else opened
            trace = Trace.to(args.trace or new_path(task), watchers=[shown.watch])
            path += [trace.path] if trace.path else []
            agent = Agent(model, session, budget=setup.budget, loop=mode(setup.mode).solve)
            return await agent.run(task, trace=trace, tape=tape, setup=setup.json())


def target_of(server: str | None) -> str | list[str] | None:
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

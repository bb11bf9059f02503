"""`Solves`: tasks on their way to an answer, which may outlive the request that started them.

On 2026-07-28 a call that asks something of the host is answered with it, and made again with the replies: in between no
request is open, and the task waits here, in this process. The state that the host carries back is a token, made anew
for each round, that means nothing outside this table, belongs to one owner and one task, and is taken once.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

import anyio
import anyio.abc
import mcp_types as types

from toolweft_client.asking import Ask
from toolweft_client.errors import AgentError, UsageError
from toolweft_client.host import Asking, Rounds, passed_on
from toolweft_client.model.base import ChatModel
from toolweft_client.model.sampling import SamplingModel
from toolweft_client.progress import DOING, describe
from toolweft_client.stages.answer import Answer
from toolweft_client.trace import Step, Watcher

logger = logging.getLogger(__name__)

MOST = 16
"""Tasks at a time, those included whose host has not come back for the answer yet."""
BEAT = 5.0
"""Seconds between signs of life while nothing happens that is worth telling."""
TOGETHER = 0.02
"""Seconds to wait for what is asked side by side, so that it costs one round. It arrives within milliseconds."""

Report: TypeAlias = Callable[[float, str], Awaitable[None]]
"""Progress of a request: a number that grows, and what is being done."""


class Solver(Protocol):
    """Solves one task; ends by itself within its budget of seconds."""

    async def __call__(self, task: str, *, model: ChatModel, ask: Ask | None, watch: Watcher) -> Answer:
        """
        Raises:
            AgentError: Nothing was started.

        """
        ...


class Asked(NamedTuple):
    """What the host is to be asked before the task can go on."""

    requests: types.InputRequests
    state: str


@dataclass(eq=False)
class Solve:
    """One task."""

    owner: str
    task: str
    notes: list[str] = field(default_factory=list)
    """What the host should know besides the answer."""
    outcome: Answer | AgentError | None = None
    rounds: Rounds | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: bool = False
    told: int = 0
    """Reports made, over all requests."""
    news: list[str] = field(default_factory=list)
    """What was done and nobody was told yet."""
    changed: anyio.Event = field(default_factory=anyio.Event)

    def watch(self, step: Step) -> None:
        line = describe(step) or (DOING.get(step.stage) if step.event == "stage" else "") or step.event
        self.news.append(f"{step.stage}: {line}" if step.stage else line)
        self.note()

    def note(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class Solves:
    """Lives as long as the server; `tasks` is the server's task group, so that nothing outlives it."""

    def __init__(self, solver: Solver, tasks: anyio.abc.TaskGroup) -> None:
        self._solver, self._tasks = solver, tasks
        self._all: dict[Solve, None] = {}
        self._waiting: dict[str, Solve] = {}
        """By the token of the round that is out."""

    def begin(
        self, task: str, owner: str, capabilities: types.ClientCapabilities | None, asking: Asking | None
    ) -> Solve:
        """Starts a task. `capabilities` are the host's; without `asking` it is asked in rounds.

        Raises:
            UsageError: The host lends no model, or too many tasks are on their way.

        """
        solve = Solve(owner, task)
        if asking is None:
            solve.rounds = Rounds(solve.note)
            asking = solve.rounds.ask
        model = SamplingModel(asking, capabilities)
        self._make_room()
        self._all[solve] = None
        self._tasks.start_soon(self._run, solve, model, passed_on(asking, capabilities, solve.notes))
        return solve

    def back(self, state: str, owner: str, task: str, responses: Mapping[str, types.InputResponse]) -> Solve:
        """The task that waits for these replies; from here on it goes on.

        Raises:
            UsageError: None does: the state is not ours, somebody else's or another task's, or was answered before.

        """
        solve = self._waiting.get(state)
        if solve is None or solve.owner != owner or solve.task != task:
            raise UsageError(
                "requestState: no task waits for this reply. It was given before, belongs to another call, or the "
                "process that asked has ended. Call solve again without it."
            )
        del self._waiting[state]
        assert solve.rounds is not None
        solve.rounds.take(responses)
        return solve

    async def wait(self, solve: Solve, report: Report) -> Asked | None:
        """Until the task has ended (`None`) or something must be asked in a round; cancelling it ends the task."""
        try:
            while True:
                changed = solve.changed
                while solve.news:
                    solve.told += 1
                    await report(solve.told, solve.news.pop(0))
                if solve.ended:
                    self._all.pop(solve, None)
                    return None
                if solve.rounds is not None and solve.rounds.waiting:
                    await anyio.sleep(TOGETHER)
                    if requests := solve.rounds.give_out():
                        return self._asked(solve, requests)
                    continue
                with anyio.move_on_after(BEAT) as quiet:
                    await changed.wait()
                if quiet.cancelled_caught:
                    solve.news.append("working")
        except BaseException:
            # The host took its request back.
            solve.scope.cancel()
            self._all.pop(solve, None)
            raise

    def _asked(self, solve: Solve, requests: types.InputRequests) -> Asked:
        state = secrets.token_urlsafe(24)
        self._waiting[state] = solve
        return Asked(requests, state)

    async def _run(self, solve: Solve, model: ChatModel, ask: Ask | None) -> None:
        try:
            with solve.scope:
                solve.outcome = await self._solver(solve.task, model=model, ask=ask, watch=solve.watch)
        except AgentError as error:
            solve.outcome = error
        except Exception as error:
            # The one boundary where a defect of ours becomes an answer: the server must survive it.
            logger.exception("a task failed inside toolweft")
            solve.outcome = AgentError(f"The task failed inside toolweft: {type(error).__name__}: {error}")
        finally:
            solve.ended = True
            solve.note()

    def _make_room(self) -> None:
        """Answers that nobody came back for go first, the oldest of them before the others."""
        while len(self._all) >= MOST:
            ended = next((each for each in self._all if each.ended), None)
            if ended is None:
                raise UsageError(f"{MOST} tasks are being solved already; wait until one of them has ended.")
            del self._all[ended]
            self._waiting = {state: each for state, each in self._waiting.items() if each is not ended}

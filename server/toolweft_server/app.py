"""The composition root: with `parts`, the only file that names concrete classes.

It joins what must not know of one another.

`App` is the open server behind the protocol; `runtime.Lazy` opens one when it is first needed. Read `App.open` to
see the whole product in one screen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.abc

from toolweft_catalog.call import Caller, Progress, Result
from toolweft_catalog.catalog import Delta
from toolweft_catalog.names import identifier
from toolweft_catalog.tool import Json, Tool
from toolweft_catalog.wire import CallRecord, Execution, FunctionCard, SavedFunction, SessionState
from toolweft_server import memory, resources
from toolweft_server.answer import as_text
from toolweft_server.approvals import Approvals
from toolweft_server.beat import Report
from toolweft_server.bridge import Bridge
from toolweft_server.config import SERVER_LIMITS, Config
from toolweft_server.errors import SandboxError, StoreError, ToolweftError
from toolweft_server.executions import Executions, Request
from toolweft_server.finder import Finder
from toolweft_server.inputs import gathered
from toolweft_server.keeping import Keeping
from toolweft_server.learning import Learning
from toolweft_server.ledger import Ledger, Recorder
from toolweft_server.library.store import Admission, FunctionStore
from toolweft_server.live import LiveCatalog
from toolweft_server.parts import index_of, sandbox_limits, sandbox_of, upstreams_of
from toolweft_server.passing import passed_on
from toolweft_server.proving import Proving
from toolweft_server.questions import Answers, Person, Questions
from toolweft_server.remembered import Remembered
from toolweft_server.resources import Content
from toolweft_server.sandbox.base import FileIn, FileOut, Outcome, Program
from toolweft_server.sandbox.pool import Sessions
from toolweft_server.scrub import Scrubber
from toolweft_server.serving import Asker, Reply
from toolweft_server.store.calls import Rows
from toolweft_server.store.store import Changes, Store
from toolweft_server.tending import Readings, Tender
from toolweft_server.tools import execute_code, find_tools
from toolweft_server.upstream.asking import Question
from toolweft_server.upstream.gateway import Gateway
from toolweft_server.using import KEPT, Using
from toolweft_server.weaving import Weaver

logger = logging.getLogger(__name__)

LOADED = 256
"""Whole tools kept in memory."""
POLL = 0.5
"""Seconds between looks for other processes' changes; one look costs microseconds while there are none."""


class App:
    """Everything that runs while somebody is connected. Made by `App.open`, closed with its context."""

    def __init__(self, config: Config, store: Store, live: LiveCatalog, tasks: anyio.abc.TaskGroup) -> None:
        self.config, self.store, self.live = config, store, live
        self.limits = {**SERVER_LIMITS, **config.limits}
        self.text_limit = int(self.limits["text"])
        self.sandbox = sandbox_of(config)
        limits = sandbox_limits(config)
        self.sessions = Sessions(self.sandbox, limits, warm=config.sandbox.waiting)
        self.library = FunctionStore(store)
        self.ledger = Ledger(store)
        self.executions = Executions(
            self, tasks, patience=self.limits["answer"], slots=limits.sessions, approval=limits.approval
        )
        self._scrubber = store.scrub
        self.using = Using(live, store, config.index)
        self.proving = Proving(live, store, self.ledger, self.sandbox, limits, work=self, policy=config.policy)
        self.keeping = Keeping(live, self.library, self.proving)
        self.learning = Learning(live, store, self.library, self.using, self.proving, self.keeping, config.policy)
        self._loaded: dict[tuple[str, str], Tool] = {}
        self._tasks = tasks
        self._seen = Changes()

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config) -> AsyncIterator[App]:
        """
        Raises:
            ToolweftError: The store cannot be opened; nothing else stops a server from starting.

        """
        store = await anyio.to_thread.run_sync(partial(Store.open, config.store, scrub=Scrubber(config.secrets)))

        async def elicit(question: Question) -> Mapping[str, Json]:
            return await passed_on(question, app.executions.questions)

        upstreams, entries = upstreams_of(config, elicit)
        gateway = Gateway(upstreams, concurrency={name: entry.concurrency for name, entry in config.servers.items()})
        live = LiveCatalog(
            store, gateway, index_of(config, store.path), library=FunctionStore(store).as_tools, entries=entries
        )
        try:
            due = await live.look(live.due)  # before what is known is read: else what others write meanwhile is missed
            await live.open()
            async with anyio.create_task_group() as tasks:
                app = cls(config, store, live, tasks)
                readings = Readings(live, tasks)
                for name, upstream in upstreams.items():
                    upstream.on_change = partial(readings.changed, name)
                if due:
                    readings.begin(due)
                try:
                    yield app
                finally:
                    tasks.cancel_scope.cancel()
                    with anyio.move_on_after(10, shield=True):
                        await app.sessions.aclose()
                        await app.sandbox.aclose()
                        await app.using.aclose()
                        await app.ledger.settled()
        finally:
            with anyio.move_on_after(10, shield=True):
                await gateway.aclose()
            store.close()

    @property
    def backend(self) -> str:
        return self.sandbox.name

    async def follow(self, changed: Callable[[Sequence[str]], Awaitable[None]]) -> StoreError:
        """Takes over other processes' changes; `changed` hears of saved functions.

        Returns only when the store's file was deleted or replaced, with the reason: another app must be opened.
        """

        def heard(delta: Delta) -> None:
            names = [each.partition(".")[2] for part in delta for each in part if each.startswith("functions.")]
            if names:
                self._tasks.start_soon(_tell, changed, names)
            if self.keeping.concerns(delta):
                self._tasks.start_soon(self.keeping.check)

        self.live.on_change.append(heard)
        if self.config.sandbox.eager:
            self._tasks.start_soon(self._prepare)
        self._tasks.start_soon(self._purge)
        self._tasks.start_soon(self.keeping.check)
        self._tasks.start_soon(Tender(self.live).run)
        self._tasks.start_soon(Weaver(self.live).run)
        self._tasks.start_soon(self.using.run)
        while True:
            try:
                now = await self.live.look(self.store.changes)
                if now != self._seen:
                    self._seen = now
                    await self.live.reload()
            except ToolweftError as error:
                if self.store.lost:
                    return self.store.lost
                # A locked store is told to whoever asks next; watching goes on.
                logger.warning("cannot look for changes: %s", error)
            await anyio.sleep(POLL)

    async def _prepare(self) -> None:
        """Starts a child ahead of the first program. Where none can be had, that program will hear the reason."""
        try:
            await self.sessions.prepare()
        except SandboxError as error:
            logger.warning("no child waits ahead: %s", error)

    async def _purge(self) -> None:
        """Lets go of what is older than the retention, or too much, now and every hour."""
        while True:
            try:
                await self.live.thread(self.store.executions.purge)
                await self.live.thread(self._purge_requests)
                await self.live.thread(memory.trim)  # of what deleting took: 10 MB where 86,000 requests are kept
            except ToolweftError as error:
                logger.warning("old executions were not deleted: %s", error)
            await anyio.sleep(3600)

    def _purge_requests(self) -> None:
        before = time.time() - KEPT
        self.store.requests.purge(before)
        self.store.uses.purge(before)
        if not self.config.index.keep_requests:
            self.store.requests.erase()

    # ---- find_tools -------------------------------------------------------------------------------------------

    async def find_tools(self, arguments: dict[str, Any], asker: Asker) -> Reply:
        policy = self.config.policy.under(asker.terms)
        patience = self.limits["manifest_wait"]
        finder = Finder(self.live, self.store, self.using, self.keeping, asker, policy, patience=patience)
        answer = await find_tools.find_tools(find_tools.Arguments.model_validate(arguments), finder)
        return Reply(answer.found.model_dump(mode="json"), answer.text)

    # ---- execute_code -----------------------------------------------------------------------------------------

    async def execute_code(
        self,
        arguments: dict[str, Any],
        asker: Asker,
        report: Report,
        person: Person | None = None,
        answers: Answers | None = None,
    ) -> Reply:
        wanted = execute_code.Arguments.model_validate(arguments)
        if answers is not None:
            answer = await self.executions.resume(answers, asker.owner, report, person)
        else:
            request = Request(
                wanted.code, wanted.session, wanted.retry_of, wanted.timeout, asker.owner, asker.connection,
                wanted.files, asker.terms,
            )  # fmt: skip
            answer = await self.executions.execute(request, report, person)
        execution = answer.execution
        return Reply(
            execute_code.structured(execution),
            execute_code.text(execution),
            is_error=execution.status not in ("ok", "waiting"),
            images=[(image.mime, image.data) for image in answer.images],
            asked=answer.asked,
        )

    def scrub(self, text: str) -> str:
        return self._scrubber.text(text)

    def scrub_json(self, value: Json) -> Json:
        return self._scrubber.json(value)

    def servers(self) -> Sequence[str]:
        return [*(name for name in self.live.catalog.servers if name != "functions"), *self.absent()]

    def absent(self) -> Mapping[str, str]:
        """Servers that are configured and cannot be used now: a program that names one is told so."""
        reading = dict.fromkeys(self.live.reading, "is still being read; try again soon")
        unread = dict.fromkeys(self.live.unread, "could not be read; `toolweft doctor` says why")
        present = self.live.catalog.servers
        known = {identifier(name): why for name, why in (reading | unread).items()}
        return {name: why for name, why in known.items() if name not in present}

    async def known(self, execution: str, owner: str | None = None) -> bool:
        await self.ledger.settled()
        return await self.live.look(self.store.executions.get, execution, owner) is not None

    def begun(self, execution: str, request: Request) -> None:
        if self.store.lost:
            raise self.store.lost
        self.ledger.begun(execution, partial(
            self.store.executions.beginning,
            execution, request.owner, request.connection, request.session, request.code, request.retry_of,
        ))  # fmt: skip

    async def prepare(
        self, execution: str, request: Request, questions: Questions, progress: Progress | None
    ) -> tuple[Bridge, Recorder]:
        recorder = self.ledger.recorder(execution, request.retry_of, owner=request.owner)
        await self.live.settled(self.limits["manifest_wait"])
        memory = Remembered(self.live, self.store, request.owner)
        approvals = Approvals(questions, memory, given=request.terms.grants, scrub=self.scrub_json)
        permit = self.config.policy.under(request.terms).gate(approvals, request.terms)
        caller: Caller = questions.counting(recorder(self.live.gateway, permit=permit))

        def observe(tool: Tool, result: Result) -> None:
            self.learning.observed(tool, result, request)

        bridge = Bridge(
            catalog=lambda: self.live.catalog,
            load=self.tool,
            caller=caller,
            functions=self.keeping,
            execution=execution,
            owner=request.owner,
            progress=progress,
            observe=observe,
            scrub=self.scrub,
            absent=self.absent,
        )
        return bridge, recorder

    async def tool(self, tool_id: str) -> Tool:
        """A tool whole. The last used are kept: a program calls the same few again and again."""
        card = self.live.catalog.get(tool_id)
        key = (tool_id, card.digest if card else "")
        found = self._loaded.pop(key, None) or (await self.live.tools([tool_id]))[0]
        self._loaded[key] = found
        while len(self._loaded) > LOADED:
            del self._loaded[next(iter(self._loaded))]
        return found

    async def files_in(self, request: Request) -> Sequence[FileIn]:
        return await gathered(request.files, partial(resources.read, library=self, owner=request.owner))

    async def run(self, program: Program, bridge: Bridge, request: Request) -> tuple[Outcome, SessionState | None]:
        outcome, state = await self.sessions.run(program, bridge, owner=request.owner, session=request.session)
        await self.learning.settled(request)
        if state is not None and state.state == "reset":
            self.learning.forget(request)
        return outcome, state

    async def ended(self, execution: Execution, whole: Mapping[str, str], files: Mapping[str, FileOut]) -> None:
        beginning = self.ledger.ended(execution.id, alone=not (execution.files or execution.truncated))
        if beginning is not None and execution.status == "ok" and not execution.calls:
            # Nothing of it but this line of history: nobody needs to wait for that.
            told = execution.model_dump(mode="json")
            self.ledger.note(partial(self.store.executions.whole, beginning, execution.status, told))
            return
        await self.ledger.settled()
        await self.live.thread(self._keep, execution, whole, files, beginning)

    def _keep(
        self,
        execution: Execution,
        whole: Mapping[str, str],
        files: Mapping[str, FileOut],
        beginning: Callable[[], Rows] | None,
    ) -> None:
        keep = partial(self.store.executions.keep, execution.id)
        if execution.truncated:
            keep("output", whole["stdout"] + whole["stderr"])
            keep("value", whole["value"], mime="application/json")
        for listed, file in zip(execution.files, files.values(), strict=True):
            keep(f"files/{file.name}", file.data, mime=listed.mime)
        self.store.executions.finish(execution.id, execution.status, execution.model_dump(mode="json"), beginning)

    # ---- the library, and what can be read ---------------------------------------------------------------------

    async def learn(
        self, execution: str, request: Request, bridge: Bridge, calls: Sequence[CallRecord]
    ) -> tuple[list[SavedFunction], list[str]]:
        files = await self.files_in(request) if request.files else ()
        return await self.learning.functions(execution, request, bridge, calls, self.servers(), files)

    async def used(self, which: Iterable[tuple[str, int]], outcome: Outcome, calls: Sequence[CallRecord]) -> None:
        await self.learning.used(which, outcome, calls)

    async def functions(self) -> Sequence[FunctionCard]:
        return [card for card in await self.live.look(self.library.cards) if card.state == "active"]

    async def function_names(self) -> Sequence[str]:
        return [card.name for card in await self.functions()]

    async def function(self, name: str, version: int | None) -> FunctionCard | None:
        return await self.live.look(self.library.card, name, version)

    async def publish(self, cards: Sequence[FunctionCard]) -> Admission:
        return await self.live.thread(self.library.take, cards)

    async def output(self, execution: str, part: str, *, owner: str) -> str | None:
        await self.ledger.settled()
        row = await self.live.look(self.store.executions.get, execution, owner)
        if row is None:
            return None
        found = await self.live.look(self.store.executions.output, execution, part)
        if found is not None:
            return found[1].decode("utf-8", "replace")
        # Nothing was cut, so the answer itself is the whole of it.
        result = row.result if isinstance(row.result, dict) else {}
        return (
            as_text(result.get("value")) if part == "value" else f"{result.get('stdout', '')}{result.get('stderr', '')}"
        )

    async def file(self, execution: str, name: str, *, owner: str) -> Content | None:
        found = await self._kept(execution, f"files/{name}", owner)
        return None if found is None else Content(*found)

    async def _kept(self, execution: str, name: str, owner: str) -> tuple[str, bytes] | None:
        if not await self.known(execution, owner):
            return None
        return await self.live.look(self.store.executions.output, execution, name)


async def _tell(listener: Callable[[Sequence[str]], Awaitable[None]], names: Sequence[str]) -> None:
    await listener(names)

"""`Executions`: programs on their way from code to answer, which may outlive the request that started them.

A program that takes longer than a host waits is answered with `waiting`; a later call with `retry_of` joins it again
and its answer is given exactly once. The sandbox runs, the bridge connects, the ledger remembers; here is only the
order of things, and the shape of the answer.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
import anyio.abc
import anyio.to_thread

from toolweft_catalog.call import Progress
from toolweft_catalog.tool import Json
from toolweft_catalog.wire import CallRecord, Error, Execution, OutputFile, SavedFunction, SessionState
from toolweft_server.answer import Answer, Image, as_text, carry, cut, file_uri, is_long, mime_of, scrubbed
from toolweft_server.bridge import Bridge
from toolweft_server.errors import AnswerError, SandboxError, ToolweftError
from toolweft_server.inputs import InputError
from toolweft_server.questions import Answers, Person, Questions, Round
from toolweft_server.sandbox.base import FileIn, FileOut, Outcome, Program
from toolweft_server.terms import Terms

logger = logging.getLogger(__name__)

LONG = 16_384
"""Characters of output, or of texts and elements of a value, that are worth a thread."""
KEPT = 64
"""Finished executions whose answer is kept in memory for a caller that was told `waiting` and has not come back."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of `execute_code`, validated."""

    code: str
    session: str | None = None
    retry_of: str | None = None
    timeout: float | None = None
    owner: str = "local"
    connection: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files for the work directory by name: addresses, data URIs or texts (see `inputs`)."""
    terms: Terms = Terms()  # noqa: RUF009 - immutable

    @property
    def task(self) -> str | None:
        return self.terms.task


class Recorder(Protocol):
    """One execution's part of the ledger."""

    @property
    def records(self) -> Sequence[CallRecord]: ...


class Work(Protocol):
    """What `Executions` needs of the rest of the server; `app` provides it."""

    @property
    def backend(self) -> str: ...

    text_limit: int

    def scrub(self, text: str) -> str: ...

    def scrub_json(self, value: Json) -> Json: ...

    async def known(self, execution: str, owner: str | None = None) -> bool: ...

    def begun(self, execution: str, request: Request) -> None: ...

    async def prepare(
        self, execution: str, request: Request, questions: Questions, progress: Progress | None
    ) -> tuple[Bridge, Recorder]: ...

    def servers(self) -> Sequence[str]: ...

    async def files_in(self, request: Request) -> Sequence[FileIn]: ...

    async def run(self, program: Program, bridge: Bridge, request: Request) -> tuple[Outcome, SessionState | None]: ...

    async def learn(
        self, execution: str, request: Request, bridge: Bridge, calls: Sequence[CallRecord]
    ) -> tuple[list[SavedFunction], list[str]]: ...

    async def used(self, which: Iterable[tuple[str, int]], outcome: Outcome, calls: Sequence[CallRecord]) -> None: ...

    async def ended(self, execution: Execution, whole: Mapping[str, str], files: Mapping[str, FileOut]) -> None: ...


@dataclass
class _Running:
    request: Request
    questions: Questions
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    done: anyio.Event = field(default_factory=anyio.Event)
    answer: Answer | None = None
    recorder: Recorder | None = None
    progress: Progress | None = None
    ended: bool = False
    """Its end is on record, or will be."""
    waiting: int = 0
    """Requests that wait for it."""
    detached: bool = False
    """Its caller was told `waiting` or given questions: it goes on without a request."""

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        """Passes an upstream's progress to whoever waits now."""
        if self.progress is not None:
            await self.progress(done, total, message)


class Executions:
    """Lives as long as the server; `tasks` is the server's task group, so that nothing outlives it."""

    def __init__(self, work: Work, tasks: anyio.abc.TaskGroup, *, patience: float, slots: int, approval: float) -> None:
        """`patience` is the time in seconds after which a running program is answered with `waiting`, `approval`
        the time that a question to a person stays open.

        More programs than `slots` wait for their turn.
        """
        self._work, self._tasks, self._patience, self._approval = work, tasks, patience, approval
        self._slots = anyio.Semaphore(slots)
        self._running: dict[str, _Running] = {}

    async def execute(self, request: Request, progress: Progress | None = None, person: Person | None = None) -> Answer:
        """Runs a program, or joins the one that `retry_of` names, and answers within the server's patience.

        The time in which `person` is asked does not count. One who cannot be asked at once has the questions in the
        answer. Cancelling ends the program, unless an earlier caller was told that it goes on.
        """
        execution, running = self._joinable(request), None
        if execution is None:
            given = request.terms.execution
            execution = given or "ex_" + secrets.token_hex(6)
            # Asked of everybody's executions, and twice of those that run: another request may come meanwhile.
            if given and (given in self._running or await self._work.known(given) or given in self._running):
                told = f"{execution} names an execution already; leave it out, or ask for that one with retry_of"
                return self._refused(execution, "ExecutionExists", told)
            self._running[execution] = running = _Running(request, Questions(self._approval))
            self._forget()
            self._tasks.start_soon(self._run, execution, running)
        else:
            running = self._running[execution]
            # Whoever asked first may be gone without a word, and must not take the program along.
            running.detached = True
        answer = await self._wait(execution, running, progress, person)
        if request.retry_of == execution and request.code.strip() not in ("", running.request.code.strip()):
            note = f"this is the answer of {execution}, which was running; the code sent with retry_of did not run"
            limits = [*answer.execution.limits, note]
            return replace(answer, execution=answer.execution.model_copy(update={"limits": limits}))
        return answer

    async def resume(
        self, answers: Answers, owner: str, progress: Progress | None = None, person: Person | None = None
    ) -> Answer:
        """Gives a program the answers to its questions and goes on as `execute` does.

        Raises:
            AnswerError: The program is not `owner`'s, is gone, or does not wait for these answers.

        """
        running = self._running.get(answers.execution)
        if running is None or running.request.owner != owner:
            raise AnswerError("", f"there is no program {answers.execution!r} that waits for an answer")
        running.questions.take(answers)
        # The caller who was promised that it goes on is back: from here on it ends with this request, too.
        running.detached = False
        return await self._wait(answers.execution, running, progress, person)

    def questions(self, execution: str) -> Questions | None:
        """The questions of a running program."""
        running = self._running.get(execution)
        return None if running is None else running.questions

    def _joinable(self, request: Request) -> str | None:
        """The execution to join: one of the same owner that runs, or whose answer nobody has fetched yet."""
        running = self._running.get(request.retry_of or "")
        if running is None or running.request.owner != request.owner:
            return None
        return request.retry_of

    async def _wait(
        self, execution: str, running: _Running, progress: Progress | None, person: Person | None
    ) -> Answer:
        running.progress = progress
        if person is not None or not running.waiting:  # else somebody who waits, too, may be answering
            running.questions.attend(person)
        running.waiting += 1
        asked: Round | None = None
        try:
            with anyio.move_on_after(self._patience) as patience:
                while (asked := await running.questions.next()) and person and person.ask:
                    patience.deadline = math.inf
                    await running.questions.put(asked, person.ask)
                    patience.deadline, asked = anyio.current_time() + self._patience, None
                if asked is None:
                    await running.done.wait()
        except BaseException:
            # The host took its request back. Only a program nobody else was promised ends with it.
            if not running.detached:
                running.scope.cancel()
                self._running.pop(execution, None)
            raise
        finally:
            running.progress = None
            running.waiting -= 1
        if running.answer is None:
            running.detached = True
            calls = list(running.recorder.records) if running.recorder else []
            hint = "still running; call execute_code again with retry_of set to this id to wait for it"
            waiting = Execution(id=execution, status="waiting", backend=self._work.backend, calls=calls, limits=[hint])
            return Answer(waiting, asked=asked)
        self._running.pop(execution, None)
        return running.answer

    async def _run(self, execution: str, running: _Running) -> None:
        try:
            with running.scope:
                running.answer = await self._answer(execution, running)
        except ToolweftError as error:
            logger.warning("execution %s did not run: %s", execution, error)
            running.answer = self._failed(execution, "crashed", error)
        except Exception as error:
            # The one boundary where a defect of ours becomes an answer: the server must survive it.
            logger.exception("execution %s failed inside toolweft", execution)
            running.answer = self._failed(execution, "crashed", error)
        finally:
            if running.answer is None:
                running.answer = self._failed(execution, "cancelled", None)
            running.questions.end()
            running.done.set()
            if not running.ended and running.answer.execution.status in ("cancelled", "crashed"):
                await self._close(running.answer.execution)

    async def _close(self, execution: Execution) -> None:
        """Notes the end of a program that did not come to one of its own, also while everything is being cancelled."""
        try:
            with anyio.move_on_after(2, shield=True):
                await self._work.ended(execution, {}, {})
        except Exception as error:  # noqa: BLE001 - in here it would end the server for everybody
            logger.warning("the end of execution %s is not on record: %r", execution.id, error)

    async def _answer(self, execution: str, running: _Running) -> Answer:
        request = running.request
        if request.retry_of and not await self._work.known(request.retry_of, request.owner):
            return self._unknown(execution, request.retry_of)
        try:
            files = await self._work.files_in(request)
        except InputError as error:
            return self._refused(execution, "FileNotHandedIn", str(error))
        self._work.begun(execution, request)
        bridge, running.recorder = await self._work.prepare(execution, request, running.questions, running.report)
        program = Program(execution, request.code, tuple(self._work.servers()), request.timeout, files)
        try:
            async with self._slots:
                outcome, session = await self._work.run(program, bridge, request)
        except SandboxError as error:
            return self._failed(execution, "crashed", error)
        saved: list[SavedFunction] = []
        notes: list[str] = []
        try:
            await self._work.used(bridge.used, outcome, running.recorder.records)
            if outcome.status == "ok" and not request.terms.part:
                saved, notes = await self._work.learn(execution, request, bridge, running.recorder.records)
        except (ToolweftError, InputError) as error:
            notes = [f"nothing was saved: {error}"]
        answer = await self._compose(execution, outcome, session, running.recorder.records, saved, notes)
        running.ended = True
        return answer

    async def _compose(
        self,
        execution: str,
        outcome: Outcome,
        session: SessionState | None,
        calls: Sequence[CallRecord],
        saved: list[SavedFunction],
        notes: list[str],
    ) -> Answer:
        """The answer, cut to what a model should read; the whole of it goes to the store, under `output_uri`."""
        scrub, budget = self._work.scrub, self._work.text_limit
        images: list[Image] = []
        files: dict[str, FileOut] = {each.name: each for each in outcome.files}
        value = outcome.value_repr if outcome.value_repr is not None else carry(outcome.value, files, images, execution)

        def scrubbed_whole() -> tuple[Json, dict[str, str]]:
            clean = self._work.scrub_json(value)
            return clean, {"stdout": scrub(outcome.stdout), "stderr": scrub(outcome.stderr), "value": as_text(clean)}

        # A megabyte takes a second of patterns: not on the loop that serves everybody.
        long = len(outcome.stdout) + len(outcome.stderr) > LONG or is_long(value, LONG)
        value, whole = await anyio.to_thread.run_sync(scrubbed_whole) if long else scrubbed_whole()
        stdout, stderr = cut(whole["stdout"], budget), cut(whole["stderr"], budget // 4)
        shown, is_cut = (value, False) if len(whole["value"]) <= budget else (cut(whole["value"], budget), True)
        truncated = is_cut or stdout != whole["stdout"] or stderr != whole["stderr"]
        result = Execution(
            id=execution,
            status=outcome.status,
            backend=self._work.backend,
            value=shown,
            stdout=stdout,
            stderr=stderr,
            error=scrubbed(outcome.error, scrub),
            calls=list(calls),
            saved=saved,
            session=session,
            files=[
                OutputFile(uri=file_uri(execution, f.name), mime=mime_of(f.name), size=len(f.data))
                for f in files.values()
            ],
            limits=[*outcome.limits, *notes, *([outcome.cost] if outcome.cost else [])],
            output_uri=f"toolweft://executions/{execution}/{'value' if is_cut else 'output'}" if truncated else None,
            truncated=truncated,
            seconds=round(outcome.seconds, 3),
        )
        try:
            await self._work.ended(result, whole, files)
        except ToolweftError as error:
            # The program ran and its calls were made: its answer must arrive even when nothing can be kept.
            logger.warning("execution %s was not kept: %s", execution, error)
            lost = [*result.limits, f"only this answer is left of the execution: {error}"]
            result = result.model_copy(update={"limits": lost, "files": [], "output_uri": None})
        return Answer(result, images)

    def _failed(self, execution: str, status: str, error: Exception | None) -> Answer:
        told = Error(type=type(error).__name__, message=self._work.scrub(str(error)[:2000])) if error else None
        return Answer(Execution.model_validate(
            {"id": execution, "status": status, "backend": self._work.backend, "error": told}
        ))  # fmt: skip

    def _unknown(self, execution: str, wanted: str) -> Answer:
        """To run it as new would make calls again that the caller believes to be on record."""
        message = f"there is no execution {wanted!r} to retry; leave out retry_of to run this program as a new one"
        return self._refused(execution, "UnknownExecution", message)

    def _refused(self, execution: str, kind: str, message: str) -> Answer:
        told = Error(type=kind, message=self._work.scrub(message))
        return Answer(Execution(id=execution, status="refused", backend=self._work.backend, error=told))

    def _forget(self) -> None:
        finished = [key for key, running in self._running.items() if running.done.is_set()]
        for key in finished[: max(0, len(finished) - KEPT)]:
            del self._running[key]

"""The ledger: every call an execution made, written before it goes out and after it came back; and exact replay.

It is one of the nested `Caller`s. It decides nothing about rights (`policy`) and knows no upstream. Rows are only
ever added. What it promises: the start of a call that may write is in the file before the call leaves; on a retry, an
identical call that succeeded is answered from the record, but for a read from before the latest write so far, and for
one that brought nothing while nothing was written; and a write that may have been made before is made only if a person
says so: one whose outcome nobody knows, one with other arguments while an earlier write of the tool was not repeated,
one more of the same. A tool that takes an idempotency key gets one that is the same in every attempt.
Nobody waits for the other rows, which are written soon after, and by `settled` at the latest: without the end of a
write its outcome is unknown, and without a read it is read again, both of which are safe.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import anyio
import anyio.to_thread

from toolweft_catalog.call import Blob, Call, Caller, Failure, Result, Value, failed
from toolweft_catalog.parameter import idempotency_key
from toolweft_catalog.tool import digest
from toolweft_catalog.wire import CallRecord
from toolweft_server.errors import StoreError
from toolweft_server.journal import Beginning, Writer
from toolweft_server.policy import Permit, nobody
from toolweft_server.scrub import Scrubber
from toolweft_server.store.calls import DONE, Key, Past, Rows
from toolweft_server.store.schema import call_blob, call_end, call_start
from toolweft_server.store.store import Store

logger = logging.getLogger(__name__)

SAMPLE = 200
"""Characters of a result shown beside a call."""


class Recorder(Protocol):
    """The ledger of one execution: `recorder(next)` is the `Caller` that records and replays around `next`."""

    @property
    def records(self) -> list[CallRecord]:
        """The finished calls, in the order in which they began."""
        ...

    def __call__(self, next_: Caller, /, *, permit: Permit | None = None) -> Caller:
        """`permit` is asked about each call that the record does not answer, before it is noted as begun: one that
        waits for a person has not begun, whatever happens meanwhile.
        """
        ...


class Ledger:
    """Records the calls of any number of executions at once. Used on one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer = Writer(store)
        self._beginnings: dict[str, Beginning] = {}

    def recorder(self, execution_id: str, retry_of: str | None = None, *, owner: str | None = None) -> Recorder:
        """The recorder of one execution. `retry_of` names the attempt before; it counts if it is `owner`'s."""
        beginning = self._beginnings.get(execution_id)
        return _Recorder(self._store, self._writer, execution_id, retry_of, owner, beginning)

    def begun(self, execution_id: str, rows: Callable[[], Rows]) -> None:
        """An execution begins, and `recorder` is called next. Its row is in the file before any call of it that may
        write leaves, should it be refused no such call does; and soon, if the program is not over soon.
        """
        self._beginnings[execution_id] = Beginning(self._writer, rows)

    def ended(self, execution_id: str, *, alone: bool) -> Callable[[], Rows] | None:
        """The row of its beginning, if it is not written yet and is `alone`: whoever writes the end writes both."""
        beginning = self._beginnings.pop(execution_id, None)
        if beginning is not None and alone:
            return beginning.taken()
        if beginning is not None:
            beginning.write()
        return None

    def note(self, rows: Callable[[], Rows]) -> None:
        """Rows that nobody waits for."""
        self._writer.later(rows)

    async def settled(self) -> None:
        """Returns when every row so far is in the file, or was refused by it."""
        await self._writer.settled()


class _Recorder:
    def __init__(
        self,
        store: Store,
        writer: Writer,
        execution_id: str,
        retry_of: str | None,
        owner: str | None,
        beginning: Beginning | None,
    ) -> None:
        self._store, self._writer, self._beginning = store, writer, beginning
        self._execution, self._retry_of, self._owner = execution_id, retry_of, owner
        self._past: Past | None = None if retry_of else Past()
        self._reading = anyio.Lock()
        """Protects `_past`: the first call of a retry reads it, the others wait."""
        self._seen: Counter[tuple[str, str]] = Counter()
        self._repeated: Counter[tuple[str, str]] = Counter()
        """Calls of unknown outcome that this attempt made again."""
        self._written = 0
        """Which attempt the latest write so far is of, by its place in `Past.attempts`; behind the last is this one."""
        self._next = 0
        self._records: dict[int, CallRecord] = {}

    @property
    def records(self) -> list[CallRecord]:
        return [self._records[seq] for seq in sorted(self._records)]

    def __call__(self, next_: Caller, /, *, permit: Permit | None = None) -> Caller:
        return partial(self._call, next_, permit or _unattended)

    async def _call(self, next_: Caller, permit: Permit, call: Call) -> Result:
        try:
            arguments = digest(call.arguments)
        except RecursionError:
            return failed("arguments", "the arguments are nested too deeply", sent=False)
        seq, key = self._number(call.tool.id, arguments)
        reads, noted, answered, past = call.tool.annotations.effect == "read", True, None, Past()
        try:
            past = await self._read_past()
            key = self._since_written(past, key) if reads else key
            answered, key = await self._from_record(past, call, key)
        except StoreError as error:
            if not reads:
                return _unnoted(error)
            noted = False
        made = past.succeeded.get(key)
        if answered is None:
            answered, key = await self._permitted(permit, call, key)
        if not reads and (made or answered is None):
            self._written = max(self._written, past.attempts.index(made[0]) if made else len(past.attempts))
        began = time.perf_counter()
        beginning = self._beginning.write() if self._beginning is not None else None
        try:
            if noted and reads:
                self._writer.later(self._start_row(call, seq, key))
            elif noted:
                await self._writer.add(self._start_row(call, seq, key))
                if beginning is not None and beginning.error is not None:  # written before, or not at all
                    raise beginning.error
        except StoreError as error:
            return _unnoted(error)
        if not noted:
            return answered or await next_(call)
        if answered is None:
            answered = await self._forward(next_, self._keyed(call, key), seq, began)
        self._end(call, seq, arguments, answered, began)
        return answered

    def _number(self, tool: str, arguments: str) -> tuple[int, Key]:
        """No await in here: numbers follow the order in which calls arrive."""
        seq, self._next = self._next, self._next + 1
        ordinal = self._seen[tool, arguments]
        self._seen[tool, arguments] += 1
        return seq, Key(tool, arguments, ordinal)

    def _since_written(self, past: Past, key: Key) -> Key:
        """The key of a read, past records of attempts before the one that wrote last: those say how things were."""
        same = key.tool, key.arguments
        while (found := past.succeeded.get(key)) is not None and past.attempts.index(found[0]) < self._written:
            key = key._replace(ordinal=self._seen[same])
            self._seen[same] += 1
        return key

    async def _permitted(self, permit: Permit, call: Call, key: Key) -> tuple[Result | None, Key]:
        """The refusal of a call that the record does not answer, if there is one; and the key that it has."""
        reads = call.tool.annotations.effect == "read"
        doubt = "" if reads or not self._past else self._doubt(self._past, call, key)
        if (refusal := await permit(call, doubt=doubt)) is not None:
            return Result(failure=refusal), key
        return None, key if reads else self._repeats(key)

    def _repeats(self, key: Key) -> Key:
        """The key under which an earlier attempt made the call, if nobody knows how that ended: it is the same call."""
        same = key.tool, key.arguments
        made = self._past.writes.get(same) if self._past else None
        if made is None or self._repeated[same] >= len(made.unknown):
            return key
        self._repeated[same] += 1
        return key._replace(ordinal=made.unknown[self._repeated[same] - 1])

    def _keyed(self, call: Call, key: Key) -> Call:
        """With a key for the call, where the tool takes one and the program gave none: the same in every attempt.

        One more of a call that is known to have succeeded, which a person has allowed, is another call.
        """
        name = None if call.tool.annotations.effect == "read" else idempotency_key(call.tool)
        if name is None or call.arguments.get(name) is not None:
            return call
        past = self._past or Past()
        made_before = past.writes.get((key.tool, key.arguments))
        another = made_before is not None and not made_before.unknown
        root = self._execution if another or not past.attempts else past.attempts[0]
        made = uuid.UUID(bytes=hashlib.sha256("\0".join((root, *map(str, key))).encode()).digest()[:16], version=4)
        return replace(call, arguments={**call.arguments, name: str(made)})

    async def _forward(self, next_: Caller, call: Call, seq: int, began: float) -> Result:
        try:
            return await next_(call)
        except BaseException as error:
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            kind, words = ("cancelled", "cancelled while it ran") if cancelled else ("broken", repr(error))
            self._writer.later(partial(self._end_rows, seq, Result(), began, status=kind, message=words))
            raise

    def _end(self, call: Call, seq: int, arguments: str, result: Result, began: float) -> None:
        self._records[seq] = CallRecord(
            seq=seq, tool=call.tool.id, effect=call.tool.annotations.effect, status=_status(result),
            ms=round((time.perf_counter() - began) * 1000), replayed=result.replayed, args_digest=arguments,
            sample=sample(result, self._store.scrub),
        )  # fmt: skip
        self._writer.later(partial(self._end_rows, seq, result, began))

    async def _read_past(self) -> Past:
        if self._past is None:
            async with self._reading:
                if self._past is None:
                    await self._writer.settled()
                    read = partial(self._store.calls.past, self._retry_of, owner=self._owner, not_after=self._execution)
                    self._past = await anyio.to_thread.run_sync(read)
        return self._past

    async def _from_record(self, past: Past, call: Call, key: Key) -> tuple[Result | None, Key]:
        """The recorded answer, a refusal, or `None`: make the call; and under which key it is on record, or will be."""
        found = past.succeeded.get(key)
        if found is None:
            return None, key
        of, seq, kept = found
        reads = call.tool.annotations.effect == "read"
        if not (kept == "exact" or (kept == "scrubbed" and not reads)):
            return None if reads else _refused(call), key
        result = await anyio.to_thread.run_sync(self._store.calls.result, of, seq)
        if reads and _nothing(result.value):
            # What brought nothing may bring something now, or brought it to a later attempt. After a write it is made
            # no more: the record says how things were before it.
            later = _later(past, key)
            if later in past.succeeded or not past.writes:
                same = key.tool, key.arguments
                self._seen[same] = max(self._seen[same], later.ordinal + 1)  # the next equal call is another one
                return await self._from_record(past, call, later)
        return result, key

    def _doubt(self, past: Past, call: Call, key: Key) -> str:
        """Why a write may be one that an earlier attempt made; empty if nothing says so."""
        again = past.writes.get((key.tool, key.arguments))
        if again is not None and again.unknown:
            return "an earlier attempt began this very call, and nobody knows whether it took effect"
        if again is not None and call.tool.annotations.idempotent is not True:
            return f"an earlier attempt made this very call already, {_times(again.times)}"
        for (tool, arguments), made in past.writes.items():
            if tool == key.tool and arguments != key.arguments and self._seen[tool, arguments] < made.times:
                shown = made.arguments if len(made.arguments) <= SAMPLE else made.arguments[: SAMPLE - 1] + "…"
                return f"an earlier attempt called it with other arguments, {shown}, and this one did not repeat that"
        return ""

    def _start_row(self, call: Call, seq: int, key: Key) -> Callable[[], Rows]:
        at = time.time()

        def row() -> Rows:
            arguments = self._store.scrub.json(dict(call.arguments))
            start = {
                "execution": self._execution, "seq": seq, "tool": key.tool, "digest": call.tool.digest,
                "effect": call.tool.annotations.effect, "args_digest": key.arguments, "ordinal": key.ordinal,
                "arguments": json.dumps(arguments, ensure_ascii=True, separators=(",", ":")), "started_at": at,
            }  # fmt: skip
            return [(call_start, start)]

        return row

    def _end_rows(self, seq: int, result: Result, began: float, status: str = "", message: str = "") -> Rows:
        # A replayed call points at nothing: the attempt that made it is still in the chain.
        keep = result.ok and not status and not result.replayed
        kept, text, blobs = self._store.calls.encode(result.value) if keep else ("absent", None, [])
        failure = result.failure
        end = {
            "execution": self._execution, "seq": seq, "status": status or _status(result),
            "message": self._store.scrub.text(message or (failure.message if failure else "")),
            "sent": failure.sent if failure else not result.replayed, "replayed": result.replayed, "kept": kept,
            "result": text, "ms": round((time.perf_counter() - began) * 1000),
            "size": len(text or "") + sum(len(blob.data) for blob in blobs),
        }  # fmt: skip
        rows = [
            {"execution": self._execution, "seq": seq, "position": n, "mime": blob.mime, "data": blob.data}
            for n, blob in enumerate(blobs)
        ]
        return [(call_blob, row) for row in rows] + [(call_end, end)]


async def _unattended(call: Call, /, *, doubt: str = "") -> Failure | None:
    return Failure("refused", nobody(call, doubt, doubt=True), sent=False) if doubt else None


def _unnoted(error: StoreError) -> Result:
    return failed("unavailable", f"{error} Nothing was sent: a call that cannot be noted is not made.", sent=False)


def _later(past: Past, key: Key) -> Key:
    """The same call in the next attempt that made it again; one that is on no record where none did."""
    attempt = past.attempts.index(past.succeeded[key][0])
    while (found := past.succeeded.get(key)) is not None and past.attempts.index(found[0]) <= attempt:
        key = key._replace(ordinal=key.ordinal + 1)
    return key


def _nothing(value: Value) -> bool:
    """Whether a result is empty, or an object of nothing but what is empty; beside empty lists numbers say nothing."""
    if isinstance(value, dict) and value:
        lists = any(isinstance(each, (list, dict)) for each in value.values())
        return all(_nothing(each) or (lists and isinstance(each, (int, float))) for each in value.values())
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _refused(call: Call) -> Result:
    return Result(
        failure=Failure(
            "refused",
            f"an earlier attempt already called {call.tool.id} with the same arguments; that call succeeded, but "
            "its result was too large to keep. It was not made again. Check by reading what it changed.",
            sent=False,
        )
    )


def _status(result: Result) -> str:
    return DONE if result.failure is None else result.failure.kind


def sample(result: Result, scrub: Scrubber) -> str:
    """What a call answered, on one line of at most `SAMPLE` characters, without secrets."""
    if result.failure is not None:
        text = scrub.text(result.failure.message[: 8 * SAMPLE])
    else:
        try:
            short = json.dumps(_brief(result.value), ensure_ascii=False, default=_shown)
        except ValueError:  # a number with more digits than Python writes out
            short = "…"
        text = scrub.text(short[: 8 * SAMPLE])
    return text if len(text) <= SAMPLE else text[: SAMPLE - 1] + "…"


def _brief(value: Value, depth: int = 6) -> Value:
    """As much of a value as a sample can show: a large result is not written out to be thrown away."""
    if isinstance(value, str):
        return value[: 8 * SAMPLE]
    if depth == 0:
        return "…" if isinstance(value, list | dict) else value
    if isinstance(value, list):
        return [_brief(each, depth - 1) for each in value[:SAMPLE]]
    if isinstance(value, dict):
        return {key: _brief(value[key], depth - 1) for key in list(value)[:SAMPLE]}
    return value


def _shown(blob: object) -> str:
    return f"{blob.mime}, {len(blob.data)} bytes" if isinstance(blob, Blob) else repr(type(blob))

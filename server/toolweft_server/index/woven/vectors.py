"""Vectors that were paid for once: by a tool's digest, for one encoder, in memory and in a file.

A tool whose digest is known is not encoded again, in this process or the next. Vectors are kept as 16-bit fractions,
in memory too: what `get` gives for a tool does not depend on whether it was saved in between. No number of a unit
vector is beyond ±1, so fixed point loses no more than half floats (a cosine moves by some 1e-5) and numpy converts it
ten times faster.

The file is read for each `get` and `save` and not held open: a running server holds only what was not saved yet.
Several processes may share the folder. A save reads what others saved, adds its own and replaces the file at once; of
two that overlap one may lose rows, which costs their encoding, and neither can leave half a file. A damaged file or
row counts as not there.

N tools, D numbers of a vector. The file `vectors-ENCODER.bin`, little-endian: a line of JSON padded to 256 bytes, the
table of the rows sorted by digest, the rows.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
KEPT_DAYS = 30
"""A row that no `keep` named for so long belongs to a tool that is gone for good; until then its server may return."""

Rows: TypeAlias = NDArray[np.int16]
"""(N, D): each number in steps of 1 / 32767."""
Keys: TypeAlias = NDArray[np.uint64]
"""(N, 2): the 128 bits of each digest."""

_HEADER = 256
_TABLE = np.dtype([("key", "<u8", (2,)), ("day", "<u8")])
_NORM_SLACK = 1e-2
"""How far from 1 the length of a vector may be. Sixteen bits cost some 1e-5."""
_STEPS = np.float32(32767)
_BLOCK = 1024
"""Rows at a time: they stay in the processor's cache from one operation to the next."""

logger = logging.getLogger(__name__)


class Got(NamedTuple):
    rows: NDArray[np.float32]  # (N, D): zero where there is none
    have: NDArray[np.bool_]  # (N,)


class _Held(NamedTuple):
    """Rows sorted by key, no key twice."""

    table: NDArray[np.void]  # (N,) of _TABLE
    rows: Rows  # (N, D)


class VectorCache:
    """Threads may share it."""

    def __init__(self, folder: Path | None, encoder_digest: str, size: int) -> None:
        """`folder` is created by the first save; without one nothing outlives the process."""
        self._path = None if folder is None else folder / f"vectors-{encoder_digest}.bin"
        self._encoder = encoder_digest
        self._size = size
        self._saving = threading.Lock()  # one save after another: each reads what the one before wrote
        self._lock = threading.Lock()  # over the two below
        self._unsaved = _nothing(size)
        self._used: Keys = np.zeros((0, 2), np.uint64)

    def get(self, digests: Sequence[str]) -> Got:
        """The vectors of the tools with these digests, as far as there are any.

        Raises:
            ValueError: A digest is not 32 hex digits.

        """
        keys = _keys(digests)
        found = Got(np.zeros((len(keys), self._size), np.float32), np.zeros(len(keys), np.bool_))
        with self._lock:
            unsaved = self._unsaved
        if len(unsaved.table):
            self._look_up(unsaved, keys, found)
        if not found.have.all():
            self._look_up(self._read(), keys, found)
        return found

    def put(self, digests: Sequence[str], rows: NDArray[np.floating]) -> None:
        """Remembers one vector of unit length, `rows[n]`, for each `digests[n]`. What was there is replaced.

        Raises:
            ValueError: Shapes that do not fit, a digest that is not 32 hex digits, or a row that is not finite or not
                of unit length; then nothing is remembered.

        """
        if rows.shape != (len(digests), self._size):
            raise ValueError(f"rows of shape {rows.shape} do not fit {len(digests)} digests and size {self._size}")
        keys = _keys(digests)
        if not (good := _unit(rows)).all():
            at = int(np.argmin(good))
            length = float(np.linalg.norm(rows[at]))
            raise ValueError(f"the vector for {digests[at]!r} is not of unit length but {length}: it is not remembered")
        table = np.zeros(len(keys), _TABLE)
        table["key"], table["day"] = keys, _today()
        steps = np.empty(rows.shape, np.int16)
        for start in range(0, len(rows), _BLOCK):
            steps[start : start + _BLOCK] = np.rint((rows[start : start + _BLOCK] * _STEPS).clip(-_STEPS, _STEPS))
        with self._lock:
            self._unsaved = _merged(_Held(table, steps), self._unsaved)

    def keep(self, digests: Iterable[str]) -> None:
        """These tools are in use. A row that nobody named for `KEPT_DAYS` days is dropped by a save.

        Raises:
            ValueError: A digest is not 32 hex digits.

        """
        keys = _keys(list(digests))
        with self._lock:
            self._used = keys

    def save(self) -> bool:
        """Writes what is new, beside what others saved. False, and a warning, if the folder cannot be written.

        Does nothing without a folder or news. That a row is in use is news once a day.
        """
        if self._path is None:
            return True
        with self._saving:
            return self._save(self._path)

    def _save(self, path: Path) -> bool:
        with self._lock:
            unsaved, used = self._unsaved, self._used
        held = self._read()
        today = _today()
        table = held.table.copy()
        at = _find(table, used)
        table["day"][at[at >= 0]] = today
        fresh = table["day"].astype(np.int64) > today - KEPT_DAYS
        if not len(unsaved.table) and fresh.all() and np.array_equal(table["day"], held.table["day"]):
            return True
        merged = _merged(unsaved, _Held(table[fresh], held.rows[fresh]))
        try:
            self._replace(path, merged)
        except OSError as error:
            logger.warning("vectors of tools are not saved, and the next start encodes them again: %s", error)
            return False
        with self._lock:
            if self._unsaved is unsaved:
                self._unsaved = _nothing(self._size)
        return True

    def _look_up(self, held: _Held, keys: Keys, found: Got) -> None:
        """Fills the rows of `found` that are missing."""
        at = _find(held.table, keys)
        mine = np.flatnonzero((at >= 0) & ~found.have)
        for start in range(0, len(mine), _BLOCK):
            block = mine[start : start + _BLOCK]
            rows = held.rows[at[block]].astype(np.float32)
            rows /= _STEPS
            good = _unit(rows)
            rows[~good] = 0
            found.rows[block], found.have[block] = rows, good
        if damaged := len(mine) - int(found.have[mine].sum()):
            logger.warning("%d vectors of tools in %s are damaged and encoded again", damaged, self._path)

    def _read(self) -> _Held:
        """What the file holds now; nothing if there is none, or none that can be used."""
        if self._path is None:
            return _nothing(self._size)
        try:
            return self._mapped(self._path)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("vectors of tools in %s cannot be used and are encoded again: %s", self._path, error)
        return _nothing(self._size)

    def _mapped(self, path: Path) -> _Held:
        with path.open("rb") as file:
            said = json.loads(file.read(_HEADER))
            if {name: said[name] for name in ("format", "encoder", "size")} != self._said():
                raise ValueError(f"it is of another encoder or format: {said}")
            content = file.read(said["rows"] * _TABLE.itemsize)
            table = np.frombuffer(content, _TABLE)
            expected = _HEADER + len(table) * (_TABLE.itemsize + 2 * self._size)
            if len(table) != said["rows"] or os.fstat(file.fileno()).st_size != expected:
                raise ValueError("it is cut")
            if zlib.crc32(content) != said["table"]:
                raise ValueError("its table is damaged")
            if not len(table):
                return _nothing(self._size)
            shape = (len(table), self._size)
            rows = np.memmap(file, "<i2", "r", _HEADER + len(content), shape).view(np.ndarray)
            return _Held(table, rows)

    def _replace(self, path: Path, held: _Held) -> None:
        table = held.table.tobytes()
        header = json.dumps({**self._said(), "rows": len(held.table), "table": zlib.crc32(table)})
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            with beside.open("wb") as file:
                file.write(header.encode("ascii").ljust(_HEADER))
                file.write(table)
                file.write(np.ascontiguousarray(held.rows, "<i2").data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def _said(self) -> dict[str, object]:
        return {"format": FORMAT, "encoder": self._encoder, "size": self._size}


def _nothing(size: int) -> _Held:
    return _Held(np.zeros(0, _TABLE), np.zeros((0, size), np.int16))


def _keys(digests: Sequence[str]) -> Keys:
    joined = "".join(digests)
    if any(len(each) != 32 for each in digests):
        raise ValueError(f"digests have 32 hex digits, and one is {next(e for e in digests if len(e) != 32)!r}")
    return np.frombuffer(bytes.fromhex(joined), "<u8").reshape(-1, 2).astype(np.uint64)


def _find(table: NDArray[np.void], keys: Keys) -> NDArray[np.int64]:
    """(N,): where each key stands in the table, -1 where it does not.

    The table is sorted by the first half alone; of two keys with one first half, which no honest digests have, one
    may not be found, and that costs an encoding.
    """
    if not len(table):
        return np.full(len(keys), -1, np.int64)
    at = np.searchsorted(table["key"][:, 0], keys[:, 0]).clip(max=len(table) - 1)
    return np.where((table["key"][at] == keys).all(axis=1), at, -1).astype(np.int64)


def _merged(first: _Held, second: _Held) -> _Held:
    """Both, sorted; where both have a key, the row of `first`, and of its own repetitions the last."""
    table = np.concatenate([first.table[::-1], second.table])
    _, at = np.unique(table["key"][:, 0], return_index=True)  # the first of equal ones
    rows = np.concatenate([first.rows[::-1], second.rows])
    return _Held(table[at], rows[at])


def _unit(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(N,): whether each row is finite and as long as a unit vector."""
    squares = np.einsum("nd,nd->n", rows, rows)
    good: NDArray[np.bool_] = np.abs(squares - 1.0) < 2 * _NORM_SLACK  # NaN is not less than anything
    return good


def _today() -> int:
    return int(time.time() // 86_400)

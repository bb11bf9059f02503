"""`parallel`: one function over many items at once, in threads, results in the order of the items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from inspect import iscoroutine
from typing import Any


def parallel(fn: Callable[[Any], Any], items: Iterable[Any], *, limit: int = 8, errors: str = "raise") -> list[Any]:
    """Calls `fn(item)` for each item, at most `limit` at a time, and returns the results in order.

    `errors="raise"` starts nothing more after the first failure and raises it; `errors="return"` puts each exception
    in the place of its result. An `async def` works too: each call gets an event loop of its own.
    """
    if errors not in {"raise", "return"}:
        raise ValueError(f"errors={errors!r}: use 'raise' or 'return'")
    if limit < 1:
        raise ValueError(f"limit={limit!r}: at least 1")
    work = _Work(fn, list(items), stop_at_error=errors == "raise")
    return work.run(limit)


class _Work:
    def __init__(self, fn: Callable[[Any], Any], items: list[Any], *, stop_at_error: bool) -> None:
        self._fn, self._items, self._stop_at_error = fn, items, stop_at_error
        self._results: list[Any] = [None] * len(items)
        self._failed: dict[int, BaseException] = {}
        self._next = iter(range(len(items)))
        self._lock = threading.Lock()  # protects _next and _stopped
        self._stopped = False

    def run(self, limit: int) -> list[Any]:
        threads = [threading.Thread(target=self._worker, daemon=True) for _ in range(min(limit, len(self._items)))]
        started: list[threading.Thread] = []
        try:
            for thread in threads:
                try:
                    thread.start()
                except RuntimeError:  # the limit on threads or memory: fewer workers do the same work
                    if not started:
                        raise
                    break
                started.append(thread)
            for thread in started:
                thread.join()
        except BaseException:
            with self._lock:
                self._stopped = True
            raise
        if self._failed and self._stop_at_error:
            raise self._failed[min(self._failed)]
        for index, error in self._failed.items():
            self._results[index] = error
        return self._results

    def _worker(self) -> None:
        while (index := self._take()) is not None:
            try:
                result = self._fn(self._items[index])
                if iscoroutine(result):
                    import asyncio

                    result = asyncio.run(result)
                self._results[index] = result
            except BaseException as error:  # noqa: BLE001  (handed to the caller, whatever it is)
                self._failed[index] = error
                if self._stop_at_error:
                    with self._lock:
                        self._stopped = True

    def _take(self) -> int | None:
        with self._lock:
            return None if self._stopped else next(self._next, None)

"""What is written behind somebody's back: in order, in batches, whatever happens on the way."""

from __future__ import annotations

import threading

import anyio
import pytest

from toolweft_server import journal
from toolweft_server.journal import Behind


class Written:
    """Batches as they were written; each waits for `allowed`."""

    def __init__(self):
        self.batches = []
        self.allowed, self.begun = threading.Event(), threading.Event()

    def write(self, batch):
        self.begun.set()
        assert self.allowed.wait(30)
        self.batches.append([noted.item for noted in batch])


@pytest.fixture
def written():
    made = Written()
    yield made
    made.allowed.set()


async def test_things_are_written_in_their_order_so_many_at_a_time(written, monkeypatch):
    monkeypatch.setattr(journal, "BATCH", 3)
    behind = Behind(written.write)
    for n in range(7):
        behind.later(n)
    written.allowed.set()
    await behind.settled()
    assert written.batches == [[0, 1, 2], [3, 4, 5], [6]]


async def test_what_comes_while_something_is_written_comes_next(written):
    behind = Behind(written.write, linger=0.0)
    behind.later("first")
    behind.start()
    await anyio.to_thread.run_sync(written.begun.wait, 30)
    behind.later("second")
    behind.later("third")
    written.allowed.set()
    await behind.settled()
    assert written.batches == [["first"], ["second", "third"]]


async def test_whoever_is_cancelled_while_waiting_stops_nothing(written):
    behind = Behind(written.write)
    noted = behind.later("it")
    with anyio.move_on_after(0):
        await behind.settled()
    written.allowed.set()
    await noted.tried.wait()
    assert written.batches == [["it"]]


async def test_a_write_that_fails_is_said_and_the_next_is_tried(written):
    def write(batch):
        if batch[0].item == "bad":
            raise ZeroDivisionError("by nothing")
        written.write(batch)

    written.allowed.set()
    behind = Behind(write)
    bad = behind.later("bad")
    await behind.settled()
    assert "by nothing" in str(bad.error)
    good = behind.later("good")
    await behind.settled()
    assert good.error is None
    assert written.batches == [["good"]]


async def test_what_is_dropped_is_counted_and_nobody_waits_for_it(written):
    behind = Behind(written.write)
    behind.later(1)
    behind.start()
    await anyio.to_thread.run_sync(written.begun.wait, 30)
    behind.later(2)
    behind.later(3)
    assert len(behind) == behind.drop() == 2
    await behind.settled()
    written.allowed.set()
    assert behind.drop() == 0

"""`locked`: one process at a time, by a lock on a file that the system lets go of when its holder dies."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

STEP = 0.1
"""Seconds between two tries: waiting in the system would hold a thread that cannot be cancelled."""


@asynccontextmanager
async def locked(path: Path, *, waiting: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Holds the lock inside the block; `waiting` is called once if somebody else has it. The file stays.

    Raises:
        OSError: The file cannot be made or opened.

    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        told = False
        while not _taken(fd):
            if not told:
                waiting()
                told = True
            await anyio.sleep(STEP)
        yield
    finally:
        os.close(fd)


def _taken(fd: int) -> bool:
    try:
        import fcntl
    except ImportError:
        import importlib

        msvcrt = importlib.import_module("msvcrt")
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

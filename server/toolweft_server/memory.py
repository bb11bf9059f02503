"""Memory that is free goes back to the system: what the C library of Linux keeps for later is a third of a server's.

Elsewhere, and where the C library is another one, both functions do nothing.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

OWN_PAGES = 4 << 20
"""Bytes from which a block gets pages of its own, which go back when it does. The library would raise this to 32 MiB
as soon as one such block was freed, and from then on the matrices of an index would leave holes."""
_M_MMAP_THRESHOLD = -3


def settle() -> None:
    """For a process that serves for long; before it reads a catalogue."""
    if sys.platform.startswith("linux"):
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, OWN_PAGES)


def trim() -> None:
    """Gives back what is free now. Blocking, some milliseconds."""
    if sys.platform.startswith("linux"):
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)

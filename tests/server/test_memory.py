"""What is free goes back to the system, and a C library that cannot do so is no trouble."""

import ctypes
import subprocess
import sys

import pytest

from toolweft_server import memory

HOLES = """
from toolweft_server import memory
def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096
blocks = [bytes(3_000) for _ in range(40_000)]
last = bytes(3_000)  # above them on the heap: without `trim` nothing below it would go back
full = resident()
blocks.clear()
memory.trim()
print(full - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_was_freed_below_something_in_use_goes_back():
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this C library has no malloc_trim")
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, check=True, timeout=100)
    assert int(done.stdout) > 100_000_000


def test_another_c_library_is_no_trouble(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    memory.settle()
    memory.trim()

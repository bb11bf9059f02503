"""What is loaded before programs run: modules that they use most, and every library while its file is in reach."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from contextlib import suppress

_LIBRARIES = (
    "libgcc_s.so.1", "libstdc++.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1",
    "libz.so.1", "libresolv.so.2", "libatomic.so.1", "libexpat.so.1",
)  # fmt: skip
"""What wheels for Linux may expect of a system (and, the first, the C library itself): loaded while it is in reach."""
_PRELOAD = (
    "asyncio", "concurrent.futures.thread", "csv", "dataclasses", "datetime", "decimal",
    "difflib", "email.message", "enum", "fractions", "functools", "hashlib", "html", "inspect", "io", "ipaddress",
    "itertools", "json", "logging", "math", "pathlib", "pickle", "pprint", "random", "re", "secrets", "shutil",
    "sqlite3",
    "statistics", "string", "tempfile", "textwrap", "threading", "traceback", "typing", "unicodedata", "urllib.parse",
    "uuid", "xml.etree.ElementTree", "zipfile", "zoneinfo", "encodings.idna", "encodings.latin_1", "encodings.ascii",
    "pydoc",
)  # fmt: skip


_NOT_NEEDED = ("_test", "_xx", "xx", "_tkinter", "_ctypes_test", "_curses", "readline", "nis")


def load() -> None:
    """All of it. What this interpreter lacks is left out."""
    for name in _LIBRARIES:
        with suppress(OSError):
            ctypes.CDLL(name)
    for name in _PRELOAD:
        with suppress(ImportError):
            importlib.import_module(name)
    mimetypes = importlib.import_module("mimetypes")
    mimetypes.init()  # reads files of the system, which some tiers let programs see but not open
    # After the modules that use them: an accelerator that comes first finds its own half-made.
    extensions = next((path for path in sys.path if path.endswith("lib-dynload")), None)
    for file in sorted(os.listdir(extensions)) if extensions is not None else ():
        name = file.partition(".")[0]
        if not name.startswith(_NOT_NEEDED):
            with suppress(ImportError):
                importlib.import_module(name)


def files() -> list[str]:
    """Every file that this process has mapped, the interpreter and the loader among them."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        names = {line.split(maxsplit=5)[-1].rstrip("\n") for line in maps if "/" in line}
    return sorted(name for name in names if os.path.isfile(name))

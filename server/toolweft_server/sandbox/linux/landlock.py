"""Landlock: which files this process may reach, told to the kernel by the process itself (`man 7 landlock`).

Covers opening, listing and changing; not whether a path exists, its size and times (those need another root).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from . import libc

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_WRITE_FILE, _REMOVE_DIR, _REMOVE_FILE = 1 << 1, 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REG, _MAKE_SYM = 1 << 7, 1 << 8, 1 << 12
_REFER, _TRUNCATE = 1 << 13, 1 << 14

_READ = _READ_FILE | _READ_DIR
_CHANGE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
_OF_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE
_KNOWN = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""The rights on files that each version of the interface handles."""
_NETWORK = 3
_SCOPES = 3
_VERSION, _BENEATH = 1, 1


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none, or refuses it."""
    try:
        return libc.syscall("landlock_create_ruleset", libc.LANDLOCK_CREATE, 0, 0, _VERSION)
    except OSError:
        return 0


def restrict(*, read: Sequence[str], change: Sequence[str] = ()) -> None:
    """Reading below `read`, anything but execution, devices and links below `change`; nothing else, for ever.

    TCP and (from version 6) signals and abstract sockets are refused altogether.

    Raises:
        OSError: No Landlock here, or `no_new_privs` is not set.

    """
    known = version()
    files = _KNOWN[min(known, max(_KNOWN))] if known else 0
    fields = [files, _NETWORK if known >= 4 else 0, _SCOPES if known >= 6 else 0]
    size = 8 if known < 4 else 16 if known < 6 else 24
    given = ctypes.create_string_buffer(struct.pack("=QQQ", *fields)[:size], size)
    rules = libc.syscall("landlock_create_ruleset", libc.LANDLOCK_CREATE, given, size, 0)
    for rights, paths in ((_READ, read), (_CHANGE, change)):
        for path in paths:
            _allow(rules, path, rights & files)
    libc.syscall("landlock_restrict_self", libc.LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there needs no rule
        return
    try:
        rights &= -1 if os.path.isdir(path) else _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
        libc.syscall("landlock_add_rule", libc.LANDLOCK_ADD, rules, _BENEATH, rule, 0)
    finally:
        os.close(place)

"""The filter of system calls by itself: what it says for each architecture, and what this kernel makes of it."""

import errno
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from toolweft_server.sandbox.linux import seccomp

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the filter is Linux's")

MACHINES = ("x86_64", "aarch64")
HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
RENAMED = {"newfstatat": "fstatat"}
"""Names of calls that the generic table has under another name."""
KILL, REFUSE, ALLOW = "kill", "refuse", "allow"
OURS = 4711


def verdict(machine, number, *arguments, own_files=False, audit=None):
    """Runs the filter as the kernel would, over one call."""
    audit = seccomp._AUDIT[machine] if audit is None else audit
    data = struct.pack("=IIQ6Q", number, audit, 0, *(*arguments, *[0] * 6)[:6])
    program = list(struct.iter_unpack("=HBBI", seccomp.assemble(pid=OURS, own_files=own_files, machine=machine)))
    at = accumulator = 0
    while True:
        code, then, otherwise, value = program[at]
        at += 1
        if code == seccomp._LOAD:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == seccomp._AND:
            accumulator &= value
        elif code == seccomp._RETURN:
            return {seccomp._ALLOW: ALLOW, seccomp._KILL: KILL}.get(value, REFUSE)
        else:
            true = accumulator == value if code == seccomp._EQUAL else accumulator >= value
            at += then if true else otherwise


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_is_the_kernels(machine):
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    text = header.read_text(encoding="utf-8")
    kernels = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", text)}
    kernels.setdefault("fchmodat2", 452)  # Linux 6.6: headers may be older
    arch = MACHINES.index(machine)
    ours = {
        name: numbers[arch]
        for table in (seccomp._ALWAYS, seccomp._OWN_FILES, seccomp._UNSUPPORTED)
        for name, numbers in table.items()
    }
    assert ours == {name: kernels.get(RENAMED.get(name, name) if arch else name, -1) for name in ours}


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_with_arguments_are_judged_by_them(machine):
    arch = MACHINES.index(machine)

    def judge(numbers, *arguments, own_files=False):
        return verdict(machine, numbers[arch], *arguments, own_files=own_files)

    clone, thread = (56, 220), 0x3D0F00  # what a C library asks for
    assert judge(clone, thread) == ALLOW
    assert {judge(clone, flags) for flags in (0, 17, thread | 0x10000000, thread & ~0x10000, thread & ~0x400)} == {
        REFUSE
    }
    close_range = (436, 436)
    assert [judge(close_range, 4, 9, flags) for flags in (0, 4, 2, 6)] == [ALLOW, ALLOW, REFUSE, REFUSE]
    assert [judge((62, 129), pid) for pid in (OURS, 1, 2**32 - 1)] == [ALLOW, REFUSE, REFUSE]
    assert [judge((53, 199), *kind) for kind in ((1, 1), (1, 0x80801), (1, 2), (2, 1))] == [
        ALLOW,
        ALLOW,
        REFUSE,
        REFUSE,
    ]
    assert [judge((16, 29), 3, request) for request in (0x541B, 0x5412)] == [ALLOW, REFUSE]
    assert [judge((72, 25), 3, command) for command in (6, 8, 10, 1031)] == [ALLOW, REFUSE, REFUSE, REFUSE]
    assert [judge((157, 167), option) for option in (15, 1, 4, 22, 38)] == [ALLOW, *[REFUSE] * 4]
    assert [judge((302, 261), pid) for pid in (0, 1)] == [ALLOW, REFUSE]
    openat = (257, 56)
    for flags, told in ((0, ALLOW), (0o1101, ALLOW), (0o2000000, ALLOW), (0x200, REFUSE), (3, REFUSE), (0x203, REFUSE)):
        assert judge(openat, 0, 0, flags) == told
        assert judge(openat, 0, 0, flags, own_files=True) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_end_the_process(machine):
    other = seccomp._AUDIT[MACHINES[1 - MACHINES.index(machine)]]
    assert verdict(machine, 0, audit=other) == KILL
    if machine == "x86_64":
        assert verdict(machine, 0x40000000) == KILL


ALONE = """
import ctypes, os, sys
from toolweft_server.sandbox.linux import libc, seccomp

libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
seccomp.lock(own_files=False)
file = sys.argv[1]
for attempt in (
    lambda: os.truncate(file, 0),
    lambda: os.open(file, os.O_RDONLY | os.O_TRUNC),
    lambda: os.open(file, 3 | os.O_TRUNC),
    lambda: libc.syscall("close_range", 436, 60000, 60001, 2),
):
    try:
        attempt()
    except OSError as error:
        print(error.errno, flush=True)
    else:
        print("done", flush=True)
"""


def test_no_file_is_emptied_even_where_landlock_does_not_know_of_it(tmp_path):
    file = tmp_path / "yours.txt"
    file.write_text("yours", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(file)], check=True, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.stdout.split() == [str(errno.EPERM)] * 4
    assert file.read_text(encoding="utf-8") == "yours"

"""The programs of the self-check: what each tries, and how it must end. `self_check` runs them.

A *wall* is a function body that returns what it reached; an error of the system is a refusal. The names in capitals
are what the check has planted outside: SECRET and FOLDER, TCP and UDP ports, UNIX and ABSTRACT sockets, SERVER.
Everything tried is harmless where it is not stopped: signals are empty ones, files written are the check's own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from toolweft_server.sandbox.base import Outcome

Test = Callable[[Outcome], bool]


class Check(NamedTuple):
    area: str
    name: str
    code: str
    test: Test
    limits: Mapping[str, Any] = {}
    first: str | None = None
    """A program that runs before, in a session of its own."""
    needs: str | None = None
    """Name of what must be plantable here, `LINUX` among them."""
    wall: bool = False
    """Whether isolation by the operating system is what stops it."""


def _wall(area: str, name: str, body: str, **more: Any) -> Check:
    code = (
        f"def attempt():\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"
        "try:\n    reached = attempt()\n"
        "except (OSError, MemoryError, ImportError, AttributeError) as error:\n    reached = None\n"
        "repr(reached)[:200] if reached else ''"
    )
    return Check(area, name, code, lambda end: end.status == "ok" and end.value == "", wall=True, **more)


def _libc(call: str) -> str:
    """Reached, unless the kernel says that it is not permitted or not there."""
    return (
        f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nresult = libc.{call}\n"
        "return None if result == -1 and ctypes.get_errno() in (1, 13, 38, 95) else f'{result}, {ctypes.get_errno()}'"
    )


def _raised(name: str) -> str:
    return f"""
        import resource
        soft, hard = resource.getrlimit(resource.{name})
        if hard == resource.RLIM_INFINITY:
            return "no limit"
        try:
            resource.setrlimit(resource.{name}, (hard, hard + 1))
        except ValueError:
            return None
        return hard + 1"""


_SEND = "import json, os, struct, time\ndef send(body):\n    os.write(3, struct.pack('>I', len(body)) + body)\n"

PYTHON = (
    Check(
        "python", "python works",
        "import json, datetime, threading, zoneinfo\nt = threading.Thread(target=print, args=('hi',))\n"
        "t.start()\nt.join()\njson.loads('[1]')[0] + 1",
        lambda end: end.value == 2 and end.stdout == "hi\n",
    ),
    Check(
        "python", "asyncio works",
        "import asyncio\nawait asyncio.sleep(0)\nsum(await asyncio.gather(*(asyncio.sleep(0, n) for n in range(5))))",
        lambda end: end.value == 10,
    ),
    Check(
        "python", "an error is told with its line", "x = 1\nx / 0",
        lambda end: end.error is not None and (end.error.type, end.error.line) == ("ZeroDivisionError", 2),
    ),
    Check("tools", "a tool answers", "tools.check.echo(1, b='x')", lambda end: end.value == [1, {"b": "x"}]),
    Check(
        "tools", "five tools run at once", "parallel(lambda n: tools.check.meet(n)[0], range(5))",
        lambda end: end.value == [0, 1, 2, 3, 4],
    ),
    Check(
        "tools", "a tool that was not given is refused", "tools.vault.open()",
        lambda end: end.error is not None and end.error.type == "ToolError",
    ),
    Check(
        "tools", "an argument that is no JSON is refused", "tools.check.echo(float('nan'))",
        lambda end: end.error is not None and end.error.type == "ToolError",
    ),
    Check(
        "tools", "calls have a limit",
        "n = 0\ntry:\n    for n in range(20): tools.check.echo(n)\nexcept ToolError: pass\nn",
        lambda end: end.value == 5, {"calls": 5},
    ),
    Check(
        "files", "files come back", "open('note.txt', 'w').write('kept')",
        lambda end: [(file.name, file.data) for file in end.files] == [("note.txt", b"kept")],
    ),
    Check(
        "environment", "the environment is scrubbed", "import os\nsorted(os.environ)",
        lambda end: isinstance(end.value, list) and {*map(str, end.value)} <= {"HOME", "LANG", "PYTHONUTF8", "TMPDIR"},
    ),
    Check(
        "environment", "no package of the server can be imported", "import anyio, pydantic",
        lambda end: end.error is not None and end.error.type == "ModuleNotFoundError",
    ),
    Check(
        "environment", "no core file is written", "import resource\nlist(resource.getrlimit(resource.RLIMIT_CORE))",
        lambda end: end.value in ([0, 0], [1, 1]),
    ),
    Check(
        "descriptors", "no descriptor is inherited",
        "import os\ndef is_open(fd):\n    try:\n        os.fstat(fd)\n    except OSError:\n        return False\n"
        "    return True\n[fd for fd in range(1024) if is_open(fd)]",
        lambda end: end.value == [0, 1, 2, 3],
    ),
    Check("descriptors", "there is nothing to read on standard input", "import os\nlen(os.read(0, 9))",
          lambda end: end.value == 0),
    Check(
        "memory", "memory is limited", "held = bytearray(1 << 30)",
        lambda end: end.error is not None and end.error.type == "MemoryError" and end.kept,
    ),
    Check(
        "memory", "memory in small pieces is limited", "held = []\nwhile True: held.append(bytes(1 << 20))",
        lambda end: end.error is not None and end.error.type == "MemoryError" and end.kept,
    ),
    Check(
        "memory", "shared memory is limited", "import mmap\nheld = mmap.mmap(-1, 1 << 30)",
        lambda end: end.error is not None and end.error.type in {"OSError", "MemoryError"},
    ),
    Check(
        "output", "output is limited", "print('x' * 8192)",
        lambda end: end.status == "ok" and len(end.stdout) == 4096 and tuple(end.limits) != (),
    ),
    Check("output", "a flood ends the program", "while True:\n    print('x' * 4096)",
          lambda end: end.status == "limit" and not end.kept),
    Check("output", "a flood of errors ends the program", "import os\nwhile True:\n    os.write(2, b'x' * 4096)",
          lambda end: end.status == "limit" and not end.kept),
    Check("output", "a big value comes back as its text, cut", "'x' * 3_000_000",
          lambda end: end.value is None and len(end.value_repr or "") <= 200_000),
    Check(
        "limits", "an endless loop ends, variables stay", "x = 1\nwhile True:\n    pass",
        lambda end: end.status == "timeout" and end.kept, {"wall": 0.3},
    ),
    Check("limits", "a loop that heeds no interrupt ends",
          # CPython blames an interrupt at a backward jump on the instruction before its target, which the assignment
          # keeps inside `try`; without it, one interrupt in a hundred gets out of the loop.
          "while True:\n    try:\n        x = 0\n        while True: sum(range(999))\n    except BaseException: pass",
          lambda end: end.status == "timeout" and not end.kept, {"wall": 0.2}),
    Check("limits", "waiting for a tool ends", "tools.check.wait()",
          lambda end: end.status == "timeout" and "total" in str(end.limits), {"total": 0.3}),
    Check("crashes", "a crash stays inside", "import os\nos.abort()",
          lambda end: end.status == "crashed" and not end.kept),
    Check("crashes", "a crash in C stays inside", "import ctypes\nctypes.string_at(0)",
          lambda end: end.status == "crashed" and not end.kept),
    Check("crashes", "an exit ends the program alone", "import os\nos._exit(7)",
          lambda end: end.status == "crashed" and not end.kept),
    Check("frames", "a forged frame ends the program", _SEND + "send(b'{}')\ntime.sleep(60)",
          lambda end: end.status == "violation" and not end.kept),
    Check("frames", "a frame without end ends the program",
          "import os, time\nos.write(3, b'\\xff' * 8)\ntime.sleep(60)",
          lambda end: end.status == "violation" and not end.kept),
    Check("frames", "the end of another run is not believed",
          _SEND + "send(json.dumps({'kind': 'done', 'id': 'other', 'status': 'ok', 'error': None, 'repr': None, "
          "'limits': []}).encode())\ntime.sleep(60)",
          lambda end: end.status == "violation" and not end.kept),
    Check("frames", "a closed channel ends the program", "import os\nos.close(3)\ntools.check.echo(1)",
          lambda end: end.status == "violation" and not end.kept),
    Check("one after another", "nothing patched is there for the next program",
          "import builtins, os\n[hasattr(builtins, 'left'), os.getpid is None, 'LEFT' in os.environ]",
          lambda end: end.value == [False, False, False],
          first="import builtins, os\nbuiltins.left = 1\nos.getpid = None\nos.environ['LEFT'] = '1'"),
    Check("one after another", "no file is there for the next program",
          "import os\nos.path.exists('left.txt')", lambda end: end.value is False,
          first="try: open('left.txt', 'w').close()\nexcept OSError: pass"),
)  # fmt: skip

WALLS = (
    _wall("files", "no file of yours is read", "return open(SECRET).read()"),
    _wall("files", "none is read through a link", "import os\nos.symlink(SECRET, 'l')\nreturn open('l').read()"),
    _wall("files", "none is read through `..`", "return open('../' * 40 + SECRET.lstrip('/')).read()"),
    _wall("files", "none is read through /proc", "return open('/proc/self/root' + SECRET).read()"),
    _wall("files", "no folder of yours is listed", "import os\nreturn os.listdir(FOLDER)"),
    _wall("files", "whether a file exists cannot be found out", "import os\nreturn os.path.exists(SECRET)"),
    _wall("files", "no file is written outside", "open(FOLDER + '/planted', 'w').close()\nreturn 'written'"),
    _wall("files", "no file of yours is changed", "open(SECRET, 'a').close()\nreturn 'opened for writing'"),
    _wall("files", "no mode of a file is changed", "import os\nos.chmod(SECRET, 0o600)\nreturn 'changed'"),
    _wall("files", "no folder is made outside", "import os\nos.mkdir(FOLDER + '/made')\nreturn 'made'"),
    _wall("files", "the list of users is not read", "return open('/etc/passwd').read(20)"),
    _wall("files", "Python's library is not written", "import os\nreturn os.open(os.__file__, os.O_WRONLY)"),
    _wall(
        "disk", "the disk is not filled",
        "for n in range(32):\n    open(f'n{n}', 'wb').write(bytes(1 << 20))\nreturn '32 MiB'",
    ),
    _wall("disk", "no file is huge", "open('huge', 'wb').truncate(1 << 40)\nreturn 'a terabyte'"),
    _wall("network", "no port of this machine is reached",
          "import socket\nreturn socket.create_connection(('127.0.0.1', TCP), 1)", needs="TCP"),
    _wall("network", "no datagram is sent",
          "import socket\nreturn socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', UDP))",
          needs="UDP"),
    _wall("network", "no socket file is reached",
          "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(UNIX)\nreturn 'connected'", needs="UNIX"),
    _wall("network", "no abstract socket is reached",
          "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(ABSTRACT)\nreturn 'connected'",
          needs="ABSTRACT"),
    _wall("network", "a pair of sockets leads nowhere",
          "import socket\na, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
          "return a.sendto(b'x', UNIX_DATAGRAM)",
          needs="UNIX_DATAGRAM"),
    _wall("network", "nothing listens", "import socket\nreturn socket.create_server(('127.0.0.1', 0))"),
    _wall("network", "the kernel's network is not asked",
          "import socket\nreturn socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", needs="LINUX"),
    _wall("processes", "no process is forked",
          "import os\npid = os.fork()\nif pid == 0:\n    os._exit(0)\nreturn os.waitpid(pid, 0)"),
    _wall("processes", "no other program is started",
          "import subprocess, sys\nreturn subprocess.run([sys.executable, '-I', '-S', '-c', ''])"),
    _wall("processes", "no program is spawned",
          "import os, sys\nreturn os.posix_spawn(sys.executable, [sys.executable, '-I', '-S', '-c', ''], {})"),
    _wall("processes", "no shell is run", "import os\nreturn os.popen('echo x').read()"),
    _wall("processes", "the server cannot be signalled", "import os\nos.kill(SERVER, 0)\nreturn 'signalled'"),
    _wall("processes", "nobody can be signalled", "import os\nos.kill(-1, 0)\nreturn 'signalled'"),
    _wall("processes", "no process is held", "import os\nreturn os.pidfd_open(SERVER)", needs="LINUX"),
    _wall("processes", "the server's memory is not read", "return open(f'/proc/{SERVER}/mem', 'rb')", needs="LINUX"),
    _wall("processes", "the server's settings are not read",
          "return open(f'/proc/{SERVER}/environ', 'rb').read()", needs="LINUX"),
    _wall("processes", "the server's priority is not changed",
          "import os\nos.setpriority(0, SERVER, os.getpriority(0, SERVER))\nreturn 'changed'"),
    _wall("kernel", "no namespace is made", _libc("unshare(0x20000000)"), needs="LINUX"),
    _wall("kernel", "nothing is mounted", _libc("mount(b'none', b'/absent', b'tmpfs', 0, None)"), needs="LINUX"),
    _wall("kernel", "nobody is traced", _libc("ptrace(2, SERVER, None, None)"), needs="LINUX"),
    _wall("kernel", "no memory is shared by a name", "import os\nreturn os.memfd_create('x')", needs="LINUX"),
    _wall("kernel", "no file is watched", _libc("inotify_init()"), needs="LINUX"),
    _wall("kernel", "no other personality is taken", _libc("personality(0x0040000)"), needs="LINUX"),
    _wall("kernel", "no file of others is watched", _libc("fanotify_init(0, 0)"), needs="LINUX"),
    _wall("privileges", "no right is gained by a program",
          "import ctypes\nreturn ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) != 1", needs="LINUX"),
    _wall("privileges", "the limit of memory is not raised", _raised("RLIMIT_AS")),
    _wall("privileges", "the limit of open files is not raised", _raised("RLIMIT_NOFILE")),
    _wall("descriptors", "its descriptors send signals to nobody",
          "import fcntl\nfcntl.fcntl(3, fcntl.F_SETOWN, SERVER)\nreturn 'they could'", needs="LINUX"),
)  # fmt: skip

"""Secrets and facts of the host: variables, command line, memory that it has inherited, names."""

import os
import sys

from escape.attack import closed_here, ends, everywhere, limited
from escape.prelude import HOST


@everywhere
def more_than_four_variables():
    return sorted({*os.environ} - {"HOME", "LANG", "PYTHONUTF8", "TMPDIR"})


@everywhere
def variables_known_to_c():
    import ctypes

    names, found = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ"), []
    n = 0
    while names[n]:
        found.append(names[n].partition(b"=")[0].decode())
        n += 1
    return sorted({*found} - {"HOME", "LANG", "PYTHONUTF8", "TMPDIR", "MALLOC_ARENA_MAX"})


def variables_told_by_proc():
    return open("/proc/self/environ", "rb").read()


def command_line_told_by_proc():
    return open("/proc/self/cmdline", "rb").read()


@everywhere
def secrets_in_its_memory():
    import gc

    needle = "".join(reversed("-YRANAC"))
    for thing in gc.get_objects():
        parts = (
            [*thing, *thing.values()] if isinstance(thing, dict) else thing if isinstance(thing, list | tuple) else ()
        )
        for each in parts:
            if type(each) is str and needle in each:
                return each


@everywhere
def secrets_where_the_environment_was():
    # The strings that the process was started with stay on its stack, those taken out of the environment too.
    import ctypes

    address = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")[0]
    if address:
        return "".join(reversed("-YRANAC")).encode() in ctypes.string_at(address, 4096 - address % 4096)


@everywhere
def modules_of_the_server():
    return sorted(name for name in sys.modules if name.startswith(("toolweft", "anyio", "pydantic", "mcp")))


@everywhere
def paths_to_packages():
    return [path for path in sys.path if "site-packages" in path or "dist-packages" in path]


@everywhere
def numbers_of_the_server_in_its_arguments():
    return [each for each in [*sys.argv, *sys.orig_argv] if str(HOST["parent"]) in each] if os.getppid() == 0 else None


def list_of_users():
    import pwd

    return [each.pw_name for each in pwd.getpwall()]


def name_of_the_host():
    return os.uname().nodename == HOST["name"]


@closed_here("a machine may have none")
def number_of_the_machine():
    return open("/etc/machine-id", encoding="utf-8").read()


def name_of_the_boot():
    return open("/proc/sys/kernel/random/boot_id", encoding="utf-8").read()


@everywhere
@closed_here("no isolation is asked for: the core file would be the person's own")
def a_core_file_would_be_written():
    import resource

    return resource.getrlimit(resource.RLIMIT_CORE) not in ((0, 0), (1, 1))


def its_core_may_go_to_a_program_of_the_system():
    # Where cores are piped to a program, a limit of 0 does not stop them.
    import ctypes

    pr_get_dumpable = 3
    return ctypes.CDLL(None).prctl(pr_get_dumpable, 0, 0, 0, 0) == 1


@everywhere
@ends("crashed")
def crash_with_a_core():
    os.abort()


@everywhere
@ends("crashed")
def crash_in_c():
    import ctypes

    ctypes.string_at(0)


@everywhere
@ends("crashed", "value")
def crash_with_a_report():
    import faulthandler
    import sys

    faulthandler.enable(sys.__stderr__)
    faulthandler._sigsegv()


@everywhere
@ends("crashed")
def leave_at_once():
    os._exit(0)


@everywhere
@ends("crashed", "timeout", "value")
def kill_itself():
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@everywhere
@ends("crashed", "value")
def kill_its_group():
    import signal

    os.killpg(0, signal.SIGKILL)


@everywhere
@ends("crashed", "timeout")
@limited(wall=0.5)
def end_by_an_alarm():
    import signal
    import time

    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(60)

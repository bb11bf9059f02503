"""What a program leaves for the next one, which belongs to somebody else."""

import os

from escape.attack import after, walled
from escape.prelude import HOST, syscall


def _leave_files():
    import os
    import tempfile

    for folder in {os.getcwd(), os.environ["HOME"], tempfile.gettempdir()}:
        with open(folder + "/toolweft-left", "w", encoding="utf-8") as file:
            file.write("for you")


@after(_leave_files)
def a_file_in_the_work_directory():
    import tempfile

    return [
        each for each in {os.getcwd(), os.environ["HOME"], tempfile.gettempdir()} if "toolweft-left" in os.listdir(each)
    ]


def _leave_a_module():
    import sys
    import types

    sys.modules["json"] = sys.modules["helper"] = types.ModuleType("json")
    sys.path.insert(0, "/tmp")
    sys.meta_path.clear()


@after(_leave_a_module)
def a_module():
    import json
    import sys

    return not hasattr(json, "loads") or "helper" in sys.modules or "/tmp" in sys.path


def _patch():
    import builtins
    import os
    import threading

    builtins.open = builtins.print = builtins.len = lambda *a, **k: "patched"
    os.getpid = threading.Thread.start = None


@after(_patch)
def a_patched_builtin():
    import threading

    return len("") == "patched" or os.getpid is None or threading.Thread.start is None


def _keep_variables():
    import builtins
    import os

    builtins.kept = globals()["kept"] = "mine"
    os.environ["KEPT"] = "mine"


@after(_keep_variables)
def a_variable():
    return "kept" in globals() or "KEPT" in os.environ


def _leave_threads():
    import threading
    import time

    threading.Thread(target=time.sleep, args=(1000,), daemon=True, name="left").start()


@after(_leave_threads)
def a_thread():
    import threading

    return [each.name for each in threading.enumerate() if each.name == "left"]


def _leave_handlers():
    import atexit
    import signal
    import sys

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *a: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    sys.settrace(lambda *a: None)
    sys.excepthook = sys.unraisablehook = print
    atexit.register(print, "left")


@after(_leave_handlers)
def a_handler():
    import signal
    import sys

    return (
        signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        or callable(signal.getsignal(signal.SIGUSR1))
        or signal.pthread_sigmask(signal.SIG_BLOCK, ())
        or sys.excepthook is print
    )


def _lower_limits():
    import resource
    import sys

    resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
    sys.setrecursionlimit(60)


@after(_lower_limits)
def a_lowered_limit():
    import resource
    import sys

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 8 or sys.getrecursionlimit() == 60


def _leave_shared_memory():
    import os

    os.close(os.open("/dev/shm/toolweft-left", os.O_CREAT | os.O_RDWR))


@walled
@after(_leave_shared_memory)
def shared_memory():
    os.unlink("/dev/shm/toolweft-left")
    return "it was there"


def _leave_kernel_objects():
    syscall("shmget", 0x746F6F6C, 4096, 0o1666)


@walled
@after(_leave_kernel_objects)
def kernel_objects():
    from ctypes import CDLL

    found = CDLL(None).shmget(0x746F6F6C, 4096, 0)
    if found >= 0:
        CDLL(None).shmctl(found, 0, None)
        return "a segment was there"


def _leave_a_socket():
    import socket

    s = socket.socket(socket.AF_UNIX)
    s.bind("\0toolweft-left")
    s.listen()


@after(_leave_a_socket)
def an_abstract_socket():
    import socket

    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect("\0toolweft-left")
    except ConnectionRefusedError:
        return None
    return "it answers"


def _move_a_shared_position():
    import os

    os.lseek(0, 100, 0)
    os.set_blocking(0, False)
    os.set_blocking(1, False)


@after(_move_a_shared_position)
def a_shared_position():
    return not os.get_blocking(0) or not os.get_blocking(1) or os.lseek(0, 0, 1)


def _hold_a_secret():
    import builtins

    builtins.held = [HOST["token"], {HOST["token"]: 1}]


@after(_hold_a_secret)
def what_it_was_told():
    import gc

    needle = "".join(reversed("-YRANAC"))
    for thing in gc.get_objects():
        parts = (
            [*thing, *thing.values()] if isinstance(thing, dict) else thing if isinstance(thing, list | tuple) else ()
        )
        if any(type(each) is str and each.startswith(needle) for each in parts):
            return "a text of another's"


def _change_the_clock():
    import os
    import time

    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    os.umask(0)


@after(_change_the_clock)
def its_place_and_time():
    import time

    return time.tzname[0] == "JST" or os.umask(0o22) == 0

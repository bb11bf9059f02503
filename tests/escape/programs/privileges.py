"""More rights than were given: users, capabilities, limits."""

import os
import resource
import signal
import threading

from escape.attack import closed_here, everywhere
from escape.prelude import surface, syscall


def _calls(function, *arguments):
    function(*arguments)
    return f"{function.__name__}{arguments}"


@closed_here("an ordinary user cannot")
def become_root():
    return _calls(os.setuid, 0)


@closed_here("an ordinary user cannot")
def become_root_in_effect():
    return _calls(os.seteuid, 0)


@closed_here("an ordinary user cannot")
def become_another_user():
    return _calls(os.setresuid, 4242, 4242, 4242)


@closed_here("an ordinary user cannot")
def become_another_group():
    return _calls(os.setgid, 4242)


@closed_here("an ordinary user cannot")
def join_groups():
    return _calls(os.setgroups, [0, 4242])


@closed_here("an ordinary user cannot")
def be_root():
    return os.geteuid() == 0 or os.getuid() == 0


@closed_here("the test may itself run without capabilities")
def hold_capabilities():
    import ctypes

    header, data = (ctypes.c_uint * 2)(0x20080522, 0), (ctypes.c_uint * 6)()
    syscall("capget", header, data)
    return [hex(each) for each in data] if data[0] or data[1] or data[3] or data[4] else None


@closed_here("a test may itself run without them")
def take_capabilities():
    import ctypes

    header, data = (ctypes.c_uint * 2)(0x20080522, 0), (ctypes.c_uint * 6)(*[0xFFFFFFFF] * 2)
    data[2] = 0
    return surface("capset", header, data)


def may_gain_rights_by_a_program():
    return surface("prctl", 39, 0, 0, 0, 0) == "prctl gives 0"


def _raise(name):
    which = getattr(resource, name)
    soft, hard = resource.getrlimit(which)
    if hard == resource.RLIM_INFINITY:
        return f"{name} is unlimited"
    try:
        resource.setrlimit(which, (soft, hard + 1))
    except ValueError as error:
        raise OSError(1, str(error)) from None
    return f"{name} above {hard}"


@closed_here("an ordinary user cannot")
def raise_the_limit_of_memory():
    return _raise("RLIMIT_AS")


@closed_here("an ordinary user cannot")
def raise_the_limit_of_open_files():
    return _raise("RLIMIT_NOFILE")


@closed_here("an ordinary user cannot")
def raise_the_limit_of_processes():
    return _raise("RLIMIT_NPROC")


@closed_here("an ordinary user cannot")
def raise_the_limit_of_processor_time():
    return _raise("RLIMIT_CPU")


@closed_here("an ordinary user cannot")
def raise_the_limit_of_file_size():
    return _raise("RLIMIT_FSIZE")


@closed_here("an ordinary user cannot")
def raise_the_limit_of_core_dumps():
    return _raise("RLIMIT_CORE")


@closed_here("an ordinary user cannot")
def raise_the_limit_of_locked_memory():
    return _raise("RLIMIT_MEMLOCK")


@closed_here("an ordinary user cannot")
def go_before_others():
    return _calls(os.nice, -5)


@closed_here("an ordinary user cannot")
def go_before_everybody():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "it runs in real time"


@closed_here("the limit on locked memory stops it for an ordinary user")
def lock_memory():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(3) != 0:
        raise OSError(ctypes.get_errno(), "mlockall")
    return "locked"


@everywhere
def fill_the_queue_of_signals_of_the_user():
    waiting = 40
    signal.pthread_sigmask(signal.SIG_BLOCK, [waiting])
    for _ in range(10_000):
        signal.pthread_kill(threading.get_ident(), waiting)
    return "10,000 signals wait"

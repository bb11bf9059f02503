"""Processor time and waiting without end. The limits here: 0.5 s of its own time, one second of processor time."""

import signal
import threading
import time

from escape.attack import ends, limited, walled
from escape.prelude import HOST

LIMITS = {"wall": 0.5, "cpu": 1.0}


@ends("timeout")
def spin():
    while True:
        pass


@ends("timeout")
def spin_in_c():
    sum(range(10**15))


@ends("timeout")
def spin_through_interrupts():
    while True:
        try:
            while True:
                sum(range(999))
        except BaseException:
            pass


@ends("timeout")
def spin_in_a_finally():
    try:
        time.sleep(60)
    finally:
        while True:
            pass


@ends("timeout")
def spin_with_the_signal_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pass


@ends("timeout")
def spin_with_the_signal_blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        pass


@ends("timeout")
def spin_in_a_destructor():
    class Spins:
        def __del__(self):
            while True:
                try:
                    time.sleep(1)
                except BaseException:
                    pass

    Spins()


@ends("timeout", "value")
def power_of_great_numbers():
    return 7 ** (7**12) and None


@ends("timeout")
def a_pattern_that_never_matches():
    import re

    return re.match(r"(a+)+$", "a" * 64 + "b")


@ends("timeout")
def wait_for_a_lock_it_holds():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@ends("timeout")
def sleep_for_ever():
    time.sleep(10**8)


@ends("timeout")
def await_for_ever():
    import asyncio

    async def stays():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass

    asyncio.run(stays())


@ends("timeout")
@limited(cpu=0.5, wall=20.0)
def spin_while_a_tool_is_waited_for():
    from tools import box

    def spins():
        while True:
            sum(range(9999))

    threading.Thread(target=spins, daemon=True).start()
    box.gate()


@ends("timeout")
@limited(total=0.5, wall=20.0)
def wait_for_a_tool_that_never_answers():
    from tools import box

    box.gate()


@ends("timeout", "crashed")
def stop_itself():
    import os

    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


@limited(wall=8.0, cpu=8.0)
def leave_threads_that_spin():
    def spins():
        while True:
            pass

    for _ in range(4):
        threading.Thread(target=spins, daemon=True).start()


def leave_a_thread_that_waits():
    # Not a daemon: an interpreter that ends in an orderly way would wait for it.
    threading.Thread(target=time.sleep, args=(10**6,)).start()


@walled
@limited(wall=8.0, cpu=8.0)
def very_many_threads():
    go = threading.Event()
    threads = []
    try:
        for _ in range(HOST["threads"] + 40):
            thread = threading.Thread(target=go.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError as error:
        raise MemoryError(error) from None
    finally:
        go.set()
    return len(threads)


def many_timers():
    # A hundred thousand signals to itself: they cost it alone.
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0.00001, 0.00001)
    time.sleep(0.1)
    signal.setitimer(signal.ITIMER_REAL, 0)

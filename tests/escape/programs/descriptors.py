"""What was left open for the program, and what can be done with the little that must be open."""

import fcntl
import os
import signal
import socket
import stat

from escape.attack import ends, everywhere
from escape.prelude import HOST, syscall


def _open_descriptors():
    found = []
    for fd in range(4096):
        try:
            found.append((fd, os.fstat(fd)))
        except OSError:
            pass
    return found


@everywhere
def more_than_four_are_open():
    return [fd for fd, _ in _open_descriptors() if fd > 3]


@everywhere
def one_is_not_what_it_should_be():
    kinds = {fd: stat.S_IFMT(info.st_mode) for fd, info in _open_descriptors()}
    return kinds != {0: stat.S_IFCHR, 1: stat.S_IFIFO, 2: stat.S_IFIFO, 3: stat.S_IFSOCK} and kinds


@everywhere
def one_is_a_folder():
    return [fd for fd, info in _open_descriptors() if stat.S_ISDIR(info.st_mode)]


@everywhere
def one_leads_to_a_file_outside():
    for fd, _ in _open_descriptors():
        try:
            return os.open("../" * 40 + HOST["secret"].lstrip("/"), os.O_RDONLY, dir_fd=fd)
        except OSError:
            pass


@everywhere
def standard_input_has_something():
    return os.read(0, 100)


@everywhere
def its_output_can_be_read():
    os.set_blocking(1, False)
    return os.read(1, 100)


def open_them_again_by_proc():
    return os.open("/proc/self/fd/1", os.O_RDWR) > 2


def hand_the_signals_of_a_descriptor_to_the_server():
    # With the right number in F_SETSIG this would end the server with the next answer it writes.
    fcntl.fcntl(3, fcntl.F_SETOWN, HOST["parent"])
    fcntl.fcntl(3, 10, int(signal.SIGURG))
    fcntl.fcntl(3, fcntl.F_SETFL, fcntl.fcntl(3, fcntl.F_GETFL) | os.O_ASYNC)
    from tools import box

    box.echo(1)
    return f"signals for {fcntl.fcntl(3, fcntl.F_GETOWN)}"


def hand_the_signals_of_a_descriptor_to_a_group():
    fcntl.fcntl(3, fcntl.F_SETOWN, -HOST["group"])
    return "handed over"


def choose_the_signal_of_a_descriptor():
    fcntl.fcntl(3, 10, int(signal.SIGURG))
    return "chosen"


def hand_signals_over_by_ioctl():
    import ctypes

    fiosetown = 0x8901
    fcntl.ioctl(3, fiosetown, ctypes.c_int(HOST["parent"]))
    return "handed over"


def have_signals_sent_by_ioctl():
    import ctypes

    fioasync = 0x5452
    fcntl.ioctl(3, fioasync, ctypes.c_int(1))
    return "they are sent"


def push_back_input_to_a_terminal():
    tiocsti = 0x5412
    for fd in range(4):
        try:
            fcntl.ioctl(fd, tiocsti, b"x")
        except OSError as error:
            if error.errno in (1, 13):
                raise
            reached = error.errno
    return f"the call is reached ({reached})"


def make_a_pipe_bigger():
    return fcntl.fcntl(1, 1031, 1 << 20) >= 1 << 20


def take_a_lease():
    fcntl.fcntl(os.open("mine", os.O_CREAT | os.O_RDONLY), 1024, 0)
    return "leased"


@everywhere
def send_descriptors_to_the_server():
    import json

    body = json.dumps({"kind": "call", "c": 2**40, "f": "box.echo", "a": [1], "k": {}}).encode()
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=os.dup(3))
    try:
        socket.send_fds(s, [len(body).to_bytes(4, "big") + body], [0, 1, 2] * 20)
    finally:
        s.detach()


@everywhere
@ends("value", "violation", "crashed")
def make_the_channel_unblocking():
    from tools import box

    fcntl.fcntl(3, fcntl.F_SETFL, os.O_NONBLOCK)
    for n in range(100):
        box.echo("x" * 50_000, n)


@everywhere
@ends("value", "limit")
def make_its_output_unblocking():
    import sys

    fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK)
    try:
        for _ in range(10):
            sys.stdout.write("x" * 10_000)
    except BlockingIOError:
        pass


def a_table_of_its_own_for_each_thread():
    # Each would have as many descriptors as all of them may have, and what sockets hold counts for no limit.
    return syscall("close_range", 60_000, 60_001, 2) == 0

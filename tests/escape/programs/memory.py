"""More memory than a session has. The limit here is 256 MiB; each asks for at least twice that."""

import sys

from escape.attack import bare, ends, limited


def one_big_block():
    return len(bytearray(1 << 30))


def many_small_blocks():
    held = []
    while len(held) < 1 << 16:
        held.append(bytearray(1 << 14))
    return len(held)


def one_endless_list():
    return len([None] * (1 << 28))


def a_big_text():
    return len("%0*d" % (1 << 30, 1))


def shared_memory_without_a_file():
    import mmap

    return len(mmap.mmap(-1, 1 << 29, mmap.MAP_SHARED))


def private_memory_without_a_file():
    import mmap

    return len(mmap.mmap(-1, 1 << 29, mmap.MAP_PRIVATE))


def memory_that_is_only_reserved():
    import mmap

    return len(mmap.mmap(-1, 1 << 40, mmap.MAP_PRIVATE | 0x4000, mmap.PROT_READ))


def unpacking_a_bomb():
    import zlib

    packer = zlib.compressobj(1)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(280)) + packer.flush()
    return len(zlib.decompress(bomb))


def stacks_of_threads():
    import threading

    threading.stack_size(128 << 20)
    go = threading.Event()
    threads = [threading.Thread(target=go.wait, daemon=True) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
    except RuntimeError as error:
        raise MemoryError(error) from None
    finally:
        go.set()
        threading.stack_size(0)
    return len(threads)


def memory_in_pipes():
    import os

    held = 0
    while True:
        _, end = os.pipe()
        os.set_blocking(end, False)
        try:
            held += os.write(end, bytes(1 << 20))
        except BlockingIOError:
            pass
        if held > 64 << 20:
            return held


@limited(wall=1.0)
@ends("value", "crashed", "timeout")
def endless_recursion():
    sys.setrecursionlimit(10**9)

    def down():
        return down() + 1

    try:
        return down()
    except RecursionError:
        return None


@ends("value", "crashed")
def deep_recursion_in_c():
    sys.setrecursionlimit(10**9)
    nested = []
    for _ in range(200_000):
        nested = [nested]
    try:
        return nested == nested.copy() and None
    except RecursionError:
        return None


@ends("value", "crashed")
def deep_json():
    import json

    try:
        json.loads("[" * 1_000_000)
    except (RecursionError, ValueError):
        return None
    return "read"


@ends("value", "crashed")
def deep_source():
    try:
        compile("(" * 100_000 + ")" * 100_000, "x", "eval")
    except (SyntaxError, RecursionError, OverflowError, MemoryError):
        return None
    return "compiled"


@bare
def an_error_when_memory_is_out():
    held = []
    try:
        while True:
            held.append(bytearray(1 << 20))
    except MemoryError:
        raise ValueError(held) from None


@bare
def memory_kept_in_the_last_error():
    class KeepsError(Exception):
        pass

    error = KeepsError()
    error.held = bytearray(200 << 20)
    raise error

"""The work directory: more than its size, more names than it has, files that are traps for who collects them.

The limits here: 4 MiB in all and in one file. A tier without a work directory refuses every one of these.
"""

import os

from escape.attack import bare, closed_here, ends, limited, walled
from escape.prelude import HOST


@walled
def fill_it():
    written = 0
    for n in range(64):
        with open(f"file{n}", "wb") as file:
            written += file.write(bytes(1 << 20))
    return written


def one_huge_file():
    with open("huge", "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    return "64 MiB in one file"


def a_file_of_nothing_but_size():
    with open("sparse", "wb") as file:
        return file.truncate(1 << 40)


def reserve_without_writing():
    fd = os.open("reserved", os.O_CREAT | os.O_WRONLY)
    os.posix_fallocate(fd, 0, 1 << 30)
    return "a gigabyte is reserved"


@walled
def hold_deleted_files():
    held = []
    for n in range(48):
        fd = os.open(f"gone{n}", os.O_CREAT | os.O_RDWR)
        os.unlink(f"gone{n}")
        held.append(fd)
        os.write(fd, bytes(1 << 20))
    return len(held)


@walled
@closed_here("a disk may be too slow for so many in the time that there is")
@limited(wall=3.0)
@ends("value", "timeout")
def very_many_files():
    for n in range(20_000):
        os.close(os.open(f"n{n}", os.O_CREAT | os.O_WRONLY))
    return "20,000 files"


@walled
@closed_here("a disk may be too slow for so many in the time that there is")
@limited(wall=3.0)
@ends("value", "timeout")
def very_deep_folders():
    for _ in range(5000):
        os.mkdir("d")
        os.chdir("d")
    return "5000 folders in one another"


@walled
def fill_the_temporary_folder():
    import tempfile

    for _ in range(48):
        with open(tempfile.mktemp(), "wb") as file:
            file.write(bytes(1 << 20))
    return "48 MiB"


def too_many_open_files():
    return len([open(os.devnull, "rb") for _ in range(HOST["open_files"] + 1)])


@bare
def leave_a_link_to_a_secret():
    os.symlink(HOST["secret"], "note.txt")


@bare
def leave_a_folder_that_is_a_link():
    os.symlink(HOST["folder"], "notes")


@bare
def leave_a_pipe():
    os.mkfifo("note.txt")


@bare
def leave_names_that_steer_a_terminal():
    for name in ("a\nERROR forged", "b\x1b[2J", "c\u202etxt", "d" * 255, os.fsdecode(b"e\xff"), "f\\g", " ", "~"):
        open(name, "wb").close()


@bare
def leave_very_many_small_files():
    for n in range(500):
        open(f"n{n}", "wb").close()


@bare
def leave_more_than_may_be_left():
    for n in range(8):
        with open(f"n{n}", "wb") as file:
            file.truncate(3 << 20)


@bare
def change_a_file_while_it_is_collected():
    import threading

    def swaps():
        while True:
            try:
                os.rename("note.txt", "other.txt")
                os.symlink(HOST["secret"], "note.txt")
                os.unlink("note.txt")
                os.rename("other.txt", "note.txt")
            except OSError:
                pass

    open("note.txt", "wb").write(b"mine")
    threading.Thread(target=swaps, daemon=True).start()

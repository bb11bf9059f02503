"""Files of the host: reading, finding out about, writing, and the ways around a path."""

import os
import sys

from escape.attack import closed_here
from escape.prelude import HOST, syscall


def read_by_absolute_path():
    return open(HOST["secret"], encoding="utf-8").read()


def read_through_dot_dot():
    return open("../" * 40 + HOST["secret"].lstrip("/"), encoding="utf-8").read()


def read_through_a_symlink():
    os.symlink(HOST["secret"], "link")
    return open("link", encoding="utf-8").read()


def read_through_a_link_to_the_folder():
    os.symlink(HOST["folder"], "folder")
    return open("folder/secret.txt", encoding="utf-8").read()


def read_through_a_hard_link():
    import shutil

    os.makedirs("/tmp/toolweft-link", exist_ok=True)
    try:
        os.link(HOST["secret"], HOST["folder"] + "/hard")
        return open(HOST["folder"] + "/hard", encoding="utf-8").read()
    finally:
        shutil.rmtree("/tmp/toolweft-link", ignore_errors=True)


def read_by_the_root_in_proc():
    return open("/proc/self/root" + HOST["secret"], encoding="utf-8").read()


@closed_here("the first process of a machine may be closed even to root")
def read_by_the_root_of_the_first_process():
    return open("/proc/1/root" + HOST["secret"], encoding="utf-8").read()


@closed_here("the ordinary user may not look into processes of others, and there may be none of its own")
def read_by_the_root_of_the_server():
    return open(f"/proc/{HOST['parent']}/root" + HOST["secret"], encoding="utf-8").read()


def read_by_the_bare_call():
    import ctypes

    how = (ctypes.c_ulonglong * 3)(os.O_RDONLY, 0, 0)
    fd = syscall("openat2", -100, os.fsencode(HOST["secret"]), how, 24)
    return os.read(fd, 100)


def read_by_a_handle():
    import ctypes

    handle = (ctypes.c_uint * 40)(128)
    mount = ctypes.c_int()
    syscall("name_to_handle_at", -100, os.fsencode(HOST["secret"]), handle, ctypes.byref(mount), 0)
    folder = os.open(".", os.O_RDONLY)
    return os.read(syscall("open_by_handle_at", folder, handle, os.O_RDONLY), 100)


def read_after_a_chroot():
    os.mkdir("jail")
    os.chroot("jail")
    for _ in range(40):
        os.chdir("..")
    os.chroot(".")
    return open(HOST["secret"], encoding="utf-8").read()


def read_the_list_of_users():
    return open("/etc/passwd", encoding="utf-8").read(40)


def read_the_users_home():
    return [name for name in os.listdir(HOST["home"]) if name not in sys.base_prefix]


def read_the_source_of_the_server():
    return open(HOST["source"], encoding="utf-8").read()


def read_a_package_of_the_server():
    return open(HOST["package"], encoding="utf-8").read(40)


def import_a_package_of_the_server():
    sys.path.insert(0, os.path.dirname(os.path.dirname(HOST["package"])))
    import anyio

    return anyio.__file__


def read_by_a_database():
    import sqlite3

    try:
        return sqlite3.connect(f"file:{HOST['folder']}/data.db?mode=rwc", uri=True).execute("create table t (x)") and 1
    except sqlite3.OperationalError as error:
        raise OSError(error) from None


def open_as_a_path_alone():
    return os.open(HOST["secret"], os.O_PATH) > 2


def list_the_folder():
    return os.listdir(HOST["folder"])


def walk_up_by_descriptors():
    fd = os.open(".", os.O_RDONLY)
    for _ in range(40):
        fd = os.open("..", os.O_RDONLY, dir_fd=fd)
    return os.read(os.open(HOST["secret"].lstrip("/"), os.O_RDONLY, dir_fd=fd), 100)


def list_the_root():
    return sorted({"bin", "boot", "etc", "proc", "sbin", "sys", "var"} & {*os.listdir("/")})


def list_the_processes():
    return [name for name in os.listdir("/proc") if name.isdigit()]


def list_the_devices():
    return sorted({*os.listdir("/dev")} - {"null", "urandom", "random", "zero"})


def read_kernel_settings():
    return open("/proc/sys/kernel/ostype", encoding="utf-8").read()


def read_the_table_of_mounts():
    return open("/proc/self/mountinfo", encoding="utf-8").read(40)


def ask_whether_a_file_exists():
    return os.path.exists(HOST["secret"])


def ask_for_the_size_of_a_file():
    return os.stat(HOST["secret"]).st_size


def ask_for_the_size_by_the_bare_call():
    import ctypes

    return syscall("statx", -100, os.fsencode(HOST["secret"]), 0, 0x7FF, ctypes.create_string_buffer(256)) == 0


def ask_whether_it_may_be_read():
    return os.access(HOST["secret"], os.R_OK)


def tell_by_the_error_whether_it_exists():
    def said(path):
        try:
            open(path, encoding="utf-8").close()
        except OSError as error:
            return error.errno

    return said(HOST["secret"]) != said(HOST["secret"] + ".absent")


def read_where_a_link_leads():
    return os.readlink(HOST["folder"] + "/link")


def watch_a_folder():
    fd = syscall("inotify_init1", 0)
    return syscall("inotify_add_watch", fd, os.fsencode(HOST["folder"]), 0xFFF) > 0


def enter_a_folder():
    os.chdir(HOST["folder"])
    return os.getcwd()


def write_a_file():
    return open(HOST["folder"] + "/planted", "w", encoding="utf-8").write("here")


def write_to_an_existing_file():
    return open(HOST["victim"], "a", encoding="utf-8").write("more")


def cut_a_file():
    os.truncate(HOST["victim"], 0)
    return "cut"


def cut_a_file_that_is_opened_neither_to_read_nor_to_write():
    os.close(os.open(HOST["victim"], 3 | os.O_TRUNC))
    return "cut"


def delete_a_file():
    os.unlink(HOST["victim"])
    return "deleted"


def rename_a_file():
    os.rename(HOST["victim"], HOST["victim"] + ".renamed")
    return "renamed"


def move_a_file_out():
    open("mine", "w", encoding="utf-8").close()
    os.rename("mine", HOST["folder"] + "/mine")
    return "moved"


def make_a_folder():
    os.mkdir(HOST["folder"] + "/made")
    return "made"


def make_a_link():
    os.symlink("x", HOST["folder"] + "/made")
    return "made"


def make_a_pipe():
    os.mkfifo(HOST["folder"] + "/made")
    return "made"


def change_the_mode():
    os.chmod(HOST["victim"], 0o777)
    return "changed"


def change_the_mode_by_the_bare_call():
    return syscall("fchmodat2", -100, os.fsencode(HOST["victim"]), 0o777, 0) == 0


def change_the_owner():
    os.chown(HOST["victim"], os.getuid(), os.getgid())
    return "changed"


def change_the_times():
    os.utime(HOST["victim"], (1, 1))
    return "changed"


@closed_here("the file system of the test's folder may have no extended attributes")
def change_an_attribute():
    os.setxattr(HOST["victim"], "user.x", b"1")
    return "changed"


def open_the_library_for_writing():
    return os.open(os.__file__, os.O_WRONLY) > 2


def write_a_module_into_the_library():
    path = os.path.dirname(os.__file__) + "/toolweft_planted.py"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.unlink(path)
    return path


def write_into_shared_memory():
    path = f"/dev/shm/toolweft-{os.getpid()}"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.unlink(path)
    return path


def write_into_the_other_temporary_folder():
    path = f"/var/tmp/toolweft-{os.getpid()}"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.unlink(path)
    return path


def open_the_terminal():
    try:
        return os.open("/dev/tty", os.O_RDWR) > 2
    except OSError as error:
        if error.errno == 6:  # it is there, and the session has none
            return "reached"
        raise


@closed_here("this machine may have no such device")
def open_the_memory_of_the_machine():
    return os.open("/dev/mem", os.O_RDONLY) > 2


def make_a_device():
    os.mknod("device", 0o20600, os.makedev(1, 3))
    return os.open("device", os.O_RDWR) > 2


def mount_over_the_work_folder():
    result = syscall("mount", b"none", b".", b"tmpfs", 0, 0)
    syscall("umount2", b".", 2)
    return result == 0


def run_code_from_a_written_file():
    import mmap

    with open("code.bin", "wb") as file:
        file.write(bytes(4096))
    fd = os.open("code.bin", os.O_RDONLY)
    # tmpfs is mounted noexec, so that a written library cannot be loaded
    return bool(mmap.mmap(fd, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC))


SURFACE = {
    "fsopen": (b"tmpfs", 0),
    "fspick": (-100, b"/", 0),
    "listmount": (0, 0, 0, 0),
    "mount_setattr": (-100, b".", 0, 0, 0),
    "move_mount": (-100, b".", -100, b".", 0),
    "name_to_handle_at": (-100, b".", 0, 0, 0),
    "open_tree": (-100, b".", 1),
    "pivot_root": (b".", b"."),
    "quotactl": (0, 0, 0, 0),
    "statmount": (0, 0, 0, 0),
    "umount2": (b".", 2),
}

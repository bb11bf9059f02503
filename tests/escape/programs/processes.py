"""Other processes: starting them, signalling them, reading and tracing them. Every signal sent is the empty one."""

import os
import signal
import subprocess
import sys

from escape.attack import closed_here, ends
from escape.prelude import HOST, surface, syscall


def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)


def fork_with_a_terminal():
    pid, fd = os.forkpty()
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)


def fork_by_the_bare_call():
    pid = syscall("fork")
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)


def clone_by_the_bare_call():
    pid = syscall("clone", int(signal.SIGCHLD), 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)


def clone_the_new_way():
    import ctypes

    arguments = (ctypes.c_ulonglong * 11)()
    arguments[4] = signal.SIGCHLD
    pid = syscall("clone3", arguments, 88)
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)


def clone_into_namespaces():
    pid = syscall("clone", int(signal.SIGCHLD) | 0x10000000, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)


def start_a_program():
    return subprocess.run(["true"], check=True)


def start_python_again():
    return subprocess.run([sys.executable, "-I", "-S", "-c", "print(1)"], capture_output=True, check=True).stdout


def start_a_shell():
    return os.system("true") == 0


def read_from_a_shell():
    return os.popen("echo out").read()


def spawn():
    return os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", ""], {})


@ends("value", "crashed")
def become_another_program():
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "import os; os._exit(42)"])


def become_a_program_in_memory():
    fd = os.memfd_create("x")
    os.write(fd, b"#!/bin/sh\n")
    return surface("execveat", fd, b"", 0, 0, 0x1000)


def start_by_multiprocessing():
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    return process.pid


def share_by_multiprocessing():
    import multiprocessing

    return multiprocessing.get_context("spawn").Process(target=int).start() or "started"


def signal_the_server():
    os.kill(HOST["parent"], 0)
    return "it would get it"


def signal_the_parent():
    os.kill(os.getppid() or -1, 0)
    return "it would get it"


def signal_everybody():
    os.kill(-1, 0)
    return "they would get it"


def signal_the_group_of_the_server():
    os.killpg(HOST["group"], 0)
    return "it would get it"


def signal_a_thread_of_the_server():
    return syscall("tgkill", HOST["parent"], HOST["parent"], 0) == 0


def signal_a_thread_by_the_old_call():
    return syscall("tkill", HOST["parent"], 0) == 0


def queue_a_signal_for_the_server():
    return surface("rt_sigqueueinfo", HOST["parent"], 0, 0)


def queue_a_signal_for_a_thread():
    return surface("rt_tgsigqueueinfo", HOST["parent"], HOST["parent"], 0, 0)


def hold_the_server():
    return os.pidfd_open(HOST["parent"])


def hold_the_parent():
    return os.pidfd_open(os.getppid() or 1)


def hold_itself():
    return os.pidfd_open(os.getpid())


@closed_here("an ordinary user may not take descriptors of a process that it does not own")
def take_a_descriptor_of_the_server():
    return syscall("pidfd_getfd", os.pidfd_open(HOST["parent"]), 0, 0)


def signal_by_a_descriptor():
    return surface("pidfd_send_signal", 0, 0, 0, 0)


# Reading a word asks whether tracing is reached and leaves the traced alone: one that is really traced stops at its
# next signal, and its tracer here would never let it go on.
def trace_the_server():
    return surface("ptrace", 2, HOST["parent"], 0, 0)


def trace_the_parent():
    return surface("ptrace", 2, os.getppid() or 1, 0, 0)


def read_the_memory_of_the_server():
    import ctypes

    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    return surface("process_vm_readv", HOST["parent"], vector, 1, vector, 1, 0)


def write_the_memory_of_the_server():
    return surface("process_vm_writev", HOST["parent"], 0, 0, 0, 0, 0)


def read_the_memory_of_the_server_as_a_file():
    return os.open(f"/proc/{HOST['parent']}/mem", os.O_RDONLY)


def read_the_command_line_of_the_server():
    return open(f"/proc/{HOST['parent']}/cmdline", "rb").read()


def read_the_environment_of_the_server():
    return open(f"/proc/{HOST['parent']}/environ", "rb").read()


def change_the_priority_of_the_server():
    os.setpriority(os.PRIO_PROCESS, HOST["parent"], os.getpriority(os.PRIO_PROCESS, HOST["parent"]))
    return "changed"


def change_the_priority_of_everybody():
    os.setpriority(os.PRIO_USER, 0, os.getpriority(os.PRIO_USER, 0))
    return "changed"


def change_the_processors_of_the_server():
    os.sched_setaffinity(HOST["parent"], os.sched_getaffinity(HOST["parent"]))
    return "changed"


def change_the_scheduler_of_the_server():
    os.sched_setscheduler(HOST["parent"], os.SCHED_OTHER, os.sched_param(0))
    return "changed"


def change_the_limits_of_the_server():
    import resource

    return resource.prlimit(HOST["parent"], resource.RLIMIT_NOFILE)


def compare_with_the_server():
    return surface("kcmp", os.getpid(), HOST["parent"], 0, 0, 0)


def change_the_disk_priority_of_the_server():
    return surface("ioprio_set", 1, HOST["parent"], 0)


def ask_for_the_session_of_the_server():
    return f"the session {os.getsid(HOST['parent'])}"  # 0 is a session too: that of a leader outside of what is seen


@closed_here("there may be none")
def wait_for_children_of_others():
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None


def many_processes():
    pids = []
    try:
        for _ in range(200):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            pids.append(pid)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return len(pids)

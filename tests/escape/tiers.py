"""The tiers that the battery runs on, and what each is documented to leave open, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toolweft_server.sandbox.backends.bwrap import BwrapSandbox
from toolweft_server.sandbox.backends.linux import LinuxSandbox
from toolweft_server.sandbox.backends.local import UnsafeProcess
from toolweft_server.sandbox.base import Sandbox

ISOLATING = ("namespaces", "bwrap", "chroot", "landlock", "monty")

_PROBING = "Landlock has no right for looking: whether a path exists, and its size, can be found out"
_NAME = "the machine's name can be asked of the kernel (`uname`)"
_NUMBERS = "without a process namespace numbers of processes are seen; none can be signalled, traced or read"
_THREADS = "the kernel's limit counts all of a user's threads, so it is not set; the limit on memory binds"

_INODES = "bubblewrap limits the size of its tmpfs, not the number of files; processor time does"

EXCEPTIONS: Mapping[str, Mapping[str, str]] = {
    "unsafe-process": {},
    "namespaces": {},
    "bwrap": {
        "cpu__very_many_threads": _THREADS,
        "disk__very_deep_folders": _INODES,
        "disk__very_many_files": _INODES,
        "files__run_code_from_a_written_file": "bubblewrap's tmpfs cannot be noexec; seccomp refuses execution",
    },
    "chroot": {
        "cpu__very_many_threads": _THREADS,
        "environment__name_of_the_host": _NAME,
        "network__ask_who_is_behind_the_frame_socket": _NUMBERS,
        "processes__ask_for_the_session_of_the_server": _NUMBERS,
    },
    "landlock": {
        "cpu__very_many_threads": _THREADS,
        "descriptors__open_them_again_by_proc": "Landlock does not rule pipes: only its own output is reached",
        "environment__name_of_the_host": _NAME,
        "files__ask_for_the_size_by_the_bare_call": _PROBING,
        "files__ask_for_the_size_of_a_file": _PROBING,
        "files__ask_whether_a_file_exists": _PROBING,
        "files__ask_whether_it_may_be_read": _PROBING,
        "files__enter_a_folder": _PROBING,
        "files__open_as_a_path_alone": _PROBING,
        "files__read_where_a_link_leads": _PROBING,
        "files__tell_by_the_error_whether_it_exists": _PROBING,
        "network__ask_who_is_behind_the_frame_socket": _NUMBERS,
        "privileges__be_root": "the server's own user, of whose rights none is left",
        "processes__ask_for_the_session_of_the_server": _NUMBERS,
    },
    "monty": {"bridge__arguments_in_a_circle": "what contains itself is sent as the text of it, and ends there"},
}


def backend_of(name: str, folder: Path) -> Sandbox:
    """`folder` is for what the backend keeps; it must exist."""
    if name == "unsafe-process":
        return UnsafeProcess(folder=folder)
    if name == "monty":
        from toolweft_server.sandbox.backends.monty import MontySandbox

        return MontySandbox()
    return BwrapSandbox(folder=folder) if name == "bwrap" else LinuxSandbox(name, cache=folder)  # type: ignore[arg-type]

"""What a process holds: children, descriptors, mounts and memory, read from /proc; nothing is asked of the process."""

import gc
from contextlib import suppress
from pathlib import Path


def descendants(pid):
    """Command lines by number of all processes below `pid`; zombies too, as `zombie`."""
    found = {}
    for child in children(pid):
        found[child] = command(child)
        found |= descendants(child)
    return found


def children(pid):
    """Processes that `pid` has started and not reaped; none when it is gone."""
    found = set()
    with suppress(OSError):  # a process that is gone
        for thread in list(Path(f"/proc/{pid}/task").iterdir()):
            with suppress(OSError):  # a thread that has ended since
                found |= set(map(int, (thread / "children").read_text(encoding="ascii").split()))
    return found


def command(pid):
    """The command line in one string; empty for a process that is gone, `zombie` for one that nobody has reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
    return "zombie" if state == "Z" else words


def everywhere(word):
    """Numbers of the living processes of this machine whose command line has that word."""
    numbers = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    return {pid for pid in numbers if word in command(pid)}


def descriptors():
    gc.collect()  # what earlier tests left to the collector must not close in between
    return sorted(str(each.readlink()).partition(":")[0] for each in _open())


def _open():
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            each.readlink()
            yield each


def mounts():
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8")


def resident(pid="self"):
    """KiB of memory in use."""
    return _field(f"/proc/{pid}/status", "VmRSS:")


def proportional(pid):
    """KiB, pages that are shared counted in parts."""
    return _field(f"/proc/{pid}/smaps_rollup", "Pss:")


def _field(file, name):
    with open(file, encoding="ascii") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)  # a zombie has none

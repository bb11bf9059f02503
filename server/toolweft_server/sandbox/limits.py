"""The limits of a program, named, with the reason for each default. All are configurable and reported when hit."""

from __future__ import annotations

from dataclasses import dataclass, fields

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    wall: float = 30.0
    """Active time of one run: hosts show a spinner for about half a minute before people worry. A program that asks for
    another time (`timeout`) gets it, within `total` and `cpu`."""
    total: float = 900.0
    """One run including all waiting for tools and people; ends a program that waits for ever."""
    approval: float = 600.0
    """One question to a person: time to come back from a meeting; then the call is refused, within `total`."""
    cpu: float = 30.0
    """Processor time of one run; never stops counting."""
    session_cpu: int = 300
    """Processor time of a session's process, enforced by the kernel even if the parent is gone."""
    memory: int = 512 * MIB
    """Address space: numpy and pandas load within it, a runaway list does not take the laptop down."""
    file_size: int = 64 * MIB
    """One file: as large as the disk, so that only a smaller wish of the person's makes a difference."""
    disk: int = 64 * MIB
    """The work directory, in memory: a spreadsheet and a few pictures; sixteen full ones take 1 GiB."""
    inodes: int = 4096
    """Files and folders: each costs the kernel memory that no other limit counts."""
    open_files: int = 64
    """Three streams, the channel, and sixty for the program: pipes cost the kernel up to 64 KiB each, 4 MiB in all."""
    threads: int = 64
    """With a stack of 1 MiB each and two arenas of the C library they fit the address space."""
    stdout: int = 256 * KIB
    """Kept of stdout, and again of stderr; sixteen times as much ends the program (a print loop, not a report)."""
    value: int = MIB
    """JSON of the result; a bigger or unserialisable one comes back as its `repr`."""
    value_repr: int = 200_000
    """Characters of a `repr`: some thousand lines, which nobody reads further; JSON is the way for data."""
    error: int = 20_000
    """Characters of a message: a long traceback of a library; more is data that went the wrong way."""
    frame: int = 4 * MIB
    """One message from the child, whole in the parent's memory: times `sessions` at most 64 MiB at a time."""
    arguments: int = MIB
    """JSON of one call's arguments: MCP servers read requests whole, and many refuse more."""
    result: int = 4 * MIB
    """JSON of one call's result: what a page of a generous API holds; above it the call fails and says so."""
    pending_calls: int = 32
    """Calls in flight from one program; more wait in the pipe (back-pressure), they are not refused."""
    calls: int = 1000
    """Of one run: a hundred pages of a list with ten calls each; a loop that forgot to end reaches it in a second."""
    code: int = 200_000
    """Characters: twenty times the longest program that a model wrote for us."""
    sessions: int = 16
    """Side by side: at 4 MiB each while they wait (and what packages imported ahead take), and with `memory` full
    8 GiB, what a laptop has."""
    idle: float = 900.0
    """A session nobody used for this long is closed."""

    @classmethod
    def names(cls) -> frozenset[str]:
        return frozenset(each.name for each in fields(cls))

"""`Ends`: the frame socket and the two output pipes between us and a child, both ends of each."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass

from toolweft_server.errors import SandboxError


@dataclass(frozen=True, slots=True)
class Ends:
    channel: socket.socket
    """Ours, non-blocking."""
    outputs: tuple[int, int]
    """Read ends of stdout and stderr, non-blocking."""
    theirs: socket.socket
    writers: tuple[int, int]

    @classmethod
    def open(cls) -> Ends:
        """
        Raises:
            SandboxError: No descriptor is left.

        """
        with contextlib.ExitStack() as opened:
            try:
                ours, theirs = (opened.enter_context(each) for each in socket.socketpair())
                pipes = []
                for _ in range(2):
                    pipes.append(os.pipe())
                    for descriptor in pipes[-1]:
                        opened.callback(os.close, descriptor)
            except OSError as error:
                raise SandboxError(f"a program needs descriptors, and none is left: {error}") from error
            opened.pop_all()
        ours.setblocking(False)
        (out, out_writer), (err, err_writer) = pipes
        os.set_blocking(out, False)
        os.set_blocking(err, False)
        return cls(ours, (out, err), theirs, (out_writer, err_writer))

    def close_ours(self) -> None:
        self.channel.close()
        for descriptor in self.outputs:
            os.close(descriptor)

    def close_theirs(self) -> None:
        self.theirs.close()
        for descriptor in self.writers:
            os.close(descriptor)

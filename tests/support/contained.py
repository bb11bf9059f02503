"""Starts a command as a container with usual settings would: `python contained.py root|user COMMAND…`, by root.

No new namespaces, no mounts, and of root's rights those that Docker leaves; the user is 12345 and has none.
`root,mount` refuses nothing but `mount`.
"""

import errno
import os
import struct
import sys

from toolweft_server.sandbox.linux import libc, seccomp

USER = 12345
LEFT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
"""Numbers of the capabilities that Docker's containers have."""

REFUSED = {
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsmount": (432, 432),
    "mount_setattr": (442, 442),
}  # fmt: skip
"""On x86_64 and aarch64."""
CLONE, CLONE3 = (56, 220), (435, 435)
NAMESPACES = 0x7E020000
LOAD, EQUAL, ANY, RETURN, ALLOW, ERRNO = 0x20, 0x15, 0x45, 0x06, 0x7FFF0000, 0x50000


def rules(steps):
    arch = ("x86_64", "aarch64").index(libc.MACHINE)
    refuse = [(RETURN, 0, 0, ERRNO | errno.EPERM)]
    code = [(LOAD, 0, 0, 0)]
    for step in steps or REFUSED:
        numbers = REFUSED[step]
        code += [(EQUAL, 0, 1, numbers[arch]), *refuse]
    if not steps:
        code += [(EQUAL, 0, 1, CLONE3[arch]), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
        code += [(EQUAL, 0, 3, CLONE[arch]), (LOAD, 0, 0, 16), (ANY, 0, 1, NAMESPACES), *refuse]
    code += [(RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *each) for each in code)


def main(who, command):
    who, *steps = who.split(",")
    seccomp.install(rules(steps))  # while we may
    os.setgroups([])
    for capability in range(41):
        if capability not in LEFT:
            libc.prctl(libc.PR_CAPBSET_DROP, capability)
    if who == "user":
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

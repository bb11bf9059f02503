"""The part of the sandbox that confines: Linux, ctypes, standard library only, imports nothing of toolweft.

Runs in the child before any program does. `zygote` prepares a process once and forks sessions from it; `namespaces`
gives it a world of its own, `tree` says which files are in it; `lockdown` takes away everything else, with `landlock`
and `seccomp` as its last two walls. `libc` has the system calls that Python lacks.
"""

__all__: list[str] = []

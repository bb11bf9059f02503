"""The child: a fresh interpreter that runs programs, or a zygote that forks ones that do.

`python -I -S -B -X utf8 runner.py '{"fd": …, "parent": …, "rlimits": {…}}'`, started by path and never imported by the
server. Standard library only: what it needs stands in the folders `inside` and `linux` beside it, which are on the
import path for a moment only, so that programs see neither. How a child is started and confined is a backend's
business; what it may say is `frames`'s.
"""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    given = json.loads(sys.argv.pop())
    del sys.orig_argv[1:]  # programs need not know where the server is
    sys.path.insert(0, __file__.rpartition("/")[0])
    module, function = ("linux.zygote", "main") if "tier" in given else ("inside.main", "boot")
    start = getattr(importlib.import_module(module), function)
    if "walls" in given:
        importlib.import_module("linux.lockdown")
    del sys.path[0]
    start(given)

"""The child: a fresh interpreter that runs programs, started by path and never imported by the server.

`python -I -S -B -X utf8 runner.py '{"fd": …, "parent": …, "rlimits": {…}}'`. Standard library only: what it needs
stands in the folder `inside` beside it, which is on the import path for a moment only, so that programs see neither.
How a child is started and confined is a backend's business; what it may say is `frames`'s.
"""

from __future__ import annotations

import importlib
import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0])
    boot = importlib.import_module("inside.main").boot
    del sys.path[0]
    boot(sys.argv.pop())

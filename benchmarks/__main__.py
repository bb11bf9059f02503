"""`python -m benchmarks [NAME …]`: runs the benchmarks of these names, or all quick ones, one after another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import resources

QUICK = ("handshake", "tokens", "search", "retrieval", "execute", "memory")
ENCODING: Mapping[str, Sequence[str]] = {
    "fusion": (),
    "codes": ("sets",),
    "usage": (),
    "ablations": (),
    "changing": (),
    "toolbench": (),
    "written": (),
}
"""Those that encode whole catalogues, and with which arguments; they run when they are named."""
OTHERS: Mapping[str, Sequence[str]] = {"agent": ("restbench",), "large": (), "size": ()}
"""Those that take minutes for another reason, and with which arguments; they run when they are named."""
NAMES = (*QUICK, *ENCODING, *OTHERS)


def command(name: str) -> list[str]:
    called = [sys.executable, "-m", f"benchmarks.{name}"]
    if name not in ENCODING:
        return [*called, *OTHERS.get(name, ())]
    encoder = resources.files("toolweft_server") / "weights" / "encoder"
    return [*called, *ENCODING[name], "--encoder", str(encoder)]


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    codes = []
    for name in names or QUICK:
        print(f"\n== {name}", flush=True)
        codes.append(subprocess.run(command(name), check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m benchmarks [NAME …]`: runs the benchmarks of these names, or all of them, one after another."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("handshake", "tokens", "search", "retrieval", "execute", "memory")


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    codes = []
    for name in names or NAMES:
        print(f"\n== {name}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

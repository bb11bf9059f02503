"""What `pip install` of this checkout adds to an empty environment: bytes of files, with and without byte-code."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks import machine

CHECKOUT = Path(__file__).parent.parent


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file's bytes and bytes on disk."""
    return {str(each.relative_to(folder)): _sizes(each) for each in folder.rglob("*") if each.is_file()}


def _sizes(file: Path) -> tuple[int, int]:
    info = file.lstat()
    return info.st_size, getattr(info, "st_blocks", 0) * 512


def measure() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([sys.executable, "-m", "venv", name], check=True)
        environment = Path(name)
        python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
        before = files(environment)
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *quiet, str(CHECKOUT)], check=True, stderr=subprocess.DEVNULL)
        added = {path: size for path, size in files(environment).items() if before.get(path, (None,))[0] != size[0]}
    packages: Counter[str] = Counter()
    for path, (size, _) in added.items():
        if found := re.search(r"site-packages/([^/]+)", path):
            packages[re.split(r"[.-]", found[1])[0]] += size
    return {
        "mb": _mb(size for size, _ in added.values()),
        "mb_on_disk": _mb(size for _, size in added.values()),
        "mb_without_byte_code": _mb(size for path, (size, _) in added.items() if not path.endswith(".pyc")),
        "files": len(added),
        "largest_mb": {each: round(size / 1e6, 1) for each, size in packages.most_common(10)},
    }


def _mb(sizes: Iterable[int]) -> float:
    return round(sum(sizes) / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    figures = measure()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print(machine.line())
    for name, value in figures.items():
        print(f"{name:22}  {value}")


if __name__ == "__main__":
    main()

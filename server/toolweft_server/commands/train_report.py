"""Writes a page about a woven catalogue: how its codes are used, what they say, and a map of its tools.

The page is one file that needs nothing else and fetches nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from toolweft_server.commands.opened import show

HELP = "a page about the codes in a folder"
EXAMPLES = """\
  toolweft train report ./woven
  toolweft train report ./woven -o report.html --json
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="what `toolweft train tokenize` wrote")
    parser.add_argument("-o", "--out", metavar="FILE", help="where the page goes (default: report.html in the folder)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    from toolweft_server.training import artefact, measured, report

    folder = Path(args.folder)
    woven = artefact.load(folder)
    known = measured.load(folder, woven.digests)
    out = Path(args.out) if args.out else folder / "report.html"
    artefact.replace_file(out, report.page(woven, known).encode("utf-8"))
    if args.json:
        show({"page": str(out), **report.numbers(woven, known)})
    else:
        print(f"{len(woven.tools)} tools: {out}")
    return 0

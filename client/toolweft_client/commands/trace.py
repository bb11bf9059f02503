"""`toolweft trace`: what an agent run did, as a tree."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.tree import Tree

    from toolweft_client.trace import Step

EXAMPLES = """\
examples:
  toolweft trace list
  toolweft trace show                       the latest run
  toolweft trace show 20261121-0503         by the beginning of its name
  toolweft trace show run.jsonl --full      a file, with prompts, replies and programs
  toolweft trace show --json                its steps as a JSON list
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("action", choices=["list", "show"])
    parser.add_argument("which", nargs="?", default="last", help="last, a file, or the beginning of a trace's name")
    parser.add_argument("--full", action="store_true", help="prompts, replies, programs and outputs, too")
    parser.add_argument("--limit", type=int, default=20, help="rows of the list (default: 20)")
    parser.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from toolweft_client.errors import TraceError

    try:
        return _list(args) if args.action == "list" else _show(args)
    except TraceError as error:
        print(f"toolweft trace: {error}", file=sys.stderr)
        return 1


def _list(args: argparse.Namespace) -> int:
    from toolweft_client.progress import plain

    rows = [_row(path) for path in reversed(_files()[-max(1, args.limit) :])]
    if args.json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    if not rows:
        print("No traces yet; `toolweft ask` writes one for each task.")
        return 0
    for row in rows:
        print(plain(f"{row['name']}  {row['status']:<11}  {row['task']}"))
    return 0


def _row(path: Path) -> dict[str, str]:
    from toolweft_client.errors import TraceError
    from toolweft_client.trace import read

    try:
        steps = read(path)
    except TraceError as error:
        return {"name": path.stem, "status": "unreadable", "task": str(error), "path": str(path)}
    status = str(steps[-1].data.get("status")) if steps[-1].event == "task.end" else "unfinished"
    task = " ".join(str(steps[0].data.get("task", "")).split())
    return {"name": path.stem, "status": status, "task": task[:80], "path": str(path)}


def _show(args: argparse.Namespace) -> int:
    from toolweft_client.trace import read

    steps = read(path_of(args.which))
    if args.json:
        print(json.dumps([step.json() for step in steps], ensure_ascii=False, indent=2))
        return 0
    from rich.console import Console

    Console(highlight=False).print(tree(steps, full=args.full))
    return 0


def path_of(which: str) -> Path:
    """A file, `last`, or the only trace whose name begins so."""
    from toolweft_client.errors import TraceError

    if Path(which).is_file():
        return Path(which)
    files = _files()
    if which == "last" and files:
        return files[-1]
    found = [path for path in files if path.stem.startswith(which)]
    if len(found) == 1:
        return found[0]
    told = f"{len(found)} traces begin with {which!r}" if found else f"there is no trace {which!r}"
    raise TraceError(f"{told[0].upper()}{told[1:]}; see `toolweft trace list`.")


def _files() -> list[Path]:
    from toolweft_client.trace import folder

    return sorted(folder().glob("*.jsonl"))


def tree(steps: Sequence[Step], *, full: bool = False) -> Tree:
    """The steps as a tree: stages under the task, everything else under its stage."""
    from rich.text import Text
    from rich.tree import Tree

    from toolweft_client.progress import describe, plain

    root = Tree(Text(plain(str(steps[0].data.get("task", "task"))), style="bold"))
    nodes = {steps[0].seq: root}
    answered = {step.data.get("execution") for step in steps if step.event == "run"}
    for step in steps[1:]:
        above = nodes.get(step.parent or 0, root)
        if step.event == "stage":
            nodes[step.seq] = above.add(Text(f"{step.stage}  {step.ms / 1000:.1f} s"))
        elif step.event == "begin":
            # What came of it is told by its `run`; without one, this is all that is known.
            if step.data.get("execution") not in answered:
                above.add(Text(_sent(step)))
        elif step.event == "task.end":
            root.add(Text(plain(_end(step))))
        elif line := describe(step) or (f"{step.event} ok" if full else ""):
            nodes[step.seq] = above.add(Text(line))
            for title, text in _details(step) if full else ():
                nodes[step.seq].add(Text(plain(f"{title}\n{text}"), style="dim"))
    if steps[-1].event != "task.end":
        root.add(Text("unfinished: the process ended here"))
    return root


def _details(step: Step) -> list[tuple[str, str]]:
    messages = step.data.get("messages")
    shown = [(str(each.get("role")), str(each.get("text"))) for each in messages or () if isinstance(each, dict)] \
        if isinstance(messages, list) else []  # fmt: skip
    return shown + [
        (key, str(step.data[key])) for key in ("reply", "program", "value", "stdout", "stderr") if step.data.get(key)
    ]


def _sent(step: Step) -> str:
    before = f", as a retry of {step.data['retry_of']}" if step.data.get("retry_of") else ""
    return f"sent as {step.data.get('execution')}{before}; what came of it is not in this trace"


def _end(step: Step) -> str:
    spent = step.data.get("spent")
    cost = ", ".join(f"{key} {value}" for key, value in spent.items()) if isinstance(spent, dict) else ""
    reason = f" ({step.data['reason']})" if step.data.get("reason") else ""
    return f"{step.data.get('status')}{reason}: {step.data.get('text')}\n{cost}"

"""`toolweft run FILE|-`: a program against the person's tools, as `execute_code` would run it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolweft_server.commands.opened import add_common, show, with_app

if TYPE_CHECKING:
    from toolweft_server.app import App


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a Python file, or - for standard input")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="the program's own time")
    parser.add_argument("--retry-of", metavar="ID", help="an earlier execution: calls it finished are not repeated")
    add_common(parser)
    parser.epilog = (
        "examples:\n  toolweft run report.py\n  echo 'tools.text.word_count(text=\"two words\")' | toolweft run -"
    )


def run(args: argparse.Namespace) -> int:
    try:
        code = sys.stdin.read() if args.file == "-" else Path(args.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"toolweft run: {args.file!r} cannot be read: {error}", file=sys.stderr)
        return 2

    async def execute(app: App) -> int:
        from toolweft_server.serving import Asker

        async def report(_done: float, _total: float | None, message: str | None) -> None:
            print(f"… {message or 'working'}", file=sys.stderr)

        arguments = {"code": code, "timeout": args.timeout, "retry_of": args.retry_of}
        arguments = {name: value for name, value in arguments.items() if value is not None}
        reply = await app.execute_code(arguments, Asker("local", "cli", "cli"), report)
        while reply.structured["status"] == "waiting":
            again = {**arguments, "retry_of": reply.structured["id"]}
            reply = await app.execute_code(again, Asker("local", "cli", "cli"), report)
        if args.json:
            show(reply.structured)
        else:
            print(reply.text)
        return 1 if reply.is_error else 0

    return with_app(args, execute)

"""`toolweft run FILE|-`: a program against the person's tools, as `execute_code` would run it."""

from __future__ import annotations

import argparse
import base64
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
    parser.add_argument(
        "--file", metavar="[NAME=]PATH", action="append", default=[], dest="files",
        help="a file for the program's work directory, under its own name or another; may be repeated",
    )  # fmt: skip
    add_common(parser)
    parser.epilog = (
        "examples:\n  toolweft run report.py\n  toolweft run report.py --file ~/sales.csv --file old.csv=/tmp/x.csv\n"
        "  echo 'tools.text.word_count(text=\"two words\")' | toolweft run -"
    )


def run(args: argparse.Namespace) -> int:
    try:
        code = sys.stdin.read() if args.file == "-" else Path(args.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"toolweft run: {args.file!r} cannot be read: {error}", file=sys.stderr)
        return 2

    async def execute(app: App) -> int:
        from toolweft_catalog.wire import Execution
        from toolweft_server.parts import sandbox_limits
        from toolweft_server.sandbox.base import FileIn
        from toolweft_server.serving import Asker

        try:
            most = sandbox_limits(app.config).disk
            files = {FileIn(name, b"").name: _data(path, most) for name, path in map(_named, args.files)}
        except (OSError, ValueError) as error:
            print(f"toolweft run: --file: {error}", file=sys.stderr)
            return 2

        async def report(_done: float, _total: float | None, message: str | None) -> None:
            print(f"… {message or 'working'}", file=sys.stderr)

        arguments = {"code": code, "timeout": args.timeout, "retry_of": args.retry_of, "files": files}
        arguments = {name: value for name, value in arguments.items() if value is not None}
        reply = await app.execute_code(arguments, Asker("local", "cli", "cli"), report)
        while reply.structured["status"] == "waiting":
            again = {**arguments, "retry_of": reply.structured["id"]}
            reply = await app.execute_code(again, Asker("local", "cli", "cli"), report)
        if args.json:
            show(Execution.model_validate(reply.structured).model_dump(mode="json"))
        else:
            print(reply.text)
        return 1 if reply.is_error else 0

    return with_app(args, execute)


def _named(text: str) -> tuple[str, Path]:
    """`NAME=PATH`, or a path alone, which exists as it is written."""
    name, given, path = text.partition("=")
    if given and name and not Path(text).expanduser().exists():
        return name, Path(path).expanduser()
    return Path(text).name, Path(text).expanduser()


def _data(path: Path, most: int) -> str:
    """A file as a `data:` URI: how `execute_code` takes bytes.

    Raises:
        OSError: It cannot be read, is no file, or is larger than `most`.

    """
    if not path.is_file():
        raise OSError(f"there is no file {str(path)!r}" if not path.exists() else f"{str(path)!r} is no regular file")
    if path.stat().st_size > most:
        raise OSError(f"{str(path)!r} has {path.stat().st_size} bytes, {most} are allowed (limit `disk`)")
    return f"data:;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"

"""`toolweft purge`: deletes what executions left behind, or packages for programs. Functions and manifests stay."""

from __future__ import annotations

import argparse
import sys

from toolweft_server.commands.opened import add_common, show


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=float, default=7.0, metavar="N", help="keep executions this young (default 7)")
    parser.add_argument("--all", action="store_true", help="delete every execution")
    parser.add_argument(
        "--packages", action="store_true",
        help="delete instead the package environments that no server used for so long; they are installed anew when "
        "a configuration asks for them",
    )  # fmt: skip
    add_common(parser)
    parser.epilog = "examples:\n  toolweft purge\n  toolweft purge --all --json\n  toolweft purge --packages"


def run(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.errors import ConfigError, ToolweftError
    from toolweft_server.store.store import Store

    if args.days < 0:
        print(f"toolweft purge: --days must not be negative, not {args.days:g}", file=sys.stderr)
        return 2
    days = 0 if args.all else args.days
    if args.packages:
        return _packages(days, args.json)
    try:
        with Store.open(configuration.load(args.config).store) as store:
            gone = store.executions.purge(days=days)
    except ToolweftError as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    if args.json:
        show({"executions": gone.executions, "bytes": gone.bytes})
    else:
        print(f"deleted {gone.executions} executions, {gone.bytes} bytes")
    return 0


def _packages(days: float, as_json: bool) -> int:
    from toolweft_server.sandbox.packages import remove

    try:
        gone = remove(days=days)
    except OSError as error:
        print(f"toolweft: package environments could not be deleted: {error}", file=sys.stderr)
        return 1
    if as_json:
        show({"environments": gone.environments, "bytes": gone.bytes})
    else:
        print(f"deleted {gone.environments} package environments, {gone.bytes} bytes")
    return 0

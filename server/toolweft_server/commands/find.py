"""`toolweft find QUERY`: what `find_tools` answers, in the terminal."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from toolweft_server.commands.opened import add_common, show, with_app

if TYPE_CHECKING:
    from toolweft_server.app import App

PATIENCE = 10.0
"""Seconds for the vectors of new tools; without them words rank, and the answer says so."""
AT_ONCE = 150
"""New tools whose vectors take two seconds at most."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", nargs="+", help="what the tool should do, or its name")
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="how many stubs (1 to 50, default 5)")
    parser.add_argument("--server", metavar="NAME", help="only this server")
    parser.add_argument("--full", action="store_true", help="whole schemas and documentation")
    add_common(parser)
    parser.epilog = (
        "examples:\n"
        "  toolweft find create an issue\n"
        "  toolweft find git_log --full\n"
        "  toolweft find 'convert time zones' --server time --json"
    )


def run(args: argparse.Namespace) -> int:
    async def find(app: App) -> int:
        import anyio

        from toolweft_server.serving import Asker
        from toolweft_server.weaving import Weaver

        await app.live.settled(app.limits["manifest_wait"])
        if (new := app.live.index.unfinished()) > AT_ONCE:
            print(f"… {new} tools are new and are encoded, for {PATIENCE:g} seconds at most", file=sys.stderr)
        with anyio.move_on_after(PATIENCE) as patience:
            await Weaver(app.live).finish()  # what a server does beside its answers
        if patience.cancelled_caught:
            await app.live.save()
        arguments = {"query": " ".join(args.query), "limit": args.limit, "detail": "full" if args.full else "signature"}
        if args.server:
            arguments["server"] = args.server
        reply = await app.find_tools(arguments, Asker("local", "cli", "cli"))
        if args.json:
            show(reply.structured)
        else:
            print(reply.text)
        return 0 if reply.structured["tools"] else 1

    if not 1 <= args.limit <= 50:
        raise SystemExit(f"toolweft find: --limit must be 1 to 50, not {args.limit}")
    return with_app(args, find)

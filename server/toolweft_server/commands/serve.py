"""`toolweft serve`: the MCP server, over stdio for the hosts of this machine, or over HTTP."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anyio

    from toolweft_server.config import Config

NOT_ISOLATED = "programs run with your own rights: the configuration asks for the backend `unsafe-process`"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="PATH", help="configuration (default: toolweft.json in the config folder)")
    parser.add_argument("--http", metavar="[HOST:]PORT", help="serve streamable HTTP instead of stdio")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable with the token to ask for")
    parser.add_argument(
        "--allow-host", metavar="NAME", action="append", default=[], help="a name it is reached by (HTTP)"
    )
    parser.add_argument(
        "--accept-functions", action="store_true", help="others may publish functions to it, which wait as candidates"
    )
    parser.add_argument("--verbose", action="store_true", help="log every step to stderr")
    parser.epilog = (
        "examples:\n"
        "  toolweft serve                                  what a host starts\n"
        "  toolweft serve --config ~/.mcp.json             with another host's file, as it is\n"
        "  toolweft serve --http 8808                      http://127.0.0.1:8808/mcp\n"
        "  toolweft serve --http 0.0.0.0:8808 --token-env TOOLWEFT_TOKEN\n"
        "  toolweft serve --http 8808 --accept-functions   for `toolweft functions publish http://…`"
    )


def run(args: argparse.Namespace) -> int:
    from toolweft_server.errors import ToolweftError

    # stdout belongs to the protocol; everything for people goes to stderr.
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if args.verbose else logging.WARNING,
        format="toolweft %(levelname)s: %(message)s",
    )
    try:
        return _serve(args)
    except ToolweftError as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2


def _serve(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.errors import ConfigError

    config = configuration.load(args.config)
    for problem in config.problems:
        print(f"toolweft: {problem.server}: {problem.message}", file=sys.stderr)
    if config.sandbox.backend == "unsafe-process":
        print(f"toolweft: {NOT_ISOLATED}", file=sys.stderr)
    if args.accept_functions and not args.http:
        raise ConfigError("--accept-functions goes with --http: over stdio nobody else can send any")
    return _over_http(args, config) if args.http else _over_stdio(config)


def _over_stdio(config: Config) -> int:
    import anyio

    anyio.run(_stdio, config)
    return 0


async def _stdio(config: Config) -> None:
    import secrets
    import signal

    import anyio

    from toolweft_server import serving
    from toolweft_server.runtime import Lazy
    from toolweft_server.stdio import stdio

    server = serving.build(
        Lazy(config), servers=names(config), packages=packages(config), connection=secrets.token_hex(4)
    )

    async def stop_on_signal(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                scope.cancel()
                return

    async with stdio() as (incoming, outgoing), anyio.create_task_group() as tasks:
        if sys.platform != "win32":
            tasks.start_soon(stop_on_signal, tasks.cancel_scope)
        await server.run(incoming, outgoing, serving.options(server))
        tasks.cancel_scope.cancel()


def _over_http(args: argparse.Namespace, config: Config) -> int:
    import uvicorn

    from toolweft_server import http, serving
    from toolweft_server.runtime import Lazy

    wanted = http.address(args.http)
    secret = http.token(args.token_env, wanted)
    listener, where = http.listen(wanted)
    server = serving.build(
        Lazy(config),
        servers=names(config),
        packages=packages(config),
        owner=http.owner(secret),
        accepts=args.accept_functions,
    )
    application = http.app(server, where, secret=secret, hosts=args.allow_host)
    print(f"toolweft: serving {where.url}", file=sys.stderr, flush=True)
    level = "info" if args.verbose else "warning"
    uvicorn.Server(uvicorn.Config(application, log_level=level, timeout_graceful_shutdown=5)).run(sockets=[listener])
    return 0


def packages(config: Config) -> Sequence[str]:
    """What programs may import beside the standard library; Monty imports nothing."""
    from toolweft_server.sandbox import platforms

    backend = config.sandbox.backend
    tiers = platforms.order(sys.platform) if backend == "auto" else (backend,)
    return [] if tiers == ("monty",) else config.sandbox.packages


def names(config: Config) -> list[str]:
    """The servers that the instructions name: the configured ones, then catalogues that were read from files."""
    from toolweft_server.store import sources

    stored = [each.name for each in sources.read(config.store) if each.kind == "toolbench"]
    return [*config.servers, *(name for name in stored if name not in config.servers)]

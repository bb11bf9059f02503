"""`with_app`: a command's work over an opened app, with the failures that a person can mend told in one line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolweft_server.app import App


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="PATH", help="configuration (default: toolweft.json in the config folder)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def with_app(args: argparse.Namespace, work: Callable[[App], Awaitable[int]]) -> int:
    """Runs `work` and returns its exit code: 1 when the product failed, 2 when the configuration is wrong."""
    import anyio

    from toolweft_server import config as configuration
    from toolweft_server.errors import ConfigError, ToolweftError, innermost

    async def opened() -> int:
        from toolweft_server.app import App

        async with App.open(configuration.load(args.config)) as app:
            if app.live.reading:
                print(f"… reading the tools of {', '.join(sorted(app.live.reading))}", file=sys.stderr)
            return await work(app)

    try:
        return anyio.run(opened)
    except (ToolweftError, BaseExceptionGroup) as raised:
        error = innermost(raised)
        if not isinstance(error, ToolweftError):
            raise
        print(f"toolweft: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def show(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))

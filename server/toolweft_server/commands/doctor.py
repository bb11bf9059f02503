"""`toolweft doctor`: every configured server tried, each failure with its cause and its remedy."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from toolweft_server.commands.opened import add_common, show

if TYPE_CHECKING:
    from toolweft_server.config import Config


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", nargs="?", choices=["servers", "sandbox"], default="servers", help="what to look at")
    parser.add_argument(
        "--fresh", action="store_true", help="sandbox: check again, instead of showing what was found since this boot"
    )
    add_common(parser)
    parser.epilog = (
        "Exit code 0 when everything works, 1 when something does not, 2 when the configuration cannot be read.\n\n"
        "examples:\n  toolweft doctor\n  toolweft doctor sandbox\n  toolweft doctor sandbox --fresh\n"
        "  toolweft doctor --config ~/.mcp.json --json"
    )


def run(args: argparse.Namespace) -> int:
    import anyio

    from toolweft_server import config as configuration
    from toolweft_server.errors import ToolweftError

    try:
        config = configuration.load(args.config)
    except ToolweftError as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2
    if args.part == "sandbox":
        from toolweft_server.commands import sandbox_report

        report = anyio.run(sandbox_report.of_configuration, config, args.fresh)
        lines = sandbox_report.lines
    else:
        report, lines = anyio.run(_servers, config), _lines
    if args.json:
        show(report)
    else:
        print("\n".join(lines(report)))
    return 0 if report["ok"] else 1


async def _servers(config: Config) -> dict[str, Any]:
    import anyio

    from toolweft_server.parts import upstreams_of
    from toolweft_server.upstream.diagnose import diagnose

    upstreams, _ = upstreams_of(config)
    rows: list[dict[str, Any]] = []
    limiter = anyio.CapacityLimiter(4)

    async def one(name: str) -> None:
        async with limiter:
            found = await diagnose(upstreams[name])
            await upstreams[name].aclose()
        rows.append({
            "server": name, "ok": found.ok, "tools": found.tools, "cause": found.cause, "message": found.message,
            "fix": found.fix, "problems": list(found.problems), "protocol": found.protocol,
            "seconds": round(found.seconds, 2),
        })  # fmt: skip
        print(f"… {name}: {'ok' if found.ok else found.cause}", file=sys.stderr)

    async with anyio.create_task_group() as tasks:
        for name in upstreams:
            tasks.start_soon(one, name)
    left_out = [{"server": p.server, "message": p.message, "skipped": p.skipped} for p in config.problems]
    store = await anyio.to_thread.run_sync(_store, config)
    ok = all(row["ok"] for row in rows) and all(each["skipped"] for each in left_out) and store["ok"]
    return {
        "ok": ok,
        "config": str(config.path) if config.path else None,
        "store": store,
        "servers": sorted(rows, key=lambda row: str(row["server"])),
        "left_out": left_out,
    }


def _store(config: Config) -> dict[str, Any]:
    from toolweft_server.errors import StoreError
    from toolweft_server.store.store import Store

    try:
        with Store.open(config.store) as store:
            return {"ok": True, "path": str(config.store), "tools": len(store.manifests.catalog()), "message": ""}
    except StoreError as error:
        return {"ok": False, "path": str(config.store), "tools": 0, "message": str(error)}


def _lines(report: dict[str, Any]) -> list[str]:
    lines = [f"configuration: {report['config'] or 'none (the everyday tools are used)'}"]
    store = report["store"]
    lines.append(f"{_mark(store['ok'])} store {store['path']}: {store['message'] or str(store['tools']) + ' tools'}")
    for row in report["servers"]:
        told = f"{row['tools']} tools, {row['protocol']}" if row["ok"] else f"{row['cause']}: {row['message']}"
        lines.append(f"{_mark(row['ok'])} {row['server']}: {told} ({row['seconds']} s)")
        if row["fix"]:
            lines.append(f"    → {row['fix']}")
        lines += [f"    note: {problem}" for problem in row["problems"]]
    lines += [
        f"{'-' if row['skipped'] else _mark(False)} {row['server']}: {row['message']}" for row in report["left_out"]
    ]
    return lines


def _mark(is_ok: bool) -> str:
    return "ok  " if is_ok else "FAIL"

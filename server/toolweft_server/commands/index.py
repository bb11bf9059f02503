"""`toolweft index status|rebuild`: the search index beside the store."""

from __future__ import annotations

import argparse
import shutil
import sys
import time

from toolweft_server.commands.opened import add_common, show


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["status", "rebuild"])
    add_common(parser)
    parser.epilog = "examples:\n  toolweft index status\n  toolweft index rebuild --json"


def run(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.errors import ConfigError, ToolweftError
    from toolweft_server.index.saved import SavedIndex
    from toolweft_server.store.store import Store

    try:
        config = configuration.load(args.config)
        with Store.open(config.store) as store:
            catalog = store.manifests.catalog()
            saved = SavedIndex.beside(store.path)
            folder = saved.folder
            current = saved.current(catalog) is not None
            started = time.perf_counter()
            if args.action == "rebuild":
                shutil.rmtree(folder, ignore_errors=True)
                print(f"… indexing {len(catalog)} tools", file=sys.stderr)
                saved.open(catalog)
                current = True
            seconds = time.perf_counter() - started
    except ToolweftError as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) if folder.is_dir() else 0
    result = {"index": "lexical", "tools": len(catalog), "current": current, "folder": str(folder), "bytes": size}
    if args.action == "rebuild":
        result["seconds"] = round(seconds, 2)
    if args.json:
        show(result)
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))
    return 0

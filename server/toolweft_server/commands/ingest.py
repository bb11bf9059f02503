"""`toolweft ingest FILE`: a catalogue from a file into the store, where `find_tools` searches it."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toolweft_server.commands.opened import add_common, show

if TYPE_CHECKING:
    from toolweft_catalog.ingest.base import Ingested

FORMATS = ("mcp", "openapi", "python", "toolbench")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="tools/list result, OpenAPI document, Python module, or ToolBench JSON")
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--name", metavar="NAME", help="name of the catalogue (default: the file's)")
    parser.add_argument("--remove", action="store_true", help="take the catalogue of this name out again")
    add_common(parser)
    parser.epilog = (
        "Ingested tools are found and shown. They can be called when a server of that name is configured.\n\n"
        "examples:\n"
        "  toolweft ingest tools.jsonl.gz --format toolbench\n"
        "  toolweft ingest petstore.yaml --format openapi --name petstore"
    )


def run(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.errors import ConfigError, ToolweftError
    from toolweft_server.index.saved import SavedIndex
    from toolweft_server.live import INGESTED
    from toolweft_server.store.store import Store

    path = Path(args.file)
    name = args.name or path.name.split(".")[0]
    try:
        config = configuration.load(args.config)
        with Store.open(config.store) as store:
            if args.remove:
                delta, problems = store.manifests.remove(name), []
            else:
                print(f"… reading {path.name}", file=sys.stderr)
                found, digest = read(path, format=args.format, name=name)
                problems = list(found.problems)
                print(f"… storing {len(found.tools)} tools", file=sys.stderr)
                delta = store.manifests.write(name, f"{INGESTED}:{digest}", found.tools, problems=problems)
            print("… indexing", file=sys.stderr)
            index = SavedIndex.beside(store.path).open(store.manifests.catalog())
    except ToolweftError as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    result = {
        "name": name, "added": len(delta.added), "changed": len(delta.changed), "removed": len(delta.removed),
        "catalogue": len(index), "problems": problems,
    }  # fmt: skip
    if args.json:
        show(result)
    else:
        print(f"{name}: {len(delta.added)} added, {len(delta.changed)} changed, {len(delta.removed)} removed; "
              f"{len(index)} tools in all")  # fmt: skip
        print("\n".join(f"  note: {problem}" for problem in problems[:20]), end="\n" if problems else "")
    return 0


def read(path: Path, *, format: str, name: str) -> tuple[Ingested, str]:  # noqa: A002 - the option's name
    """The tools of a file, and the digest of its bytes.

    Raises:
        ConfigError: It cannot be read, or is not what the format says.

    """
    import hashlib
    import importlib

    from toolweft_server.errors import ConfigError

    ingest = importlib.import_module(f"toolweft_catalog.ingest.{format}")
    try:
        if format == "python":
            return ingest.tools(importlib.import_module(str(path)), server=name), name
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
        document = json.loads(text) if format == "mcp" else text
        return ingest.tools(document, server=name), hashlib.sha256(raw).hexdigest()[:16]
    except (OSError, EOFError, ValueError, ImportError) as error:
        raise ConfigError(f"{str(path)!r} cannot be ingested as {format}: {error}") from error

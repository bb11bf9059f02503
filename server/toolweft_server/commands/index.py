"""`toolweft index status|rebuild|explain|learn|ab|rollback`: the search index, and what it has learned from use."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from toolweft_server.commands.opened import add_common, show, with_app

if TYPE_CHECKING:
    from toolweft_catalog.catalog import Catalog
    from toolweft_server.app import App
    from toolweft_server.config import Config
    from toolweft_server.index.saved import SavedIndex
    from toolweft_server.store.store import Store
    from toolweft_server.store.usage import Followed

ACTIONS = ("status", "rebuild", "explain", "learn", "ab", "rollback")
MOST_SHOWN = 20


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("query", nargs="*", help="for explain: the request")
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="explain: how many tools (default 5)")
    parser.add_argument(
        "--to", metavar="DATE", help="rollback: forget what was learned since then (2026-11-30, or with T12:00)"
    )
    parser.add_argument("--all", action="store_true", help="rollback: forget everything learned")
    parser.add_argument("--yes", action="store_true", help="rollback: do it; without it, only say what would go")
    add_common(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "status    what is indexed, and whether it is current\n"
        "rebuild   makes the index anew\n"
        "explain   why tools are found for a request, part by part\n"
        "learn     what past requests and calls have taught, tool by tool\n"
        "ab        how two rankings compare on real requests\n"
        "rollback  forgets what was learned\n\n"
        "examples:\n"
        "  toolweft index status\n"
        "  toolweft index rebuild --json\n"
        "  toolweft index explain create an issue --limit 3\n"
        "  toolweft index learn\n"
        "  toolweft index rollback --to 2026-11-30 --yes"
    )


def run(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.errors import ConfigError, ToolweftError
    from toolweft_server.store.store import Store

    if complaint := _complaint(args):
        print(f"toolweft index: {complaint}", file=sys.stderr)
        return 2
    if args.action == "explain":
        return with_app(args, lambda app: _explain(app, args))
    work = {"learn": _learn, "ab": _ab, "rollback": _rollback}.get(args.action, _folder)
    try:
        config = configuration.load(args.config)
        with Store.open(config.store) as store:
            result, lines = work(args, config, store)
    except ToolweftError as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    if args.json:
        show(result)
    else:
        print("\n".join(lines))
    return 0


def _complaint(args: argparse.Namespace) -> str | None:
    if bool(args.query) != (args.action == "explain"):
        return f"{args.action} takes no request" if args.query else "explain needs a request, such as: create an issue"
    if not 1 <= args.limit <= 50:
        return f"--limit must be 1 to 50, not {args.limit}"
    if args.action == "rollback" and bool(args.to) == args.all:
        return "rollback needs either --to DATE or --all"
    if args.to and _moment(args.to) is None:
        return f"--to must be a date such as 2026-11-30 or 2026-11-30T12:00, not {args.to!r}"
    return None


def _moment(date: str) -> float | None:
    """Seconds since 1970; a date without a zone is local time. `None` when it is no date."""
    try:
        return datetime.fromisoformat(date).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


Shown = tuple[dict[str, Any], list[str]]
"""The answer as JSON, and as lines."""


def _folder(args: argparse.Namespace, config: Config, store: Store) -> Shown:
    from toolweft_server.index.saved import SavedIndex

    catalog = store.manifests.catalog()
    saved = SavedIndex.beside(store.path)
    folder = saved.folder
    current = saved.current(catalog) is not None
    woven = config.index.kind == "woven"
    started = time.perf_counter()
    if args.action == "rebuild":
        shutil.rmtree(folder, ignore_errors=True)
        print(f"… indexing {len(catalog)} tools", file=sys.stderr)
        if woven:
            _weave(config, saved, catalog)
        else:
            saved.open(catalog)
        current = True
    seconds = time.perf_counter() - started
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) if folder.is_dir() else 0
    result: dict[str, Any] = {
        "index": config.index.kind, "tools": len(catalog), "current": current, "folder": str(folder), "bytes": size,
    }  # fmt: skip
    if woven:
        result |= _woven(config, saved, catalog, store)
    if args.action == "rebuild":
        result["seconds"] = round(seconds, 2)
    return result, [f"{name}: {value}" for name, value in result.items()]


def _weave(config: Config, saved: SavedIndex, catalog: Catalog) -> None:
    """The whole woven index, every vector computed anew."""
    from toolweft_server.index.woven.kind import WovenKind

    kind = WovenKind(saved, without=config.index.without)
    index = kind.open(catalog)
    while left := index.unfinished():
        print(f"… {left} tools have no vector yet", file=sys.stderr)
        index = index.further()
        if index.unfinished() >= left:
            break  # the encoder gave up, and its warning said why
    kind.save(index)


def _woven(config: Config, saved: SavedIndex, catalog: Catalog, store: Store) -> dict[str, Any]:
    """What a woven index has beyond words: vectors, how much each part counts, and what was learned."""
    from toolweft_server.errors import ToolweftError
    from toolweft_server.index.woven.engine import Engine
    from toolweft_server.index.woven.fusion import WEIGHTS

    weights: dict[str, float] = asdict(WEIGHTS) | dict.fromkeys(config.index.without, 0.0)
    held = store.uses.learned()
    learned = f"from {held.calls} calls and {held.executions} executions" if config.index.learn else "off"
    found = {"weights": weights, "learned": learned}
    try:
        engine = Engine.shipped(saved.folder)
    except ToolweftError as error:
        return {"encoder": None, "vectors": 0, "problem": str(error), **found}
    vectors = int(engine.cache.get([card.digest for card in catalog]).have.sum())
    return {"encoder": engine.encoder.digest, "vectors": vectors, **found}


async def _explain(app: App, args: argparse.Namespace) -> int:
    from toolweft_server.index.woven.explain import Explains, of_matches, render, to_json

    query = " ".join(args.query)
    await app.live.settled(app.limits["manifest_wait"])
    if app.live.index.unfinished():
        await app.live.further()  # a server would have done so by now
    await app.using.learn()
    index = app.live.index
    if isinstance(index, Explains):
        found = await app.live.thread(index.explain, query, args.limit)
    else:
        found = of_matches(query, index.name, await app.live.look(index.search, query, args.limit))
    notes = (*found.notes, *filter(None, [app.live.note]), *app.using.notes())
    explanation = replace(found, notes=tuple(dict.fromkeys(notes)))
    if args.json:
        show(to_json(explanation))
    else:
        print(render(explanation))
    return 0 if explanation.tools else 1


def _learn(_args: argparse.Namespace, config: Config, store: Store) -> Shown:
    from toolweft_server.index.woven import cousage, evidence, usage

    now = time.time()
    calls: list[Followed] = []
    vectors = 0
    for encoder, size in list(store.uses.encoders().items())[:1]:  # what other encoders said is not used any more
        calls, matrix = store.uses.followed(encoder, size)
        vectors = len(matrix)
    found = usage.weights(evidence.evidence_of(calls), now)
    served = sorted(found.items(), key=lambda each: (-each[1].weight, each[0]))
    sets = cousage.together((cousage.Together(*each) for each in store.uses.together()), now)
    # Of two tools either may have dropped the other: each pair once, whoever holds it.
    ties: dict[tuple[str, str], float] = {}
    for tool, partners in sets.near.items():
        ties |= {(min(tool, near.tool), max(tool, near.tool)): near.weight for near in partners}
    pairs = sorted(ties.items(), key=lambda each: (-each[1], each[0]))
    off = [] if config.index.learn else ["learning is off (index.learn): this is kept from before, and not used"]
    lines = [*off, f"learned from {vectors} requests and {sets.executions} executions of several tools"]
    said = [f"  {tool}: served {used.weight:.1f} requests, moved by {used.shift:.2f}" for (tool, _), used in served]
    both = [f"  {one} + {other}: used together, {weight:.2f}" for (one, other), weight in pairs]
    lines += said[:MOST_SHOWN] + both[:MOST_SHOWN]
    if hidden := max(len(said) - MOST_SHOWN, 0) + max(len(both) - MOST_SHOWN, 0):
        lines.append(f"  and {hidden} more (--json shows all)")
    result = {
        "requests": vectors,
        "executions": sets.executions,
        "tools": [
            {"tool": tool, "digest": digest, "served": round(used.weight, 2), "shift": round(used.shift, 3)}
            for (tool, digest), used in served
        ],
        "together": [{"tools": list(pair), "weight": round(weight, 3)} for pair, weight in pairs],
    }
    return result, lines


def _ab(_args: argparse.Namespace, _config: Config, store: Store) -> Shown:
    from toolweft_server.index.woven.interleave import Interleaved, compare, credit

    rows, lines = [], []
    for trial in store.uses.trials():
        answers = store.uses.answered(trial.name)
        stands = compare(credit(Interleaved(each.shown, each.challenger), each.worked) for each in answers)
        rows.append({
            "trial": trial.name, "requests": len(answers), "wins": stands.wins, "losses": stands.losses,
            "ties": stands.ties, "verdict": trial.verdict or stands.verdict, "switched_off": trial.verdict == "worse",
        })  # fmt: skip
        lines.append(
            "{trial}: {verdict}; won {wins}, lost {losses}, tied {ties} of {requests} requests".format(**rows[-1])
            + (" (switched off)" if trial.verdict == "worse" else "")
        )
    return {"trials": rows}, lines or ["nothing was compared yet"]


def _rollback(args: argparse.Namespace, _config: Config, store: Store) -> Shown:
    since = 0.0 if args.all else _moment(args.to)
    assert since is not None  # `_complaint` has looked
    gone = store.uses.forget(since) if args.yes else store.uses.learned(since)
    said = ", ".join(f"{count} {name}" for name, count in gone._asdict().items())
    line = f"forgot {said}" if args.yes else f"would forget {said}; nothing was changed: add --yes to do it"
    return {**gone._asdict(), "done": args.yes}, [line]

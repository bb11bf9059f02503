"""`toolweft functions …`: the library of saved functions, from the terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolweft_server.commands import sharing
from toolweft_server.commands.opened import add_common, show
from toolweft_server.library.drift import Judge, against, problems

if TYPE_CHECKING:
    from toolweft_server.library.function import Function
    from toolweft_server.library.store import FunctionStore
    from toolweft_server.store.store import Store

EPILOG = """examples:
  toolweft functions list
  toolweft functions show weekly_report
  toolweft functions diff weekly_report 1 2
  toolweft functions rollback weekly_report 1
  toolweft functions export weekly_report --to ./skills
  toolweft functions import ./skills/weekly-report --trust
  toolweft functions publish ./team-functions weekly_report --commit
  toolweft functions publish http://team.example:8808/mcp weekly_report --token-env TEAM_TOKEN
  toolweft functions pull ./team-functions
  toolweft functions pull http://127.0.0.1:8000/mcp weekly_report --yes"""


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    texts = {
        "list": "all saved functions",
        "show": "source, signature and tools of one",
        "history": "what happened to one",
        "diff": "what changed between two versions of one",
        "health": "functions whose tools changed or disappeared, and those out of use with the reason",
        "rollback": "offer an earlier version of one again; later ones retire",
        "export": "write some as Agent-Skills folders",
        "import": "read exported folders",
        "publish": "write some where others find them, once what they may call is confirmed",
        "pull": "take some from such a folder or from another toolweft, as candidates",
        "remove": "delete some with all their versions",
    }
    made = {name: actions.add_parser(name, help=text, description=text) for name, text in texts.items()}
    for name in ("show", "history"):
        made[name].add_argument("name", help="a saved function" + ("; NAME@2 for one version" * (name == "show")))
    made["diff"].add_argument("name", help="a saved function")
    made["diff"].add_argument("old", type=int, nargs="?", help="a version (default: the one before the newest)")
    made["diff"].add_argument("new", type=int, nargs="?", help="a version (default: the newest)")
    made["rollback"].add_argument("name", help="a saved function")
    made["rollback"].add_argument("version", type=int, help="the version to offer")
    made["export"].add_argument("names", nargs="*", metavar="NAME", help="functions (default: all)")
    made["export"].add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="default: the current one")
    sharing.without_tests(made["export"])
    made["import"].add_argument("path", type=Path, help="an exported folder, or one that holds several")
    made["import"].add_argument("--trust", action="store_true", help="make them active: programs may call them at once")
    sharing.arguments(made["publish"], made["pull"])
    made["remove"].add_argument("names", nargs="+", metavar="NAME")
    for each in made.values():
        add_common(each)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG


def run(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.errors import ConfigError, ToolweftError
    from toolweft_server.library.store import FunctionStore
    from toolweft_server.sandbox.texts import clean
    from toolweft_server.scrub import Scrubber
    from toolweft_server.store.store import Store

    try:
        config = configuration.load(args.config)
        with Store.open(config.store, scrub=Scrubber(config.secrets)) as store:
            return _ACTIONS[args.action](args, FunctionStore(store), store)
    except ToolweftError as error:
        print(f"toolweft: {clean(str(error))}", file=sys.stderr)  # a stranger's folder may be quoted in it
        return 2 if isinstance(error, ConfigError) else 1


def _list(args: argparse.Namespace, library: FunctionStore, _store: Store) -> int:
    found = library.list()
    if args.json:
        show([_summary(each) for each in found])
    for each in () if args.json else found:
        line = each.description.splitlines()[0] if each.description else ""
        print(f"{each.name}@{each.version}  {each.state}  used {each.uses}, failed {each.failures}  {line}".rstrip())
    if not found and not args.json:
        print("No saved functions yet. A program that runs clean and defines a function that calls a tool saves it.")
    return 0


def _show(args: argparse.Namespace, library: FunctionStore, _store: Store) -> int:
    name, _, version = args.name.partition("@")
    number = int(version) if version.isdecimal() else None
    card = library.card(name, number) if number is not None or not version else None
    if card is None:
        return _missing(args.name, library)
    if args.json:
        show(card.model_dump(mode="json"))
        return 0
    print(f"# {card.name}@{card.version}, {card.state}; used {card.uses}, failed {card.failures}")
    print(f"# {card.name}{card.signature}")
    for tool, digest in card.tools.items():
        print(f"# calls {tool} ({digest[:8]})")
    for function, pinned in card.functions.items():
        print(f"# calls functions.{function}@{pinned}")
    print(f"\n{card.source}", end="")
    return 0


def _history(args: argparse.Namespace, library: FunctionStore, _store: Store) -> int:
    events = library.history(args.name)
    if not events:
        return _missing(args.name, library)
    if args.json:
        show(events)
    for each in () if args.json else events:
        when = datetime.fromtimestamp(each["at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        rest = " ".join(f"{k}={v}" for k, v in each.items() if k not in {"kind", "version", "at"})
        print(f"{when}  version {each['version']}  {each['kind']}  {rest}".rstrip())
    return 0


def _diff(args: argparse.Namespace, library: FunctionStore, _store: Store) -> int:
    import difflib

    held = {each.version: each for each in library.versions(args.name)}
    if not held:
        return _missing(args.name, library)
    new = max(held) if args.new is None else args.new
    old = max((n for n in held if n < new), default=new) if args.old is None else args.old
    if absent := [each for each in (old, new) if each not in held]:
        there = ", ".join(map(str, held))
        print(f"toolweft: there is no version {absent[0]} of {args.name!r}; there are: {there}", file=sys.stderr)
        return 1
    before, after = (held[each].source.splitlines() for each in (old, new))
    names = [f"{args.name}@{each} ({held[each].state})" for each in (old, new)]
    lines = list(difflib.unified_diff(before, after, names[0], names[1], lineterm=""))
    if args.json:
        show({"old": old, "new": new, "diff": lines})
    elif lines:
        print("\n".join(lines))
    else:
        print(f"{names[0]} and {names[1]} have the same source")
    return 0


def _rollback(args: argparse.Namespace, library: FunctionStore, _store: Store) -> int:
    retired = library.rollback(args.name, args.version)
    if args.json:
        show({"name": args.name, "version": args.version, "retired": list(retired)})
    else:
        later = f"; retired: {', '.join(map(str, retired))}" if retired else ""
        print(f"{args.name}@{args.version} is offered{later}")
    return 0


def _health(args: argparse.Namespace, library: FunctionStore, store: Store) -> int:
    """Exit code 1 when something is wrong, for scripts. One that retired is no trouble."""
    judge = against({card.id: card.digest for card in store.manifests.catalog()})
    names = {each.name for each in library.offered()}
    found = {each.name: _trouble(each, judge, names) for each in library.list() if each.state != "retired"}
    if args.json:
        show(found)
    for name, lines in () if args.json else found.items():
        print(f"{name}: {'; '.join(lines) or 'well'}")
    return 1 if any(found.values()) else 0


def _trouble(function: Function, judge: Judge, offered: Collection[str]) -> list[str]:
    lost = [f"functions.{each} cannot be called" for each in function.functions if each not in offered]
    found = [*problems(function, judge), *lost]
    if function.state == "active":
        return found
    # What made it stale is there still, or was mended meanwhile; either way it waits to be asked for.
    return [f"{function.state}{f' ({function.why})' if function.why else ''}", *found]


def _export(args: argparse.Namespace, library: FunctionStore, store: Store) -> int:
    from toolweft_server.library import share
    from toolweft_server.library.recorded import Recorded

    known = {each.name: each for each in library.list()}
    for name in args.names:
        if name not in known:
            return _missing(name, library)
    written: dict[str, str] = {}
    without: dict[str, str] = {}
    for name in args.names or known:
        kept = sharing.record(known[name], args, library, store)
        written[name] = str(share.export(known[name], args.to, kept if isinstance(kept, Recorded) else None))
        without |= {name: kept} if isinstance(kept, str) else {}
    if args.json:
        show(written)
    for name, folder in () if args.json else written.items():
        print(f"{name} -> {folder}" + (f"  (without a test: {without[name]})" if name in without else ""))
    return 0


def _import(args: argparse.Namespace, library: FunctionStore, store: Store) -> int:
    from toolweft_server.library import share

    shared = [share.read(folder, scrub=store.scrub) for folder in share.folders(args.path)]
    admission = library.import_(shared, trust=args.trust)
    if args.json:
        show({
            "saved": [each.model_dump() for each in admission.saved],
            "rejected": [each._asdict() for each in admission.rejected],
        })  # fmt: skip
    else:
        for each in admission.saved:
            hint = "" if each.state == "active" else "; import again with --trust to let programs call it"
            print(f"{each.name}@{each.version}  {each.state}{hint}")
    for refused in admission.rejected:
        print(f"toolweft: {refused.name} was not imported: {refused.reason}", file=sys.stderr)
    return 1 if admission.rejected else 0


def _remove(args: argparse.Namespace, library: FunctionStore, _store: Store) -> int:
    removed = {name: list(library.remove(name)) for name in args.names}
    if args.json:
        show(removed)
    for name, users in () if args.json else removed.items():
        print(f"removed {name}" + (f"; {', '.join(users)} used it and will fail" if users else ""))
    return 0


def _missing(name: str, library: FunctionStore) -> int:
    names = ", ".join(each.name for each in library.list()[:10]) or "none yet"
    print(f"toolweft: there is no saved function {name!r}; there are: {names}", file=sys.stderr)
    return 1


def _summary(function: Function) -> dict[str, Any]:
    return {
        "name": function.name, "version": function.version, "state": function.state, "signature": function.signature,
        "description": function.description, "tools": sorted(function.tools), "uses": function.uses,
        "failures": function.failures,
    }  # fmt: skip


_ACTIONS: Mapping[str, Callable[[argparse.Namespace, FunctionStore, Store], int]] = {
    "list": _list, "show": _show, "history": _history, "diff": _diff, "health": _health, "rollback": _rollback,
    "export": _export, "import": _import, "publish": sharing.publish,
    "pull": sharing.pull, "remove": _remove,
}  # fmt: skip

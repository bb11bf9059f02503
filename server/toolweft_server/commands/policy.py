"""`toolweft policy`: which calls may run, and what was answered with "always allow this tool"."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from toolweft_server.commands.opened import add_common, show

if TYPE_CHECKING:
    from toolweft_server.policy import Policy
    from toolweft_server.store.store import Store

EPILOG = """examples:
  toolweft policy list
  toolweft policy list --json
  toolweft policy forget github.delete_repo
  toolweft policy forget --all"""


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    texts = {
        "list": "the preset, the patterns, and the tools that are always allowed by an answer",
        "forget": "ask about these tools again",
    }
    made = {name: actions.add_parser(name, help=text, description=text) for name, text in texts.items()}
    made["forget"].add_argument("tools", nargs="*", metavar="TOOL", help="ids as `list` shows them")
    made["forget"].add_argument("--all", action="store_true", help="every tool")
    for each in made.values():
        add_common(each)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG


def run(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.errors import ConfigError, ToolweftError
    from toolweft_server.store.store import Store

    if args.action == "forget" and bool(args.tools) == args.all:
        print("toolweft policy forget: name tools, or say --all", file=sys.stderr)
        return 2
    try:
        config = configuration.load(args.config)
        with Store.open(config.store) as store:
            return _list(args, config.policy, store) if args.action == "list" else _forget(args, store)
    except ToolweftError as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def _list(args: argparse.Namespace, policy: Policy, store: Store) -> int:
    held = _held(store)
    if args.json:
        show({"default": policy.preset or "host", "patterns": dict(policy.patterns), "always": held})
        return 0
    print(f"default  {policy.preset or 'host'}")
    for pattern, decision in policy.patterns.items():
        print(f"{decision:<7}  {pattern}")
    for each in held:
        print(f"always   {each['tool']}  since {each['since']}  by {each['owner']}{_NOTES[each['state']]}")
    if not held:
        print("No tool is always allowed by an answer.")
    return 0


def _held(store: Store) -> list[Mapping[str, Any]]:
    digests = {card.id: card.digest for card in store.manifests.catalog()}
    return [
        {
            "tool": each.tool, "owner": each.owner,
            "since": datetime.fromtimestamp(each.at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "state": "gone" if each.tool not in digests else
            "holds" if digests[each.tool] == each.digest else "changed",
        }
        for each in store.approvals.list()
    ]  # fmt: skip


def _forget(args: argparse.Namespace, store: Store) -> int:
    known = sorted({each.tool for each in store.approvals.list()})
    if unknown := [tool for tool in args.tools if tool not in known]:
        told = ", ".join(known) or "none"
        print(f"toolweft: no answer is kept for {', '.join(map(repr, unknown))}; there are: {told}", file=sys.stderr)
        return 1
    gone = known if args.all else list(dict.fromkeys(args.tools))
    for tool in gone:
        store.approvals.forget(tool)
    if args.json:
        show({"forgotten": gone})
    else:
        print(f"forgotten: {', '.join(gone) or 'nothing'}")
    return 0


_NOTES = {
    "holds": "",
    "changed": "  (the tool has changed since: asks again)",
    "gone": "  (there is no such tool now)",
}

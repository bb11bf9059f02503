"""`toolweft functions publish` and `pull`: functions go to a folder or another toolweft, or come from one.

Both show first what the code may call, and do nothing until that is confirmed. Neither runs anything: what comes is
checked as any import (`library.share`) and waits as a candidate.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from toolweft_server.commands.opened import show

if TYPE_CHECKING:
    from toolweft_catalog.wire import FunctionCard
    from toolweft_server.library.function import Function
    from toolweft_server.library.preview import Preview
    from toolweft_server.library.recorded import Recorded
    from toolweft_server.library.share import Shared
    from toolweft_server.library.store import FunctionStore
    from toolweft_server.store.store import Store

GIT = 60.0
"""Seconds that git may take."""


def arguments(publish: argparse.ArgumentParser, pull: argparse.ArgumentParser) -> None:
    publish.add_argument(
        "target",
        help="a folder: each function becomes an Agent-Skills folder in it; "
        "or the address of another toolweft that takes functions: http://HOST:PORT/mcp",
    )
    publish.add_argument("names", nargs="+", metavar="NAME", help="functions")
    publish.add_argument("--commit", action="store_true", help="commit what was written; the folder is a git work tree")
    pull.add_argument("source", help="such a folder, or the address of another toolweft: http://HOST:PORT/mcp")
    pull.add_argument("names", nargs="*", metavar="NAME", help="functions (default: all)")
    without_tests(publish)
    for each in (publish, pull):
        each.add_argument("--token-env", metavar="VARIABLE", help="the environment variable with that toolweft's token")
        each.add_argument("--yes", action="store_true", help="do it without asking")


def without_tests(parser: argparse.ArgumentParser) -> None:
    told = "leave out the tests, which hold recorded arguments and results of tools"
    parser.add_argument("--without-tests", action="store_true", help=told)


def record(function: Function, args: argparse.Namespace, library: FunctionStore, store: Store) -> Recorded | str:
    """What the test of a function is made from, or why there is none."""
    from toolweft_server.library.recorded import recorded

    return "as you said" if args.without_tests else recorded(function, store, library)


def publish(args: argparse.Namespace, library: FunctionStore, store: Store) -> int:
    known = {each.name: each for each in library.list()}
    _refuse_unknown(args.names, known, "here")
    chosen = [known[name] for name in dict.fromkeys(args.names)]
    into = _to_server if _is_url(args.target) else _to_folder
    return into(args, chosen, library, store)


def _to_server(args: argparse.Namespace, chosen: Sequence[Function], library: FunctionStore, store: Store) -> int:
    import anyio

    from toolweft_server import peer
    from toolweft_server.errors import LibraryError
    from toolweft_server.library.preview import preview

    if args.commit:
        raise LibraryError(f"{args.target!r} is a server; --commit goes with a folder that is a git work tree.")
    token = _token(args.token_env)
    there = anyio.run(partial(peer.held, args.target, [each.name for each in chosen], token=token))
    catalog = store.manifests.catalog()
    previews = [
        preview(
            each.source, each.name, tools=each.tools, functions=each.functions, catalog=catalog,
            becomes=_at_server(there.get(each.name), each),
        )
        for each in chosen
    ]  # fmt: skip
    if not _confirmed(args, previews, f"Send to {args.target}?"):
        return 1
    cards = [card for each in chosen if (card := library.card(each.name, each.version)) is not None]
    published = anyio.run(partial(peer.publish, args.target, cards, token=token))
    if args.json:
        show({"functions": [asdict(each) for each in previews], **published.model_dump(include={"saved", "rejected"})})
    for saved in () if args.json else published.saved:
        print(f"{saved.name}@{saved.version}  {saved.state} there")
    for one in published.rejected:
        print(f"toolweft: {one.name} was not taken: {one.reason}", file=sys.stderr)
    return 1 if published.rejected else 0


def _at_server(card: FunctionCard | None, function: Function) -> str:
    from toolweft_server.library.function import normalised

    if card is None:
        return "new there"
    same = normalised(card.source, card.name) == function.digest
    return "the same code is there already" if same else "its name has other code there, which stays"


def _to_folder(args: argparse.Namespace, chosen: Sequence[Function], library: FunctionStore, store: Store) -> int:
    from toolweft_server.errors import LibraryError
    from toolweft_server.library import share
    from toolweft_server.library.preview import preview
    from toolweft_server.library.recorded import Recorded

    into = Path(args.target)
    if args.commit and not _is_work_tree(into):
        raise LibraryError(f"{args.target!r} is no git work tree; leave out --commit, or run `git init` in it first.")
    catalog = store.manifests.catalog()
    held = [(each, record(each, args, library, store)) for each in chosen]
    records = {each.name: kept for each, kept in held if isinstance(kept, Recorded)}
    previews = [
        preview(
            each.source, each.name, tools=each.tools, functions=each.functions, catalog=catalog,
            becomes=_there(into, each), recorded=records[each.name].calls if each.name in records else None,
        )
        for each in chosen
    ]  # fmt: skip
    if not _confirmed(args, previews, f"Write to {args.target}?"):
        return 1
    folders = [share.export(each, into, records.get(each.name)) for each in chosen]
    committed = args.commit and _commit(into, folders, [each.name for each in chosen])
    if args.json:
        show({
            "functions": [asdict(each) for each in previews], "written": [str(each) for each in folders],
            "committed": bool(committed),
        })  # fmt: skip
    for folder in () if args.json else folders:
        print(f"{folder}{'  committed' if committed else ''}")
    return 0


def pull(args: argparse.Namespace, library: FunctionStore, store: Store) -> int:
    from toolweft_server.errors import LibraryError
    from toolweft_server.library.preview import preview

    catalog = store.manifests.catalog()
    found: list[Shared] = []
    previews: list[Preview] = []
    refused: list[str] = []
    for read in _readers(args, store):
        try:
            each = read()
            if args.names and each.found.name not in args.names:
                continue
            previews.append(preview(
                each.found.source, each.found.name, tools=each.facts.tools, functions=each.facts.functions,
                catalog=catalog, becomes=_here(library, each),
            ))  # fmt: skip
            found.append(each)
        except LibraryError as error:
            refused.append(str(error))
    for why in refused:
        print(f"toolweft: {why}", file=sys.stderr)
    if not refused:
        _refuse_unknown(args.names, [each.found.name for each in found], "there")
    if not found or not _confirmed(args, previews, "Keep as candidates?"):
        return 1
    admission = library.import_(found)
    if args.json:
        show({
            "functions": [asdict(each) for each in previews],
            "saved": [each.model_dump() for each in admission.saved],
            "rejected": [each._asdict() for each in admission.rejected],
        })  # fmt: skip
    for saved in () if args.json else admission.saved:
        hint = "" if saved.state == "active" else "; programs may call it once the same code has run clean here"
        print(f"{saved.name}@{saved.version}  {saved.state}{hint}")
    for one in admission.rejected:
        print(f"toolweft: {one.name} was not kept: {one.reason}", file=sys.stderr)
    return 1 if refused or admission.rejected else 0


def _readers(args: argparse.Namespace, store: Store) -> list[Callable[[], Shared]]:
    """What reads each function of the source; a folder's names are known only then."""
    from toolweft_server.library import share

    if not _is_url(args.source):
        return [partial(share.read, each, scrub=store.scrub) for each in share.folders(Path(args.source))]
    import anyio

    from toolweft_server.peer import cards

    found = anyio.run(partial(cards, args.source, args.names, token=_token(args.token_env)))
    return [partial(share.of_card, each, scrub=store.scrub) for each in found]


def _there(into: Path, function: Function) -> str:
    from toolweft_server.library import share

    code = into / share.title(function.name) / share.CODE
    if not code.is_file():
        return "new there"
    same = share.address(code.read_text(encoding="utf-8", errors="replace")) == share.address(function.source)
    return "the same code is there already" if same else "takes the place of other code there"


def _here(library: FunctionStore, shared: Shared) -> str:
    from toolweft_server.library.function import normalised

    name, versions = shared.found.name, library.versions(shared.found.name)
    digest = normalised(shared.found.source, name)
    if same := next((each for each in versions if each.digest == digest), None):
        return f"here already as {name}@{same.version}, {same.state}"
    return "its name has other code here, which stays" if versions else "new here"


def _confirmed(args: argparse.Namespace, previews: Sequence[Preview], question: str) -> bool:
    if not args.json:
        print("\n".join(map(str, previews)), flush=True)
    if args.yes:
        return True
    if sys.stdin.isatty() and not args.json:
        try:
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            return False
    if args.json:
        show({"functions": [asdict(each) for each in previews]})
    print("toolweft: nothing was done; say --yes to agree to what is shown", file=sys.stderr)
    return False


def _refuse_unknown(names: Sequence[str], known: Collection[str], where: str) -> None:
    from toolweft_server.errors import LibraryError

    if unknown := [name for name in names if name not in known]:
        there = ", ".join(list(known)[:10]) or "none"
        raise LibraryError(f"there is no saved function {unknown[0]!r} {where}; there are: {there}")


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _token(variable: str | None) -> str | None:
    from toolweft_server.errors import ConfigError

    if variable is None:
        return None
    if not (token := os.environ.get(variable)):
        raise ConfigError(f"the environment variable {variable!r} holds no token")
    return token


def _is_work_tree(folder: Path) -> bool:
    return folder.is_dir() and _git(folder, "rev-parse", "--is-inside-work-tree").stdout.strip() == "true"


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    from toolweft_server.errors import LibraryError

    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, encoding="utf-8", errors="replace",
            timeout=GIT, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise LibraryError("git is not installed; leave out --commit.") from error
    except subprocess.TimeoutExpired as error:
        raise LibraryError(f"git {words[0]} took longer than {GIT:g} seconds.") from error


def _commit(into: Path, folders: Sequence[Path], names: Sequence[str]) -> bool:
    """Commits these folders and nothing else; False when nothing in them changed."""
    from toolweft_server.errors import LibraryError

    paths = [each.name for each in folders]
    for words in (("add", "--", *paths), ("commit", "-q", "-m", f"Functions: {', '.join(names)}", "--", *paths)):
        if words[0] == "commit" and _git(into, "diff", "--cached", "--quiet", "--", *paths).returncode == 0:
            return False
        done = _git(into, *words)
        if done.returncode:
            told = (done.stderr or done.stdout).strip()[:500]
            raise LibraryError(f"the folders were written, but git {words[0]} failed: {told}")
    return True

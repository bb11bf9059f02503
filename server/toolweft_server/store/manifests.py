"""What each configured server offers, kept so that search works while it is down.

Ids are given here, once and for ever: those of vanished tools stay reserved. One server's tools are replaced in one
transaction. Texts (schemas, descriptions) stay on disk; a `Catalog` loads them by id when asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from toolweft_catalog import names
from toolweft_catalog.catalog import Card, Catalog, Delta, Load
from toolweft_catalog.tool import Annotations, Tool, digest
from toolweft_server.store import sources
from toolweft_server.store.database import Database
from toolweft_server.store.schema import prefix, source, tool, tool_text
from toolweft_server.store.sources import Source

TOPIC = "manifests"

PAGE = 500
"""Tools read at a time."""

CACHED = 512
"""Whole tools a catalogue keeps: some screens of search results."""


@dataclass(frozen=True, slots=True)
class ManifestStatus:
    """How the reading of one server's tools stands."""

    server: str
    entry_digest: str
    """Digest of the configuration entry that was read; another one means: read again."""
    fetched_at: float | None
    """Seconds since the epoch; `None` when it never worked."""
    tools: int
    problems: tuple[str, ...]
    error: str | None
    """Why the last attempt failed; the tools of the one before are kept."""
    kind: str = "mcp"
    instructions: str = ""
    protocol: str = ""


class Manifests:
    def __init__(self, database: Database) -> None:
        self._database = database

    def write(
        self,
        server: str,
        entry_digest: str,
        tools: Sequence[Tool],
        problems: Sequence[str] = (),
        instructions: str = "",
        protocol: str = "",
    ) -> Delta:
        """Replaces what is known of `server`, in one transaction. Tools keep the ids they have ever had.

        A second tool of the same name is dropped and said in the problems.
        """
        unique, notes = _unique(tools)
        texts = {pair: _encode(each) for pair, each in unique.items()}
        with self._database.write(TOPIC) as connection:
            delta = _replace(connection, server, unique, texts)
            _note(
                connection, server, entry_digest=entry_digest, fetched_at=time.time(), tools=len(unique), error=None,
                problems=json.dumps([*problems, *notes]), instructions=instructions, protocol=protocol,
                kind=tools[0].origin if tools else "mcp", description=_description(server, tools, instructions),
            )  # fmt: skip
        self.publish()
        return delta

    def failed(self, server: str, error: str, entry_digest: str = "") -> None:
        """Records why `server` could not be read. Its tools stay."""
        with self._database.write(TOPIC) as connection:
            _note(connection, server, error=error, **({"entry_digest": entry_digest} if entry_digest else {}))
        self.publish()

    def remove(self, server: str) -> Delta:
        """Forgets a server that is no longer configured. Its ids stay reserved, for when it comes back."""
        with self._database.write(TOPIC) as connection:
            delta = _replace(connection, server, {}, {})
            connection.execute(delete(source).where(source.c.name == server))
        self.publish()
        return delta

    def status(self) -> list[ManifestStatus]:
        """One entry for each server that was ever read or tried, by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(source).order_by(source.c.name)).all()
        return [
            ManifestStatus(
                r.name, r.entry_digest, r.fetched_at, r.tools, tuple(json.loads(r.problems)), r.error, r.kind,
                r.instructions, r.protocol,
            )
            for r in rows
        ]  # fmt: skip

    def sources(self) -> list[Source]:
        """The servers whose tools are known, as the handshake's file lists them."""
        with self._database.read() as connection:
            return _sources(connection)

    def publish(self) -> None:
        """Brings the file beside the store up to date. Under the write lock, so that the last one tells the truth."""
        with self._database.write() as connection:
            sources.write(self._database.path, _sources(connection))

    def catalog(self) -> Catalog:
        """All tools of this moment. Whole ones are read on demand; those asked for lately are kept."""
        columns = (tool.c.id, tool.c.name, tool.c.server, tool.c.digest)
        with self._database.read() as connection:
            rows = connection.execute(select(*columns).where(tool.c.present).order_by(tool.c.id)).all()
        return Catalog((Card(*row) for row in rows), _Loader(self._database))

    def loader(self) -> Load:
        """Fetches whole tools by id, those that vanished as they were."""
        return _Loader(self._database)

    def ids(self, server: str) -> dict[str, str]:
        """The id of each tool that `server` has ever had, by the tool's own name."""
        wanted = select(tool.c.name, tool.c.id).where(tool.c.source == server, tool.c.server == server)
        with self._database.read() as connection:
            return {row.name: row.id for row in connection.execute(wanted)}

    def each(self) -> Iterator[Tool]:
        """Every whole tool in the order of ids, a page at a time: for building an index without holding them all."""
        last = ""
        columns = (tool_text.c.id, tool_text.c.body)
        while True:
            query = select(*columns).join(tool, tool.c.id == tool_text.c.id).where(tool.c.present, tool.c.id > last)
            with self._database.read() as connection:
                rows = connection.execute(query.order_by(tool.c.id).limit(PAGE)).all()
            yield from (_decode(*row) for row in rows)
            if len(rows) < PAGE:
                return
            last = rows[-1].id


class _Loader:
    """Reads whole tools by id and keeps the latest. A tool that vanished meanwhile is still answered, as it was."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[str, Tool] = OrderedDict()
        self._lock = threading.Lock()
        """Protects `_kept`: searches run in several threads."""

    def __call__(self, ids: Sequence[str]) -> Sequence[Tool]:
        with self._lock:
            found = {each: self._kept[each] for each in ids if each in self._kept}
        if missing := [each for each in dict.fromkeys(ids) if each not in found]:
            bodies = self._database.values(tool_text.c.id, tool_text.c.body, missing)
            found.update((given, _decode(given, body)) for given, body in bodies.items())
        with self._lock:
            for each in dict.fromkeys(ids):
                self._kept[each] = found[each]
                self._kept.move_to_end(each)
            while len(self._kept) > CACHED:
                self._kept.popitem(last=False)
        return [found[each] for each in ids]


Pair = tuple[str, str]
"""(server, name): what a tool is called before it has an id."""


def _unique(tools: Sequence[Tool]) -> tuple[dict[Pair, Tool], list[str]]:
    unique: dict[Pair, Tool] = {}
    garbled = [each.name for each in tools if _plain(each.name) != each.name]
    sound = [each for each in tools if _plain(each.name) == each.name]
    twice = [each.name for each in sound if unique.setdefault((each.server, each.name), each) is not each]
    return unique, [
        *(f"a tool named {name!r} was left out; its name is not text" for name in garbled),
        *(f"a second tool named {name!r} was left out; names must differ" for name in twice),
    ]


def _plain(text: str) -> str:
    """Text that a database takes: a stranger's JSON can hold half a character."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _replace(connection: Connection, name: str, tools: dict[Pair, Tool], texts: dict[Pair, str]) -> Delta:
    rows = connection.execute(select(tool).where(tool.c.source == name)).all()
    held = {(r.server, r.name): r for r in rows}
    ids = _ids(connection, name, tools, {pair: r.id for pair, r in held.items()})
    added, changed, fresh_rows, other_rows = [], [], [], []
    for pair, each in tools.items():
        row = held.get(pair)
        mark = digest(texts[pair])
        if row is None or not row.present:
            added.append(ids[pair])
        elif row.digest != each.digest:
            changed.append(ids[pair])
        elif row.mark == mark:
            continue
        state = {"digest": each.digest, "mark": mark, "present": True}
        if row is None:
            fresh_rows.append({"id": ids[pair], "source": name, "server": pair[0], "name": pair[1], **state})
        else:
            other_rows.append({"b_id": ids[pair], **state})
    gone = [r.id for pair, r in held.items() if r.present and pair not in tools]
    _save(connection, fresh_rows, other_rows, gone, {ids[pair]: text for pair, text in texts.items()})
    return Delta(tuple(sorted(added)), tuple(sorted(changed)), tuple(sorted(gone)))


def _save(
    connection: Connection,
    fresh: list[dict[str, Any]],
    other: list[dict[str, Any]],
    gone: list[str],
    texts: dict[str, str],
) -> None:
    by_id = tool.c.id == bindparam("b_id")
    if fresh:
        connection.execute(insert(tool), fresh)
        connection.execute(insert(tool_text), [{"id": r["id"], "body": texts[r["id"]]} for r in fresh])
    if other:
        connection.execute(
            update(tool)
            .where(by_id)
            .values(digest=bindparam("digest"), mark=bindparam("mark"), present=bindparam("present")),
            other,
        )
        rewritten = [{"b_id": r["b_id"], "body": texts[r["b_id"]]} for r in other]
        connection.execute(
            update(tool_text).where(tool_text.c.id == bindparam("b_id")).values(body=bindparam("body")), rewritten
        )
    if gone:
        connection.execute(update(tool).where(by_id).values(present=False), [{"b_id": each} for each in gone])


def _ids(connection: Connection, name: str, wanted: Iterable[Pair], held: dict[Pair, str]) -> dict[Pair, str]:
    """Ids by `names.assign`. A prefix belongs to one server of one source, so other sources enter by prefix alone."""
    rows = connection.execute(select(prefix)).all()
    own = {r.server: r.prefix for r in rows if r.source == name}
    foreign = {r.server for r in rows if r.source != name}
    key = {server: server if server in own or server not in foreign else f"{server}_{name}" for server, _ in wanted}
    # Keys of other sources only have to differ from ours; NUL stands in no name of a configuration.
    taken = {(f"{r.source}\0{r.server}", ""): f"{r.prefix}." for r in rows if r.source != name}
    taken |= {(key.get(server, server), ""): f"{given}." for server, given in own.items()}
    taken |= {(key.get(server, server), each): given for (server, each), given in held.items()}
    given = names.assign(((key[server], each) for server, each in wanted), taken)
    ids = {(server, each): given[key[server], each] for server, each in wanted}
    fresh = {server: given.split(".", 1)[0] for (server, _), given in ids.items() if server not in own}
    if fresh:
        rows_to_add = [{"source": name, "server": server, "prefix": given} for server, given in fresh.items()]
        connection.execute(insert(prefix), rows_to_add)
    return ids


def _note(connection: Connection, name: str, **values: Any) -> None:
    values = {key: _plain(each) if isinstance(each, str) else each for key, each in values.items()}
    if not connection.execute(update(source).where(source.c.name == name).values(**values)).rowcount:
        empty = {
            "entry_digest": "", "fetched_at": None, "kind": "mcp", "tools": 0, "problems": "[]", "instructions": "",
            "description": "", "protocol": "", "error": None,
        }  # fmt: skip
        connection.execute(insert(source).values(name=name, **{**empty, **values}))


def _sources(connection: Connection) -> list[Source]:
    prefixes: dict[str, list[str]] = {}
    for r in connection.execute(select(prefix.c.source, prefix.c.prefix)):
        prefixes.setdefault(r.source, []).append(r.prefix)
    rows = connection.execute(select(source).order_by(source.c.name)).all()
    return [
        Source(r.name, r.kind, r.tools, r.description, held[0] if len(held := prefixes.get(r.name, [])) == 1 else "")
        for r in rows
    ]


def _description(name: str, tools: Sequence[Tool], instructions: str) -> str:
    """A line on the server, from its tools or its instructions; nothing when it only repeats the name."""
    texts = {each.server_description for each in tools if each.server == name}
    line = " ".join((texts.pop() if len(texts) == 1 else "").split()) or " ".join(instructions.split())
    return "" if line == name else line[: sources.DESCRIPTION]


def _encode(each: Tool) -> str:
    hints = each.annotations
    content = {
        "name": each.name, "server": each.server, "description": each.description, "parameters": each.parameters,
        "output": each.output, "origin": each.origin, "title": each.title, "binding": dict(each.binding),
        "server_description": each.server_description,
        "annotations": [hints.read_only, hints.destructive, hints.idempotent, hints.open_world],
    }  # fmt: skip
    return json.dumps(content, ensure_ascii=True, separators=(",", ":"))


def _decode(tool_id: str, body: str) -> Tool:
    content = json.loads(body)
    content["annotations"] = Annotations(*content["annotations"])
    return Tool(id=tool_id, **content)

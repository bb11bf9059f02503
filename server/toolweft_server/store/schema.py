"""The tables, as they are now, and the steps that lead from each older version to the next.

A fresh database is made whole from the tables. An older one walks the steps. A change here comes with a step, and
`tests/server/store/test_schema.py` holds both ways to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)

from toolweft_server.errors import StoreError

Step = Callable[[Connection], None]


def _approvals(connection: Connection) -> None:
    connection.execute(text(
        "CREATE TABLE approval (owner TEXT NOT NULL, tool TEXT NOT NULL, digest VARCHAR(32) NOT NULL, "
        "at FLOAT NOT NULL, PRIMARY KEY (owner, tool))"
    ))  # fmt: skip


def _usage(connection: Connection) -> None:
    for table in (
        "salt (name VARCHAR(20) NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name))",
        "request_vector (request BIGINT NOT NULL, hash VARCHAR(32) NOT NULL, encoder VARCHAR(32) NOT NULL, "
        "vector BLOB NOT NULL, PRIMARY KEY (request))",
        "call_digest (call BIGINT NOT NULL, digest VARCHAR(32) NOT NULL, PRIMARY KEY (call))",
        "together (id INTEGER NOT NULL, owner TEXT NOT NULL, program VARCHAR(32) NOT NULL, tools TEXT NOT NULL, "
        "at FLOAT NOT NULL, PRIMARY KEY (id))",
        "interleaved (request BIGINT NOT NULL, trial TEXT NOT NULL, shown TEXT NOT NULL, challenger TEXT NOT NULL, "
        "PRIMARY KEY (request))",
        "trial (name TEXT NOT NULL, since FLOAT NOT NULL, ended FLOAT, verdict VARCHAR(10), PRIMARY KEY (name))",
    ):
        connection.execute(text(f"CREATE TABLE {table}"))
    connection.execute(text("CREATE INDEX together_by_age ON together (at)"))


def _solved(connection: Connection) -> None:
    connection.execute(text(
        "CREATE TABLE solved (owner TEXT NOT NULL, hash VARCHAR(32) NOT NULL, task TEXT NOT NULL, "
        "program TEXT NOT NULL, tools TEXT NOT NULL, functions TEXT NOT NULL, execution VARCHAR(64) NOT NULL, "
        "encoder VARCHAR(32), vector BLOB, uses INTEGER NOT NULL, last FLOAT NOT NULL, PRIMARY KEY (owner, hash))"
    ))  # fmt: skip


STEPS: Sequence[Step] = (_approvals, _usage, _solved)
"""Step n (from 0) leads from version n + 1 to version n + 2, inside the transaction that opens the store."""

NEWEST = len(STEPS) + 1

metadata = MetaData()

_SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only when the type is spelled INTEGER."""

schema_version = Table("schema_version", metadata, Column("version", Integer, nullable=False))

topic = Table(
    "topic",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("version", BigInteger, nullable=False),
    comment="Counts the writes that other processes want to hear of.",
)

source = Table(
    "source",
    metadata,
    Column("name", Text, primary_key=True),
    Column("entry_digest", Text, nullable=False),
    Column("fetched_at", Float),
    Column("kind", String(20), nullable=False),
    Column("tools", Integer, nullable=False),
    Column("problems", Text, nullable=False),
    Column("instructions", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("error", Text),
    comment="One entry of the configuration whose tools were read, or could not be.",
)

prefix = Table(
    "prefix",
    metadata,
    Column("source", Text, nullable=False),
    Column("server", Text, nullable=False),
    Column("prefix", Text, nullable=False, unique=True),
    PrimaryKeyConstraint("source", "server"),
    comment="The identifier before the dot, given once and for ever.",
)

tool = Table(
    "tool",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("server", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("mark", String(32), nullable=False, comment="digest of the stored text, to skip what did not change"),
    Column("present", Boolean, nullable=False, comment="false: vanished; its id stays reserved"),
    UniqueConstraint("source", "server", "name"),
)

tool_text = Table("tool_text", metadata, Column("id", Text, primary_key=True), Column("body", Text, nullable=False))

shape = Table(
    "shape",
    metadata,
    Column("digest", String(32), primary_key=True),
    Column("body", Text, nullable=False),
    comment="What a tool with this digest has been seen to return: keys and types, never values.",
)

execution = Table(
    "execution",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("session", Text),
    Column("code", Text, nullable=False),
    Column("retry_of", String(64)),
    Column("status", String(20), nullable=False),
    Column("result", Text),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("size", BigInteger, nullable=False),
    Index("execution_by_age", "started_at"),
)

output = Table(
    "output",
    metadata,
    Column("execution", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("mime", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("execution", "name"),
)

call_start = Table(
    "call_start",
    metadata,
    Column("execution", String(64), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("tool", Text, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("effect", String(10), nullable=False),
    Column("args_digest", String(32), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("ordinal", Integer, nullable=False, comment="among identical calls of the execution"),
    Column("started_at", Float, nullable=False),
    PrimaryKeyConstraint("execution", "seq"),
)

call_end = Table(
    "call_end",
    metadata,
    Column("execution", String(64), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("status", String(20), nullable=False),
    Column("message", Text, nullable=False),
    Column("sent", Boolean, nullable=False),
    Column("replayed", Boolean, nullable=False),
    Column("kept", String(10), nullable=False, comment="exact, scrubbed or absent: what `result` is"),
    Column("result", Text),
    Column("ms", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    PrimaryKeyConstraint("execution", "seq"),
)

call_blob = Table(
    "call_blob",
    metadata,
    Column("execution", String(64), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("mime", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("execution", "seq", "position"),
)

request = Table(
    "request",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("owner", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("request_by_who", "owner", "connection", "at"),
)

request_call = Table(
    "request_call",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("request", BigInteger, nullable=False, index=True),
    Column("tool", Text, nullable=False),
    Column("shown", Boolean, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("at", Float, nullable=False),
)

salt = Table(
    "salt",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    comment="Random; keys the hashes of texts, so that they tell nothing outside this store.",
)

request_vector = Table(
    "request_vector",
    metadata,
    Column("request", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(32), nullable=False, comment="salted; equal for equal texts"),
    Column("encoder", String(32), nullable=False),
    Column("vector", LargeBinary, nullable=False, comment="float16"),
    comment="What is left of a request for learning when its text is not kept.",
)

call_digest = Table(
    "call_digest",
    metadata,
    Column("call", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", String(32), nullable=False),
    comment="What the tool of a request_call was when it was called.",
)

together = Table(
    "together",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("owner", Text, nullable=False),
    Column("program", String(32), nullable=False, comment="salted hash of the code"),
    Column("tools", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("together_by_age", "at"),
    comment="The tools that succeeded within one execution.",
)

interleaved = Table(
    "interleaved",
    metadata,
    Column("request", BigInteger, primary_key=True, autoincrement=False),
    Column("trial", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("challenger", Text, nullable=False),
    comment="A request that was answered with two rankings mixed, and what the challenger placed.",
)

trial = Table(
    "trial",
    metadata,
    Column("name", Text, primary_key=True),
    Column("since", Float, nullable=False),
    Column("ended", Float),
    Column("verdict", String(10)),
    comment="A comparison of two rankings on real requests.",
)

approval = Table(
    "approval",
    metadata,
    Column("owner", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("at", Float, nullable=False),
    PrimaryKeyConstraint("owner", "tool"),
    comment="What a person always allows.",
)

function = Table(
    "function",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("standing", Text, nullable=False),
    comment="The fold of a function's events up to `seq`, kept so that nobody reads the whole log.",
)

function_event = Table(
    "function_event",
    metadata,
    Column("name", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("detail", Text, nullable=False),
    PrimaryKeyConstraint("name", "seq"),
    comment="Append-only: what happened to a function.",
)

function_version = Table(
    "function_version",
    metadata,
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("name", "version"),
    comment="What a version is made of; never changed, deleted only when a person removes the function.",
)

solved = Table(
    "solved",
    metadata,
    Column("owner", Text, nullable=False),
    Column("hash", String(32), nullable=False, comment="of the task, case and space aside"),
    Column("task", Text, nullable=False),
    Column("program", Text, nullable=False),
    Column("tools", Text, nullable=False, comment="ids with the digests they had"),
    Column("functions", Text, nullable=False),
    Column("execution", String(64), nullable=False),
    Column("encoder", String(32)),
    Column("vector", LargeBinary, comment="float16, of the task"),
    Column("uses", Integer, nullable=False),
    Column("last", Float, nullable=False),
    PrimaryKeyConstraint("owner", "hash"),
    comment="Tasks with the program that solved them; only where texts of requests are kept.",
)


def version_of(connection: Connection) -> int:
    """The version of the database: 0 when it is empty.

    Raises:
        StoreError: It holds tables of somebody else.

    """
    tables = set(inspect(connection).get_table_names())
    if schema_version.name in tables:
        return connection.execute(select(func.max(schema_version.c.version))).scalar() or 0
    if tables:
        raise StoreError(
            f"the store holds tables that are not toolweft's ({', '.join(sorted(tables)[:3])}). It was left as it is; "
            "name another path as `store`."
        )
    return 0


def refuse_newer(found: int, steps: Sequence[Step] = STEPS) -> None:
    """Raises `StoreError` for a version that this code does not know."""
    if found > len(steps) + 1:
        raise StoreError(
            f"the store has version {found} and this toolweft knows versions up to {len(steps) + 1}. It was left as it "
            "is; update toolweft, or name another path as `store`."
        )


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> None:
    """Brings the database to the newest version; run it in a writing transaction.

    Raises:
        StoreError: It is newer than this code, or not ours. Nothing was touched.

    """
    found = version_of(connection)
    refuse_newer(found, steps)
    if found == 0:
        metadata.create_all(connection)
        connection.execute(insert(schema_version).values(version=len(steps) + 1))
        return
    for step in steps[found - 1 :]:
        step(connection)
    connection.execute(update(schema_version).values(version=len(steps) + 1))

"""What an index remembers of each tool besides its words and its vector: whose copy it is, what it requires and gives.

One record of fixed size a tool, made of hashes: a search compares records and reads no tool. Records are kept beside
the vectors, by digest; a file that cannot be used costs reading the tools again. What is done with them: `copies`,
`producers`.

N tools.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_catalog.tool import Schema, Tool, digest
from toolweft_server.index import text

VERSION = 1
"""Goes up with every change that gives some tool another record: a file of another version is not read."""

RECORD = np.dtype(
    [
        ("copy", "<u8"),
        ("server", "<u4"),
        ("said", "<u4", (8,)),
        ("reads", "u1"),
        ("needs", "<u4", (3,)),
        ("nouns", "<u4", (3, 3)),
        ("gives", "<u4", (8,)),
    ]
)
"""copy: name, description and parameters, equal for copies; 0 when a tool says too little to be one. server: whose it
is. said: the stems of its name. reads: 1 if its name says that it lists or finds, 2 if it gets or reads, else 0.
needs: the identifiers that it requires. nouns: the stems of what each of them is of. gives: the identifiers that its
declared output has. 0 where there is none; what does not fit is left out."""

Records: TypeAlias = NDArray[np.void]
"""(N,) of `RECORD`."""

LEAST_WORDS = 5
"""Words of a description from which equal tools are copies: `search`, "Search." is another thing on each server."""

_LARGEST = 4 * 2**30
_DEEPEST = 3
_KEPT = np.dtype([("digest", "S32"), ("record", RECORD)])

logger = logging.getLogger(__name__)


def of(tools: Iterable[Tool]) -> Records:
    """One record a tool, in their order."""
    return np.array([_record(tool) for tool in tools], RECORD)


def _record(tool: Tool) -> tuple[object, ...]:
    said = stems(tool.name)
    needs = [name for name in required(tool.parameters) if _KEYS.intersection(stems(name))][:3]
    outputs = dict.fromkeys(identifier(name) for name in _properties(tool.output, _DEEPEST) if _names_one(name))
    return (
        _copy(tool),
        mark(tool.server),
        _filled([mark(stem) for stem in dict.fromkeys(said)], 8),
        1 if _FINDS.intersection(said) else 2 if _READS.intersection(said) else 0,
        _filled([identifier(name) for name in needs], 3),
        [_filled([mark(stem) for stem in _noun(name, said)], 3) for name in needs] + [[0] * 3] * (3 - len(needs)),
        _filled(list(outputs), 8),
    )


def mark(term: str) -> int:
    """32 bits that stand for a term; never 0, which stands for none."""
    return text.key(term) % (_LARGEST - 1) + 1


def identifier(name: str) -> int:
    """The mark of an identifier, however its name is written: `user_id` and `userId` are one."""
    return mark(" ".join(sorted(set(stems(name)))))


def stems(name: str) -> list[str]:
    """The stems of a name's words, without the name as a whole: `getUser_id` -> get, user, id."""
    return [term for word in text.words(name.replace("_", " ")) for term in (text.split(word)[1:] or text.split(word))]


_KEYS = frozenset(stems("id ids key uuid guid slug code handle hash sku gid identifier"))
_FINDS = frozenset(stems("list search find lookup resolve query"))
_READS = frozenset(stems("get fetch read browse show all retrieve discover"))


def required(schema: Schema) -> list[str]:
    """The names of required parameters, as far as a schema that nobody has checked says so."""
    names = schema.get("required")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _noun(parameter: str, said: Sequence[str]) -> list[str]:
    """What an identifier is of: `channel_id` of a channel; a mere `id` of what its tool's name ends in."""
    own = [stem for stem in dict.fromkeys(stems(parameter)) if stem not in _KEYS]
    return own[:3] or [stem for stem in said if stem not in _KEYS | _FINDS | _READS][-1:]


def _names_one(name: str) -> bool:
    """Whether the name of a property says what it identifies: `userKey` does, a mere `id` does not."""
    parts = set(stems(name))
    return len(parts) > 1 and not _KEYS.isdisjoint(parts)


def _properties(schema: object, depth: int) -> Iterable[str]:
    """The names of the properties of an output schema that nobody has checked."""
    if not isinstance(schema, Mapping) or depth == 0:
        return
    properties = schema.get("properties")
    for name, below in properties.items() if isinstance(properties, Mapping) else ():
        yield str(name)
        yield from _properties(below, depth - 1)
    yield from _properties(schema.get("items"), depth - 1)


def _copy(tool: Tool) -> int:
    if len(text.words(tool.description)) < LEAST_WORDS:
        return 0
    return int(digest([tool.name, tool.description, tool.parameters])[:16], 16)


def _filled(marks: Sequence[int], count: int) -> list[int]:
    return [*marks[:count], *[0] * (count - len(marks))]


class Got(NamedTuple):
    records: Records  # (N,): empty where there is none
    have: NDArray[np.bool_]  # (N,)


def load(folder: Path | None, digests: Sequence[str]) -> Got:
    """The records of the tools with these digests, as far as `folder` has them."""
    got = Got(np.zeros(len(digests), RECORD), np.zeros(len(digests), np.bool_))
    kept = np.zeros(0, _KEPT) if folder is None else _read(_file(folder))
    if len(kept):
        wanted = np.array(digests, "S32")
        at = np.searchsorted(kept["digest"], wanted).clip(max=len(kept) - 1)
        got.have[:] = kept["digest"][at] == wanted
        got.records[got.have] = kept["record"][at[got.have]]
    return got


def save(folder: Path, digests: Sequence[str], records: Records) -> None:
    """Writes the records of these tools and of no others. A reader sees the old file or the new one.

    A folder that cannot be written costs reading the tools at the next start; a warning says so.
    """
    kept = np.zeros(len(digests), _KEPT)
    kept["digest"], kept["record"] = digests, records
    kept = kept[np.unique(kept["digest"], return_index=True)[1]]
    path = _file(folder)
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            np.save(file, kept, allow_pickle=False)
        beside.replace(path)
    except OSError as error:
        logger.warning("what tools require and give is not saved, and the next start reads it again: %s", error)
    finally:
        beside.unlink(missing_ok=True)


def _file(folder: Path) -> Path:
    return folder / f"traits-{VERSION}.npy"


def _read(path: Path) -> NDArray[np.void]:
    try:
        with path.open("rb") as file:  # `np.load` would take an archive for one too
            kept = np.lib.format.read_array(file, allow_pickle=False)
        if kept.dtype != _KEPT or kept.ndim != 1:
            raise ValueError(f"it holds {kept.dtype} of shape {kept.shape}")
    except FileNotFoundError:
        return np.zeros(0, _KEPT)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        logger.warning("what tools require and give is read again from them: %s: %s", path, error)
        return np.zeros(0, _KEPT)
    found: NDArray[np.void] = kept
    return found

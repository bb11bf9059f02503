"""`Segment`: a set of tools counted once and never changed: who they are, and which term stands where how often.

A segment holds whole numbers only. Every weight depends on all live tools of an index and is computed by `lexical`
from these numbers, so that an index of several segments ranks exactly as one built in a single piece. Arrays may be
mapped from a file (`folder`). Terms are 64-bit keys (`text.key`): no words are kept.
"""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_catalog.tool import Tool
from toolweft_server.index import text
from toolweft_server.index.near import NameTable, name_keys

Array: TypeAlias = NDArray[Any]

FIELDS = len(text.Fields._fields)


class Strings(NamedTuple):
    """Many short strings in two arrays."""

    blob: Array  # (bytes,) uint8
    ends: Array  # (n,) uint32

    @classmethod
    def of(cls, strings: Iterable[str]) -> Strings:
        encoded = [each.encode("utf-8", "surrogatepass") for each in strings]
        ends = np.cumsum([len(each) for each in encoded], dtype=np.uint32)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def at(self, i: int) -> str:
        start = int(self.ends[i - 1]) if i else 0
        encoded: bytes = self.blob[start : int(self.ends[i])].tobytes()
        return encoded.decode("utf-8", "surrogatepass")

    def all(self) -> list[str]:
        whole, starts = self.blob.tobytes(), [0, *self.ends.tolist()]
        return [whole[a:b].decode("utf-8", "surrogatepass") for a, b in itertools.pairwise(starts)]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Tools in the order of their ids, numbered from 0."""

    id_blob: Array  # (bytes,) uint8
    id_ends: Array  # (n,) uint32
    digests: Array  # (n, 16) uint8
    server_blob: Array
    server_ends: Array  # (servers,) uint32
    servers: Array  # (n,) uint32: which server
    lengths: Array  # (FIELDS, n) uint32: terms in each field
    vocabulary: Array  # (terms,) uint64, ascending
    starts: Array  # (terms + 1,) uint32: where the postings of each term begin
    docs: Array  # (postings,) uint32, ascending within a term
    counts: Array  # (FIELDS, postings) uint8: how often, in each field; 255 is 255 or more
    name_blob: Array
    name_first: Array
    name_starts: Array
    name_owners: Array

    def __len__(self) -> int:
        return len(self.id_ends)

    @property
    def ids(self) -> Strings:
        return Strings(self.id_blob, self.id_ends)

    @property
    def names(self) -> NameTable:
        return NameTable(self.name_blob, self.name_first, self.name_starts, self.name_owners)

    def server_number(self, server: str) -> int | None:
        known = Strings(self.server_blob, self.server_ends).all()
        return known.index(server) if server in known else None

    def digest(self, doc: int) -> str:
        raw: bytes = self.digests[doc].tobytes()
        return raw.hex()

    def positions(self, keys: Array) -> Array:
        """Where each key stands in the vocabulary; -1 where it does not."""
        if not len(self.vocabulary):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self.vocabulary, keys), len(self.vocabulary) - 1)
        return np.where(self.vocabulary[at] == keys, at, -1)


def sizes(starts: Array) -> Array:
    """How many entries each of several neighbouring runs has, from where they start."""
    return starts[1:].astype(np.int64) - starts[:-1]


class _Postings(NamedTuple):
    terms: Array  # (postings,) positions in the vocabulary
    docs: Array
    counts: Array  # (FIELDS, postings)


def build(tools: Iterable[Tool]) -> Segment:
    """Counts every tool; of two with one id the later counts. Reads each tool once and keeps none of them."""
    counter = _Counter()
    for tool in tools:
        counter.add(tool)
    return counter.segment()


def merge(parts: Sequence[tuple[Segment, Array]]) -> Segment:
    """One segment from the live tools (a mask each) of several. No id may be live twice."""
    ids: list[str] = []
    pairs: list[tuple[int, int]] = []
    for n, (segment, live) in enumerate(parts):
        known = segment.ids.all()
        kept = np.flatnonzero(live).tolist()
        ids += [known[doc] for doc in kept]
        pairs += [(n, doc) for doc in kept]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    numbers = [np.full(len(segment), -1, np.int64) for segment, _ in parts]
    for number, i in enumerate(order):
        n, doc = pairs[i]
        numbers[n][doc] = number
    vocabulary = np.unique(np.concatenate([segment.vocabulary for segment, _ in parts]))
    postings = [_renumbered(segment, numbers[n], vocabulary) for n, (segment, _) in enumerate(parts)]
    names: list[tuple[bytes, int]] = []
    for n, (segment, _) in enumerate(parts):
        renumbered = numbers[n].tolist()
        names += [(key, renumbered[doc]) for key, doc in segment.names.items() if renumbered[doc] >= 0]
    picked = [pairs[i] for i in order]
    return _assemble(
        ids=[ids[i] for i in order],
        digests=np.array([parts[n][0].digests[doc] for n, doc in picked], np.uint8).reshape(-1, 16),
        lengths=np.array([parts[n][0].lengths[:, doc] for n, doc in picked], np.uint32).reshape(-1, FIELDS).T,
        vocabulary=vocabulary,
        postings=_joined(postings),
        names=names,
    )


def _renumbered(segment: Segment, numbers: Array, vocabulary: Array) -> _Postings:
    place = np.searchsorted(vocabulary, segment.vocabulary).astype(np.uint32)
    terms = np.repeat(place, sizes(segment.starts))
    return _moved(_Postings(terms, segment.docs, segment.counts), terms, numbers)


class _Counter:
    """Tools on their way into a segment, as flat arrays of small numbers, compacted every few thousand tools."""

    _BATCH = 2000

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._digests: list[bytes] = []
        self._names: list[bytes] = []
        self._lengths = array("I")
        self._keys: dict[int, int] = {}
        self._words: dict[str, tuple[int, ...]] = {}
        self._postings: list[_Postings] = []
        self._clear()

    def add(self, tool: Tool) -> None:
        self._number[tool.id] = len(self._names)
        self._digests.append(bytes.fromhex(tool.digest))
        self._names.append(b"\0".join(name_keys(tool.id, tool.name)))
        for field in text.fields(tool):
            found = [term for word in text.words(field) for term in (self._words.get(word) or self._learn(word))]
            counted = Counter(found)
            self._terms.extend(counted.keys())
            self._counts.extend(min(255, n) for n in counted.values())
            self._runs.append(len(counted))
            self._lengths.append(len(found))
        if len(self._names) % self._BATCH == 0:
            self._compact()

    def _learn(self, word: str) -> tuple[int, ...]:
        keys = (text.key(term) for term in text.split(word))
        self._words[word] = numbers = tuple(self._keys.setdefault(key, len(self._keys)) for key in keys)
        return numbers

    def _clear(self) -> None:
        self._terms, self._counts, self._runs = array("I"), array("B"), array("I")

    def _compact(self) -> None:
        """Brings the counts of the fields of one tool and one term side by side."""
        runs = np.array(self._runs, np.int64)
        first, tools = len(self._names) - len(runs) // FIELDS, len(runs) // FIELDS
        run = np.repeat(np.arange(len(runs)), runs)
        pair, at = np.unique(np.array(self._terms, np.int64) * max(tools, 1) + run // FIELDS, return_inverse=True)
        counts = np.zeros((FIELDS, len(pair)), np.uint8)
        counts[run % FIELDS, at] = np.array(self._counts, np.uint8)
        terms, docs = np.divmod(pair, max(tools, 1))
        self._postings.append(_Postings(terms.astype(np.uint32), (docs + first).astype(np.uint32), counts))
        self._clear()

    def segment(self) -> Segment:
        self._compact()
        self._words.clear()
        ids = sorted(self._number)
        picked = np.array([self._number[each] for each in ids], np.int64)
        number = np.full(len(self._names), -1, np.int64)
        number[picked] = np.arange(len(ids))
        keys = np.fromiter(self._keys, np.uint64, len(self._keys))
        order = np.argsort(keys)
        place = np.argsort(order).astype(np.uint32)
        self._keys.clear()
        moved = []
        while self._postings:  # one batch at a time: the old and the new numbers together would double the peak
            batch = self._postings.pop(0)
            moved.append(_moved(batch, place[batch.terms], number))
        return _assemble(
            ids=ids,
            digests=np.frombuffer(b"".join(self._digests), np.uint8).reshape(-1, 16)[picked],
            lengths=np.array(self._lengths, np.uint32).reshape(-1, FIELDS)[picked].T,
            vocabulary=keys[order],
            postings=_joined(moved),
            names=[(key, new) for new, n in enumerate(picked) for key in self._names[n].split(b"\0") if key],
        )


def _moved(postings: _Postings, terms: Array, numbers: Array) -> _Postings:
    """Under other numbers of terms and tools; a tool of number -1 is left out."""
    docs = numbers[postings.docs]
    kept = docs >= 0
    return _Postings(terms[kept], docs[kept].astype(np.uint32), postings.counts[:, kept])


def _joined(parts: list[_Postings]) -> _Postings:
    """All parts in one. Empties the list, so that nothing is held twice for longer than this takes."""
    joined = _Postings(*(np.concatenate(each, axis=-1) for each in zip(*parts, strict=True)))
    parts.clear()
    return joined


def _assemble(
    *,
    ids: Sequence[str],
    digests: Array,
    lengths: Array,
    vocabulary: Array,
    postings: _Postings,
    names: Sequence[tuple[bytes, int]],
) -> Segment:
    order = np.lexsort((postings.docs, postings.terms))
    uses = np.bincount(postings.terms, minlength=len(vocabulary)).astype(np.int64)
    used = uses > 0
    id_strings = Strings.of(ids)
    prefixes = [each.split(".", 1)[0] for each in ids]
    servers: Mapping[str, int] = {each: n for n, each in enumerate(sorted(set(prefixes)))}
    server_strings, table = Strings.of(servers), NameTable.of(names)
    return Segment(
        id_blob=id_strings.blob,
        id_ends=id_strings.ends,
        digests=digests,
        server_blob=server_strings.blob,
        server_ends=server_strings.ends,
        servers=np.array([servers[each] for each in prefixes], np.uint32),
        lengths=np.ascontiguousarray(lengths, np.uint32),
        vocabulary=vocabulary[used].astype(np.uint64),
        starts=np.concatenate([[0], np.cumsum(uses[used])]).astype(np.uint32),
        docs=postings.docs[order].astype(np.uint32),
        counts=np.ascontiguousarray(postings.counts[:, order]),
        name_blob=table.blob,
        name_first=table.first,
        name_starts=table.starts,
        name_owners=table.owners,
    )

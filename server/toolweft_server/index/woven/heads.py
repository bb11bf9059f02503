"""`Heads`: reads a request as codes: how likely is each first digit, what may follow it, and each tool in the end.

    logit_l(k | q, c_<l) = -tau_l || h_l(q, z_<l) - v_lk ||²,   h_l = (W q - z_<l) + a small network, 0 before training

`z_<l` is the sum of the codewords so far, so the heads are tied to the codebook: untrained they are a coarse dense
search, and a tool that came today is scored like any other. Probability is shared among the codes that exist, level
by level, and below a whole code among its tools by what their codes left over: the last level, without codewords.
`verify` scores tools that somebody else found, `generate` walks the codes itself. `toolweft_server.training.heads`
trains them and writes the folder; nothing here needs torch.

C tools, P prefixes, L levels, K codes a level, d dimensions, H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.errors import HeadsError
from toolweft_server.index.woven import packed, residual
from toolweft_server.index.woven.codes import Rows, Woven
from toolweft_server.index.woven.packed import Arrays
from toolweft_server.index.woven.residual import Codes, Floats
from toolweft_server.index.woven.trie import END, ROOT, Trie

KIND = packed.Kind("heads", HeadsError)

Matrix: TypeAlias = NDArray[np.float32]


class Network(NamedTuple):
    """`relu([q, z] inner + bias) outer`: what one level adds to `W q - z`."""

    inner: Matrix  # (2d, H)
    bias: Matrix  # (H,)
    outer: Matrix  # (H, d)

    def __call__(self, request: Matrix, so_far: Matrix) -> Matrix:
        """(d,), (P, d) -> (P, d)."""
        size = len(request)
        hidden = request @ self.inner[:size] + self.bias + so_far @ self.inner[size:]
        out: Matrix = np.maximum(hidden, 0.0) @ self.outer
        return out


class Drafts(NamedTuple):
    """Tools that the codes themselves name, best first."""

    rows: Rows
    scores: Matrix
    """log P(tool | request)."""


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """Map, codebook and networks. Immutable; threads may share it."""

    projection: Matrix  # (d, d): W
    levels: tuple[Matrix, ...]  # L of (K, d)
    networks: tuple[Network, ...]  # L + 1
    temperatures: Matrix  # (L + 1,): tau
    encoder: str
    """Digest of the encoder whose vectors these heads read."""
    digest: str
    """SHA-256 of the arrays: codes of equal digests can be compared."""

    @classmethod
    def load(cls, folder: Path, *, encoder: str | None = None) -> Heads:
        """The heads in `folder`, for the vectors of the encoder with this digest, when it is given.

        Raises:
            HeadsError: Missing, cut, damaged, of another format, not finite, or made for another encoder.

        """
        return KIND.load(
            folder,
            lambda found: cls.of(found.arrays, encoder=found.encoder, digest=found.digest),
            encoder=encoder,
        )

    @classmethod
    def shipped(cls, *, encoder: str | None = None) -> Heads:
        """The heads that come with the package.

        Raises:
            HeadsError: The installation is not whole, or holds another encoder.

        """
        return cls.load(KIND.shipped(), encoder=encoder)

    @classmethod
    def of(cls, arrays: Arrays, *, encoder: str, digest: str) -> Heads:
        """From named arrays, as the file holds them; half precision is widened.

        Raises:
            KeyError: An array is missing.
            ValueError: Shapes that do not fit together, or a number that is none.

        """
        wide = {name: np.ascontiguousarray(each, np.float32) for name, each in arrays.items()}
        count = sum(name.startswith("level.") for name in wide)
        levels = tuple(wide[f"level.{n}"] for n in range(max(count, 1)))
        names = [f"network.{n}." for n in range(count + 1)]
        networks = tuple(Network(wide[n + "inner"], wide[n + "bias"], wide[n + "outer"]) for n in names)
        found = cls(wide["projection"], levels, networks, wide["temperatures"], encoder, digest)
        _check(found)
        return found

    @property
    def size(self) -> int:
        return len(self.projection)

    @property
    def firsts(self) -> int:
        """How many first digits there are."""
        return len(self.levels[0])

    def encode(self, vectors: Floats) -> Codes:
        """(N, d) -> (N, L): the nearest code of every level; a vector's code does not depend on its company.

        Raises:
            ValueError: Vectors of another width, or not finite.

        """
        latent: NDArray[np.float64] = vectors.astype(np.float64) @ self.projection.T.astype(np.float64)
        return residual.encode(latent, self.levels)

    def first(self, request: Matrix) -> Matrix:
        """(d,) -> (K,): the logit of each first digit, whether a tool stands below it or not."""
        logits: Matrix = self._logits(0, self._heads(0, request, np.zeros((1, self.size), np.float32)))[0]
        return logits

    def tables(self, request: Matrix) -> list[Matrix]:
        """(d,) -> (K,) for each level: the dot product of the request with what each digit stands for.

        Added up along a tool's code they are its promise for `codes.Woven.drafts`; the networks have no part in it.
        """
        latent = self.projection @ request
        return [words @ latent for words in self.levels]

    def verify(self, request: Matrix, woven: Woven, rows: Rows) -> Matrix:
        """(d,), (C,) -> (C, L + 1): log P of each step on the way to these tools; the sum is log P(tool | request).

        The first column alone judges the topic. -inf for a tool that has no code yet.
        """
        steps = np.full((len(rows), len(self.levels) + 1), -np.inf, np.float32)
        there = np.flatnonzero(woven.known[rows])
        rows = rows[there]
        nodes, codes = woven.nodes[rows], woven.codes[rows]
        above = np.zeros(len(rows), np.int64)
        for level in range(len(self.levels)):
            parents, back = np.unique(above, return_inverse=True)
            shared = self._children(level, request, woven.trie, parents, self._sums(parents, above, codes[:, :level]))
            steps[there, level] = shared[back, codes[:, level]]
            above = nodes[:, level].astype(np.int64)
        alone = woven.trie.high[above] - woven.trie.low[above] == 1
        steps[there[alone], -1] = 0.0
        for node in np.unique(above[~alone]):
            mine = np.flatnonzero(above == node)
            bucket, shares = self._bucket(request, woven, int(node), codes[mine[0]])
            order = np.argsort(bucket)
            steps[there[mine], -1] = shares[order[np.searchsorted(bucket[order], rows[mine])]]
        return steps

    def generate(self, request: Matrix, woven: Woven, limit: int, *, beam: int = 32) -> Drafts:
        """The first `limit` tools by log P(tool | request), over the best `beam` prefixes of each level."""
        trie = woven.trie
        nodes, codes, scores = np.array([ROOT]), np.zeros((1, 0), np.int32), np.zeros(1, np.float32)
        for level in range(len(self.levels)):
            steps = self._children(level, request, trie, nodes, residual.decode(codes, self.levels).astype(np.float32))
            parents, digits = np.nonzero(np.isfinite(steps))
            below = scores[parents] + steps[parents, digits]
            best = np.argsort(-below, kind="stable")[:beam]
            parents, digits, scores = parents[best], digits[best], below[best]
            codes = np.concatenate([codes[parents], digits[:, None].astype(np.int32)], 1)
            nodes = np.array([_child(trie, int(nodes[p]), int(k)) for p, k in zip(parents, digits, strict=True)], int)
        rows, found = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for node, code, score in zip(nodes, codes, scores, strict=True):
            bucket, shares = self._bucket(request, woven, int(node), code)
            rows.append(bucket)
            found.append(score + shares)
        all_rows, all_scores = np.concatenate(rows), np.concatenate(found)
        best = np.lexsort((all_rows, -all_scores))[:limit]
        return Drafts(all_rows[best], all_scores[best])

    def _heads(self, level: int, request: Matrix, so_far: Matrix) -> Matrix:
        """(P, d): h of each prefix."""
        out: Matrix = self.projection @ request - so_far + self.networks[level](request, so_far)
        return out

    def _logits(self, level: int, heads: Matrix) -> Matrix:
        """(P, d) -> (P, K), without `||h||²`, which all children of a prefix have in common."""
        words = self.levels[level]
        out: Matrix = self.temperatures[level] * (2.0 * heads @ words.T - (words * words).sum(1))
        return out

    def _children(self, level: int, request: Matrix, trie: Trie, parents: NDArray[Any], so_far: Matrix) -> Matrix:
        """(P, K): log P of each digit that follows each prefix; -inf where nothing does."""
        steps = np.full((len(parents), len(self.levels[level])), -np.inf, np.float32)
        counts = trie.first[parents + 1] - trie.first[parents]
        prefixes = np.repeat(np.arange(len(parents)), counts)
        digits = trie.digits[_ranges(trie.first[parents], counts)]
        prefixes, digits = prefixes[digits != END], digits[digits != END]
        steps[prefixes, digits] = 0.0
        several = np.flatnonzero(np.bincount(prefixes, minlength=len(parents)) > 1)  # an only child takes it all
        if len(several):
            logits = self._logits(level, self._heads(level, request, so_far[several]))
            steps[several] = _log_softmax(np.where(np.isfinite(steps[several]), logits, -np.inf))
        return steps

    def _sums(self, parents: NDArray[Any], above: NDArray[Any], codes: Codes) -> Matrix:
        """(P, d): z of each of the prefixes `parents`, of which `above` (C,) and `codes` (C, l) know the digits."""
        first = np.searchsorted(above, parents, sorter=(order := np.argsort(above, kind="stable")))
        return residual.decode(codes[order[first]], self.levels).astype(np.float32)

    def _bucket(self, request: Matrix, woven: Woven, node: int, code: Codes) -> tuple[Rows, Matrix]:
        """The tools below a whole code, and log P of each among them: by what the code leaves of each."""
        rows = woven.trie.tools(node).astype(np.int64)
        if len(rows) == 1:
            return rows, np.zeros(1, np.float32)
        so_far = residual.decode(code[None], self.levels).astype(np.float32)
        left = woven.vectors(rows) @ self.projection.T - so_far
        head = self._heads(len(self.levels), request, so_far)[0]
        return rows, _log_softmax(self.temperatures[-1] * (2.0 * left @ head - (left * left).sum(1)))


def _log_softmax(logits: Matrix) -> Matrix:
    shifted = logits - logits.max(-1, keepdims=True)
    out: Matrix = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return out


def _ranges(starts: NDArray[np.integer], counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """`[5, 9], [2, 3]` -> `[5, 6, 9, 10, 11]`."""
    before = np.cumsum(counts) - counts
    out: NDArray[np.int64] = np.arange(int(counts.sum())) + np.repeat(starts - before, counts)
    return out


def _child(trie: Trie, node: int, digit: int) -> int:
    low, high = int(trie.first[node]), int(trie.first[node + 1])
    return low + int(np.searchsorted(trie.digits[low:high], digit))


def _check(heads: Heads) -> None:
    """Raises:
    ValueError: A shape that does not fit, named; or a number that is none.

    """
    size, levels = len(heads.projection), heads.levels
    shapes = {"projection": (heads.projection, (size, size)), "temperatures": (heads.temperatures, (len(levels) + 1,))}
    for n, level in enumerate(levels):
        shapes[f"level.{n}"] = level, (max(len(level), 1), size)
    for n, (inner, bias, outer) in enumerate(heads.networks):
        hidden = len(bias)
        shapes[f"network.{n}.inner"] = inner, (2 * size, hidden)
        shapes[f"network.{n}.bias"] = bias, (hidden,)
        shapes[f"network.{n}.outer"] = outer, (hidden, size)
    for name, (array, wanted) in shapes.items():
        if array.shape != wanted:
            raise ValueError(f"the array {name!r} is of shape {array.shape}, and {wanted} is wanted")
        if not np.isfinite(array).all():
            raise ValueError(f"the array {name!r} holds NaN or infinity")
    if (heads.temperatures <= 0).any():
        raise ValueError(f"temperatures are above 0, not {heads.temperatures.tolist()}")

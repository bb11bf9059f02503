"""Trains the heads that read a request as codes, on requests whose right tools are known.

The codebook is frozen and vectors come from an encoder that is frozen, too: what is learned are small networks and
temperatures (`index.woven.heads` says the formula and runs it). Loss: cross-entropy over the codes that exist, the
probability of all right tools added up; a margin by which the right prefix leads on every level; and the divergence
from the list that search without codes gives. Each epoch hides some servers, and the tools of the others are the
catalogue: heads that bind to the paths they have seen lose then, and not first when a new server comes.

N tools, R requests, B of them in a batch, C candidates of each, L levels, K codes a level, d dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from toolweft_server.index.woven import heads, residual
from toolweft_server.index.woven.residual import Codes, Floats
from toolweft_server.index.woven.trie import END
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.heads_episode import Episode
from toolweft_server.training.progress import Progress, Step, silent
from toolweft_server.training.quantiser import not_negative, positive
from toolweft_server.training.rqkmeans import RqKMeans


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsConfig:
    hidden: int = 128
    epochs: int = 6
    """0 leaves the heads untrained: the codebook's own distances, at the first temperature."""
    batch: int = 64
    candidates: int = 24
    """Of the list without codes, beside the right tools."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    dropout: float = 0.1
    temperature: float = 8.0
    """At the beginning, on every level."""
    hidden_servers: float = 0.25
    """Share of servers that an epoch does without."""
    margin: float = 1.0
    """By how much log P of a right prefix should lead."""
    margin_weight: float = 0.1
    list_weight: float = 0.1
    """Of the divergence from the list without codes."""

    def __post_init__(self) -> None:
        positive(hidden=self.hidden, batch=self.batch, candidates=self.candidates)
        positive(learning_rate=self.learning_rate, temperature=self.temperature)
        not_negative(weight_decay=self.weight_decay, margin=self.margin, margin_weight=self.margin_weight)
        not_negative(
            epochs=self.epochs, list_weight=self.list_weight, dropout=self.dropout, hidden_servers=self.hidden_servers
        )
        if self.hidden_servers >= 1 or self.dropout >= 1:
            raise TrainingError(f"hidden_servers {self.hidden_servers} and dropout {self.dropout} must be below 1")


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """One catalogue, and requests for its tools.

    Raises:
        TrainingError: Parts that do not fit together, or a request without a right tool.

    """

    vectors: Floats  # (N, d), unit length
    servers: NDArray[np.integer]  # (N,): a number for each tool's server
    requests: Floats  # (R, d), unit length
    gold: Sequence[Sequence[int]]
    """(R,): the rows of all right tools, twins included."""
    drafts: NDArray[np.integer]  # (R, C): the first tools of the list without codes
    scores: Floats  # (R, C): their scores there

    def __post_init__(self) -> None:
        count = len(self.requests)
        if len(self.servers) != len(self.vectors) or not len(self.vectors):
            raise TrainingError(f"{len(self.servers)} servers do not fit {len(self.vectors)} vectors")
        if len(self.gold) != count or self.drafts.shape != self.scores.shape or len(self.drafts) != count:
            shapes = f"gold of {len(self.gold)}, drafts {self.drafts.shape} and scores {self.scores.shape}"
            raise TrainingError(f"{count} requests, {shapes} do not fit together")
        if any(not each for each in self.gold):
            raise TrainingError("a request has no right tool; leave it out")


class Losses(NamedTuple):
    """Means of one epoch, before their weights."""

    epoch: int
    total: float
    entropy: float
    margin: float
    divergence: float


class Trained(NamedTuple):
    arrays: Mapping[str, NDArray[np.float16]]
    """What `index.woven.heads.Heads.of` takes."""
    history: tuple[Losses, ...]


class Model(nn.Module):
    """The same arithmetic as `index.woven.heads`, differentiable."""

    projection: Tensor
    levels: list[Tensor]

    def __init__(self, quantiser: RqKMeans, config: HeadsConfig, generator: torch.Generator) -> None:
        super().__init__()
        size, count = len(quantiser.projection), len(quantiser.levels)
        self.register_buffer("projection", torch.from_numpy(_half(quantiser.projection)))
        self.levels = [torch.from_numpy(_half(each)) for each in quantiser.levels]
        spread = (2 * size) ** -0.5
        draw = [torch.randn(2 * size, config.hidden, generator=generator) * spread for _ in range(count + 1)]
        self.inner = nn.ParameterList(nn.Parameter(each) for each in draw)
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(config.hidden)) for _ in range(count + 1))
        self.outer = nn.ParameterList(nn.Parameter(torch.zeros(config.hidden, size)) for _ in range(count + 1))
        self.log_temperatures = nn.Parameter(torch.full((count + 1,), config.temperature).log())
        self.dropout = config.dropout

    def heads(self, level: int, requests: Tensor, so_far: Tensor) -> Tensor:
        """(..., d), (..., d) -> (..., d)."""
        hidden = torch.relu(torch.cat([requests, so_far], -1) @ self.inner[level] + self.bias[level])
        hidden = functional.dropout(hidden, self.dropout, self.training)
        out: Tensor = requests @ self.projection.T - so_far + hidden @ self.outer[level]
        return out

    def logits(self, level: int, requests: Tensor, so_far: Tensor) -> Tensor:
        """(..., K): without `||h||²`, which all children of a prefix have in common."""
        words = self.levels[level]
        at = 2.0 * self.heads(level, requests, so_far) @ words.T - words.square().sum(1)
        return self.log_temperatures[level].exp() * at

    def steps(self, requests: Tensor, rows: Tensor, episode: Episode) -> Tensor:
        """(B, d), (B, C) -> (B, C, L + 1): log P of each step on the way to these tools of the episode."""
        steps = []
        wide = requests[:, None].expand(*rows.shape, requests.shape[1])
        for level in range(len(self.levels)):
            digits, prefixes = episode.codes[rows, level], episode.prefixes[level][rows]
            if not level:
                logits = self.logits(0, requests, torch.zeros_like(requests))
                logp = logits.masked_fill(~episode.children[0][0], -torch.inf).log_softmax(-1)
                steps.append(logp.gather(-1, digits))
                continue
            several = episode.branches[level][prefixes] > 1  # an only child takes it all, and most are
            at = prefixes[several]
            logits = self.logits(level, wide[several], episode.sums[level][at])  # (n, K)
            logp = logits.masked_fill(~episode.children[level][at], -torch.inf).log_softmax(-1)
            own = logp.gather(-1, digits[several][:, None])[:, 0]
            steps.append(requests.new_zeros(rows.shape).masked_scatter(several, own))
        steps.append(self._bucket(wide, rows, episode))
        return torch.stack(steps, -1)

    def _bucket(self, requests: Tensor, rows: Tensor, episode: Episode) -> Tensor:
        """(B, C): log P among the tools of one code; 0 for who has a code alone."""
        out = requests.new_zeros(rows.shape)
        at = episode.bucket[rows] >= 0
        if not bool(at.any()):
            return out
        buckets, mine, level = episode.bucket[rows[at]], rows[at], len(self.levels)
        members = episode.members[buckets]  # (n, M)
        so_far = episode.sums[level][buckets]
        left = episode.vectors[members] @ self.projection.T - so_far[:, None]
        head = self.heads(level, requests[at], so_far)
        logits = 2.0 * (left @ head[..., None])[..., 0] - left.square().sum(-1)
        logits = (self.log_temperatures[level].exp() * logits).masked_fill(members == END, -torch.inf)
        own = (members == mine[:, None]).int().argmax(1)
        return out.masked_scatter(at, logits.log_softmax(-1).gather(-1, own[:, None])[:, 0])

    def arrays(self) -> dict[str, NDArray[np.float16]]:
        arrays = {"projection": self.projection, "temperatures": self.log_temperatures.exp()}
        arrays |= {f"level.{n}": each for n, each in enumerate(self.levels)}
        for name, parts in (("inner", self.inner), ("bias", self.bias), ("outer", self.outer)):
            arrays |= {f"network.{n}.{name}": each for n, each in enumerate(parts)}
        return {name: each.detach().numpy().astype(np.float16) for name, each in arrays.items()}


def fit(
    config: HeadsConfig,
    quantiser: RqKMeans,
    corpora: Sequence[Corpus],
    generator: torch.Generator,
    *,
    progress: Progress = silent,
) -> Trained:
    """Trains heads for a codebook. The codebook itself is only rounded to half precision, as it will be read.

    Raises:
        TrainingError: No requests, vectors of another width than the codebook, or a loss that is not finite.

    """
    if not sum(len(each.requests) for each in corpora):
        raise TrainingError("heads learn from requests, and there are none")
    if wrong := [each.vectors.shape for each in corpora if each.vectors.shape[1] != len(quantiser.projection)]:
        raise TrainingError(f"vectors of shape {wrong[0]} do not fit a codebook of {len(quantiser.projection)} numbers")
    model = Model(quantiser, config, generator)
    codes = [encode(quantiser, each.vectors) for each in corpora]
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(config.epochs, 1))
    history = []
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        for epoch in range(config.epochs):
            model.train()
            sums, count = torch.zeros(4), 0
            for corpus, rows, episode in _batches(config, corpora, codes, model, generator):
                terms = _loss(config, model, corpus, rows, episode)
                if not bool(torch.isfinite(terms[0])):
                    raise TrainingError(f"the loss of the heads is {terms[0].item()} in epoch {epoch}; lower the rate")
                optimiser.zero_grad()
                terms[0].backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                sums += torch.stack([each.detach() for each in terms]) * len(rows)
                count += len(rows)
            if count:  # an epoch may have hidden the server of every request
                schedule.step()
            history.append(Losses(epoch, *(sums / max(count, 1)).tolist()))
            progress(Step("heads", epoch + 1, config.epochs, history[-1].total))
    return Trained(model.arrays(), tuple(history))


def encode(quantiser: RqKMeans, vectors: Floats) -> Codes:
    """The codes that the run time will give: by the codebook as it is written, in half precision."""
    latent = vectors.astype(np.float64) @ _half(quantiser.projection).T.astype(np.float64)
    return residual.encode(latent, [_half(each) for each in quantiser.levels])


def save(trained: Trained, folder: Path, *, encoder: str, config: Mapping[str, Any]) -> heads.Heads:
    """Writes the folder that `index.woven.heads.Heads.load` reads, and reads it. `encoder` is its digest.

    Raises:
        HeadsError: The arrays do not fit together; what stood there before is gone.
        OSError: The folder cannot be written.

    """
    history = [each._asdict() for each in trained.history]
    heads.KIND.save(folder, trained.arrays, encoder=encoder, config=dict(config), history=history)
    return heads.Heads.load(folder, encoder=encoder)


def _batches(
    config: HeadsConfig, corpora: Sequence[Corpus], codes: Sequence[Codes], model: Model, generator: torch.Generator
) -> Iterator[tuple[Corpus, NDArray[np.int64], Episode]]:
    """The batches of an epoch, the corpora mixed; each of one corpus, and of the servers that this epoch sees."""
    batches = []
    for corpus, own in zip(corpora, codes, strict=True):
        episode = Episode.draw(corpus.vectors, own, corpus.servers, model.levels, config.hidden_servers, generator)
        seen = [n for n, gold in enumerate(corpus.gold) if all(episode.visible[row] for row in gold)]
        order = torch.tensor(seen, dtype=torch.int64)[torch.randperm(len(seen), generator=generator)]
        starts = range(0, len(order), config.batch)
        batches += [(corpus, order[start : start + config.batch].numpy(), episode) for start in starts]
    for at in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[at]


def _loss(
    config: HeadsConfig, model: Model, corpus: Corpus, batch: NDArray[np.integer], episode: Episode
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, gold, scores = _candidates(config, corpus, batch, episode)
    there = rows != END
    requests = torch.from_numpy(np.asarray(corpus.requests[batch], np.float32))
    steps = model.steps(requests, rows.clamp_min(0), episode)
    paths = steps.cumsum(-1).masked_fill(~there[..., None], -torch.inf)  # (B, C, L + 1)
    right = paths.masked_fill(~gold[..., None], -torch.inf)
    entropy = -right[..., -1].logsumexp(1).mean()
    # A candidate below the same prefix as a right tool is no rival on that level: its log P there is the same.
    wrong = paths.masked_fill(gold[..., None], -torch.inf).amax(1)
    lead = right.amax(1) - wrong
    rival = torch.isfinite(wrong) & (lead.abs() > 0)
    margin = functional.relu(config.margin - lead.masked_fill(~rival, config.margin)).mean()
    listed = torch.isfinite(scores)
    divergence = torch.zeros(())
    if bool(listed.any()):
        ours = paths[..., -1].masked_fill(~listed, -1e4).log_softmax(1)
        theirs = (_SHARPNESS * scores).masked_fill(~listed, -1e4).log_softmax(1)
        divergence = (theirs.exp() * (theirs - ours)).masked_fill(~listed, 0.0).sum(1).mean()
    return entropy + config.margin_weight * margin + config.list_weight * divergence, entropy, margin, divergence


_SHARPNESS = 10.0
"""Scores of the list without codes lie in 0..1: ten times as much, a lead of .1 is worth a factor of e."""


def _candidates(
    config: HeadsConfig, corpus: Corpus, batch: NDArray[np.integer], episode: Episode
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (B, C), END where there is none; which are right; and their scores in the list, -inf outside of it."""
    width = config.candidates + max(len(corpus.gold[n]) for n in batch)
    rows = np.full((len(batch), width), END, np.int64)
    gold, scores = np.zeros(rows.shape, bool), np.full(rows.shape, -np.inf, np.float32)
    for at, n in enumerate(batch):
        drafts = corpus.drafts[n]
        seen = np.flatnonzero((drafts != END) & episode.visible.numpy()[drafts])[: config.candidates]
        missing = [row for row in corpus.gold[n] if row not in drafts[seen]]
        mine = np.concatenate([drafts[seen], np.array(missing, np.int64)])
        rows[at, : len(mine)] = mine
        gold[at, : len(mine)] = np.isin(mine, corpus.gold[n])
        scores[at, : len(seen)] = corpus.scores[n][seen]
    return torch.from_numpy(rows), torch.from_numpy(gold), torch.from_numpy(scores)


def _half(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(array).astype(np.float16).astype(np.float32)

"""`RqVae`: the network of an RQ-VAE, and nothing of its training (that is `rqvae`).

An encoder to a small latent space, a codebook for each level of residuals, a decoder back (Zeghidour et al. 2021,
van den Oord et al. 2017). Everything that decides a code is a parameter or a buffer, so a loaded network goes on and
never starts its codebook anew.

B vectors, D dimensions in, d latent, L levels, K codes a level.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from toolweft_server.training.kmeans import kmeans, nearest, squared_distances


class Output(NamedTuple):
    """What one pass gives."""

    latent: Tensor  # (B, d): z
    sums: Tensor  # (B, d): the sum over levels, with a gradient to the codewords and, straight through, to z
    codes: Tensor  # (B, L)
    rebuilt: Tensor  # (B, D)
    squares: tuple[Tensor, ...]  # L of (B, K): distances of residuals to codewords, with a gradient to these alone
    residuals: tuple[Tensor, ...]  # L of (B, d): what each level was given, without a gradient
    codebook_loss: Tensor  # (B,)
    commitment: Tensor  # (B,)


class RqVae(nn.Module):
    codebook: nn.Parameter  # (L, K, d)
    initialised: Tensor  # a buffer: whether k-means has filled the codebook
    idle: Tensor  # (L, K) a buffer: steps since each code was last chosen

    def __init__(
        self, width: int, hidden: Sequence[int], latent: int, levels: int, codes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.encoder = _mlp([width, *hidden, latent], generator)
        self.decoder = _mlp([latent, *reversed(hidden), width], generator)
        self.codebook = nn.Parameter(torch.randn(levels, codes, latent, generator=generator))
        self.register_buffer("initialised", torch.tensor(False))
        self.register_buffer("idle", torch.zeros(levels, codes, dtype=torch.int64))

    def forward(self, vectors: Tensor) -> Output:
        """(B, D) -> everything the losses need. Before `initialise`, the latent goes to the decoder unquantised."""
        z: Tensor = self.encoder(vectors)
        if not bool(self.initialised):
            none = z.new_zeros(len(z))
            empty = torch.empty(len(z), 0, dtype=torch.int64, device=z.device)
            return Output(z, z, empty, self.decoder(z), (), (), none, none)
        left, total = z, torch.zeros_like(z)
        codes, squares, residuals = [], [], []
        codebook_loss = commitment = z.new_zeros(len(z))
        for codewords in self.codebook:
            # Balancing moves codewords to the tools: let through to the encoder it squeezes the latent instead.
            squares.append(squared_distances(left.detach(), codewords))
            chosen = squares[-1].argmin(1)
            word = codewords[chosen]
            codes.append(chosen)
            residuals.append(left.detach())
            codebook_loss = codebook_loss + (left.detach() - word).square().sum(1)
            commitment = commitment + (left - word.detach()).square().sum(1)
            total = total + word
            left = left - word.detach()  # so that every level's commitment reaches the encoder
        through = z + (total - z).detach()  # straight through: the value of `total`, the gradient of z
        sums = total + z - z.detach()
        return Output(
            z, sums, torch.stack(codes, 1), self.decoder(through), tuple(squares), tuple(residuals), codebook_loss,
            commitment,
        )  # fmt: skip

    @torch.no_grad()
    def initialise(self, vectors: Tensor, generator: torch.Generator, *, rounds: int) -> None:
        """Fills the codebook by k-means on the residuals of `vectors`, once; afterwards it does nothing.

        A level with fewer different residuals than codes gets its last codes at random around the others.
        """
        if bool(self.initialised):
            return
        left: Tensor = self.encoder(vectors)
        for codewords in self.codebook:
            found = kmeans(left, len(codewords), generator, rounds=rounds)
            missing = len(codewords) - len(found.centres)
            again = torch.randint(len(found.centres), (missing,), generator=generator)
            spread = torch.randn(missing, left.shape[1], generator=generator) * (0.1 * left.std(correction=0) + 1e-6)
            codewords.copy_(torch.cat([found.centres, found.centres[again] + spread]))
            left = left - codewords[nearest(left, codewords).codes]
        self.initialised.fill_(True)

    @torch.no_grad()
    def count(self, codes: Tensor) -> None:
        """Notes which codes a batch chose, (B, L)."""
        self.idle += 1
        for level, chosen in enumerate(codes.T):
            self.idle[level, chosen] = 0

    @torch.no_grad()
    def revive(self, residuals: Sequence[Tensor], after: int, generator: torch.Generator) -> Tensor:
        """Moves every code idle for `after` steps onto a residual of the batch; (L, K), which ones moved."""
        dead = self.idle >= after
        for level, left in enumerate(residuals):
            count = int(dead[level].sum())
            chosen = torch.randint(len(left), (count,), generator=generator)
            self.codebook[level, dead[level]] = left[chosen]
        self.idle[dead] = 0
        return dead


def _mlp(widths: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Linear layers with ReLU between, Xavier-normal from `generator`; the global generator is not touched."""
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layer = nn.Linear(before, after, device="meta").to_empty(device="cpu")
        nn.init.xavier_normal_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])

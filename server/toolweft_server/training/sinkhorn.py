"""Sinkhorn-Knopp: the transport plan that spreads a batch evenly over the codes of a level.

Used while training only, as the target of a balancing loss: which code a tool has is decided once, without a batch,
by `assign`. In logarithms throughout, so that a small epsilon cannot underflow (Cuturi 2013; Peyré and Cuturi 2019,
section 4.4).

B vectors, K codes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from toolweft_server.training.errors import TrainingError


class Plan(NamedTuple):
    """How much of each vector goes to each code: every row sums to 1, every column to B / K."""

    logs: Tensor  # (B, K)
    row_error: float
    """The largest |row sum - 1|."""
    column_error: float
    """The largest |column sum - B / K|, relative to B / K."""

    @property
    def weights(self) -> Tensor:
        return self.logs.exp()


def centred(costs: Tensor) -> Tensor:
    """`costs` stretched to [-1, 1]: epsilon then means the same whatever the scale of the vectors."""
    low, high = costs.min(), costs.max()
    return (costs - low) / (high - low).clamp_min(torch.finfo(costs.dtype).tiny) * 2.0 - 1.0


@torch.no_grad()
def sinkhorn(costs: Tensor, *, epsilon: float, rounds: int = 50) -> Plan:
    """The entropic plan for `costs` (B, K), in their own precision.

    Rows are exact at the end, columns as good as `rounds` makes them.

    Raises:
        TrainingError: An epsilon that is not above 0, costs that are not finite, or an empty matrix.

    """
    if not (epsilon > 0 and math.isfinite(epsilon)) or rounds < 1:
        raise TrainingError(f"sinkhorn needs epsilon > 0 and at least one round, not {epsilon} and {rounds}")
    if costs.ndim != 2 or not costs.numel() or not bool(torch.isfinite(costs).all()):
        raise TrainingError(f"sinkhorn needs a finite matrix of costs; it got shape {tuple(costs.shape)}")
    logs = -costs / epsilon
    batch, size = logs.shape
    target = math.log(batch / size)
    rows = torch.zeros(batch, 1, dtype=logs.dtype, device=logs.device)
    columns = torch.zeros(1, size, dtype=logs.dtype, device=logs.device)
    for _ in range(rounds):
        columns = target - torch.logsumexp(logs + rows, 0, keepdim=True)
        rows = -torch.logsumexp(logs + columns, 1, keepdim=True)
    plan = logs + rows + columns
    sums = plan.exp()
    row_error = float((sums.sum(1) - 1.0).abs().max())
    column_error = float((sums.sum(0) * (size / batch) - 1.0).abs().max())
    return Plan(plan, row_error, column_error)


def balance_loss(squares: Tensor, *, epsilon: float, temperature: float, rounds: int = 50) -> Tensor:
    """How far the soft choice of codes is from an even one: cross-entropy to the plan, a scalar with a gradient.

    `squares` (B, K) are squared distances; `temperature` is in units of their mean.
    """
    plan = sinkhorn(centred(squares.detach()), epsilon=epsilon, rounds=rounds)
    scale = squares.detach().mean().clamp_min(torch.finfo(squares.dtype).tiny)
    chosen = torch.log_softmax(-squares / (temperature * scale), 1)
    return -(plan.weights * chosen).sum(1).mean()

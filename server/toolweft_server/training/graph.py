"""Losses over co-usage: tools that are used together come closer, tools that are not stay apart.

Edges are sampled (`affinity.Edges.sample`), so the size of a term depends neither on the batch nor on how empty the
graph is. The Laplacian term alone could be made small by shrinking everything; the contrastive one (InfoNCE, van den
Oord 2018) looks at angles and pushes sampled non-neighbours away.

S sampled edges, d dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from toolweft_server.training.affinity import Edges, Pairs


def laplacian(at_u: Tensor, at_v: Tensor) -> Tensor:
    """Mean squared distance across the sampled edges: (S, d), (S, d) -> a scalar; 0 without edges."""
    if not len(at_u):
        return at_u.sum()
    return (at_u - at_v).square().sum(1).mean()


def contrast(at_u: Tensor, at_v: Tensor, blocked: Tensor, *, temperature: float) -> Tensor:
    """(S, d), (S, d), (S, S) -> a scalar: each u should be nearer to its v than to the v of the others.

    `blocked[i, j]` marks pairs that are no negatives: neighbours, and a tool with itself (`not_negatives`).
    """
    if not len(at_u):
        return at_u.sum()
    logits = normalize(at_u, dim=1) @ normalize(at_v, dim=1).T / temperature
    own = torch.eye(len(at_u), dtype=torch.bool, device=at_u.device)
    logits = logits.masked_fill(blocked & ~own, -torch.inf)
    return -torch.log_softmax(logits, 1).diagonal().mean()


def not_negatives(edges: Edges, pairs: Pairs, tools: int) -> Tensor:
    """(S, S): which (u_i, v_j) are used together, or are the same tool."""
    count = len(pairs.u)
    u, v = pairs.u[:, None].expand(count, count), pairs.v[None, :].expand(count, count)
    return edges.connected(u.reshape(-1), v.reshape(-1), tools).reshape(count, count)

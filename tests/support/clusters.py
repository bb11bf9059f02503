"""A catalogue with known geometry: tools in clusters, and requests that use tools of neighbouring clusters together."""

import numpy as np


def vectors(clusters=10, each=20, width=32, spread=0.3, seed=0):
    """(clusters * each, width) float32, unit length; the tools of one cluster side by side."""
    random = np.random.default_rng(seed)
    centres = np.repeat(random.standard_normal((clusters, width)), each, 0)
    points = centres + spread * random.standard_normal(centres.shape)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def names(count):
    """Id and digest of each tool, in the order of ids."""
    return [(f"s{n // 20:02}.t{n:04}", f"{n:032x}") for n in range(count)]


def partners(count, each=20):
    """Sets of two ids: every tool with the one at its place in the next cluster, clusters taken in pairs."""
    ids = [tool_id for tool_id, _ in names(count)]
    return [(ids[n], ids[n + each]) for n in range(count - each) if n // each % 2 == 0]

"""Draws a catalogue as it is woven: a tool a dot, placed by its vector, coloured by the first digit of its code.

    python -m benchmarks.map [--set mcp_docker] [--out docs/images/woven.png]

Places are the first two principal components of the vectors; what lies close in 384 numbers need not here. The digits
that most tools share have a colour and are named by what their tools say and others do not; the rest is grey.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from benchmarks import datasets

from toolweft_server.index.woven.code import token
from toolweft_server.index.woven.document import text_of
from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.index.woven.explain import describing, spread
from toolweft_server.index.woven.heads import Heads

COLOURED = 16


def main() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="mcp_docker")
    parser.add_argument("--out", type=Path, default=Path("docs/images/woven.png"))
    given = parser.parse_args()
    texts = [text_of(tool) for tool in datasets.stream(given.set)]
    encoder = Encoder.shipped()
    vectors = encoder.encode(texts)
    first = Heads.shipped(encoder=encoder.digest).encode(vectors)[:, 0]
    centred = vectors - vectors.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    places = centred @ axes.T
    everywhere = spread(texts)
    figure, plot = plt.subplots(figsize=(9, 6), dpi=110)
    common = [digit for digit, _ in Counter(first.tolist()).most_common(COLOURED)]
    rest = ~np.isin(first, common)
    plot.scatter(*places[rest].T, s=9, color="0.8")
    for number, digit in enumerate(common):
        mine = first == digit
        words = describing([texts[row] for row in np.flatnonzero(mine)], everywhere, len(texts))
        label = f"{token(0, digit)} {', '.join(words)} ({int(mine.sum())})"
        plot.scatter(*places[mine].T, s=16, color=mpl.colormaps["tab20"](number), label=label)
    plot.set_axis_off()
    plot.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.tight_layout()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.out, metadata={"Software": None})
    print(f"{len(texts)} tools of {given.set}, {len(set(first.tolist()))} first digits, drawn in {given.out}")


if __name__ == "__main__":
    main()

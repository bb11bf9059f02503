"""A page for people about a woven catalogue: tables, plots and a map, in one file that needs nothing else.

The numbers are `diagnostics`'; here they are drawn. What tools say of themselves is text of strangers: it is escaped,
and no plot holds any of it. The same artefact gives the same bytes.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toolweft_server.index.woven.code import spell, token
from toolweft_server.training.artefact import Artefact
from toolweft_server.training.diagnostics import Level
from toolweft_server.training.errors import ArtefactError
from toolweft_server.training.measured import Measured, levels_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LISTED = 40
"""First codes in the table, the most used first."""
EXAMPLES = 6
"""Tools named for each of them."""
LONGEST_NAME = 80
"""Characters shown of a tool's id."""


class FirstCode(NamedTuple):
    """One code of the first level, and who has it."""

    code: str
    tools: int
    examples: tuple[str, ...]
    """Ids of the tools that stand nearest to the middle of the code on the map."""


def numbers(artefact: Artefact, measured: Measured) -> dict[str, Any]:
    """What the page shows, as JSON; without the map's points."""
    return {
        "tools": measured.diagnostics.tools,
        "edges": measured.diagnostics.edges,
        "quantiser": artefact.quantiser.kind,
        "digests": artefact.digests._asdict(),
        "seeds": dict(artefact.seeds),
        "config": dict(artefact.config),
        "steps": len(measured.history),
        "loss": measured.history[-1].total if measured.history else None,
        "levels": levels_json(measured.diagnostics),
        "first_codes": [each._asdict() for each in first_codes(artefact, measured)],
    }


def first_codes(artefact: Artefact, measured: Measured) -> list[FirstCode]:
    """The codes of the first level that any tool has, the most used first."""
    digits, points = artefact.assigned.codes[:, 0], measured.plane
    found = []
    for digit in np.unique(digits).tolist():
        rows = np.flatnonzero(digits == digit)
        away = ((points[rows] - points[rows].mean(0)) ** 2).sum(1)
        nearest = rows[np.lexsort((rows, away))][:EXAMPLES]
        found.append(FirstCode(token(0, digit), len(rows), tuple(artefact.tools[row][0] for row in nearest)))
    return sorted(found, key=lambda each: (-each.tools, each.code))


def page(artefact: Artefact, measured: Measured) -> str:
    """The whole page as HTML.

    Raises:
        ArtefactError: The two are not of one catalogue.

    """
    if not len(artefact.tools) == measured.diagnostics.tools == len(measured.plane):
        raise ArtefactError(
            f"{len(artefact.tools)} tools have codes, {len(measured.plane)} were measured: weave the catalogue again"
        )
    template = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    levels = measured.diagnostics.levels
    return Template(template).substitute(
        tools=f"{len(artefact.tools):,}",
        edges=f"{measured.diagnostics.edges:,}",
        about=_pairs(_about(artefact)),
        levels=_table(_LEVEL_HEAD, (_level_row(number, level) for number, level in enumerate(levels))),
        usage=_drawn("usage", lambda figure: _draw_usage(figure, levels), "How many tools have each code", height=2.6),
        shares=_drawn("shares", lambda figure: _draw_shares(figure, levels), "Collisions, distortion and neighbours"),
        losses=_drawn("losses", lambda figure: _draw_losses(figure, measured), "Loss of each step of training")
        if measured.history
        else "<p>Nothing was trained.</p>",
        map=_drawn("map", lambda figure: _draw_map(figure, artefact, measured), "Map of the catalogue", height=7.0),
        codes=_table(
            ("code", "tools", "some of them"),
            ((each.code, each.tools, ", ".join(map(_short, each.examples))) for each in _listed(artefact, measured)),
        ),
        deepest=_table(("code", "tools", "some of them"), _shared(artefact)),
    )


_LEVEL_HEAD = (
    "level", "codes", "in use", "perplexity", "share a code", "largest bucket", "distortion", "neighbours together",
    "any two together",
)  # fmt: skip


def _level_row(number: int, level: Level) -> tuple[object, ...]:
    return (
        number + 1, len(level.usage), len(level.usage) - level.dead, f"{level.perplexity:.1f}",
        _percent(level.collision_rate), level.largest_bucket, f"{level.distortion:.4g}",
        _percent(level.neighbours_together), _percent(level.chance_together),
    )  # fmt: skip


def _about(artefact: Artefact) -> dict[str, object]:
    seeds = ", ".join(f"{name} {seed}" for name, seed in artefact.seeds.items())
    digests: Mapping[str, object] = {f"digest of the {n}": each for n, each in artefact.digests._asdict().items()}
    return {"quantiser": artefact.quantiser.kind, "seeds": seeds or "none", **digests}


def _listed(artefact: Artefact, measured: Measured) -> list[FirstCode]:
    return first_codes(artefact, measured)[:LISTED]


def _shared(artefact: Artefact) -> list[tuple[str, int, str]]:
    """The whole codes that most tools share."""
    assigned = artefact.assigned
    _, group, sizes = np.unique(assigned.paths, axis=0, return_inverse=True, return_counts=True)
    largest = [n for n in np.argsort(-sizes, kind="stable")[:LISTED].tolist() if sizes[n] > 1]
    shown = []
    for n in largest:
        rows = np.flatnonzero(group.reshape(-1) == n)
        code = spell(assigned.codes[rows[0]].tolist(), int(assigned.suffix[rows[0]]))
        shown.append((code, len(rows), ", ".join(_short(artefact.tools[row][0]) for row in rows[:EXAMPLES])))
    return shown


def _draw_usage(figure: Figure, levels: Sequence[Level]) -> None:
    for number, (axes, level) in enumerate(zip(_row(figure, len(levels)), levels, strict=True)):
        axes.fill_between(np.arange(len(level.usage)), np.sort(level.usage)[::-1], step="mid", color="#3b6ea5")
        axes.set(title=f"level {number + 1}", xlabel="codes, most used first", ylim=(0, None))
    figure.axes[0].set_ylabel("tools")


def _draw_shares(figure: Figure, levels: Sequence[Level]) -> None:
    at = np.arange(len(levels)) + 1
    left, middle, right = _row(figure, 3)
    left.bar(at, [100 * level.collision_rate for level in levels], color="#b5543c")
    left.set(title="tools that share their code", ylabel="%", ylim=(0, 100))
    middle.plot(at, [level.distortion for level in levels], "o-", color="#3b6ea5")
    middle.set(title="distortion", ylabel="mean squared distance", ylim=(0, None))
    right.plot(at, [100 * level.neighbours_together for level in levels], "o-", color="#3f7f4f", label="used together")
    right.plot(at, [100 * level.chance_together for level in levels], "o--", color="#888888", label="any two")
    right.set(title="pairs with one prefix", ylabel="%", ylim=(0, 100))
    right.legend(frameon=False)
    for axes in (left, middle, right):
        axes.set(xlabel="level", xticks=at)


def _draw_losses(figure: Figure, measured: Measured) -> None:
    (axes,) = _row(figure, 1)
    steps = [each.step for each in measured.history]
    for name in measured.history[0]._fields[1:]:
        values = [getattr(each, name) for each in measured.history]
        if any(values):
            axes.plot(steps, values, label=name.replace("_", " "), linewidth=1.8 if name == "total" else 0.9)
    axes.set(xlabel="step", yscale="log" if measured.history[-1].total > 0 else "linear")
    axes.legend(frameon=False, ncols=4, fontsize="small")


def _draw_map(figure: Figure, artefact: Artefact, measured: Measured) -> None:
    (axes,) = _row(figure, 1)
    digits = artefact.assigned.codes[:, 0]
    # Neighbouring digits get distant hues: the golden ratio never comes back to where it was.
    hues = (digits * 0.6180339887498949) % 1.0
    size = float(np.clip(20_000 / max(1, len(digits)), 1.0, 24.0))
    axes.scatter(
        measured.plane[:, 0],
        measured.plane[:, 1],
        c=hues,
        cmap="hsv",
        vmin=0,
        vmax=1,
        s=size,
        linewidths=0,
        rasterized=True,
    )
    axes.set(xticks=[], yticks=[])
    for each in first_codes(artefact, measured)[:12]:
        rows = digits == int(each.code[3:-1])
        x, y = np.median(measured.plane[rows], 0)
        box = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1.0}
        axes.text(x, y, each.code, ha="center", va="center", fontsize="small", bbox=box)


def _row(figure: Figure, columns: int) -> list[Axes]:
    return [figure.add_subplot(1, columns, n + 1) for n in range(columns)]


def _drawn(name: str, draw: Callable[[Figure], None], words: str, *, height: float = 3.2) -> str:
    """An image with the plot inside: as an image it can neither run anything nor fetch anything."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # A salt of our own and no date: the same numbers give the same bytes.
    with rc_context({"svg.hashsalt": name, "axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=(10.0, height), layout="constrained", dpi=150)
        draw(figure)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    content = base64.b64encode(out.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(words)}" src="data:image/svg+xml;base64,{content}">'


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{_safe(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table>\n<tr>{''.join(f'<th>{_safe(cell)}</th>' for cell in head)}</tr>\n{body}</table>"


def _pairs(values: Mapping[str, object]) -> str:
    rows = "".join(f"<tr><th>{_safe(name)}</th><td>{_safe(value)}</td></tr>\n" for name, value in values.items())
    return f"<table>\n{rows}</table>"


def _safe(value: object) -> str:
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"

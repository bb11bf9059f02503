"""Everyday work on tables, which are lists of rows: read and write CSV, filter, sort, group, join."""

from __future__ import annotations

import csv
import io
import operator
import statistics
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from toolweft_catalog.ingest.python import tool

Cell: TypeAlias = str | int | float | bool | None
Row: TypeAlias = dict[str, Cell]

Comparison = Literal["=", "!=", "<", "<=", ">", ">=", "contains"]
Measure = Literal["count", "sum", "mean", "median", "min", "max"]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_MEASURE: dict[str, Callable[[list[float]], float]] = {
    "count": len, "sum": sum, "mean": statistics.fmean, "median": statistics.median, "min": min, "max": max,
}  # fmt: skip


@tool(read_only=True, idempotent=True)
def parse_csv(text: str, separator: str = ",") -> list[Row]:
    """Read CSV text into a table. The first line names the columns; cells that are numbers become numbers.

    Args:
        text: The CSV text.
        separator: What stands between cells: one character.

    """
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    lines = [line for line in reader if line]
    if not lines:
        return []
    header, *rows = lines
    return [{name: _cell(cell) for name, cell in zip(header, row, strict=False)} for row in rows]


def _cell(text: str) -> Cell:
    """A number only where writing it again gives the same text: identifiers such as `007` stay as they are."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text:
            return number
    return text


@tool(read_only=True, idempotent=True)
def to_csv(rows: list[Row], separator: str = ",") -> str:
    """Write a table as CSV text, with a first line of column names.

    Args:
        rows: The table.
        separator: What stands between cells: one character.

    """
    out = io.StringIO()
    writer = csv.DictWriter(out, _columns(rows), delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@tool(read_only=True, idempotent=True)
def to_markdown(rows: list[Row]) -> str:
    """Write a table as a Markdown table.

    Args:
        rows: The table.

    """
    columns = _columns(rows)
    lines = [columns, ["---"] * len(columns), *([_shown(row.get(name)) for name in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(cell: Cell) -> str:
    return "" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ")


@tool(read_only=True, idempotent=True)
def filter_rows(rows: list[Row], column: str, comparison: Comparison, value: Cell) -> list[Row]:
    """Keep the rows of a table whose cell in a column compares with a value. Cells of another kind never do.

    Args:
        rows: The table.
        column: The column to look at.
        comparison: How to compare.
        value: What to compare with.

    """
    return [row for row in rows if _holds(row.get(column), comparison, value)]


def _holds(cell: Cell, comparison: Comparison, value: Cell) -> bool:
    if comparison == "contains":
        return str(value).casefold() in _shown(cell).casefold()
    try:
        return _COMPARE[comparison](cell, value)
    except TypeError:
        return False


@tool(read_only=True, idempotent=True)
def sort_rows(rows: list[Row], by: str, descending: bool = False) -> list[Row]:
    """Sort a table by a column: numbers before texts, rows without a value last.

    Args:
        rows: The table.
        by: The column to sort by.
        descending: Largest first.

    """
    filled = [row for row in rows if row.get(by) is not None]
    empty = [row for row in rows if row.get(by) is None]
    return [*sorted(filled, key=lambda row: _order(row[by]), reverse=descending), *empty]


def _order(cell: Cell) -> tuple[bool, float, str]:
    return (True, 0.0, cell) if isinstance(cell, str) else (False, float(cell or 0), "")


@tool(read_only=True, idempotent=True)
def group(rows: list[Row], by: str, measure: Measure = "count", column: str | None = None) -> list[Row]:
    """Group a table by a column and measure each group: how many rows, or the sum, mean, median, min or max.

    Args:
        rows: The table.
        by: The column whose equal values make a group.
        measure: What to compute for each group.
        column: The numeric column to measure; not needed to count.

    """
    if measure != "count" and column is None:
        raise ValueError(f"give the 'column' whose {measure} is wanted")
    groups: dict[Cell, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.get(by), []).append(row)
    label = measure if column is None else f"{measure}_{column}"
    return [{by: name, label: _measured(members, measure, column)} for name, members in groups.items()]


def _measured(rows: list[Row], measure: Measure, column: str | None) -> Cell:
    if column is None:
        return len(rows)
    numbers = [cell for row in rows if isinstance(cell := row.get(column), int | float) and not isinstance(cell, bool)]
    return _MEASURE[measure](numbers) if numbers or measure in ("count", "sum") else None


@tool(read_only=True, idempotent=True)
def join(left: list[Row], right: list[Row], on: str, keep_unmatched: bool = False) -> list[Row]:
    """Join two tables on a column that they share. Columns of the right table are added to those of the left.

    Args:
        left: The first table.
        right: The second table.
        on: The column whose equal values belong together.
        keep_unmatched: Keep rows of the left table that have no partner.

    """
    partners: dict[Cell, list[Row]] = {}
    for row in right:
        if row.get(on) is not None:
            partners.setdefault(row[on], []).append(row)
    joined: list[Row] = []
    for row in left:
        found = partners.get(row.get(on), [])
        joined.extend({**partner, **row} for partner in found)
        if keep_unmatched and not found:
            joined.append(row)
    return joined


def _columns(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))

"""The everyday tools: each is typed and read-only, and does what it says."""

import importlib
from datetime import date, datetime

import pytest
from pydantic_core import to_jsonable_python

from toolweft_catalog import bundled
from toolweft_catalog.ingest import python

FOUND = {
    f"{name}.{found.name}": found
    for name, path in bundled.modules().items()
    for found in python.functions(importlib.import_module(path), [])
}


def call(tool, **arguments):
    bound = FOUND[tool].bind(arguments)
    return to_jsonable_python(FOUND[tool].function(*bound.positional, **bound.named))


@pytest.mark.parametrize("server", list(bundled.modules()))
def test_every_tool_is_described_typed_and_read_only(server):
    ingested = python.tools(importlib.import_module(bundled.modules()[server]), server=server)
    assert ingested.problems == []
    for tool in ingested.tools:
        assert tool.id == f"{server}.{tool.name}"
        assert tool.annotations.read_only is True
        assert tool.output is not None
        assert len(tool.summary) > 20
        assert all("description" in each for each in tool.parameters["properties"].values()), tool.id


ROWS = [{"city": "Rome", "n": 3}, {"city": "Oslo", "n": 10}, {"city": "Rome", "n": 2.5}, {"city": "Bern", "n": None}]

CASES = [
    ("text.count", {"text": "One two.\nThree?"}, {"characters": 15, "words": 3, "lines": 2, "sentences": 2}),
    ("text.count", {"text": ""}, {"characters": 0, "words": 0, "lines": 0, "sentences": 0}),
    ("text.frequent_words", {"text": "b a B c", "limit": 2}, [{"word": "b", "count": 2}, {"word": "a", "count": 1}]),
    ("text.extract", {"text": "Mail a@b.example, a@b.example!", "kind": "email"}, ["a@b.example"]),
    ("text.extract", {"text": "See https://a.example/x?y=1.", "kind": "url"}, ["https://a.example/x?y=1"]),
    ("text.extract", {"text": "3 of -4.5", "kind": "number"}, ["3", "-4.5"]),
    ("text.compare", {"before": "a\nb", "after": "a\nb"}, {"similarity": 1.0, "diff": ""}),
    ("text.slug", {"text": "Crème Brûlée, 2 ways!"}, "creme-brulee-2-ways"),
    ("text.fill_template", {"template": "{a}-{b}", "values": {"a": 1, "b": "{a}"}}, "1-{a}"),
    ("dates.between", {"start": "2026-11-20", "end": "2026-11-30"}, {"days": 10, "weeks": 1.43, "working_days": 6}),
    ("dates.between", {"start": "2026-11-30", "end": "2026-11-20"}, {"days": -10, "weeks": -1.43, "working_days": -6}),
    ("dates.add", {"start": "2026-01-31", "amount": 1, "unit": "months"}, "2026-02-28"),
    ("dates.add", {"start": "2024-02-29", "amount": -1, "unit": "years"}, "2023-02-28"),
    ("dates.add", {"start": "2026-11-20", "amount": 1, "unit": "working_days"}, "2026-11-23"),
    ("dates.convert_zone", {"moment": "2026-07-01T12:00:00", "to": "Europe/Berlin"}, "2026-07-01T14:00:00+02:00"),
    (
        "dates.describe",
        {"day": "2024-02-29"},
        {"weekday": "Thursday", "iso_week": 9, "day_of_year": 60, "quarter": 1, "leap_year": True},
    ),
    (
        "dates.occurrences",
        {"start": "2026-11-01", "end": "2026-11-15", "weekday": "friday"},
        ["2026-11-06", "2026-11-13"],
    ),
    ("tables.parse_csv", {"text": "a,b\n1,007\n2.5,x\n"}, [{"a": 1, "b": "007"}, {"a": 2.5, "b": "x"}]),
    ("tables.to_csv", {"rows": [{"a": 1, "b": 'x,"y"'}, {"c": None}]}, 'a,b,c\n1,"x,""y""",\n,,\n'),
    ("tables.to_markdown", {"rows": [{"a": 1, "b": "x|y"}]}, "| a | b |\n| --- | --- |\n| 1 | x\\|y |"),
    ("tables.filter_rows", {"rows": ROWS, "column": "n", "comparison": ">", "value": 2.6}, [ROWS[0], ROWS[1]]),
    ("tables.filter_rows", {"rows": ROWS, "column": "city", "comparison": "contains", "value": "os"}, [ROWS[1]]),
    ("tables.sort_rows", {"rows": ROWS, "by": "n", "descending": True}, [ROWS[1], ROWS[0], ROWS[2], ROWS[3]]),
    (
        "tables.group",
        {"rows": ROWS, "by": "city", "measure": "sum", "column": "n"},
        [{"city": "Rome", "sum_n": 5.5}, {"city": "Oslo", "sum_n": 10}, {"city": "Bern", "sum_n": 0}],
    ),
    (
        "tables.group",
        {"rows": ROWS, "by": "city"},
        [{"city": "Rome", "count": 2}, {"city": "Oslo", "count": 1}, {"city": "Bern", "count": 1}],
    ),
    (
        "tables.join",
        {"left": ROWS[:2], "right": [{"city": "Rome", "land": "IT"}], "on": "city", "keep_unmatched": True},
        [{"city": "Rome", "n": 3, "land": "IT"}, {"city": "Oslo", "n": 10}],
    ),
    ("units.convert", {"value": 1, "source": "mi", "to": "km"}, 1.609344),
    ("units.convert", {"value": 3.6, "source": "km/h", "to": "m/s"}, 1.0),
    ("units.temperature", {"value": 100, "source": "C", "to": "F"}, 212.0),
    ("units.temperature", {"value": -40, "source": "F", "to": "C"}, -40.0),
    ("units.readable_size", {"size": 1_500_000}, "1.5 MB"),
    ("units.readable_size", {"size": 1023, "binary": True}, "1,023 B"),
    ("units.readable_duration", {"seconds": 93_784}, "1 d 2 h 3 min 4 s"),
    ("units.readable_duration", {"seconds": -0.2}, "0 s"),
]


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)]
)
def test_a_tool_does_what_it_says(tool, arguments, expected):
    assert call(tool, **arguments) == expected


def test_every_tool_is_exercised():
    assert set(FOUND) - {case[0] for case in CASES} == {"dates.now", "units.known"}
    assert datetime.fromisoformat(call("dates.now")).date() >= date(2026, 1, 1)
    assert "m/s" in next(each["units"] for each in call("units.known") if each["kind"] == "speed")


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("text.fill_template", {"template": "{a} {b}", "values": {}}, "no value for a, b"),
        ("dates.add", {"start": "2026-01-01", "amount": 9000, "unit": "years"}, "the year 11026 is outside"),
        ("dates.add", {"start": "2026-01-01", "amount": 10**9, "unit": "working_days"}, "are too many"),
        ("dates.occurrences", {"start": "0001-01-01", "end": "9999-01-01", "weekday": "monday"}, "is too long"),
        ("dates.convert_zone", {"moment": "2026-01-01T00:00", "to": "../etc"}, "there is no time zone '../etc'"),
        ("tables.group", {"rows": [], "by": "a", "measure": "sum"}, "give the 'column' whose sum is wanted"),
        ("units.convert", {"value": 1, "source": "KM", "to": "m"}, "there is no unit 'KM'; did you mean 'km'?"),
        ("units.convert", {"value": 1, "source": "km", "to": "kg"}, "'km' is a unit of length and 'kg' one of mass"),
        ("units.temperature", {"value": -300, "source": "C", "to": "K"}, "-300 C is below absolute zero"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(tool, arguments, words):
    with pytest.raises(ValueError, match=words.replace("?", r"\?").replace(".", r"\.")):
        call(tool, **arguments)

"""ToolBench catalogues: RapidAPI files, and one tool a line."""

import json

import pytest

from toolweft_catalog.ingest import toolbench
from toolweft_catalog.tool import Annotations, Tool

ROW = {
    "id": "Weather/open/now",
    "name": "now",
    "description": "The weather now.",
    "server": "Weather/open",
    "server_description": "Weather.",
    "category": "Weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "default": "Rome"}},
        "required": ["city"],
    },
    "output": {"type": "object", "properties": {"t": {"type": "number"}}},
}
FILE = {
    "tool_name": "Open Weather",
    "tool_description": "Weather.",
    "home_url": "https://example.com",
    "api_list": [
        {
            "name": "Now",
            "url": "https://weather.example.com/now",
            "description": "The weather now.",
            "method": "GET",
            "required_parameters": [{"name": "city", "type": "STRING", "description": "A city.", "default": "Rome"}],
            "optional_parameters": [
                {"name": "days", "type": "NUMBER", "description": "", "default": ""},
                {"name": "when", "type": "DATE (YYYY-MM-DD)"},
            ],
        },
        {"name": "Report", "method": "POST", "required_parameters": None},
    ],
}


def test_a_line_becomes_a_tool():
    assert toolbench.tools(json.dumps(ROW), server="catalogue") == (
        [
            Tool(
                id="Weather_open.now",
                name="now",
                server="Weather/open",
                description="The weather now.",
                parameters=ROW["parameters"],
                output=ROW["output"],
                origin="toolbench",
                server_description="Weather.",
            )
        ],
        [],
    )


def test_a_rapidapi_file_becomes_the_tools_of_its_server():
    found = toolbench.tools(json.dumps(FILE, indent=2), server="catalogue")
    assert found.problems == []
    assert found.tools[0] == Tool(
        id="Open_Weather.Now",
        name="Now",
        server="Open Weather",
        description="The weather now.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "A city.", "default": "Rome"},
                "days": {"type": "number"},
                "when": {"type": "string"},
            },
            "required": ["city"],
        },
        annotations=Annotations(read_only=True),
        origin="toolbench",
        server_description="Weather.",
        binding={"method": "GET", "url": "https://weather.example.com/now"},
    )
    assert (found.tools[1].id, found.tools[1].annotations) == ("Open_Weather.Report", Annotations())


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([FILE, ROW]),
        json.dumps(FILE) + "\n" + json.dumps(ROW),
        json.dumps({"tools": [FILE, ROW]}),
        json.dumps(FILE) + "\r\n\n" + json.dumps(ROW, ensure_ascii=False).replace("now.", "now\u2028.") + "\n",
    ],
)
def test_both_kinds_may_come_in_a_list_or_in_lines(text):
    found = toolbench.tools(text, server="catalogue")
    assert [tool.id for tool in found.tools] == ["Open_Weather.Now", "Open_Weather.Report", "Weather_open.now"]
    assert found.problems == []


def test_rows_that_share_server_and_name_are_all_kept_under_their_row_ids():
    rows = [ROW, {**ROW, "id": "Weather/open/now_2", "description": "Another."}]
    found = toolbench.tools(rows, server="catalogue")
    assert [tool.name for tool in found.tools] == ["now", "Weather/open/now_2"]
    assert found.problems == ["1 tools share server and name with another one; they are named by their id"]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("{", "line 2 is not JSON and is left out"),
        ("3", "an entry is no tool and is left out: 3"),
        ('{"name": 3}', "an entry is no tool and is left out: {'name': 3}"),
        ('{"api_list": [{}], "tool_name": "x"}', "'x': an API without a name is left out: {}"),
    ],
)
def test_a_bad_line_costs_itself_alone(bad, problem):
    found = toolbench.tools("\n".join([json.dumps(ROW), bad, json.dumps({**ROW, "name": "b"})]), server="catalogue")
    assert [tool.name for tool in found.tools] == ["now", "b"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith(problem)


def test_a_row_with_bad_parameters_is_mended_and_said():
    found = toolbench.tools(
        [{"name": "a", "server": "", "parameters": {"type": "object", "properties": 3}}], server="c"
    )
    assert (found.tools[0].id, found.tools[0].parameters) == ("c.a", {"type": "object", "properties": {}})
    assert found.problems == ["'a': its parameters were mended: properties is int, not an object"]


@pytest.mark.parametrize("document", ["", "no", "3", "[]", None, "[[[["])
def test_what_holds_no_tool_is_refused(document):
    with pytest.raises(ValueError, match=r"Expecting value|is an object, a list or lines|there is no tool in it"):
        toolbench.tools(document, server="c")


def test_ten_thousand_lines_give_ten_thousand_ids():
    lines = "\n".join(
        json.dumps({**ROW, "id": f"{n}", "name": f"t {n % 500}", "server": f"s{n % 40}"}) for n in range(10_000)
    )
    found = toolbench.tools(lines, server="c")
    assert len({tool.id for tool in found.tools}) == 10_000

"""Who gives an identifier that a tool requires: by declared outputs, by names, and when a request already holds it."""

import numpy as np
import pytest

from toolweft_catalog.tool import Tool
from toolweft_server.index.woven import producers, traits
from toolweft_server.index.woven.producers import TOO_MANY, Producers


def tool(name, server="slack", output=None, **parameters):
    schema = {"type": "object", "properties": {each: {"type": "string"} for each in parameters}}
    schema["required"] = [each for each, required in parameters.items() if required]
    return Tool(id=f"{server}.{name}", name=name, server=server, parameters=schema, output=output)


def of(tools, row=0, together=()):
    return Producers(traits.of(tools)).of(row, np.array(together, np.int64)).tolist()


SLACK = [
    tool("post_message", channel_id=True, text=True),
    tool("list_channels", limit=False),
    tool("get_channel", channel_id=True),
    tool("listChannels", server="discord"),
    tool("archive_channel", channel_id=True),
]


def test_what_gives_a_required_identifier_is_found_on_the_same_server():
    assert of(SLACK) == [1]


def test_a_tool_of_another_server_gives_it_when_both_were_used_together():
    assert of(SLACK[:1] + SLACK[2:]) == []
    assert of(SLACK[:1] + SLACK[2:], together=[1, 2, 3]) == [2]


def test_a_mere_id_is_of_what_the_tools_name_speaks_of():
    tools = [tool("deleteContact", id=True), tool("search_contacts", query=True), tool("search_deals", query=True)]
    assert of(tools) == [1]


def test_a_declared_output_of_that_name_is_surer_than_a_name_and_listing_is_surer_than_reading():
    rows = {"type": "object", "properties": {"rows": {"type": "array", "items": {"properties": {"userKey": {}}}}}}
    tools = [tool("assign", user_key=True), tool("list_users"), tool("read_users"), tool("directory", output=rows)]
    assert of(tools) == [3]
    assert of(tools[:3]) == [1]
    assert of([tools[0], tools[2]]) == [1]


def test_optional_and_plain_inputs_have_no_producers():
    assert of([tool("post", channel_id=False, text=True), tool("list_channels"), tool("list_texts")]) == []


def test_where_many_tools_give_it_equally_well_nobody_is_named():
    def many(count):
        return [tool("assign", user_id=True), *(tool(f"list_users_by_{n}") for n in range(count))]

    assert len(of(many(TOO_MANY - 1))) == TOO_MANY - 1
    assert of(many(TOO_MANY)) == []


@pytest.mark.parametrize(
    ("request_", "held"),
    [
        ("tell the ops channel that we are live", False),
        ("post 'live' to C024BE91L", True),
        ("post to https://slack.example/archives/ops", True),
        ("comment on acme/website", True),
        ("close issue 4812", True),
        ("fly to London on August 15, 2024 and back on 2024-08-18", False),
        ("book a 5-star hotel from 3/4 to 10/4/2025, 30km away, at 10am", False),
        ("", False),
    ],
)
def test_a_request_that_holds_what_may_be_an_identifier_needs_no_producer(request_, held):
    assert producers.held(request_) is held


def test_schemas_of_strangers_do_no_harm():
    odd = [
        Tool(id="a.b", name="b", server="a", parameters={"required": "id", "properties": []}, output={"properties": 3}),
        Tool(id="a.c", name="", server="a", parameters={"required": [3, None, "id"]}, output={"items": {"items": []}}),
        Tool(id="a.d", name="\ud800 id", server="a", parameters={"required": ["\ud800_id"] * 9}),
        tool("long", **{f"{'x' * 9999}_{n}_id": True for n in range(50)}),
    ]
    assert [of(odd, row) for row in range(len(odd))] == [[]] * len(odd)
    assert of([tool("alone", some_id=True)]) == []

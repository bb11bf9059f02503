"""Saved functions as Agent Skills over MCP (SEP-2640), as a host of either protocol era sees them."""

import hashlib
import json
import re
from contextlib import asynccontextmanager
from typing import Any, Literal

import mcp_types as types
import pytest
import yaml
from mcp import Client, MCPError

from toolweft_server import config as configuration
from toolweft_server import serving, skills
from toolweft_server.library.extract import Extracted
from toolweft_server.library.store import FunctionStore
from toolweft_server.runtime import Lazy
from toolweft_server.store.store import Store

pytestmark = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])

SPENT = 'def spent(customer: str) -> int:\n    """What a customer\'s orders cost: all."""\n    return len(customer)\n'


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "t.db") as opened:
        library = FunctionStore(opened)
        origin = {"task": "How much did Ada spend?", "owner": "ada", "execution": "ex_1", "host": "h"}
        save(library, "open_titles", "def open_titles() -> int:\n    return functions.spent('')\n", functions=())
        save(library, "spent", SPENT, provenance=origin)
        save(library, "null", "def null():\n    return 1\n")
        yield library


def save(library, name, source, functions=(), provenance=None):
    found = Extracted(name, source, (), tuple(functions))
    assert [each.state for each in library.admit([found], tools={}, provenance=provenance).saved] == ["active"]


@asynccontextmanager
async def connected(tmp_path, mode):
    path = tmp_path / "toolweft.json"
    path.write_text(json.dumps({"store": str(tmp_path / "t.db"), "index": {"kind": "lexical"}}), encoding="utf-8")
    async with Client(serving.build(Lazy(configuration.load(path)), servers=[]), mode=mode) as client:
        yield Host(client)


class ListRequest(types.Request[types.PaginatedRequestParams, Literal["skills/list"]]):
    method: Literal["skills/list"] = "skills/list"
    params: types.PaginatedRequestParams


class GetRequest(types.Request[skills.GetParams, Literal["skills/get"]]):
    method: Literal["skills/get"] = "skills/get"
    params: skills.GetParams


class Host:
    def __init__(self, client):
        self.client = client

    async def list(self, cursor=None):
        request = ListRequest(params=types.PaginatedRequestParams(cursor=cursor))
        return await self.client.session.send_request(request, skills.Listed)

    async def get(self, uri):
        found = await self.client.session.send_request(GetRequest(params=skills.GetParams(uri=uri)), skills.Got)
        return found.skill

    async def read(self, uri):
        (content,) = (await self.client.read_resource(uri)).contents
        return content


async def test_the_extension_is_advertised_where_the_protocol_has_a_place_for_it(tmp_path, store, mode):
    # A client that names a revision asks nothing; the handshake of the older ones has no place for extensions.
    async with connected(tmp_path, "auto" if mode != "legacy" else mode) as host:
        advertised = host.client.server_capabilities
        assert advertised.extensions == (None if mode == "legacy" else {skills.EXTENSION: {}})
        assert advertised.resources is not None


async def test_every_function_that_is_offered_is_a_skill(tmp_path, store, mode):
    async with connected(tmp_path, mode) as host:
        listed = await host.list()
        assert [each.uri for each in listed.skills] == [
            "skill://null/SKILL.md", "skill://open-titles/SKILL.md", "skill://spent/SKILL.md",
        ]  # fmt: skip
        assert (listed.next_cursor, listed.ttl_ms, listed.cache_scope) == (None, 0, "private")
        assert await host.get("skill://spent/SKILL.md") == listed.skills[2]
        assert listed.skills[2].frontmatter == {"name": "spent", "description": "What a customer's orders cost: all."}


async def test_what_is_read_is_what_was_listed(tmp_path, store, mode):
    async with connected(tmp_path, mode) as host:
        for skill in (await host.list()).skills:
            assert [each.uri.rpartition("/")[2] for each in skill.resources] == [
                "SKILL.md", "functions.py", "function.json",
            ]  # fmt: skip
            for each in skill.resources:
                data = (await host.read(each.uri)).text.encode("utf-8")
                assert each.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
                assert each.size == len(data)
            page = (await host.read(skill.uri)).text
            assert yaml.safe_load(re.match(r"---\n(.*?)\n---\n", page, re.DOTALL)[1]) == skill.frontmatter


async def test_a_skill_says_how_to_call_it_here_and_nothing_of_the_person(tmp_path, store, mode):
    async with connected(tmp_path, mode) as host:
        page = await host.read("skill://spent/SKILL.md")
        assert page.mime_type == "text/markdown"
        assert "In `execute_code` of this server:" in page.text
        assert "functions.spent(customer: str) -> int" in page.text
        assert (await host.read("skill://spent/functions.py")).text == SPENT
        facts: dict[str, Any] = json.loads((await host.read("skill://spent/function.json")).text)
        assert facts["provenance"] == {"host": "h"}


async def test_functions_that_are_not_offered_are_no_skills(tmp_path, store, mode):
    store.mark("spent", 1, "stale", "its tool changed")
    store.mark("null", 1, "quarantined", "it failed")
    async with connected(tmp_path, mode) as host:
        assert [each.frontmatter["name"] for each in (await host.list()).skills] == ["open-titles"]
        for name in ("spent", "null"):
            with pytest.raises(MCPError, match="there is no skill") as told:
                await host.get(f"skill://{name}/SKILL.md")
            assert told.value.code == types.INVALID_PARAMS
            with pytest.raises(MCPError, match="there is no resource"):
                await host.read(f"skill://{name}/SKILL.md")


async def test_what_is_no_skill_is_refused_as_wrong_parameters(tmp_path, store, mode):
    async with connected(tmp_path, mode) as host:
        for uri in ("skill://nobody/SKILL.md", "skill://spent/functions.py", "skill://spent", "spent", ""):
            with pytest.raises(MCPError) as told:
                await host.get(uri)
            assert (told.value.code, told.value.data) == (types.INVALID_PARAMS, {"uri": uri})
        for uri in ("skill://spent/recorded.json", "skill://spent/../SKILL.md", "skill://Spent/SKILL.md"):
            with pytest.raises(MCPError) as told:
                await host.read(uri)
            assert told.value.code == types.INVALID_PARAMS
        with pytest.raises(MCPError, match="unknown cursor"):
            await host.list("next")


async def test_a_long_list_comes_in_pages_and_like_names_once(tmp_path, store, mode):
    for number in range(skills.PAGE):
        save(store, f"f{number}", f"def f{number}():\n    return {number + 2}\n")
    save(store, "Spent", "def Spent():\n    return -1\n")
    async with connected(tmp_path, mode) as host:
        first = await host.list()
        second = await host.list(first.next_cursor)
        assert (len(first.skills), second.next_cursor) == (skills.PAGE, None)
        names = [each.frontmatter["name"] for each in (*first.skills, *second.skills)]
        assert len(names) == len(set(names)) == skills.PAGE + 3

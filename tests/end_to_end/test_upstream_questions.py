"""What a person's own servers ask in the middle of a call reaches the person, whatever revisions are between them."""

import sys
from pathlib import Path

import anyio
import mcp_types as types
import pytest

SERVERS = Path(__file__).parents[1] / "server/upstream/servers"
BOTH = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
PATIENT = {"limits": {"manifest_wait": 60}}
"""A server that starts slowly on a busy machine is waited for."""
ASKING = pytest.mark.parametrize("server", ["odd", "modern"])


@pytest.fixture
def asking(write_config, tmp_path):
    """A configuration with one server whose tool `ask` asks "who?"; `odd` is of the older era."""

    def write(server, **parts):
        entry = {"command": sys.executable, "args": [str(SERVERS / f"{server}.py"), str(tmp_path / "notes")]}
        entry["args"][1:1] = ["well"] if server == "odd" else []
        return write_config(mcpServers={server: entry}, **PATIENT, **parts)

    return write


def person(*names):
    """Gives its names in turn; what it was asked."""
    rest, asked = list(names), []

    async def answer(_context, params):
        asked.append(params)
        name = rest.pop(0)
        if name is None:
            return types.ElicitResult(action="decline")
        return types.ElicitResult(action="accept", content={"name": name} if name else None)

    return answer, asked


@BOTH
@ASKING
async def test_a_servers_question_names_the_server_and_its_answer_reaches_it(asking, in_process, mode, server):
    answer, asked = person("Ada", None)
    async with in_process(asking(server), mode=mode, elicitation_callback=answer) as host:
        ran = await host.execute(f"[{server}.ask(), {server}.ask()]")
    assert ran["error"] is None
    assert ran["value"] == {
        "odd": [{"action": "accept", "content": {"name": "Ada"}}, {"action": "decline"}],
        "modern": ["accept: Ada", "decline: None"],
    }[server]  # fmt: skip
    assert len(asked) == 2
    assert asked[0].message == f"The server '{server}' asks, called by {server}.ask: who?"
    assert asked[0].requested_schema == {"type": "object", "properties": {"name": {"type": "string"}}}


@pytest.mark.parametrize(("server", "mode"), [("odd", "2026-07-28"), ("modern", "legacy")])
async def test_where_nobody_can_be_asked_the_question_is_in_the_error(asking, in_process, mode, server):
    async with in_process(asking(server), mode=mode) as host:
        ran = await host.execute(f"{server}.ask()")
    assert f"{server} asks 'who?', and nobody can be asked here" in str(ran["value"]) + str(ran["error"])


@BOTH
async def test_questions_of_servers_and_about_calls_are_told_apart(asking, in_process, mode):
    async def answer(_context, params):
        content = {"name": "Ada"} if "who?" in params.message else {"decision": "allow once"}
        return types.ElicitResult(action="accept", content=content)

    code = """
        import asyncio
        async def both():
            return await asyncio.gather(modern.ask(), desk.write_note("x"))
        await both()
    """
    path = asking("modern", policy={"desk.write_note": "ask"})
    async with in_process(path, mode=mode, elicitation_callback=answer) as host:
        with anyio.fail_after(60):
            ran = await host.execute(code)
    assert ran["value"] == ["accept: Ada", 1]


@BOTH
async def test_an_address_to_visit_is_passed_on_as_one(write_config, in_process, mode):
    signin = {"command": sys.executable, "args": [str(Path(__file__).with_name("servers") / "signin.py")]}
    answer, asked = person({})
    path = write_config(mcpServers={"signin": signin}, **PATIENT)
    async with in_process(path, mode=mode, elicitation_callback=answer) as host:
        ran = await host.execute("signin.sign_in()")
    assert (ran["value"], asked[0].mode, asked[0].url) == ("accept", "url", "https://example.org/in")
    assert "The server 'signin' asks, called by signin.sign_in: Sign in first" in asked[0].message

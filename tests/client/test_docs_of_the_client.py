"""The snippets of the client's pages run as they stand, with a scripted model and the small server of `conftest`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from toolweft_client.agent import Agent
from toolweft_client.model.base import Message
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.session import Session
from toolweft_client.trace import EVENTS, Trace

DOCS = Path(__file__).parents[2] / "docs"
REPLIES = ["```python\nshop.list_orders(customer='Ada')\n```", "```python\nlen(shop.list_orders(customer='Ada'))\n```"]


def snippet(page: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    return code


def test_script_on_the_agents_page_answers(server, tmp_path, monkeypatch, capsys):
    (tmp_path / "r.json").write_text(json.dumps(REPLIES), encoding="utf-8")
    monkeypatch.setattr("toolweft_client.session.own_server", lambda: server)
    exec(
        compile(snippet("agent.md").replace("openai:gpt-5", f"scripted:{tmp_path / 'r.json'}"), "agent.md", "exec"), {}
    )
    assert capsys.readouterr().out == "answered 2\n"


def test_host_on_the_solve_servers_page_gets_an_answer(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("toolweft_client.session.own_server", lambda: server)
    monkeypatch.setattr("toolweft_client.trace.folder", lambda: tmp_path)
    exec(compile(snippet("solve-server.md"), "solve-server.md", "exec"), {})
    assert capsys.readouterr().out == "answered\n"


async def test_model_on_the_models_page_is_a_chat_model():
    names: dict = {}
    exec(compile(snippet("models.md"), "models.md", "exec"), names)
    reply = await names["Shouting"](ScriptedModel(["hello"])).complete([Message("user", "hi")], max_tokens=5)
    assert (reply.text, reply.model) == ("HELLO", "shouting:scripted")


async def test_reader_on_the_traces_page_reads(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    async with Session.connect(server) as session:
        await Agent(ScriptedModel(REPLIES), session).run("How many orders has Ada?", trace=Trace.to(Path("run.jsonl")))
    exec(compile(snippet("trace.md"), "trace.md", "exec"), {})
    status, tokens = capsys.readouterr().out.split()
    assert status == "answered"
    assert int(tokens) > 500


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_on_the_traces_page(event):
    assert f"| `{event}` |" in (DOCS / "trace.md").read_text(encoding="utf-8")


def test_budget_on_the_agents_page_is_the_default():
    from toolweft_client.budget import Budget

    line = re.search(r"`(Budget\(.*?\))`", (DOCS / "agent.md").read_text(encoding="utf-8"))
    assert line
    assert eval(line[1], {"Budget": Budget}) == Budget()


def test_rounds_on_the_solve_servers_page_are_those_of_the_code():
    from toolweft_client.commands.solve_server import MODEL_CALLS
    from toolweft_client.host import OPEN_SECONDS, ROUNDS
    from toolweft_client.solves import MOST

    page = (DOCS / "solve-server.md").read_text(encoding="utf-8")
    assert (ROUNDS, MODEL_CALLS) == (8, 6)
    assert "at most **eight**, and the default budget of model calls is **six**" in page
    assert f"{OPEN_SECONDS / 60:g} minutes for a question to a person; at most {MOST} tasks" in page

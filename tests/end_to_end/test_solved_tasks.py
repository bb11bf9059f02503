"""The agent against the real server: what solved one task stands in the design prompt of the next one like it."""

import pytest

from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.session import Session
from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.runtime import Lazy

PROGRAM = "def notes_of(word: str):\n    return [n for n in desk.read_notes() if word in n]\n\nnotes_of({!r})"


async def solve(server, task, word):
    """The answer, and the first prompt."""
    program = f"```python\n{PROGRAM.format(word)}\n```"
    model = ScriptedModel(["```python\nnotes = desk.read_notes()  # 1. read\n```", program, program])
    async with Session.connect(server) as session:
        answer = await Agent(model, session, budget=Budget(pause=0)).run(task)
    assert answer.status == "answered", answer.text
    return dict(zip(model.stages, [prompt[-1].text for prompt in model.prompts], strict=True)).get("design", "")


@pytest.mark.parametrize("keep", [True, False])
async def test_the_next_task_like_it_is_designed_after_the_program_that_solved_the_first(write_config, desk, keep):
    (desk / "notes.txt").write_text("milk and bread\n", encoding="utf-8")
    loaded = configuration.load(write_config(index={"kind": "lexical", "keep_requests": keep}))
    server = serving.build(Lazy(loaded), servers=list(loaded.servers))
    first = await solve(server, "Find all notes that say something about milk, and then list them", "milk")
    second = await solve(server, "Find all notes that say something about bread, and then list them", "bread")
    assert "solved_tasks" not in first
    assert ("about milk, and then list them\n\n" + PROGRAM.format("milk") in second) == keep
    assert ('<data from="solved_tasks">' in second) == keep

"""M3ToolEval over a small checkout of our own in upstream's form: what becomes a tool, and what a gold program."""

import pytest
from benchmarks.agent.m3tooleval import SHOP, M3ToolEval
from benchmarks.agent.task import operations, play
from benchmarks.agent.worlds import ROOMS, open_world

BASE = """
from tqdm import tqdm
from collections import namedtuple
ToolType = namedtuple("ToolType", ["name", "description", "function", "fn_signature"])

class Task:
    def __init__(self, name, tools, instruction, expected_output, is_single_tool_task=True):
        self.name, self.instruction, self.expected_output = name, instruction, expected_output
        print(name)

    def check_answer(self, answer):
        return answer == str(self.expected_output)
"""
COUNTING = """
from ..base import Task, ToolType

UNITS = ["inch", "foot"]
CUR_TASK_NAME = "counting"

def length(text: str, unit: str):
    return len(text)

def largest(*args):
    return max(args)

def pair(text):
    return (text, len(text))

def longest(texts):
    return largest(*[length(each, UNITS[0]) for each in texts])

def told(function, signature):
    return ToolType(function.__name__, "Does " + function.__name__ + ".", function, signature)

CUR_TOOLS = {
    "length": told(length, "length(text: str) -> int"),
    "largest": told(largest, "largest(*args: float) -> float"),
    "pair": told(pair, "pair(text: str) -> tuple"),
}
TASKS = [
    Task(name=f"{CUR_TASK_NAME}/long", tools=CUR_TOOLS, instruction="How long?", expected_output=longest(["a", "bcd"])),
    Task(name=f"{CUR_TASK_NAME}/pair", tools=CUR_TOOLS, instruction="A pair.", expected_output=pair("ab")),
]
TASKS.append(Task(name=f"{CUR_TASK_NAME}/four", tools=CUR_TOOLS, instruction="4?", expected_output=length("four", "")))
"""
NOTHING = "TASKS, CUR_TOOLS = [], {}\n"
PAGES = {
    "/team": "[Viewing page 1 of 2]\nOur Teams:\n- Sales Team [Clickable '/team/our_sales']",
    "/team/our-sales": "[Viewing page 1 of 1]\n- /team/ada_l [Clickable '/team/ada_l']",
    "/team/ada_l": "[Viewing page 1 of 1]\nAda L of Sales Department\nPhone: 12-3",
}
BROWSING = f"""
from ..base import Task, ToolType

def create_tools():
    pages = {PAGES!r}
    def click_url(url):
        return pages.get(url, "[URL not found.]")
    def scroll_down():
        return "\\nno more"
    return {{
        "click_url": ToolType("click_url", "Opens a page.", click_url, "click_url(url: str) -> str"),
        "scroll_down": ToolType("scroll_down", "Moves on.", scroll_down, "scroll_down() -> str"),
    }}

TASKS = [
    Task(name=name, tools=create_tools, instruction=text, expected_output=answer) for name, text, answer in [
        ("shop/phone", "Find the phone number of Ada L.\\n", "12-3"),
        ("shop/who", "Which person's phone number is 12-3?", "Ada L"),
        ("shop/why", "Why?", "so"),
        ("shop/email", "Find the email of Ada L.", "ada@l"),
    ]
]
"""


@pytest.fixture
def checkout(tmp_path):
    impl = tmp_path / "scripts" / "eval" / "m3tooleval" / "tasks" / "impl"
    (impl / SHOP).mkdir(parents=True)
    (impl.parent / "base.py").write_text(BASE, encoding="utf-8")
    (impl / SHOP / "__init__.py").write_text(BROWSING.replace("from ..base", "from ...base"), encoding="utf-8")
    for name in ROOMS[:-1]:
        text = COUNTING if name == ROOMS[0] else NOTHING
        (impl / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


def test_gold_programs_are_upstreams_expressions_over_its_tools_and_walks_through_its_pages(checkout):
    benchmark = M3ToolEval(checkout)
    answers = {task.id: play(task, benchmark.worlds()) for task in benchmark.tasks()}
    assert {task: played.value for task, played in answers.items()} == {
        "counting/long": 3, "counting/pair": "('ab', 2)", "counting/four": 4, "shop/phone": "12-3", "shop/who": "Ada L",
    }  # fmt: skip
    assert [call.arguments for call in answers["counting/long"].calls][-1] == {"args": [1, 3]}
    assert {call.effect for call in answers["shop/who"].calls} == {"add"}
    for task in benchmark.tasks():
        assert benchmark.score(task, answers[task.id].value, [], answered=True) == {"correct": True}
        assert benchmark.score(task, "otherwise", [], answered=True) == {"correct": False}


def test_tasks_without_a_program_that_upstream_accepts_are_listed_with_the_reason(checkout):
    excluded = M3ToolEval(checkout).excluded
    assert excluded["shop/why"] == "no program is known for it"
    assert excluded["shop/email"].startswith("its gold program ends with TypeError")


def test_upstreams_functions_are_tools_with_the_parameters_that_they_really_have(checkout):
    known = operations([open_world(name, str(checkout)) for name in ROOMS])
    tool = f"{ROOMS[0]}.length"
    assert known[tool].schema["required"] == ["text", "unit"]
    assert known[f"{ROOMS[0]}.largest"].parameters == {"args": {"type": "array", "items": {"type": "number"}}}
    assert known[f"{ROOMS[0]}.pair"].parameters == {"text": {"type": "string"}}
    assert known[tool].run({"text": "four", "unit": "inch"}) == {"result": 4}


def test_a_folder_without_upstreams_files_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="holds no m3tooleval"):
        M3ToolEval(tmp_path)

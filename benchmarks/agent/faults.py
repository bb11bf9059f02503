"""Faults: what a model or a tool gets wrong, one class at a time, made from a program that is right.

A program fault is an edit of the right program's AST, and `Mistake.told` says whether a prompt holds what is needed to
undo it: the gold coder mends only what it was told. Where a fault can happen is `STAGES`; `run` is the tool's side.

`entry` is the library's: a saved function that the program relies on (`entries`).

Not here: streams of the model's endpoint that drop, which the model's own code asks for again.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple, TypeAlias

from benchmarks.agent.world import Operation, Trouble

from toolweft_client.calls import uses

Stage = Literal["design", "implement", "repair", "run"]
Expected = Literal["recovers", "stops", "silent"]
"""What should come of it. `stops`: no right answer can be had, and the run must end without harm and without an
invented answer. `silent`: often nothing says that anything is
wrong, or what would be right, so that this is looked at apart."""

Entry = Literal["", "stale", "wrong", "slow"]

Operations: TypeAlias = Mapping[str, Operation]
"""By the id the agent knows them by."""


@dataclass(frozen=True, slots=True)
class Mistake:
    source: str
    told: Callable[[str], bool]
    """Whether this prompt tells what has to be changed."""


_DATA = re.compile(r"<data .*?</data>", re.DOTALL)

Edit: TypeAlias = Callable[[ast.Module, Operations, Random], "Mistake | None"]
"""Edits the tree in place; `None` where the program has no place for this mistake."""


class Fault(NamedTuple):
    name: str
    stages: tuple[Stage, ...]
    expected: Expected = "recovers"
    edit: Edit | None = None
    spoil: Callable[[str], str] | None = None
    """From the code to the whole reply, for faults of form."""
    trouble: Trouble = ""
    on: Literal["any", "reads", "writes"] = "any"
    """Which calls it befalls, or follows; a fault on writes needs a task that changes something."""
    entry: Entry = ""
    """What is the matter with the saved function that the program calls."""
    guessed: bool = False
    """Made only where the prompt does not tell what is right: what is shown need not be guessed."""
    fails: bool = False
    """The endpoint fails, more often than its SDK tries; the run fails and is resumed."""

    @property
    def writes_only(self) -> bool:
        return self.on == "writes"


class Site(NamedTuple):
    """A tool call in the program. `statement` is the top one of the function's body that holds it."""

    tool: str
    call: ast.Call
    statement: int


def mistake(fault: Fault, source: str, operations: Operations, rng: Random) -> Mistake | None:
    """The program with the mistake in it; `None` where it has no place."""
    if fault.edit is None:
        return None
    return fault.edit(copy.deepcopy(ast.parse(source)), operations, rng)


def body(tree: ast.Module) -> list[ast.stmt]:
    """Of the one function that every gold program defines."""
    return next(each for each in tree.body if isinstance(each, ast.FunctionDef)).body


def sites(tree: ast.Module, operations: Operations) -> list[Site]:
    calls = {id(use.call): use.tool for use in uses(tree) if use.call is not None and use.tool in operations}
    return [
        Site(calls[id(node)], node, number)
        for number, statement in enumerate(body(tree))
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and id(node) in calls
    ]


def _says(*words: str) -> Callable[[str], bool]:
    return lambda prompt: any(word in prompt for word in words)


def _made(tree: ast.Module, told: Callable[[str], bool]) -> Mistake:
    return Mistake(ast.unparse(ast.fix_missing_locations(tree)) + "\n", told)


def _renamed(choose: Callable[[str, Operations, Random], str | None]) -> Edit:
    def edit(tree: ast.Module, operations: Operations, rng: Random) -> Mistake | None:
        if not (found := sites(tree, operations)):
            return None
        site = rng.choice(found)
        if (other := choose(site.tool, operations, rng)) is None:
            return None
        assert isinstance(site.call.func, ast.Attribute)
        site.call.func.attr = other
        return _made(tree, _says(site.tool))

    return edit


def _invented(tool: str, operations: Operations, rng: Random) -> str:
    name = tool.partition(".")[2]
    made = rng.choice((f"{name}_by_name", f"lookup_{name}", f"{name}s", name[:-1]))
    return made if f"{tool.partition('.')[0]}.{made}" not in operations else f"{made}_now"


def _neighbour(tool: str, operations: Operations, rng: Random) -> str | None:
    """Another tool of the same server, of those that share a word of the name."""
    server, _, name = tool.partition(".")
    words = set(name.lower().split("_")) | {name[:5].lower()}
    near = [
        each.partition(".")[2]
        for each in sorted(operations)
        if each != tool and each.startswith(f"{server}.") and words & {*each.partition(".")[2].lower().split("_")}
        and operations[each].effect == "read"
    ]  # fmt: skip
    return rng.choice(near) if near else None


def _argument(change: Callable[[ast.Call, ast.keyword, Random], None], *, required: bool = False) -> Edit:
    def edit(tree: ast.Module, operations: Operations, rng: Random) -> Mistake | None:
        fitting = [
            (site, keyword)
            for site in sites(tree, operations)
            for keyword in site.call.keywords
            if keyword.arg and not (required and keyword.arg in operations[site.tool].optional)
        ]
        if not fitting:
            return None
        site, keyword = rng.choice(fitting)
        name = str(keyword.arg)
        change(site.call, keyword, rng)
        return _made(tree, _says(name))

    return edit


def _drop(call: ast.Call, keyword: ast.keyword, _rng: Random) -> None:
    call.keywords.remove(keyword)


def _misname(_call: ast.Call, keyword: ast.keyword, rng: Random) -> None:
    keyword.arg = rng.choice((f"{keyword.arg}_value", f"the_{keyword.arg}", f"{keyword.arg}s_"))


def _mistype(_call: ast.Call, keyword: ast.keyword, _rng: Random) -> None:
    keyword.value = ast.Dict(keys=[ast.Constant("value")], values=[keyword.value])


def _misspelt(tree: ast.Module, operations: Operations, rng: Random) -> Mistake | None:
    """A word in a reading call: what is asked for is not there. Writes are left alone: they would do harm."""
    words = [
        keyword.value
        for site in sites(tree, operations)
        if operations[site.tool].effect == "read"
        for keyword in site.call.keywords
        if isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str) and keyword.value.value
    ]
    if not words:
        return None
    word = rng.choice(words)
    right = str(word.value)
    word.value = right[::-1] + "q"
    return _made(tree, _says(right))


def _inserted(code: str, *told: str, after_write: bool = False, first: bool = False) -> Edit:
    """`code` after a call (the last write or any), or before the first one."""

    def edit(tree: ast.Module, operations: Operations, rng: Random) -> Mistake | None:
        found = [each for each in sites(tree, operations) if not after_write or operations[each.tool].effect != "read"]
        if not found:
            return None
        place = 1 if first else found[-1].statement + 1 if after_write else rng.choice(found).statement + 1
        body(tree)[place:place] = ast.parse(code).body
        return _made(tree, _says(*told))

    return edit


def _emptied(tree: ast.Module, _operations: Operations, _rng: Random) -> Mistake | None:
    """The value is lost on the way to the assert that guards it."""
    statements = body(tree)
    place = max(n for n, each in enumerate(statements) if isinstance(each, ast.Assert))
    statements.insert(place, ast.parse("value = None").body[0])
    return _made(tree, _says("AssertionError"))


def _guessed_key(tree: ast.Module, _operations: Operations, rng: Random) -> Mistake | None:
    """A key of a result that was never seen: it stands in data of the prompt, or it is guessed."""
    keys = [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript) and _is_text(node.slice)]
    if not keys:
        return None
    key = rng.choice(keys)
    assert isinstance(key, ast.Constant)
    right = str(key.value)
    key.value = f"{right}_value"
    return _made(tree, lambda prompt: any(re.search(rf"[\"']{right}[\"']", each) for each in _DATA.findall(prompt)))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _unfinished(tree: ast.Module, _operations: Operations, rng: Random) -> Mistake:
    lines = ast.unparse(tree).split("\n")
    lines.insert(rng.randrange(1, len(lines) - 1), "    for each in (:")
    return Mistake("\n".join(lines) + "\n", _says("not valid Python", "SyntaxError"))


def _foreign(tree: ast.Module, _operations: Operations, _rng: Random) -> Mistake:
    tree.body.insert(0, ast.parse("import numpy as np").body[0])
    return _made(tree, _says("numpy"))


def _last_write(tree: ast.Module, operations: Operations) -> Site | None:
    writes = [each for each in sites(tree, operations) if operations[each.tool].effect != "read"]
    return writes[-1] if writes else None


def _twice(tree: ast.Module, operations: Operations, _rng: Random) -> Mistake | None:
    """The finished write a second time: what the ledger has an answer to once."""
    if (site := _last_write(tree, operations)) is None:
        return None
    body(tree).insert(site.statement + 1, ast.Expr(copy.deepcopy(site.call)))
    return _made(tree, _says(""))


def _otherwise(tree: ast.Module, operations: Operations, _rng: Random) -> Mistake | None:
    """A finished write with another value."""
    values = [
        keyword.value
        for site in sites(tree, operations)
        if operations[site.tool].effect != "read"
        for keyword in site.call.keywords
        if isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str | int)
    ]
    if not values:
        return None
    old = values[-1].value
    values[-1].value = f"{old} (again)" if isinstance(old, str) else int(str(old)) + 1
    return _made(tree, _says(""))


def entry_name(source: str) -> str:
    """Of the saved function that stands for the gold program."""
    return f"answer_{hashlib.sha256(ast.unparse(ast.parse(source)).encode()).hexdigest()[:8]}"


def _entrusted(*told: str) -> Edit:
    """All is left to a saved function, as by a model that was shown it, or remembers it."""

    def edit(tree: ast.Module, _operations: Operations, _rng: Random) -> Mistake | None:
        name = entry_name(ast.unparse(tree))
        body(tree)[1:] = ast.parse(f"return functions.{name}()").body
        return _made(tree, _says(*told))

    return edit


def _same(tree: ast.Module, _operations: Operations, _rng: Random) -> Mistake:
    """Not an edit: the coder knows this one by name and sends what it sent before."""
    return _made(tree, _says(""))


def fenced(code: str) -> str:
    return f"```python\n{code.strip()}\n```"


FORM: Mapping[str, Callable[[str], str]] = {
    "no_fence": lambda code: code,
    "prose": lambda _code: "I would call the first tool and then look at what comes back.",
    "two_fences": lambda code: f"{fenced(code)}\n\nOr, shorter:\n\n{fenced(code)}",
    "cut": lambda code: fenced(code)[: max(20, len(code) // 2)],
    "empty": lambda _code: "",
}

_ANY: tuple[Stage, ...] = ("design", "implement", "repair")
_CODE: tuple[Stage, ...] = ("implement", "repair")

FAULTS: Sequence[Fault] = (
    *(Fault(name, _ANY, spoil=spoil) for name, spoil in FORM.items()),
    Fault("syntax", _ANY, edit=_unfinished),
    Fault("import", _CODE, edit=_foreign),
    Fault("unknown_tool", _ANY, edit=_renamed(_invented)),
    Fault("near_tool", ("design", "implement"), "silent", edit=_renamed(_neighbour)),
    Fault("missing_argument", _ANY, edit=_argument(_drop, required=True)),
    Fault("unknown_argument", _ANY, edit=_argument(_misname)),
    Fault("wrong_type", _CODE, edit=_argument(_mistype)),
    Fault("wrong_value", ("implement",), "silent", edit=_misspelt),
    Fault("exception", _CODE, edit=_inserted("undefined_name", "NameError", first=True)),
    Fault("missing_key", _CODE, edit=_inserted("dict(kept=1)['lost']", "KeyError")),
    Fault("guessed_key", ("implement",), edit=_guessed_key, guessed=True),
    Fault("none", _CODE, edit=_inserted("nothing = None\nnothing['id']", "TypeError")),
    Fault("assert", _CODE, edit=_emptied),
    Fault("loop", ("implement",), edit=_inserted("while True: pass", "timeout", "TimeoutError", "limit")),
    Fault("memory", ("implement",), edit=_inserted("hoard = [bytearray(10 ** 9) for _ in range(64)]", "emory")),
    Fault(
        "exit", ("implement",), edit=_inserted("import os\nos._exit(3)", "crashed", "Crash", "violation", "SystemExit")
    ),
    Fault("crash_after_write", _CODE, edit=_inserted("1 / 0", "ZeroDivisionError", after_write=True), on="writes"),
    Fault("repeated_write", ("repair",), "silent", edit=_twice, on="writes"),
    Fault("changed_write", ("repair",), "stops", edit=_otherwise, on="writes"),
    Fault("same_program", ("repair",), "stops", edit=_same),
    Fault("error_once", ("run",), trouble="error_once"),
    Fault("error_always", ("run",), "stops", trouble="error_always"),
    Fault("slow", ("run",), trouble="slow"),
    Fault("huge", ("run",), trouble="huge", on="reads"),
    Fault("inject", ("run",), trouble="inject"),
    Fault("no_data", ("run",), trouble="no_data", on="reads"),
    Fault("moved", ("run",), trouble="moved"),
    Fault("killed", ("run",), trouble="killed", on="reads"),
    Fault("dies_reading", ("run",), trouble="dies_reading", on="reads"),
    Fault("dies_after", ("run",), "stops", trouble="dies_after", on="writes"),
    Fault("stale_entry", ("implement",), edit=_entrusted("there is no tool functions"), entry="stale"),
    Fault("wrong_entry", ("implement",), edit=_entrusted("KeyError"), entry="wrong"),
    Fault("slow_entry", ("implement",), edit=_entrusted("timeout", "TimeoutError", "limit"), entry="slow"),
    Fault("endpoint", _ANY, fails=True),
)
BY_NAME: Mapping[str, Fault] = {each.name: each for each in FAULTS}
EXPENSIVE = frozenset({"loop", "memory", "exit", "huge", "killed", "slow_entry"})
"""Seconds each, so a few runs of them have to do."""

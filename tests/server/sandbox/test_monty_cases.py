"""Every program in `tests/sandbox_cases` runs in Monty, too: those that differ there are listed in docs/limitations.md.

The list is written by `python tests/server/sandbox/test_monty_cases.py` and held true by the test.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import anyio
import pytest

pytest.importorskip("pydantic_monty", reason="the extra `monty` is not installed")

from toolweft_server.sandbox.backends.monty import MontySandbox
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.monty import explain

ROOT = Path(__file__).parents[3]
CASES = sorted((ROOT / "tests/sandbox_cases").glob("*.py"))
PLAIN = Path(__file__).parent / "plain_interpreter.py"
PAGE = ROOT / "docs/limitations.md"
BEGIN, END = "<!-- monty: begin -->\n", "<!-- monty: end -->\n"
WRITE = "python tests/server/sandbox/test_monty_cases.py"
OTHERWISE = "Other results", "an error that Python would not give, another value or another text"
GROUPS = (
    (r"it does not have the module (`.*`)", "Modules that are not there"),
    (r"it does not have the built-in (`.*`)", "Built-ins that are not there"),
    (r"it does not have (`.*`)", "Parts of modules"),
    (r"its `(.*)` does not have `(.*)`", "Parts of built-in types"),
    (r"it does not have (.*)", "Language"),
)


def in_a_plain_interpreter():
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-I", "-X", "utf8", str(PLAIN), folder, *map(str, CASES)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


async def differences(plain):
    """What Monty lacks, and the cases that show it."""
    found = defaultdict(lambda: defaultdict(list))
    backend = MontySandbox()
    try:
        for case in CASES:
            if missing := await difference(backend, case, plain[case.stem]):
                found[missing[0]][missing[1]].append(case.stem)
    finally:
        await backend.aclose()
    return found


async def difference(backend, case, expected):
    session = await backend.open(Limits())
    try:
        outcome = await session.run(Program("case", case.read_text(encoding="utf-8")), None)
    finally:
        await session.aclose()
    if outcome.error is not None:
        return reason(outcome.error)
    same = (outcome.value, outcome.value_repr, outcome.stdout) == (
        expected["value"], expected["repr"], expected["output"],
    )  # fmt: skip
    return None if same else OTHERWISE


def reason(error):
    """The group of what is missing, and what it is: the part of a hint between what it always says."""
    hint = error.hint or ""
    if hint == explain.FILES:
        return "Files", "there is no work directory"
    if not hint.startswith(explain.TIER):
        return OTHERWISE
    text = hint.removeprefix(f"{explain.TIER}: ").removesuffix(f". {explain.REMEDY}")
    for pattern, group in GROUPS:
        if found := re.fullmatch(pattern, text):
            return group, "`" + ".".join(found.groups()) + "`" if len(found.groups()) == 2 else found[1]
    return "Language", text


def listed(found):
    count = sum(len(names) for features in found.values() for names in features.values())
    rows = [
        f"Of the {len(CASES)} programs in `tests/sandbox_cases`, {len(CASES) - count} give the same in Monty. What "
        "stops the others first, and the programs that show it:\n\n"
    ]
    for group, features in sorted(found.items(), key=lambda item: (item[0] == OTHERWISE[0], item[0] != "Language")):
        most_first = sorted(features.items(), key=lambda item: (-len(item[1]), item[0]))
        shown = "; ".join(f"{what} ({', '.join(map(code, names))})" for what, names in most_first)
        rows.append(f"- **{group}**: {shown}\n")
    return "".join(rows)


def code(name):
    return f"`{name}`"


def block(page):
    """The list as it stands in the page."""
    return page.partition(BEGIN)[2].partition(END)[0]


async def test_cases_that_differ_in_monty_are_exactly_those_listed(plain):
    found = listed(await differences(plain))
    assert block(PAGE.read_text(encoding="utf-8")) == found, f"write the list again: {WRITE}"


def test_list_says_how_it_is_written():
    assert WRITE in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    old = block(page)
    assert old or BEGIN + END in page, f"{PAGE} has no place for the list"
    new = page.replace(BEGIN + old + END, BEGIN + listed(anyio.run(differences, in_a_plain_interpreter())) + END)
    PAGE.write_text(new, encoding="utf-8")
    subprocess.run(["git", "diff", "--stat", "--", str(PAGE)], cwd=ROOT, check=False)

"""Each program in `tests/sandbox_cases` gives the same value and output in a plain interpreter and in the sandbox."""

import re
from pathlib import Path

import pytest

import tiers
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits

CASES = sorted((Path(__file__).parents[2] / "sandbox_cases").glob("*.py"))
NEEDS_FOLDER = "# needs: work directory\n"
"""First line of a case that writes files."""


def without_addresses(text):
    return text and re.sub(r"0x[0-9a-f]{6,}", "0x…", text)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
async def test_program_gives_the_same_as_in_a_plain_interpreter(case, backend, host, plain):
    code, expected = case.read_text(encoding="utf-8"), plain[case.stem]
    if backend.name in tiers.WITHOUT_WORK_DIRECTORY and code.startswith(NEEDS_FOLDER):
        pytest.skip(f"{backend.name} has no work directory")
    assert expected["error"] is None, expected["error"]
    session = await backend.open(Limits())
    try:
        outcome = await session.run(Program("ex_1", code), host)
    finally:
        await session.aclose()
    assert outcome.status == "ok", outcome.error
    assert outcome.value == expected["value"]
    assert without_addresses(outcome.value_repr) == without_addresses(expected["repr"])
    assert without_addresses(outcome.stdout) == without_addresses(expected["output"])

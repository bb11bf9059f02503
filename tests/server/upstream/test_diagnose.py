"""What the doctor says: a cause and a fix, never "zero tools"."""

import pytest

from toolweft_server.upstream.diagnose import diagnose
from toolweft_server.upstream.mcp import StdioEntry


@pytest.mark.parametrize(
    ("entry", "cause", "fix"),
    [
        ("exits", "no_start", "in a terminal"),
        ("empty", "no_tools", "Check its arguments"),
        (StdioEntry("no-such-server"), "not_found", "absolute path"),
        (StdioEntry("/bin/sh", cwd="/no/such/folder"), "not_found", "`cwd`"),
    ],
)
async def test_what_does_not_work_has_a_cause_and_a_fix(start, entry, cause, fix):
    found = await diagnose(start(entry))
    assert (found.ok, found.cause) == (False, cause)
    assert found.message
    assert fix in found.fix


async def test_what_works_says_what_it_speaks_and_what_is_wrong_with_its_tools(start):
    found = await diagnose(start("invalid"))
    assert (found.ok, found.tools, found.protocol) == (True, 4, "2025-06-18")
    assert any("'bare'" in problem for problem in found.problems)

"""The command line itself, whatever the command."""

import os
import subprocess
import sys

import pytest

COMMANDS = [["--help"], ["--version"], ["find", "--help"], ["completion", "bash"], ["connect", "--help"]]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break elsewhere")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_reader_that_went_away_is_no_failure(words):
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "toolweft_catalog.cli", *words],
            stdout=write, stderr=subprocess.PIPE, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")

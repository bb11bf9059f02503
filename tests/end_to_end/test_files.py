"""Files in and out of programs: what one leaves, people read and the next program gets."""

import base64
import subprocess
import sys

import pytest

from toolweft_catalog import cli
from toolweft_server import config as configuration
from toolweft_server.app import App
from toolweft_server.serving import Asker

WRITE = "import os\nos.mkdir('out')\nopen('out/a b.csv', 'w').write('1,2')\nopen('raw', 'wb').write(b'\\xff')"


async def test_files_that_a_program_left_are_read_and_handed_to_the_next_one(host):
    left = await host.execute(WRITE)
    table, raw = (file["uri"] for file in left["files"])
    (content,) = (await host.client.read_resource(table)).contents
    assert base64.b64decode(content.blob) == b"1,2"
    ran = await host.execute("open('t.csv').read(), open('in/raw', 'rb').read()", files={"t.csv": table, "in/raw": raw})
    assert (ran["value"], ran["files"]) == ("('1,2', b'\\xff')", [])


async def test_a_text_is_a_file_as_it_stands_and_a_data_uri_its_bytes(host):
    files = {"notes.txt": "käse\n", "data.yaml": "data:\n  - 1\n", "x.bin": "data:application/x;base64,AAE="}
    ran = await host.execute("[open(n, 'rb').read().hex() for n in ('notes.txt', 'data.yaml', 'x.bin')]", files=files)
    assert [bytes.fromhex(each) for each in ran["value"]] == ["käse\n".encode(), b"data:\n  - 1\n", b"\0\1"]


async def test_the_whole_value_of_an_execution_is_handed_in_by_its_address(host):
    ran = await host.execute("{'a': [1, 2]}")
    again = await host.execute(
        "import json\njson.load(open('v'))", files={"v": f"toolweft://executions/{ran['id']}/value"}
    )
    assert again["value"] == {"a": [1, 2]}


async def test_nothing_runs_when_a_file_is_not_there(host, desk):
    ran = await host.execute("desk.write_note('x')", files={"a": "toolweft://executions/ex_000000000000/files/a"})
    assert (ran["status"], ran["error"]["type"], ran["calls"]) == ("refused", "FileNotHandedIn", [])
    assert not (desk / "notes.txt").exists()


async def test_more_than_the_disk_holds_is_told_and_nothing_runs(write_config, in_process, desk):
    async with in_process(write_config(limits={"disk": 1000})) as host:
        ran = await host.execute("desk.write_note('x')", files={"a": "x" * 1001})
    assert (ran["status"], ran["limits"], ran["calls"]) == ("limit", ["disk"], [])
    assert "1001 bytes together, 1000 bytes are allowed" in ran["text"]
    assert not (desk / "notes.txt").exists()


async def test_the_file_of_another_owner_does_not_exist(write_config):
    async def report(*_):
        pass

    async with App.open(configuration.load(write_config())) as app:
        left = await app.execute_code({"code": WRITE}, Asker("mine", "a", "a"), report)
        code = {"code": "open('x').read()", "files": {"x": left.structured["files"][0]["uri"]}}
        own = await app.execute_code(code, Asker("mine", "b", "b"), report)
        other = await app.execute_code(code, Asker("yours", "c", "c"), report)
    assert own.structured["value"] == "1,2"
    assert other.structured["error"]["type"] == "FileNotHandedIn"


@pytest.fixture
def run_command(write_config, tmp_path):
    """`toolweft run -` on a program, with more arguments."""
    config = write_config()

    def run(code, *arguments):
        command = [sys.executable, "-m", "toolweft_catalog.cli", "run", "-", "--config", str(config), *arguments]
        return subprocess.run(command, input=code, capture_output=True, encoding="utf-8", cwd=tmp_path, check=False)

    return run


def test_a_persons_files_are_handed_in_by_the_command(run_command, tmp_path):
    for name in ("sales.csv", "odd=name", "old.csv"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    files = ("--file", "sales.csv", "--file", "odd=name", "--file", f"was/old.csv={tmp_path / 'old.csv'}")
    done = run_command("[open(n).read() for n in ('sales.csv', 'odd=name', 'was/old.csv')]", *files)
    assert done.returncode == 0
    assert '["sales.csv", "odd=name", "old.csv"]' in done.stdout


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("nowhere.csv", "there is no file 'nowhere.csv'"),
        ("a=nowhere.csv", "there is no file 'nowhere.csv'"),
        ("/dev/zero", "'/dev/zero' is no regular file"),
        ("../a=toolweft.json", "'../a' is no name for a file in the work directory"),
    ],
)
def test_a_file_that_cannot_be_handed_in_is_named_and_nothing_runs(
    write_config, tmp_path, monkeypatch, capsys, argument, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text("print('ran')", encoding="utf-8")
    assert cli.main(["run", "program.py", "--config", str(write_config()), "--file", argument]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err


async def test_the_longest_program_is_what_the_configuration_says(write_config, in_process):
    async with in_process(write_config(limits={"code": 300_000})) as host:
        assert (await host.execute("7 #" + "x" * 250_000))["value"] == 7
        ran = await host.execute("#" * 300_001)
    assert (ran["status"], "300000 are allowed (limit `code`)" in ran["text"]) == ("limit", True)

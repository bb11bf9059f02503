"""The profile and the command of the macOS tier, as text: they cannot be run here."""

import json
import re
import sys
from pathlib import Path

import anyio
import pytest

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.backends import seatbelt
from toolweft_server.sandbox.limits import MIB, Limits
from toolweft_server.sandbox.packages import Environment

ODD = '/private/tmp/a "quoted" (folder) \\ with ; spaces'


def made(**more):
    given = {"work": "/w", "programs": ["/py/bin/python"], "read": ["/py/lib"], "files": ["/r/runner.py"], "hidden": []}
    return seatbelt.profile(**given | more)


def forms(text):
    """The profile's rules, read as the Lisp that it is."""
    words = re.findall(r'"(?:\\.|[^"\\])*"|[()]|[^\s()"]+', text)
    stack = [[]]
    for word in words:
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    assert len(stack) == 1
    return stack[0]


def test_everything_is_denied_but_what_is_listed():
    rules = forms(made()[0])
    assert rules[:2] == [["version", "1"], ["deny", "default"]]
    assert not [rule for rule in rules if rule[:2] == ["allow", "default"]]
    operations = {word for rule in rules if rule[0] == "allow" for word in rule[1:] if isinstance(word, str)}
    assert operations == {
        "file-read*", "file-map-executable", "file-read-metadata", "process-exec*", "file-write*", "file-write-data",
        "sysctl-read", "process-info*", "signal",
    }  # fmt: skip


@pytest.mark.parametrize("operation", ["network", "process-fork", "mach", "ipc", "iokit", "nvram", "default"])
def test_nothing_allows(operation):
    allowed = [rule for rule in forms(made()[0]) if rule[0] == "allow"]
    assert not [rule for rule in allowed if any(isinstance(word, str) and operation in word for word in rule)]


def test_every_allowed_operation_on_files_names_its_places():
    for rule in forms(made()[0]):
        if rule[0] == "allow" and any(isinstance(word, str) and word.startswith("file-") for word in rule):
            filters = [word for word in rule if isinstance(word, list)]
            assert filters
            assert {each[0] for each in filters} <= {"subpath", "literal"}


def test_only_the_work_directory_and_the_null_device_are_written():
    writes = [rule for rule in forms(made()[0]) if rule[0] == "allow" and any("write" in str(word) for word in rule)]
    assert [rule[-1] for rule in writes] == [["subpath", ["param", '"WORK_0"']], ["literal", '"/dev/null"']]
    assert made()[1]["WORK_0"] == "/w"


def test_paths_are_parameters_so_that_nothing_in_one_is_a_rule():
    text, parameters = made(work=ODD, read=[ODD + "/lib"], files=[ODD + "/runner.py"], hidden=[ODD + "/lib/site"])
    plain, _ = made(hidden=["/py/lib/site"])
    assert "quoted" not in text
    assert len(forms(text)) == len(forms(plain))
    assert parameters["WORK_0"] == ODD
    assert parameters["HIDDEN_0"] == ODD + "/lib/site"


def test_every_parameter_is_given_and_used():
    text, parameters = made(hidden=["/py/lib/site-packages"])
    assert set(re.findall(r'\(param "(\w+)"\)', text)) == set(parameters)


def test_installed_packages_are_hidden_after_the_library_is_shown():
    rules = forms(made(hidden=["/py/lib/site-packages"])[0])
    shown = next(i for i, rule in enumerate(rules) if rule[:2] == ["allow", "file-read*"])
    hidden = next(i for i, rule in enumerate(rules) if rule[:2] == ["deny", "file-read*"])
    assert shown < hidden


def test_links_are_followed_because_the_kernel_compares_real_paths(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert made(work=str(tmp_path / "link"))[1]["WORK_0"] == str((tmp_path / "real").resolve())


def test_folders_above_are_seen_but_not_listed():
    text, parameters = made(work="/Users/me/work")
    above = {value for name, value in parameters.items() if name.startswith("ABOVE")}
    assert {"/Users", "/Users/me"} <= above
    readable = {value for name, value in parameters.items() if name.startswith(("READ", "FILE"))}
    assert not readable & {"/Users", "/Users/me", "/", "/etc", "/private/etc"}
    assert "(allow file-read-metadata" in text


def test_command_starts_the_runner_with_its_limits(tmp_path):
    sandbox = seatbelt.SeatbeltSandbox(folder=tmp_path)
    command = sandbox.command(tmp_path, 7, Limits(memory=64 * MIB))
    assert command[0] == "/usr/bin/sandbox-exec"
    at = command.index("-p")
    assert command[1:at:2] == ["-D"] * ((at - 1) // 2)
    parameters = dict(word.split("=", 1) for word in command[2:at:2])
    assert parameters["WORK_0"] == str(tmp_path.resolve())
    python, *options, runner, settings = command[at + 2 :]
    assert python == sys._base_executable
    assert options == ["-I", "-S", "-B", "-X", "utf8"]
    assert Path(runner).name == "runner.py"
    given = json.loads(settings)
    assert given["fd"] == 7
    assert given["rlimits"]["RLIMIT_AS"] == [64 * MIB, 64 * MIB]
    read = {value for name, value in parameters.items() if not name.startswith("ABOVE")}
    assert runner in read
    assert not read & {"/", str(Path.home()), str(Path(runner).parent)}


def test_packages_are_read_and_named_to_the_runner(tmp_path):
    sandbox = seatbelt.SeatbeltSandbox(packages=Environment(tmp_path / "env", ("numpy",)), folder=tmp_path)
    command = sandbox.command(tmp_path, 7, Limits())
    assert json.loads(command[-1])["packages"] == str(tmp_path / "env")
    assert any(word.startswith("READ") and word.endswith("/env") for word in command)


@pytest.mark.skipif(sys.platform == "darwin", reason="there it works")
def test_elsewhere_it_says_what_it_needs(tmp_path):
    with pytest.raises(SandboxError, match="needs macOS"):
        anyio.run(seatbelt.SeatbeltSandbox(folder=tmp_path).open, Limits())

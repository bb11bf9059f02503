"""Folders: what is exported can be imported; what somebody tampered with cannot, and says why."""

import json
import os

import pytest
import yaml

from toolweft_catalog.tool import Tool
from toolweft_server.errors import LibraryError
from toolweft_server.library import share
from toolweft_server.library.extract import extract
from toolweft_server.library.store import FunctionStore
from toolweft_server.scrub import Scrubber
from toolweft_server.store.store import Store

TOOLS = {"git.log": Tool("git.log", "log", "git")}
PROGRAM = '''
import re
LIMIT = 3

def Latest_Titles(repo: str) -> list:
    """Titles: "quoted" \\\\ and --- odd 日本."""
    return re.findall("a", git.log(repo, LIMIT))
'''


def stored(path, program=PROGRAM):
    library = FunctionStore(Store.open(path))
    admission = library.admit(extract(program, servers=["git"]).functions, tools=TOOLS)
    assert admission.rejected == ()
    return library


@pytest.fixture
def folder(tmp_path):
    return share.export(stored(tmp_path / "a.db").get("Latest_Titles"), tmp_path / "out")


def read(folder):
    return share.read(folder, scrub=Scrubber())


def test_an_export_is_an_agent_skill_that_anybody_can_read(folder):
    assert folder.name == "latest-titles"
    assert sorted(each.name for each in folder.iterdir()) == ["SKILL.md", "function.json", "functions.py"]
    head = yaml.safe_load((folder / "SKILL.md").read_text(encoding="utf-8").split("---\n")[1])
    assert head == {"name": "latest-titles", "description": 'Titles: "quoted" \\ and --- odd 日本.'}
    assert compile((folder / "functions.py").read_text(encoding="utf-8"), "functions.py", "exec")


def test_an_imported_function_waits_as_a_candidate_until_it_is_trusted(folder, tmp_path):
    library = FunctionStore(Store.open(tmp_path / "b.db"))
    admission = library.import_([read(folder)])
    assert [(each.name, each.state) for each in admission.saved] == [("Latest_Titles", "candidate")]
    assert library.get("Latest_Titles") is None
    assert library.as_tools() == []
    assert [each.state for each in library.list()] == ["candidate"]
    assert library.import_([read(folder)], trust=True).saved[0].state == "active"
    original, taken = stored(tmp_path / "a.db").get("Latest_Titles"), library.get("Latest_Titles")
    assert (taken.source, taken.digest, taken.tools) == (original.source, original.digest, original.tools)


def test_an_untrusted_version_does_not_push_an_active_one_aside(folder, tmp_path):
    library = stored(tmp_path / "b.db", PROGRAM.replace('"a"', '"b"'))
    assert library.import_([read(folder)]).saved[0].version == 2
    assert library.get("Latest_Titles").version == 1
    assert library.card("Latest_Titles").version == 1


def test_functions_that_stand_on_each_other_are_imported_in_the_right_order(tmp_path):
    library = stored(tmp_path / "a.db", "def z(): return git.log()")
    for program in ("def b(): return functions.z()", "def a(): return functions.b()"):
        library.admit(extract(program).functions, tools={})
    for each in library.list():
        share.export(each, tmp_path / "out")
    other = FunctionStore(Store.open(tmp_path / "b.db"))
    admission = other.import_([read(each) for each in share.folders(tmp_path / "out")], trust=True)
    assert (admission.rejected, [each.name for each in admission.saved]) == ((), ["z", "b", "a"])
    alone = FunctionStore(Store.open(tmp_path / "c.db")).import_([read(tmp_path / "out" / "a")])
    assert "it uses the saved function 'b'" in alone.rejected[0].reason


def test_exporting_again_replaces_the_export_and_nothing_else(folder, tmp_path):
    function = stored(tmp_path / "a.db").get("Latest_Titles")
    assert share.export(function, tmp_path / "out") == folder
    (tmp_path / "other" / "latest-titles").mkdir(parents=True)
    (tmp_path / "other" / "latest-titles" / "mine.txt").write_text("x", encoding="utf-8")
    with pytest.raises(LibraryError, match="is no export of 'Latest_Titles'"):
        share.export(function, tmp_path / "other")
    assert (tmp_path / "other" / "latest-titles" / "mine.txt").exists()
    assert [each.name for each in (tmp_path / "other").iterdir()] == ["latest-titles"]


def code(text):
    """Other code, with the address that it then has: what else is wrong with it is to be found."""

    def change(folder):
        (folder / "functions.py").write_text(text, encoding="utf-8")
        facts(content=share.address(text))(folder)

    return change


def facts(**changed):
    def change(folder):
        held = json.loads((folder / "function.json").read_text(encoding="utf-8"))
        (folder / "function.json").write_text(json.dumps({**held, **changed}), encoding="utf-8")

    return change


def raw(text):
    return lambda folder: (folder / "function.json").write_text(text, encoding="utf-8")


def page(text):
    return lambda folder: (folder / "SKILL.md").write_text(text, encoding="utf-8")


F = "def Latest_Titles(repo): return git.log(repo)\n"
TAMPERED = {
    "code that its address does not fit": (
        lambda folder: (folder / "functions.py").write_text(F, encoding="utf-8"), "its content address is another one",
    ),
    "code that runs when loaded": (code("import os\nos.system('x')\n" + F), "line 2 of functions.py does something"),
    "a computed constant": (code("import os\nX = os.environ\n" + F), "line 2 of functions.py does something by itself"),
    "an undeclared tool": (code(F + "def g(): return tools.shell.run('x')\n"), None),
    "code that does not say which tools it calls": (
        code("def Latest_Titles(repo): return git.log(getattr(tools, repo))\n"), "nobody can read which tools it calls",
    ),
    "a tool beyond those declared": (
        code("def Latest_Titles(repo): return git.log(tools.shell.run(repo))\n"), "does not name: shell.run",
    ),
    "a declared tool that is not used": (
        facts(tools={"git.log": "0" * 32, "git.push": "0" * 32}), "does not use: git.push",
    ),
    "a free name": (code("def Latest_Titles(repo): return git.log(ghost)\n"), "it uses 'ghost'"),
    "no such function": (code("def other(): return git.log()\n"), "defines no function of that name"),
    "a secret": (code("def Latest_Titles(r): return git.log('ghp_" + "a1" * 18 + "')\n"), "looks like a secret"),
    "no Python": (code("def ("), "is not Python"),
    "too deep": (code("x = " + "(" * 9000), "is not Python"),
    "too large": (code("#" * 200_000), "larger than"),
    "no text": (lambda folder: (folder / "functions.py").write_bytes(b"\xff\xfe"), "cannot be read"),
    "a missing file": (lambda folder: (folder / "functions.py").unlink(), "cannot be read"),
    "a reserved name": (facts(name="list"), "means something in Python"),
    "a name that is a path": (facts(name="../../etc/passwd"), "is not a plain Python name"),
    "a tool that is a path": (facts(tools={"../x": "0" * 32}), "is wrong at tools"),
    "a digest that is none": (facts(tools={"git.log": "zz"}), "is wrong at tools"),
    "another format": (facts(format=2), "is wrong at format"),
    "facts that are no JSON": (raw("{"), "is wrong at"),
    "facts that are a list": (raw("[]"), "is wrong at"),
    "facts without an end": (raw("[" * 300_000), "is wrong at"),
    "no front matter": (page("# hello"), "has no front matter"),
    "broken front matter": (page("---\na: [\n---\n"), "is not YAML"),
    "a tag in the front matter": (page("---\na: !!python/object/apply:os.system [x]\n---\n"), "is not YAML"),
    "a name with a slash": (page("---\nname: ../x\ndescription: y\n---\n"), "has the name '../x'"),
    "a name too long": (page(f"---\nname: {'x' * 65}\ndescription: y\n---\n"), "has the name"),
    "a description too long": (page(f"---\nname: x\ndescription: {'y' * 1025}\n---\n"), "1 to 1024 characters"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED, ids=str)
def test_a_tampered_folder_is_refused_with_the_reason(folder, case):
    change, why = TAMPERED[case]
    change(folder)
    if why is None:
        assert read(folder).found.tools == ("git.log",)
        assert "shell" not in read(folder).found.source
        return
    with pytest.raises(LibraryError) as caught:
        read(folder)
    assert why in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name != "posix", reason="needs links and pipes")
def test_links_and_pipes_are_not_followed(folder, tmp_path):
    (tmp_path / "secret.py").write_text(F, encoding="utf-8")
    (folder / "functions.py").unlink()
    (folder / "functions.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(LibraryError, match=r"functions.py is a link"):
        read(folder)
    (folder / "functions.py").unlink()
    os.mkfifo(folder / "functions.py")
    with pytest.raises(LibraryError, match=r"functions.py is not a plain file"):
        read(folder)


def test_a_path_without_functions_says_what_it_should_hold(tmp_path):
    with pytest.raises(LibraryError, match="holds no function"):
        list(share.folders(tmp_path))
    with pytest.raises(LibraryError, match="is not a folder"):
        list(share.folders(tmp_path / "nowhere"))

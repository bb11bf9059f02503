"""The library: what is the same, what is a version, what is another function; and that it is never half written."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog.tool import Annotations, Tool
from toolweft_catalog.wire import SavedFunction
from toolweft_server.errors import LibraryError
from toolweft_server.library import care, rows
from toolweft_server.library.extract import extract
from toolweft_server.library.proof import Observed, Proof
from toolweft_server.library.store import FunctionStore
from toolweft_server.store.store import Store

TOOLS = {
    "git.log": Tool("git.log", "log", "git", annotations=Annotations(read_only=True)),
    "git.show": Tool("git.show", "show", "git", annotations=Annotations(read_only=True)),
    "git.push": Tool("git.push", "push", "git", annotations=Annotations(read_only=False)),
}
FIRST = '''def titles(repo: str, n: int = 5) -> list[str]:
    """The latest titles.

    More."""
    return git.log(repo, n)
'''


@pytest.fixture
def library(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        yield FunctionStore(store)


def admit(library, program, **more):
    return library.admit(extract(program, servers=["git"]).functions, tools=TOOLS, **more)


def saved(library, program):
    admission = admit(library, program)
    assert admission.rejected == ()
    return [f"{each.name}@{each.version}" for each in admission.saved]


def test_a_saved_function_comes_back_with_everything_it_is(library):
    admission = admit(library, FIRST, provenance={"execution": "ex_1", "owner": "local", "key": "sk-" + "a" * 20})
    assert admission.saved == (SavedFunction(name="titles", version=1, state="active"),)
    function = library.get("titles")
    assert function.source == FIRST
    assert function.signature == "(repo: str, n: int=5) -> list[str]"
    assert function.parameters == {
        "type": "object", "properties": {"repo": {"type": "string"}, "n": {"type": "integer", "default": 5}},
        "required": ["repo"], "additionalProperties": False,
    }  # fmt: skip
    assert function.output == {"type": "array", "items": {"type": "string"}}
    assert (function.effect, dict(function.tools)) == ("read", {"git.log": TOOLS["git.log"].digest})
    assert function.provenance == {"execution": "ex_1", "owner": "local", "key": "[secret]"}
    card = library.card("titles")
    assert card.stub == 'def titles(repo: str, n: int=5) -> list[str]:\n    """The latest titles."""'
    assert [(each["kind"], each["version"], each["execution"]) for each in card.history] == [("admitted", 1, "ex_1")]
    assert json.loads(card.model_dump_json())["source"] == FIRST


def test_the_same_code_again_counts_and_makes_no_version(library):
    assert saved(library, FIRST) == ["titles@1"]
    assert saved(library, FIRST.replace("git.log(repo, n)", "git.log(repo,n) # same")) == ["titles@1"]
    assert library.life("titles").versions[1].again == 1
    assert [each["kind"] for each in library.history("titles")] == ["admitted", "again"]


def test_same_signature_and_tools_with_another_body_is_a_new_version(library):
    assert saved(library, FIRST) == ["titles@1"]
    assert saved(library, FIRST.replace("return ", "return 0 or ")) == ["titles@2"]
    assert library.get("titles").version == 2
    assert library.get("titles", 1).source == FIRST
    assert saved(library, FIRST) == ["titles@1"]


def test_another_signature_or_other_tools_make_another_function_under_its_own_name(library):
    assert saved(library, FIRST) == ["titles@1"]
    wider = FIRST.replace("n: int = 5", "n: int = 5, all: bool = False").replace(
        "return ", "return n and titles(repo, 0) or "
    )
    assert saved(library, wider) == ["titles_2@1"]
    assert saved(library, FIRST.replace("git.log", "git.push")) == ["titles_3@1"]
    assert saved(library, wider) == ["titles_2@1"]
    assert saved(library, wider.replace("0) or", "1) or")) == ["titles_2@2"]
    assert "def titles_2(repo" in library.get("titles_2").source
    assert "titles_2(repo, 1)" in library.get("titles_2").source
    assert [each.name for each in library.list()] == ["titles", "titles_2", "titles_3"]


def test_a_function_that_lost_its_tool_is_repaired_by_what_is_called_and_answers_alike(library):
    def run(program, answer):
        proof = Proof("active", "", [Observed("titles", {"repo": "a"}, answer)])
        (made,) = admit(library, program, proofs={"titles": proof}).saved
        return f"{made.name}@{made.version}"

    other = FIRST.replace("git.log", "git.show")
    assert run(FIRST, ["x"]) == "titles@1"
    assert run(other, ["x"]) == "titles_2@1"  # while the first one works, it is another function
    library.remove("titles_2")
    library.mark("titles", 1, "stale", "git.log changed")
    assert run(other.replace("n: int", "m: int").replace("n)", "m)"), ["x"]) == "titles_2@2"
    library.remove("titles_2")
    assert run(other, {"titles": ["x"]}) == "titles_2@3"
    library.remove("titles_2")
    assert run(FIRST.replace("git.log", "git.push"), ["x"]) == "titles_2@4"  # it may write, and the first one never did
    library.remove("titles_2")
    assert run(other, ["y", "z"]) == "titles@2"
    assert library.get("titles").source == other
    assert library.get("titles", 1) is None
    assert run(FIRST, ["x"]) == "titles@1"


def test_a_name_that_merely_starts_alike_is_no_relative(library):
    other = FIRST.replace("titles", "titles_2x").replace("n)", "-n)")
    assert saved(library, other + FIRST) == ["titles_2x@1", "titles@1"]


def test_renaming_reaches_into_f_strings_and_leaves_comments_alone(library):
    saved(library, FIRST)
    program = 'def titles(x):  # keep me\n    return f"{titles(git.log(x))} and {titles}"'
    assert saved(library, program) == ["titles_2@1"]
    assert library.get("titles_2").source.count("titles_2") == 3


def test_a_function_pins_the_functions_it_uses(library):
    saved(library, FIRST)
    assert saved(library, "def report(): return functions.titles('x')") == ["report@1"]
    assert dict(library.get("report").functions) == {"titles": 1}
    saved(library, FIRST.replace("return ", "return 0 or "))
    assert dict(library.get("report").functions) == {"titles": 1}
    # The same code, run with another version of what it uses, is another version.
    assert saved(library, "def report(): return functions.titles('x')") == ["report@2"]
    assert [dict(each.functions) for each in library.versions("report")] == [{"titles": 1}, {"titles": 2}]


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("def f(): return git.nothing()", "it names 'git.nothing', and there is no such tool"),
        ("def f(): return functions.nothing()", "it uses the saved function 'nothing', and there is none"),
        (
            f"def f():\n    k = 'sk-{'a' * 30}'\n    return git.log(k)",
            "line 2 holds what looks like a secret (API key)",
        ),
        ("def f(*args): return git.log(*args)", "takes arguments that have no name"),
        ("def f(a, /): return git.log(a)", "takes arguments that have no name"),
    ],
)
def test_what_is_refused_says_why_and_does_not_stop_the_others(library, program, why):
    admission = admit(library, f"{program}\n{FIRST}")
    assert [each.name for each in admission.saved] == ["titles"]
    ((name, reason),) = admission.rejected
    assert name == "f"
    assert why in reason


def test_functions_are_tools_whose_digest_follows_the_source(library):
    saved(library, FIRST + "def pushes(): return git.push()")
    pushes, titles = library.as_tools()
    assert (titles.id, titles.server, titles.origin, titles.annotations.effect) == (
        "functions.titles",
        "functions",
        "library",
        "read",
    )
    assert pushes.annotations.effect == "write"
    assert titles.summary == "The latest titles."
    saved(library, FIRST.replace("return ", "return 0 or "))
    assert library.as_tools()[1].digest != titles.digest


def test_uses_are_counted_and_do_not_wake_those_who_wait_for_changes(library, tmp_path):
    saved(library, FIRST)
    with Store.open(tmp_path / "t.db") as other:
        before = other.changes()
        library.used("titles", 1, ok=True)
        library.used("titles", 1, ok=False)
        library.used("titles", 9, ok=True)
        library.used("never", 1, ok=True)
        assert other.changes() == before
        library.mark("titles", 1, "stale", "git.log changed")
        assert other.changes().functions == before.functions + 1
    function = library.versions("titles")[0]
    assert (function.uses, function.failures, function.state) == (2, 1, "stale")
    assert library.get("titles") is None
    assert library.as_tools() == []
    assert library.card("titles").history[-1]["why"] == "git.log changed"


def test_the_same_code_under_another_name_is_the_same_function_unless_it_was_named_on_purpose(library):
    assert saved(library, FIRST) == ["titles@1"]
    other = FIRST.replace("def titles", "def headings")
    assert saved(library, other) == ["titles@1"]
    assert library.life("titles").versions[1].again == 1
    assert [each.name for each in admit(library, other, on_purpose={"headings"}).saved] == ["headings"]
    assert saved(library, FIRST.replace("def titles", "def rubrics")) == ["headings@1"]


def test_a_state_leads_only_where_it_may_and_the_log_says_why(library):
    saved(library, FIRST)
    assert library.mark("titles", 1, "stale", "git.log changed") is True
    assert library.mark("titles", 1, "stale", "again") is False
    assert library.mark("titles", 1, "retired", expect="active") is False
    with pytest.raises(LibraryError, match="titles@1 is stale, which leads to active, quarantined, retired, verified"):
        library.mark("titles", 1, "candidate")
    library.mark("titles", 1, "active", "verified anew", tools={"git.log": "0" * 32})
    assert dict(library.get("titles").tools) == {"git.log": "0" * 32}
    told = [(each.get("state"), each.get("why")) for each in library.history("titles")]
    assert told == [("active", None), ("stale", "git.log changed"), ("active", "verified anew")]


def test_three_failures_in_a_row_quarantine_and_a_success_between_forgives(library):
    saved(library, FIRST)
    states = [library.used("titles", 1, ok) for ok in (False, False, True, False, False, False)]
    assert states == ["active"] * 5 + ["quarantined"]
    assert library.get("titles") is None
    assert library.history("titles")[-1]["why"] == "it failed 3 times in a row"


def programs(store, good, bad):
    for number in range(good + bad):
        store.executions.start(f"ex_{number}", "local", "c", None, "1")
        store.executions.finish(f"ex_{number}", "ok" if number < good else "error")


def test_a_function_that_fails_more_than_programs_do_without_it_retires_but_not_before_five_uses(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        library = FunctionStore(store)
        programs(store, 90, 10)
        saved(library, FIRST)
        early = [library.used("titles", 1, ok) for ok in (False, True, False, False)]
        assert early == ["active"] * 4
        library.used("titles", 1, True)
        assert library.used("titles", 1, False) == "retired"
        assert library.history("titles")[-1]["why"].startswith("2 of 6 uses succeeded, at best 70%")
        assert library.get("titles") is None
        # Whoever pinned the number goes on with it.
        assert library.get("titles", 1).state == "retired"


def test_a_failing_function_that_is_chosen_for_everything_retires(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        library = FunctionStore(store)
        programs(store, 14, 16)
        saved(library, FIRST + "def fine(): return git.log(1)")
        for number in range(20):
            library.used("fine", 1, True)
            state = library.used("titles", 1, number % 3 != 2)
            if state != "active":
                break
        assert state == "retired"
        assert "chosen for too much" in library.history("titles")[-1]["why"]


def test_above_the_cap_only_what_nobody_uses_retires(tmp_path, monkeypatch):
    monkeypatch.setattr(care, "CAP", 3)
    monkeypatch.setattr(rows, "CAP", 3)
    with Store.open(tmp_path / "t.db") as store:
        library = FunctionStore(store)
        for number in range(4):
            saved(library, f"def f{number}(): return git.log({number})")
        assert [each.name for each in library.offered()] == ["f0", "f1", "f2", "f3"]
        programs(store, care.UNUSED, 0)
        library.used("f0", 1, True)
        saved(library, "def f4(): return git.log(4)")
        assert [each.name for each in library.offered()] == ["f0", "f3", "f4"]
        assert library.history("f1")[-1]["why"].startswith("not used by the last 200 programs")


def test_going_back_to_a_version_offers_it_and_retires_the_later_ones(library):
    for change in ("return ", "return 0 or ", "return 1 and "):
        saved(library, FIRST.replace("return ", change))
    assert library.rollback("titles", 1) == (2, 3)
    assert library.get("titles").version == 1
    assert library.rollback("titles", 3) == ()
    assert library.get("titles").version == 3
    library.mark("titles", 1, "quarantined", "it failed 3 times in a row")
    with pytest.raises(LibraryError, match="titles@1 is quarantined: only a version that worked"):
        library.rollback("titles", 1)
    with pytest.raises(LibraryError, match="there is no version 7 of 'titles'; there are: 1, 2, 3"):
        library.rollback("titles", 7)


def test_a_removed_function_is_gone_but_its_numbers_are_not_given_again(library):
    saved(library, FIRST)
    saved(library, "def report(): return functions.titles('x')")
    assert library.remove("titles") == ("report",)
    assert library.get("titles") is None
    assert library.card("titles") is None
    assert [each["kind"] for each in library.history("titles")] == ["admitted", "removed"]
    with pytest.raises(LibraryError, match="no saved function 'titles'; there are: report"):
        library.remove("titles")
    assert saved(library, FIRST) == ["titles@2"]


changes = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.integers(0, 3), st.sampled_from(["a", "a, b"])),
        st.tuples(st.just("used"), st.sampled_from(["f", "f_2"]), st.integers(1, 3)),
        st.tuples(
            st.just("mark"),
            st.sampled_from(["f", "f_2"]),
            st.sampled_from(["active", "stale", "retired", "quarantined"]),
        ),
        st.tuples(st.just("remove"), st.sampled_from(["f", "f_2"]), st.none()),
    ),
    max_size=10,
)


@given(changes)
@settings(derandomize=True, max_examples=30, deadline=None)
def test_what_the_library_answers_is_the_fold_of_its_log(tmp_path_factory, steps):
    with Store.open(tmp_path_factory.mktemp("library") / "t.db") as store:
        library = FunctionStore(store)
        for kind, first, second in steps:
            try:
                if kind == "admit":
                    admit(library, f"def f({second}): return git.log({first})")
                elif kind == "used":
                    library.used(first, second, ok=second == 1)
                elif kind == "mark":
                    library.mark(first, 1, second)
                else:
                    library.remove(first)
            except LibraryError:
                continue
        for name in ("f", "f_2"):
            life = library.life(name)
            held = {each.version: each for each in library.versions(name)}
            assert held.keys() == life.versions.keys()
            for version, standing in life.versions.items():
                assert (held[version].state, held[version].uses) == (standing.state, standing.uses)
            # What is offered is active, and nothing else is.
            active = [number for number, standing in life.versions.items() if standing.state == "active"]
            assert (library.get(name) is None) == (not active)
            assert {each.version for each in library.offered() if each.name == name} == set(active[-1:])


WRITER = """
import sys
from toolweft_catalog.tool import Tool
from toolweft_server.library.extract import extract
from toolweft_server.library.store import FunctionStore
from toolweft_server.store.store import Store
library = FunctionStore(Store.open(sys.argv[1]))
tools = {"git.log": Tool("git.log", "log", "git")}
who, count = sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for n in range(count):
    program = f"def shared(): return git.log({who!r}, {n})\\ndef own_{who}_{n}(): return git.log({n!r}, {who!r})"
    admission = library.admit(extract(program, servers=["git"]).functions, tools=tools)
    assert not admission.rejected, admission
    library.used("shared", 1, ok=True)
    print(n, flush=True)
"""


def writer(path, who, count):
    command = [sys.executable, "-c", WRITER, str(path), who, str(count)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert started.stdout.readline() == "ready\n"
    return started


def test_two_processes_that_write_at_once_lose_nothing(library, tmp_path):
    with writer(tmp_path / "t.db", "a", 25) as one, writer(tmp_path / "t.db", "b", 25) as two:
        for each in (one, two):
            each.stdin.write("go\n")
            each.stdin.flush()
        for each in (one, two):
            each.communicate(timeout=60)
        assert (one.returncode, two.returncode) == (0, 0)
    assert {each.name for each in library.list()} == {"shared", *(f"own_{who}_{n}" for who in "ab" for n in range(25))}
    assert [each.version for each in library.versions("shared")] == list(range(1, 51))
    assert library.versions("shared")[0].uses == 50


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_a_writer_killed_at_any_moment_leaves_whole_functions_only(tmp_path):
    path = tmp_path / "t.db"
    chance = random.Random(7)
    with Store.open(path) as store:
        library = FunctionStore(store)
        for number in range(int(os.environ.get("N", "6"))):
            with writer(path, f"r{number}", 100_000) as running:
                running.stdin.write("go\n")
                running.stdin.flush()
                told = 0
                for _ in range(chance.randrange(1, 12)):
                    told = int(running.stdout.readline())
                running.send_signal(signal.SIGKILL)
                running.wait(10)
                running.stdout.close()
            names = {each.name for each in library.list()}
            # What was told is there; the pair that was being written is there as a whole or not at all.
            assert {f"own_r{number}_{n}" for n in range(told + 1)} <= names
            shared = [each for each in library.versions("shared") if f"'r{number}'" in each.source]
            assert len(shared) == len([name for name in names if name.startswith(f"own_r{number}_")])
            for name in names:
                assert library.life(name).versions.keys() == {each.version for each in library.versions(name)}
                assert library.get(name).source.startswith("def ")
    with Store.open(path) as store, store.database.read() as db:
        assert db.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"

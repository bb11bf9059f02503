"""A catalogue is ordered, immutable and cheap to ask; a tool's digest is its content and nothing else."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog.catalog import Catalog, Delta, card
from toolweft_catalog.tool import Annotations, Tool

quick = settings(derandomize=True, deadline=None, max_examples=60)

IDS = st.sampled_from([f"{server}.{name}" for server in ("a", "ab", "b") for name in ("x", "y", "z", "x_2")])
CONTENTS = st.sampled_from(["", "one", "two"])
TOOLS = st.dictionaries(IDS, CONTENTS).map(lambda found: [make(each, text) for each, text in found.items()])


def make(tool_id, description=""):
    server, name = tool_id.split(".")
    return Tool(tool_id, name, server, description)


# ---- tool -----------------------------------------------------------------------------------------------------


def test_equal_content_has_an_equal_digest_whatever_its_id_and_the_order_of_its_keys():
    one = Tool("s.t", "t", "s", "d", {"type": "object", "properties": {"a": {}, "b": {}}})
    other = Tool("s.t_2", "t", "s", "d", {"properties": {"b": {}, "a": {}}, "type": "object"})
    assert one.digest == other.digest


@pytest.mark.parametrize(
    "change",
    [
        {"name": "u"},
        {"server": "r"},
        {"description": "e"},
        {"parameters": {"type": "object", "properties": {"a": {}}}},
        {"output": {"type": "string"}},
        {"annotations": Annotations(read_only=True)},
        {"origin": "openapi"},
        {"title": "T"},
        {"binding": {"method": "GET"}},
    ],
)
def test_any_other_content_has_another_digest(change):
    tool = Tool("s.t", "t", "s", "d")
    assert replace(tool, **change).digest != tool.digest


def test_a_digest_is_the_same_in_every_process():
    tool = Tool("s.t", "t", "s", "d – ü \ud83d", {"type": "object", "properties": {"b": {}, "a": {}}})
    program = (
        "from toolweft_catalog.tool import Tool\n"
        "print(Tool('s.t', 't', 's', 'd – ü \\ud83d', {'type': 'object', 'properties': {'b': {}, 'a': {}}}).digest)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == tool.digest == "3258236204543e8d78d513449f16564e"


@pytest.mark.parametrize(
    ("annotations", "effect"),
    [
        (Annotations(), "unknown"),
        (Annotations(read_only=True), "read"),
        (Annotations(read_only=True, destructive=True), "read"),
        (Annotations(read_only=False), "write"),
        (Annotations(destructive=True), "write"),
        (Annotations(destructive=False), "unknown"),
    ],
)
def test_annotations_say_what_a_call_may_do(annotations, effect):
    assert annotations.effect == effect


@pytest.mark.parametrize(
    ("description", "summary"),
    [
        ("", ""),
        ("List pets. Newest first.", "List pets."),
        ("List\n  all\tpets", "List all pets"),
        ("Really? Yes.", "Really?"),
        ("x" * 200, "x" * 119 + "…"),
    ],
)
def test_a_summary_is_the_first_sentence_on_one_line(description, summary):
    assert Tool("s.t", "t", "s", description).summary == summary


# ---- catalogue ------------------------------------------------------------------------------------------------


@quick
@given(TOOLS, st.randoms(use_true_random=False))
def test_the_order_is_that_of_ids_whatever_order_the_tools_came_in(tools, random):
    shuffled = list(tools)
    random.shuffle(shuffled)
    one, other = Catalog.of(tools), Catalog.of(shuffled)
    assert list(one) == list(other) == sorted(map(card, tools), key=lambda each: each.id)
    assert one.servers == other.servers == tuple(sorted({tool.server for tool in tools}))


@quick
@given(TOOLS)
def test_everything_in_it_is_found_by_id_and_by_name(tools):
    catalog = Catalog.of(tools)
    assert len(catalog) == len(tools)
    for tool in tools:
        assert tool.id in catalog
        assert catalog.get(tool.id) == card(tool)
        assert catalog.tool(tool.id) == tool
        assert catalog.named(tool.name) == tuple(each for each in catalog if each.name == tool.name)
    assert catalog.get("a.nothing") is None
    assert catalog.named("nothing") == ()


def test_asking_by_id_or_name_looks_at_no_other_tool():
    class Counted(str):
        """An id that counts how often anything compares it."""

        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other):
            Counted.compared += 1
            return str.__eq__(self, other)

    tools = [Tool(Counted(f"s.t{n}"), f"t{n}", "s") for n in range(2000)]
    catalog = Catalog.of(tools)
    catalog.named("t0")
    Counted.compared = 0
    assert catalog.get("s.t1234") is not None
    assert "s.t1999" in catalog
    assert catalog.named("t77")[0].id == "s.t77"
    assert Counted.compared < 10


def test_whole_tools_are_loaded_only_when_asked_for_and_in_the_order_asked():
    asked = []
    tools = {each: make(each) for each in ("a.x", "a.y", "a.z")}

    def load(ids):
        asked.append(list(ids))
        return [tools[each] for each in ids]

    catalog = Catalog(map(card, tools.values()), load)
    assert (len(catalog), catalog.servers, asked) == (3, ("a",), [])
    assert [tool.id for tool in catalog.tools(["a.z", "a.x"])] == ["a.z", "a.x"]
    assert asked == [["a.z", "a.x"]]


def test_an_id_that_is_not_there_is_refused_before_anything_is_loaded():
    catalog = Catalog([card(make("a.x"))], lambda ids: pytest.fail(f"loaded {ids}"))
    with pytest.raises(KeyError):
        catalog.tools(["a.x", "a.y"])


def test_two_tools_of_one_id_are_refused_by_name():
    with pytest.raises(ValueError, match=r"two tools have the id 'a\.x'"):
        Catalog.of([make("a.x", "one"), make("a.y"), make("a.x", "two")])


# ---- delta ----------------------------------------------------------------------------------------------------


@quick
@given(TOOLS, TOOLS)
def test_a_delta_leads_from_one_catalogue_to_the_other(before, after):
    old, new = Catalog.of(before), Catalog.of(after)
    delta = old.delta(new)
    applied = {each.id: each for each in old if each.id not in delta.removed}
    applied |= {each: new.get(each) for each in (*delta.added, *delta.changed)}
    assert applied == {each.id: each for each in new}


@quick
@given(TOOLS, TOOLS)
def test_the_parts_of_a_delta_are_ordered_disjoint_and_no_larger_than_needed(before, after):
    old, new = Catalog.of(before), Catalog.of(after)
    delta = old.delta(new)
    assert all(list(part) == sorted(set(part)) for part in delta)
    assert len({each for part in delta for each in part}) == sum(map(len, delta))
    assert all(old.get(each).digest != new.get(each).digest for each in delta.changed)
    assert new.delta(old) == Delta(added=delta.removed, changed=delta.changed, removed=delta.added)


@quick
@given(TOOLS)
def test_nothing_changes_between_a_catalogue_and_itself(tools):
    delta = Catalog.of(tools).delta(Catalog.of(tools))
    assert not delta
    assert delta == ((), (), ())

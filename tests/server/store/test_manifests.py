"""What servers offer: ids for ever, one transaction a server, texts on demand."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog.catalog import Delta
from toolweft_catalog.tool import Annotations, Tool
from toolweft_server.store import sources
from toolweft_server.store.store import Store


def tool(name, server="git", **more):
    return Tool("", name, server, **more)


def test_a_tool_comes_back_as_it_was_written(tmp_path):
    whole = Tool(
        "", "create-issue", "git hub", "Makes one.", {"type": "object", "properties": {"t": {"enum": ["ä", 1]}}},
        {"type": "string"}, Annotations(False, True, None, True), "openapi", "Create", "GitHub", {"path": "/x"},
    )  # fmt: skip
    with Store.open(tmp_path / "t.db") as store:
        assert store.manifests.write("git hub", "e", [whole]) == Delta(("git_hub.create_issue",), (), ())
        catalog = store.manifests.catalog()
        assert catalog.tool("git_hub.create_issue") == replace(whole, id="git_hub.create_issue")
        assert catalog.get("git_hub.create_issue").digest == whole.digest
        assert list(store.manifests.each()) == [replace(whole, id="git_hub.create_issue")]


def test_writing_again_tells_what_was_added_changed_and_removed(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("git", "e", [tool("a"), tool("b"), tool("c")])
        delta = store.manifests.write("git", "e", [tool("a"), tool("b", description="new"), tool("d")])
        assert delta == Delta(("git.d",), ("git.b",), ("git.c",))
        assert [card.id for card in store.manifests.catalog()] == ["git.a", "git.b", "git.d"]
        assert not store.manifests.write("git", "e", [tool("d"), tool("b", description="new"), tool("a")])


def test_the_id_of_a_vanished_tool_stays_reserved_and_comes_back_with_it(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("git", "e", [tool("get-x")])
        store.manifests.write("git", "e", [tool("get_x")])
        assert [card.id for card in store.manifests.catalog()] == ["git.get_x_2"]
        store.manifests.write("git", "e", [tool("get_x"), tool("get-x")])
        assert {card.name: card.id for card in store.manifests.catalog()} == {
            "get-x": "git.get_x",
            "get_x": "git.get_x_2",
        }


def test_servers_whose_names_fold_together_get_different_prefixes_for_ever(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("my-git", "e", [tool("a", "my-git")])
        store.manifests.write("my_git", "e", [tool("a", "my_git")])
        store.manifests.remove("my-git")
        store.manifests.write("my.git", "e", [tool("a", "my.git")])
        store.manifests.write("my-git", "e", [tool("a", "my-git")])
        assert {card.server: card.id for card in store.manifests.catalog()} == {
            "my-git": "my_git.a", "my_git": "my_git_2.a", "my.git": "my_git_3.a",
        }  # fmt: skip


def test_one_source_may_hold_tools_of_many_servers_without_touching_their_namesakes(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("weather", "e", [tool("now", "weather")])
        store.manifests.write("toolbench", "e", [tool("now", "weather"), tool("now", "time")])
        assert [card.id for card in store.manifests.catalog()] == ["time.now", "weather.now", "weather_toolbench.now"]
        assert store.manifests.remove("toolbench").removed == ("time.now", "weather_toolbench.now")
        assert [card.id for card in store.manifests.catalog()] == ["weather.now"]


def test_a_second_tool_of_the_same_name_and_one_with_a_garbled_name_cost_only_themselves(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("git", "e", [tool("a"), tool("a", description="evil"), tool("\ud800")], ["one dropped"])
        (status,) = store.manifests.status()
        assert status.tools == 1
        assert status.problems[0] == "one dropped"
        assert "a second tool named 'a'" in status.problems[2]
        assert store.manifests.catalog().tool("git.a").description == ""


def test_a_failure_is_noted_and_the_tools_stay(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("git", "one", [tool("a")], instructions="Ask nicely. \ud800", protocol="2026-07-28")
        store.manifests.failed("git", "gone")
        store.manifests.failed("never", "not found", "two")
        git, never = store.manifests.status()
        assert (git.error, git.entry_digest, git.tools, git.protocol) == ("gone", "one", 1, "2026-07-28")
        assert (never.error, never.entry_digest, never.fetched_at, never.tools) == ("not found", "two", None, 0)
        assert "git.a" in store.manifests.catalog()
        store.manifests.write("git", "one", [tool("a")])
        assert store.manifests.status()[0].error is None


def test_the_handshake_file_follows_every_write(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write(
            "git", "e", [tool("a", server_description="x" * 999), tool("b", server_description="x" * 999)]
        )
        (source,) = sources.read(store.path)
        assert (source.tools, source.description, source.prefix) == (2, "x" * sources.DESCRIPTION, "git")
        assert store.manifests.sources() == [source]
        store.manifests.remove("git")
        assert sources.read(store.path) == ()


def test_a_changed_server_description_is_stored_though_the_digest_is_the_same(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("git", "e", [tool("a", server_description="old")])
        assert not store.manifests.write("git", "e", [tool("a", server_description="new")])
        assert store.manifests.catalog().tool("git.a").server_description == "new"


def test_thousands_of_tools_are_paged_and_loaded_in_the_order_asked_for(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("many", "e", [tool(f"t{n:04}", "many", description=str(n)) for n in range(1300)])
        catalog = store.manifests.catalog()
        ids = [card.id for card in catalog]
        assert [each.id for each in store.manifests.each()] == ids
        assert [each.id for each in catalog.tools([*reversed(ids), ids[0]])] == [*reversed(ids), ids[0]]


names = st.sampled_from(["a", "a-", "a_", "A", "b", "class", "2", "日"])
manifests = st.lists(
    st.tuples(st.sampled_from(["s", "s-", "t"]), st.dictionaries(names, st.text(max_size=3))), max_size=8
)


@given(manifests)
@settings(derandomize=True, max_examples=40, deadline=None)
def test_ids_are_unique_stable_and_deltas_lead_from_one_catalogue_to_the_next(tmp_path_factory, writes):
    with Store.open(tmp_path_factory.mktemp("store") / "t.db") as store:
        given_ids: dict[tuple[str, str], str] = {}
        for server, tools in writes:
            before = store.manifests.catalog()
            delta = store.manifests.write(server, "e", [tool(n, server, description=d) for n, d in tools.items()])
            after = store.manifests.catalog()
            assert delta == before.delta(after)
            assert {card.name for card in after if card.server == server} == set(tools)
            for card in after:
                assert given_ids.setdefault((card.server, card.name), card.id) == card.id
        assert len(set(given_ids.values())) == len(given_ids)

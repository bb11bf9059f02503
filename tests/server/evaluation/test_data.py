"""Folders of tools and requests, and everything that may be wrong with one."""

import gzip
import json

import pytest

from request_folder import rows_of_tools, write
from toolweft_server.evaluation import data
from toolweft_server.evaluation.errors import DataError


def test_a_folder_is_read_with_groups_categories_and_what_was_seen(folder):
    read = data.read(folder)
    found = {request.id: request for request in read.requests}
    assert (read.name, len(read.tools), len(found)) == ("small", 8, 6)
    assert read.category["git.git_log"] == "code"
    assert found["q4"].kind == "multi"
    assert found["q4"].tools == {"sky.weather", "clock.now"}
    assert (found["q5"].seen, found["q2"].seen) == ("seen", "unseen")


def test_tools_of_the_same_name_and_text_are_twins(folder):
    group = data.read(folder).group
    assert group["mail.send_mail"] == group["post.send_mail"]
    assert len(set(group.values())) == 7


def test_packed_files_are_read_like_plain_ones(folder):
    plain = data.read(folder)
    for name in ("tools", "queries"):
        file = folder / f"{name}.jsonl"
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert data.read(folder) == plain


def test_requests_are_chosen_by_split_kind_and_style(folder):
    read = data.read(folder)
    assert [each.id for each in read.only(split="dev", style="user").requests] == ["q2", "q3"]
    assert [each.id for each in read.only(kind="multi").requests] == ["q4"]


def test_a_choice_that_leaves_nothing_says_what_there_is(folder):
    with pytest.raises(DataError, match="no request has split 'devel'; there are dev 4, test 1, train 1"):
        data.read(folder).only(split="devel")


def test_requests_without_a_split_are_in_every_split(tmp_path):
    folder = write(tmp_path / "plain", queries=[{"id": "1", "query": "time", "gold": ["clock/now"]}])
    assert len(data.read(folder).only(split="test").requests) == 1


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        ([{"query": "x", "gold": ["clock/now"]}, {"query": "x", "gold": ["nowhere"]}], "line 2: .*'nowhere' is not in"),
        ([{"query": "x", "gold": []}], "line 1: `gold` must name at least one tool"),
        ([{"query": 3, "gold": ["clock/now"]}], "line 1: a request needs a text `query`, not 3"),
        ([[1, 2]], "line 1: a JSON object is needed"),
    ],
)
def test_a_request_that_is_none_is_named_by_its_line(tmp_path, queries, said):
    with pytest.raises(DataError, match=said):
        data.read(write(tmp_path / "bad", queries=queries))


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ({"name": "x"}, "line 9: a tool needs a text `id`, not None"),
        ({"id": "git/log", "name": "x"}, "line 9: the id 'git/log' is that of line 1, too"),
        ({"id": "x", "name": "x", "parameters": []}, None),
        ({"id": "x", "name": "x", "parameters": [1]}, "line 9: `parameters` must be a JSON Schema object"),
        ({"id": "x", "name": "x", "description": 7}, "line 9: `description` must be a text or null, not 7"),
    ],
)
def test_a_tool_that_is_none_is_named_by_its_line(tmp_path, tool, said):
    folder = write(tmp_path / "bad", tools=[*rows_of_tools(), tool])
    if said is None:
        assert len(data.read(folder).tools) == 9
    else:
        with pytest.raises(DataError, match=said):
            data.read(folder)


def test_a_line_that_is_not_json_is_named(folder):
    with (folder / "tools.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": \n')
    with pytest.raises(DataError, match=r"tools\.jsonl, line 9: not JSON"):
        data.read(folder)


def test_missing_files_and_folders_are_named(folder, tmp_path):
    (folder / "queries.jsonl").unlink()
    with pytest.raises(DataError, match=r"small has no queries\.jsonl or queries\.jsonl\.gz"):
        data.read(folder)
    with pytest.raises(DataError, match="nowhere is no folder"):
        data.read(tmp_path / "nowhere")


def test_a_catalogue_or_requests_of_nothing_are_refused(folder):
    (folder / "queries.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="there are no requests in it"):
        data.read(folder)
    (folder / "tools.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="the catalogue is empty"):
        data.read(folder)


@pytest.mark.parametrize("damage", [lambda whole: whole[:40], lambda _: b"no gzip at all", lambda whole: whole[:-8]])
def test_a_damaged_file_is_named(folder, damage):
    whole = gzip.compress(json.dumps(rows_of_tools()[0]).encode() * 50)
    (folder / "tools.jsonl.gz").write_bytes(damage(whole))
    with pytest.raises(DataError, match=r"tools\.jsonl\.gz"):
        data.read(folder)


def test_tools_can_be_streamed_and_are_those_of_the_whole(folder):
    assert list(data.stream(folder, 3)) == list(data.read(folder).tools[:3])

"""What is taught, read from files and from the store."""

import gzip
import json
import time

import pytest
from mcp import Client

pytest.importorskip("torch")

from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.runtime import Lazy
from toolweft_server.store.requests import Asked
from toolweft_server.store.store import Store
from toolweft_server.training import usages
from toolweft_server.training.affinity import Usage
from toolweft_server.training.align import reading
from toolweft_server.training.align.conversations import Call, Pair, Trajectory
from toolweft_server.training.errors import TrainingError

pytestmark = pytest.mark.torch

SHOP = '''
from toolweft_catalog.ingest.python import tool


@tool(read_only=True)
def price(thing: str) -> dict[str, int]:
    """Price of a thing."""
    return {"price": {"egg": 3}[thing]}
'''
FAILING = 'try:\n    shop.price("ham")\nexcept ToolError:\n    pass\nshop.price("egg")\nraise RuntimeError("after")'
MENDED = 'found = shop.price("egg")\nf"{found[\'price\']} coins"'


@pytest.fixture
def place(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    document = {"python": {"shop": {"module": "shop.py"}}, "store": "store.db", "index": {"keep_requests": True}}
    (tmp_path / "toolweft.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path


async def test_a_run_of_ours_becomes_a_trajectory_with_what_its_calls_answered(place):
    loaded = configuration.load(place / "toolweft.json")
    async with Client(serving.build(Lazy(loaded), servers=list(loaded.servers))) as client:
        await client.call_tool("find_tools", {"query": "what does an egg cost"})
        first = (await client.call_tool("execute_code", {"code": FAILING})).structured_content
        again = {"code": MENDED, "retry_of": first["id"]}
        second = (await client.call_tool("execute_code", again)).structured_content
    assert (first["status"], second["status"], second["calls"][0]["replayed"]) == ("error", "ok", True)
    steps = [{"event": "task.start", "data": {"task": "Price of an egg?"}}]
    steps += [
        {"event": "run", "data": {"execution": ran["id"], "status": ran["status"], "value": ran["value"]}}
        for ran in (first, second)
    ]
    (place / "run.jsonl").write_text("\n".join(map(json.dumps, steps)), encoding="utf-8")
    with Store.open(place / "store.db") as store:
        taken = reading.traces([place / "run.jsonl"], store)
        asked = reading.asked(store)
        used = list(usages.executed(store))
    call = Call("shop.price", {"thing": "egg"}, '{"price": 3}')
    assert taken.trajectories == [Trajectory(second["id"], "Price of an egg?", (call,), "3 coins")]
    assert taken.left_out == [f"{first['id']}: it failed, or no call of it succeeded"]
    assert used == [Usage(("shop.price",), "train")]
    assert [(pair.request, pair.gold) for pair in asked] == [("what does an egg cost", ["shop.price"])]


def test_requests_whose_texts_were_not_kept_are_refused_with_what_to_do(tmp_path):
    with Store.open(tmp_path / "store.db") as store:
        assert reading.asked(store) == []
        store.requests.asked([Asked("local", "c", "", ["shop.price"], time.time())])
        store.requests.called("local", "c", [("shop.price", True)])
        with pytest.raises(TrainingError, match=r"the text of none: .*keep_requests"):
            reading.asked(store)
        store.requests.asked([Asked("local", "c", "what does it cost", ["shop.price"], time.time())])
        store.requests.called("local", "c", [("shop.price", True)])
        assert [pair.request for pair in reading.asked(store)] == ["what does it cost"]


def test_requests_of_other_splits_are_never_read(tmp_path):
    rows = [{"id": split, "query": "q", "gold": ["a.b"], "split": split} for split in ("train", "dev", "test")]
    lines = "\n\n".join(map(json.dumps, rows))
    (tmp_path / "plain.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(lines.encode("utf-8")))
    for name in ("plain.jsonl", "packed.jsonl.gz"):
        assert reading.requests(tmp_path / name) == ([Pair("train", "q", ["a.b"])], 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"query": "q", "gold": ["a.b"]}', r"line 1: `split` is 'train', 'dev' or 'test', not None"),
        ('\n{"query": "q", "gold": "a.b", "split": "train"}', r"line 2: a request has `query`"),
        ('{"query": 7, "gold": [], "split": "train"}', r"line 1: a request has `query`"),
        ("{", r"line 1: no JSON"),
        ("[7]", r"record 1: a JSON object is wanted, not int"),
        ("[", r"no JSON"),
    ],
)
def test_a_line_that_is_no_request_is_named(tmp_path, text, words):
    (tmp_path / "r.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=words):
        reading.requests(tmp_path / "r.jsonl")


def test_a_file_that_is_not_there_or_cut_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"none\.jsonl' cannot be read"):
        reading.requests(tmp_path / "none.jsonl")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x" * 1000)[:-9])
    with pytest.raises(TrainingError, match=r"cut\.gz' cannot be read"):
        reading.requests(tmp_path / "cut.gz")


def test_toolbench_names_are_understood_where_they_mean_one_tool(tmp_path):
    from toolweft_catalog.tool import Tool

    with Store.open(tmp_path / "s.db") as store:
        for server in ("maps", "mail"):
            store.manifests.write(server, "e", [Tool("", "send", server, "x"), Tool("", server, server, "x")])
        catalog = store.manifests.catalog()
        names = reading.names_of(catalog)
    assert names["send_for_maps"] == "maps.send"
    assert names["mail.send"] == "mail.send"
    assert names["maps"] == "maps.maps"
    assert "send" not in names
    record = {"id": "1", "conversations": [
        {"from": "user", "value": "Send it."},
        {"from": "assistant", "value": 'Thought: I send.\nAction: send_for_mail\nAction Input: {"to": "x"}'},
        {"from": "function", "value": "sent"},
        {"from": "assistant",
         "value": 'Thought:\nAction: Finish\nAction Input: {"return_type": "give_answer", "final_answer": "Done"}'},
    ]}  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps([record]), encoding="utf-8")
    call = Call("mail.send", {"to": "x"}, "sent", "I send.")
    assert reading.toolbench(tmp_path / "t.json", catalog).trajectories == [
        Trajectory("1", "Send it.", (call,), "Done")
    ]

"""`toolweft train lm`, and what is served from the model it leaves."""

import argparse
import gzip
import json
import signal

import pytest
from mcp import Client

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

import numpy as np  # noqa: E402

import tiny_lm  # noqa: E402
from toolweft_catalog.catalog import card  # noqa: E402
from toolweft_server import config as configuration  # noqa: E402
from toolweft_server import serving  # noqa: E402
from toolweft_server.commands import train, train_lm  # noqa: E402
from toolweft_server.index import generative_kind  # noqa: E402
from toolweft_server.runtime import Lazy  # noqa: E402
from toolweft_server.store.store import Store  # noqa: E402
from toolweft_server.training.align import bundle as bundles  # noqa: E402
from toolweft_server.training.align import settings  # noqa: E402
from toolweft_server.training.align.conversations import document, prompt  # noqa: E402
from toolweft_server.training.errors import TrainingError  # noqa: E402
from toolweft_server.training.rqkmeans import RqKMeansConfig  # noqa: E402
from toolweft_server.training.tokenise import Sources, TokeniseConfig, tokenise  # noqa: E402

pytestmark = pytest.mark.torch

DESK = '''
"""A small desk."""

from toolweft_catalog.ingest.python import tool


@tool(read_only=True)
def read_notes() -> list[str]:
    """Read every note."""
    return ["milk"]


@tool(read_only=False, destructive=False)
def write_note(text: str) -> int:
    """Write a note."""
    return 1


@tool(read_only=True)
def picture() -> str:
    """A very small picture."""
    return "picture"
'''
WISHES = {"desk.read_notes": "remind me of my errands", "desk.write_note": "do not let me forget eggs",
          "desk.picture": "something pretty please"}  # fmt: skip
"""Words that no tool has: only the model can know."""
SETTINGS = {
    "limit": 128, "both_ways": False, "rows": "random",
    "memorise": {"epochs": 1}, "retrieve": {"epochs": 30}, "act": None,
}  # fmt: skip


async def found(config, query):
    loaded = configuration.load(config)
    async with Client(serving.build(Lazy(loaded), servers=list(loaded.servers))) as client:
        return (await client.call_tool("find_tools", {"query": query})).structured_content


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A desk with three tools, read into the store; their codes; a model that knows nothing; requests."""
    folder = tmp_path_factory.mktemp("lm")
    (folder / "desk.py").write_text(DESK, encoding="utf-8")
    write_config(folder)
    import asyncio

    asyncio.run(found(folder / "toolweft.json", "note"))
    with Store.open(folder / "store.db") as store:
        catalog = store.manifests.catalog()
        tools = catalog.tools([each.id for each in catalog])
    pairs = [(each.id, card(each).digest) for each in tools]
    plain = TokeniseConfig(quantiser=RqKMeansConfig(levels=2, codes=2), assignment="unique")
    tokenise(plain, Sources(pairs, np.eye(3, 4, dtype=np.float32), "e" * 32)).save(folder / "woven")
    texts = [*map(document, tools), *WISHES.values(), prompt("retrieve", request=""), prompt("memorise", document="")]
    tokenizer = tiny_lm.tokenizer_of(texts, words=320)
    tokenizer.save_pretrained(folder / "base")
    tiny_lm.model_of(len(tokenizer), width=32).save_pretrained(folder / "base")
    rows = [{"id": tool, "query": wish, "gold": [tool], "split": "train"} for tool, wish in WISHES.items()]
    rows.append({"id": "t", "query": "never seen", "gold": ["desk.picture"], "split": "test"})
    lines = "\n".join(json.dumps(row) for row in rows)
    (folder / "requests.jsonl.gz").write_bytes(gzip.compress(lines.encode("utf-8")))
    (folder / "lm.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    return folder


def write_config(folder, **parts):
    path = folder / "toolweft.json"
    document = {"python": {"desk": {"module": str(folder / "desk.py")}}, "store": str(folder / "store.db"), **parts}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def run(folder, out, *words):
    parser = argparse.ArgumentParser()
    train.add(parser)
    given = ["--model", folder / "base", "--codes", folder / "woven", "--out", out, "--settings", folder / "lm.json"]
    given += ["--requests", folder / "requests.jsonl.gz", "--config", folder / "toolweft.json", "--seed", "5"]
    given += ["--rate", "3e-3", "--batch", "3", "--device", "cpu", *words]
    return train.run(parser.parse_args(["lm", *map(str, given)]))


@pytest.fixture(scope="module")
def taught(place):
    assert run(place, place / "lm") == 0
    return place / "lm"


def test_the_model_knows_the_tools_and_its_seed_and_settings_are_on_record(place, taught):
    made = bundles.load(taught)
    assert set(made.tools) == set(WISHES)
    assert made.seeds == {"align": 5}
    assert made.config["retrieve"]["epochs"] == 30
    assert (made.config["rows"], made.config["act"]) == ("random", None)
    assert not (place / "lm.training").exists()


async def test_find_tools_answers_from_the_model_where_the_configuration_says_so(place, taught):
    config = write_config(place, index={"kind": "generative", "model": "lm", "device": "cpu"})
    for tool, wish in WISHES.items():
        answer = await found(config, wish)
        assert (answer["index"], answer["note"]) == ("generative", None)
        assert (answer["tools"][0]["id"], answer["tools"][0]["why"]) == (tool, ["codes"])
    assert (await found(config, "write_note"))["tools"][0]["id"] == "desk.write_note"


async def test_the_index_that_needs_no_model_can_be_named_too(place):
    answer = await found(write_config(place, index={"kind": "lexical"}), "a very small picture")
    assert (answer["index"], answer["tools"][0]["id"]) == ("lexical", "desk.picture")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder, patch: folder.rename(folder.with_name("gone")), "run `toolweft train lm`"),
        (lambda folder, patch: (folder / "model.safetensors").write_bytes(b"cut"), "the digest of model.safetensors"),
        (lambda folder, patch: patch.setattr(generative_kind, "NEEDED", ("no_such_package",)),
         "it needs no_such_package: pip install 'toolweft[train]'"),
    ],
    ids=["missing", "damaged", "without the extra"],
)  # fmt: skip
async def test_without_a_model_that_can_be_used_words_rank_and_each_answer_says_so(
    place, taught, tmp_path, monkeypatch, spoil, words
):
    import shutil

    shutil.copytree(taught, tmp_path / "lm")
    spoil(tmp_path / "lm", monkeypatch)
    config = write_config(place, index={"kind": "generative", "model": str(tmp_path / "lm")})
    answer = await found(config, "a very small picture")
    assert (answer["index"], answer["tools"][0]["id"]) == ("lexical", "desk.picture")
    assert answer["note"].startswith("The generative index cannot be opened, words alone rank: ")
    assert words in answer["note"]


async def test_a_model_of_other_tools_says_so_and_words_rank(place, taught, tmp_path):
    (tmp_path / "other.py").write_text(DESK.replace("a note", "some note"), encoding="utf-8")
    parts = {"python": {"other": {"module": str(tmp_path / "other.py")}}, "store": str(tmp_path / "store.db")}
    config = write_config(tmp_path, **parts, index={"kind": "generative", "model": str(taught)})
    answer = await found(config, "a very small picture")
    assert answer["tools"][0]["id"] == "other.picture"
    assert answer["note"] == "The model of the generative index knows none of the 3 tools here, words alone rank."


def test_ctrl_c_keeps_a_checkpoint_and_the_run_goes_on_to_the_same_weights(place, taught, capsys, monkeypatch):
    def pressed(step):
        if (step.stage, step.done) == ("retrieve", 7):
            signal.raise_signal(signal.SIGINT)

    out = place / "again"
    with monkeypatch.context() as patch:
        patch.setattr(train_lm, "told", pressed)
        assert run(place, out) == 130
    assert "stopping after this step" in capsys.readouterr().err
    assert [each.name for each in (place / "again.training" / "2-retrieve").iterdir()] == ["step-000007"]
    assert not out.exists()
    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(train_lm, "told", lambda step: steps.append((step.stage, step.done)))
        assert run(place, out, "--resume", "--json") == 0
    assert steps[0] == ("retrieve", 8)
    assert json.loads(capsys.readouterr().out)["stages"]["retrieve"]["steps"] == 60
    assert (out / "model.safetensors").read_bytes() == (taught / "model.safetensors").read_bytes()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_codes_of_another_catalogue_are_refused(place, tmp_path, capsys):
    Store.open(tmp_path / "empty.db").close()
    (tmp_path / "empty.json").write_text(json.dumps({"store": str(tmp_path / "empty.db")}), encoding="utf-8")
    assert run(place, tmp_path / "lm", "--config", str(tmp_path / "empty.json")) == 1
    assert "it was made for catalogue" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"retrieve": {"epoch": 1}}, "retrieve: there is no 'epoch'; there is epochs"),
        ({"rowz": "ridge"}, "settings: there is no 'rowz'; there is rows"),
        ({"retrieve": {"epochs": "many"}}, "retrieve.epochs: 'many' is no int"),
        ({"retrieve": {"method": "half"}}, "method is one of full, lora, not 'half'"),
        ({"act": 3}, "act: a JSON object is wanted, not 3"),
        ([], "settings are a JSON object"),
    ],
)
def test_settings_that_make_no_sense_are_named(document, words):
    with pytest.raises(TrainingError, match=words):
        settings.stages_of(document)


def test_settings_leave_what_they_do_not_name_and_options_go_into_every_stage():
    made = settings.stages_of({"retrieve": {"adapters": {"rank": 4}}, "act": None}, every={"rate": 1, "method": "lora"})
    assert made.act is None
    assert made.retrieve.adapters.rank == 4
    assert (made.memorise.rate, made.retrieve.rate, made.retrieve.method) == (1.0, 1.0, "lora")
    assert made.memorise.epochs == settings.stages_of({}).memorise.epochs

"""What a host hears of `find_tools` when the woven index lacks a part, has little to search, or is asked oddly."""

from __future__ import annotations

import hashlib
import importlib.resources
import io
import json
import shutil

import anyio
import numpy as np
import pytest
from mcp import Client

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import tiny_onnx
from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.index.woven import encoder, examples, packed, traits
from toolweft_server.runtime import Lazy
from toolweft_server.store.store import Store

MAIL = '''
"""Mail."""

from toolweft_catalog.ingest.python import tool


@tool(read_only=True)
def send_mail(to: str) -> str:
    """Send mail to a person."""
    return to


@tool(read_only=True)
def weather(city: str) -> str:
    """The weather of a city."""
    return city
'''


def heads_for(size, digest, **changed):
    """Arrays and manifest of untrained heads, as they lie in a folder."""
    random = np.random.default_rng(0)
    arrays = {"projection": np.eye(size), "temperatures": np.full(3, 5.0)}
    for n in range(2):
        arrays[f"level.{n}"] = random.standard_normal((4, size))
    for n in range(3):
        still = {"inner": np.zeros((2 * size, 2)), "bias": np.zeros(2), "outer": np.zeros((2, size))}
        arrays |= {f"network.{n}.{name}": each for name, each in still.items()}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **(arrays | changed))
    content = buffer.getvalue()
    return content, {"format": packed.FORMAT, "encoder": digest, "arrays": packed.digest(content)}


def write_heads(folder, content, manifest):
    folder.mkdir(exist_ok=True)
    (folder / "heads.npz").write_bytes(content)
    (folder / "heads.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A folder of weights that stands in the place of those that come with the package."""
    folder = tmp_path / "package" / "weights"
    made = tiny_onnx.export(folder / "encoder")
    write_heads(folder / "heads", *heads_for(tiny_onnx.SIZE, encoder.Encoder.load(made.folder).digest))
    real = importlib.resources.files
    monkeypatch.setattr(
        importlib.resources, "files", lambda name: folder.parent if name == "toolweft_server" else real(name)
    )
    return folder


@pytest.fixture
def write_config(tmp_path):
    def write(module=MAIL, **parts):
        (tmp_path / "mail.py").write_text(module, encoding="utf-8")
        document = {"python": {"mail": {"module": str(tmp_path / "mail.py")}}, "store": str(tmp_path / "t.db"), **parts}
        path = tmp_path / "toolweft.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return configuration.load(path)

    return write


async def find(client, query, **arguments):
    answer = await client.call_tool("find_tools", {"query": query, **arguments})
    assert not answer.is_error
    return answer.structured_content


async def settled(client, query):
    """The answer once nothing is being made ready any more."""
    with anyio.fail_after(60):
        while "only their words count" in ((found := await find(client, query))["note"] or ""):
            await anyio.sleep(0.01)
    return found


def connect(config):
    return Client(serving.build(Lazy(config), servers=list(config.servers)))


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-7])


def replaced(name, content):
    """The file is another one, and the manifest says so."""

    def replace(folder):
        path = folder / "encoder" / encoder.MANIFEST
        (folder / "encoder" / name).write_bytes(content)
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
        path.write_text(json.dumps(manifest), encoding="utf-8")
        write_heads(folder / "heads", *heads_for(tiny_onnx.SIZE, encoder.Encoder.load(folder / "encoder").digest))

    return replace


def nan_in_the_graph(folder):
    def spoil(held):
        held["encoder.layer.1.output.LayerNorm.bias"][3] = np.nan

    made = tiny_onnx.export(folder / "encoder", change=spoil)
    write_heads(folder / "heads", *heads_for(tiny_onnx.SIZE, encoder.Encoder.load(made.folder).digest))


def nan_in_the_heads(folder):
    digest = encoder.Encoder.load(folder / "encoder").digest
    wrong = {"level.1": np.full((4, tiny_onnx.SIZE), np.nan)}
    write_heads(folder / "heads", *heads_for(tiny_onnx.SIZE, digest, **wrong))


BROKEN = {
    "no weights at all": (shutil.rmtree, "there is no encoder"),
    "no encoder": (lambda folder: shutil.rmtree(folder / "encoder"), "there is no encoder"),
    "no heads": (lambda folder: shutil.rmtree(folder / "heads"), "there are no heads"),
    "a file of the encoder missing": (
        lambda folder: (folder / "encoder" / encoder.GRAPH).unlink(), "encoder.onnx is missing",
    ),
    "graph cut": (cut(f"encoder/{encoder.GRAPH}"), "encoder.onnx is cut, damaged"),
    "tokenizer cut": (cut(f"encoder/{encoder.TOKENIZER}"), "tokenizer.json is cut, damaged"),
    "manifest cut": (cut(f"encoder/{encoder.MANIFEST}"), "encoder.json: "),
    "heads cut": (cut("heads/heads.npz"), "heads.npz is cut, damaged"),
    "heads of another encoder": (
        lambda folder: write_heads(folder / "heads", *heads_for(tiny_onnx.SIZE, "f" * 32)),
        "made for the encoder " + "f" * 32 + ", and this is ",
    ),
    "something else for a graph": (replaced(encoder.GRAPH, b"a photograph"), "InvalidProtobuf"),
    "something else for a tokenizer": (replaced(encoder.TOKENIZER, b"{}"), "the encoder in "),
    "NaN in the graph": (nan_in_the_graph, "NaN or infinity for the text"),
    "heads of another size": (
        lambda folder: write_heads(
            folder / "heads", *heads_for(tiny_onnx.SIZE + 2, encoder.Encoder.load(folder / "encoder").digest)
        ),
        f"the heads take vectors of {tiny_onnx.SIZE + 2} numbers, and the encoder makes {tiny_onnx.SIZE}",
    ),
    "NaN in the heads": (nan_in_the_heads, "'level.1' holds NaN"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), BROKEN.values(), ids=BROKEN.keys())
async def test_without_weights_that_can_be_used_words_find_tools_and_the_answer_says_why(
    weights, write_config, spoil, words
):
    spoil(weights)
    async with connect(write_config()) as client:
        first = await find(client, "send mail to somebody")
        later = await settled(client, "send mail to nobody")
    for found in (first, later):
        assert found["tools"][0]["id"] == "mail.send_mail"
        assert found["tools"][0]["why"] == ["lexical"]
    assert later["note"].startswith("Words alone rank, meaning does not count: ")
    assert words in later["note"]


LETTER = "send mail to a person about the weather of a city"


def write_examples(weights, store):
    """`LETTER` is an example of `send_mail`, and one of the weather's tool lies as far from it as can be."""
    made = encoder.Encoder.load(weights / "encoder")
    with Store.open(store) as opened:
        tools = {each.name: int(traits.of([each])["copy"][0]) for each in opened.manifests.each()}
    vector = made.encode([LETTER])
    asked = {tools["send_mail"]: vector, tools["weather"]: -vector}
    arrays = {
        "centre": np.zeros(made.size), "whitening": np.eye(made.size), "tools": np.array(sorted(asked), np.uint64),
        "starts": np.arange(3), "bits": np.concatenate([examples.packed_bits(asked[each]) for each in sorted(asked)]),
    }  # fmt: skip
    examples.KIND.save(weights / "examples", arrays, encoder=made.digest)


async def test_a_server_brings_up_the_tool_that_a_known_request_wanted_unless_examples_are_off(
    weights, write_config, tmp_path
):
    async with connect(write_config()) as client:
        before = await settled(client, LETTER)
    write_examples(weights, tmp_path / "t.db")
    async with connect(write_config()) as client:
        after = await settled(client, LETTER)
    async with connect(write_config(index={"without": ["examples"]})) as client:
        off = await settled(client, LETTER)
    assert [each["id"] for each in before["tools"]] == ["mail.weather", "mail.send_mail"]
    assert [each["id"] for each in after["tools"]] == ["mail.send_mail", "mail.weather"]
    assert "examples" in after["tools"][0]["why"]
    assert off["tools"] == before["tools"]


async def test_examples_that_are_damaged_cost_nothing_but_themselves(weights, write_config, tmp_path):
    async with connect(write_config()) as client:
        before = await settled(client, LETTER)
    write_examples(weights, tmp_path / "t.db")
    cut("examples/examples.npz")(weights)
    async with connect(write_config()) as client:
        assert (await settled(client, LETTER)) == before


async def test_with_weights_that_fit_meaning_counts_and_nothing_is_noted(weights, write_config):
    async with connect(write_config()) as client:
        found = await settled(client, "send mail to somebody")
    assert (found["index"], found["note"]) == ("woven", None)
    assert found["tools"][0]["id"] == "mail.send_mail"
    assert "dense" in found["tools"][0]["why"]


ODD = '''
"""Odd tools."""

from toolweft_catalog.ingest.python import tool


@tool(read_only=True)
def x() -> None:
    pass


@tool(read_only=True)
def long() -> None:
    """WORDS"""
'''.replace("WORDS", "A word about nothing. " * 5_000)
ALIKE = '''

@tool(read_only=True)
def same_{n}() -> None:
    """Does the very same thing as all others."""
'''
COUNTS = {
    0: MAIL.partition("@tool")[0],
    1: MAIL.partition("\n\n\n@tool(read_only=True)\ndef weather")[0],
    2: MAIL,
}
QUERIES = {
    "nothing": " ",
    "emoji": "🎂🎉",
    "not English": "wyślij wiadomość do kogoś",
    "another script": "メールを送る",
    "code": "for m in tools.mail.inbox(): m.reply(f'{x!r}')  # TODO\n",
    "a query language": "SELECT * FROM mail WHERE a = 'b'; --",
    "20 kB": "send mail " * 2_000,
    "marks": "`'\"\\{}[]%s",
}


@pytest.mark.parametrize("count", COUNTS)
async def test_catalogues_of_few_tools_answer_any_request(weights, write_config, count):
    async with connect(write_config(COUNTS[count])) as client:
        found = await settled(client, "send mail to somebody")
        assert [each["id"] for each in found["tools"]][:1] == ["mail.send_mail"][:count]
        assert found["catalogue"] == count
        for query in QUERIES.values():
            assert len((await find(client, query))["tools"]) <= count


async def test_tools_without_text_with_100_kb_of_it_and_all_alike_are_found(weights, write_config):
    async with connect(write_config(ODD + "".join(ALIKE.format(n=n) for n in range(30)))) as client:
        assert (await settled(client, "mail.x"))["tools"][0]["id"] == "mail.x"
        assert (await find(client, "a word about nothing"))["tools"][0]["id"] == "mail.long"
        found = await find(client, "the very same thing", limit=50)
        assert {each["id"] for each in found["tools"]} | set(found["also"]) >= {f"mail.same_{n}" for n in range(30)}
        for query in QUERIES.values():
            await find(client, query)

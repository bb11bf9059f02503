"""The weights that come with the package: they fit together, suffice by themselves, and nothing else is fetched."""

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from toolweft_server.errors import HeadsError
from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.index.woven.examples import Examples, unpacked
from toolweft_server.index.woven.heads import Heads

WEIGHTS = Path(str(resources.files("toolweft_server") / "weights"))
LIMIT = 30_000_000
"""Bytes, all together."""


def test_the_shipped_encoder_gives_unit_vectors_in_which_meaning_is_near():
    encoder = Encoder.shipped()
    wish, right, wrong = encoder.encode(
        ["tell my colleagues by letter", "mail: send a message to recipients", "weather: forecast of rain for a city"]
    )
    assert np.allclose(np.linalg.norm([wish, right, wrong], axis=1), 1, atol=1e-5)
    assert len(wish) == encoder.size
    assert wish @ right > wish @ wrong + 0.1


def test_the_shipped_heads_are_those_of_the_shipped_encoder():
    encoder = Encoder.shipped()
    heads = Heads.shipped(encoder=encoder.digest)
    assert (heads.encoder, heads.size) == (encoder.digest, encoder.size)
    assert heads.encode(encoder.encode(["send mail"])).shape == (1, len(heads.levels))


def test_the_shipped_heads_refuse_another_encoder_and_name_both():
    with pytest.raises(HeadsError, match=f"for the encoder {Encoder.shipped().digest}, and this is {'f' * 32}"):
        Heads.shipped(encoder="f" * 32)


def test_the_shipped_examples_are_of_the_shipped_encoder_and_bring_up_the_tool_that_was_asked_so():
    encoder = Encoder.shipped()
    examples = Examples.shipped(encoder=encoder.digest)
    assert len(examples.tools) >= 200
    asked = examples.over(examples.tools[:3])
    assert asked.place.tolist() == [0, 1, 2]
    own = examples.bits[examples.starts[1] : examples.starts[1] + 1]
    back = unpacked(own) @ np.linalg.pinv(examples.whitening) + examples.centre  # the request's vector, nearly
    assert int(asked.scores(back[0]).argmax()) == 1


def test_the_shipped_weights_stay_small():
    assert sum(each.stat().st_size for each in WEIGHTS.rglob("*") if each.is_file()) <= LIMIT


SERVES = '''
import asyncio, json, sys
from pathlib import Path


def watch(event, given):
    """Connections within the machine have no address of the internet's family."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "http.client.connect"):
        tried.append((event, str(given)))
        raise OSError(f"nothing is fetched: {event}")
    if event == "socket.connect" and isinstance(given[1], tuple):
        tried.append((event, str(given)))
        raise OSError(f"nothing is fetched: {event}")


tried = []
sys.addaudithook(watch)

from mcp import Client
from toolweft_server import config, serving
from toolweft_server.runtime import Lazy


async def main():
    loaded = config.load(Path(sys.argv[1]))
    async with Client(serving.build(Lazy(loaded), servers=list(loaded.servers))) as client:
        while True:
            answer = await client.call_tool("find_tools", {"query": "tell a friend by letter"})
            if "only their words count" not in (answer.structured_content["note"] or ""):
                break
            await asyncio.sleep(0.05)
    print(json.dumps({
        "found": answer.structured_content,
        "tried": tried,
        "heavy": [name for name in ("torch", "transformers", "huggingface_hub") if name in sys.modules],
    }))


asyncio.run(asyncio.wait_for(main(), 100))
'''
MAIL = '''
"""Mail."""

from toolweft_catalog.ingest.python import tool


@tool(read_only=True)
def send_mail(to: str) -> str:
    """Send a message to somebody."""
    return to


@tool(read_only=True)
def forecast(city: str) -> str:
    """How much rain comes down in a city."""
    return city
'''


def test_a_server_weaves_and_answers_with_no_network_no_torch_and_nothing_fetched(tmp_path):
    (tmp_path / "mail.py").write_text(MAIL, encoding="utf-8")
    document = {"python": {"mail": {"module": str(tmp_path / "mail.py")}}, "store": str(tmp_path / "t.db")}
    (tmp_path / "toolweft.json").write_text(json.dumps(document), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SERVES, tmp_path / "toolweft.json"],
        capture_output=True, text=True, encoding="utf-8", check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["tried"], said["heavy"]) == ([], [])
    assert (said["found"]["index"], said["found"]["note"]) == ("woven", None)
    assert said["found"]["tools"][0]["id"] == "mail.send_mail"
    assert "dense" in said["found"]["tools"][0]["why"]

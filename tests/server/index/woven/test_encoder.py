"""The encoder at run time: one vector for a text whatever its company, and a damaged folder is named."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import tiny_onnx
from toolweft_server.errors import EncoderError
from toolweft_server.index.woven.encoder import GRAPH, MANIFEST, TOKENIZER, Encoder

TEXTS = [
    "create issue in a github repository",
    "weather",
    "list new mail",
    "",
    "😀 日本語",
    "send mail to " * 5000,
    "lone \ud800 surrogate",
    "x" * 300_000,
    "\n\t  ",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_onnx.export(tmp_path_factory.mktemp("encoder")).folder


@pytest.fixture
def copy(tmp_path):
    return tiny_onnx.export(tmp_path / "own").folder


def manifest(folder, **changes):
    read = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | changes
    (folder / MANIFEST).write_text(json.dumps(read), encoding="utf-8")
    return read


def test_any_text_becomes_a_unit_vector(folder):
    vectors = Encoder.load(folder).encode(TEXTS)
    assert vectors.shape == (len(TEXTS), tiny_onnx.SIZE)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_vectors_and_open_nothing(folder):
    encoder = Encoder.load(folder)
    (vectors,) = [encoder.encode([])]
    assert vectors.shape == (0, encoder.size)


def test_a_text_has_the_same_vector_alone_and_in_any_company(folder):
    encoder = Encoder.load(folder)
    together = encoder.encode(TEXTS)
    backwards = encoder.encode(TEXTS[::-1])[::-1]
    alone = np.concatenate([Encoder.load(folder).encode([text]) for text in TEXTS])
    assert np.array_equal(together, backwards)
    assert np.array_equal(together, alone)


def test_threads_share_one_encoder(folder):
    encoder = Encoder.load(folder)
    found = {}
    begin = threading.Barrier(4)

    def encode(n):
        begin.wait()
        found[n] = encoder.encode(TEXTS)

    threads = [threading.Thread(target=encode, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    expected = Encoder.load(folder).encode(TEXTS)
    assert all(np.array_equal(found[n], expected) for n in range(4))


def test_what_follows_the_longest_text_does_not_count(folder):
    encoder = Encoder.load(folder)
    words = ["weather of city"] * 4  # 12 words: more than the 10 that fit between first and last mark
    first, second = encoder.encode([" ".join(words), " ".join([*words, "send mail"])])
    assert np.array_equal(first, second)
    assert not np.array_equal(first, encoder.encode(["weather of city"])[0])


def test_encoders_of_other_weights_have_another_digest(folder, tmp_path):
    other = Encoder.load(tiny_onnx.export(tmp_path, seed=1).folder)
    again = Encoder.load(tiny_onnx.export(tmp_path / "again").folder)
    assert Encoder.load(folder).digest == again.digest != other.digest


def test_a_folder_without_an_encoder_is_named_with_the_remedy(tmp_path):
    with pytest.raises(EncoderError, match=r"no encoder in .*nowhere.*encoder\.json is missing.*reinstall toolweft"):
        Encoder.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(EncoderError, match=rf"{name} is missing; reinstall"):
        Encoder.load(copy)


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER])
@pytest.mark.parametrize("damage", [lambda c: c[: len(c) // 2], lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda _: b""])
def test_a_cut_or_changed_file_is_refused_with_both_digests(copy, name, damage):
    path = copy / name
    path.write_bytes(damage(path.read_bytes()))
    expected = manifest(copy)["files"][name]
    with pytest.raises(EncoderError, match=rf"{name} is cut, damaged .* digest is [0-9a-f]{{64}}, expected {expected}"):
        Encoder.load(copy).encode(["weather"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ("[]", "format None"),
        ('{"format": 99}', "format 99, and this version reads format 1"),
        ('{"format": 1}', "KeyError: 'size'"),
        ('{"format": 1, "size": 16, "longest": 0, "files": {}, "name": "", "base": "", "licence": ""}', "longest 0"),
        (
            '{"format": 1, "size": 16, "longest": 9, "files": {}, "name": "", "base": "", "licence": ""}',
            "does not name",
        ),
    ],
)
def test_a_foreign_manifest_is_refused(copy, text, reason):
    (copy / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(EncoderError, match=reason):
        Encoder.load(copy)


def test_a_graph_of_another_size_is_refused(copy):
    manifest(copy, size=384)
    with pytest.raises(EncoderError, match=r"gives .*16.*; an encoder takes ids and gives vectors of size 384"):
        Encoder.load(copy).encode(["weather"])


def test_files_that_are_something_else_are_refused(copy):
    import hashlib

    (copy / GRAPH).write_bytes(b"not a graph")
    files = manifest(copy)["files"] | {GRAPH: hashlib.sha256(b"not a graph").hexdigest()}
    manifest(copy, files=files)
    with pytest.raises(EncoderError, match="cannot be used: InvalidProtobuf"):
        Encoder.load(copy).encode(["weather"])


def test_numbers_that_are_none_are_refused_with_the_text(tmp_path):
    def spoil(weights):
        weights["encoder.layer.1.output.LayerNorm.bias"][3] = np.nan

    encoder = Encoder.load(tiny_onnx.export(tmp_path, change=spoil).folder)
    with pytest.raises(EncoderError, match="NaN or infinity for the text 'weather'"):
        encoder.encode(["weather"])


def test_neither_import_nor_loading_reads_the_heavy_libraries(folder):
    program = (
        "import json, sys; from pathlib import Path\n"
        "from toolweft_server.index.woven.encoder import Encoder\n"
        f"Encoder.load(Path({str(folder)!r})).encode([])\n"
        "print(json.dumps([m for m in ('onnxruntime', 'tokenizers', 'torch', 'transformers') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", check=True)
    assert json.loads(done.stdout) == []

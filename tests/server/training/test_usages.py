"""What was used together, read from a file."""

import gzip

import pytest

pytest.importorskip("torch")

from toolweft_server.training import usages
from toolweft_server.training.affinity import Usage
from toolweft_server.training.errors import TrainingError

pytestmark = pytest.mark.torch


def test_requests_with_their_right_tools_are_usages_too_gzipped_or_not(tmp_path):
    line = '{"query": "q", "gold": ["a.b", "c.d"], "split": "train"}\n{"gold": ["a.b"], "split": "dev"}'
    (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress(line.encode("utf-8")))
    assert list(usages.read(tmp_path / "r.jsonl.gz")) == [Usage(("a.b", "c.d"), "train")]
    (tmp_path / "cut.gz").write_bytes(gzip.compress(line.encode("utf-8"))[:-9])
    with pytest.raises(TrainingError, match="cannot be read"):
        list(usages.read(tmp_path / "cut.gz"))


def test_training_sets_are_read_and_others_left_out(tmp_path):
    path = tmp_path / "usages.jsonl"
    path.write_text(
        '{"tools": ["a.b", "c.d"], "split": "train"}\n\n'
        '{"tools": ["a.b"], "split": "test"}\n{"tools": ["e.f"], "split": "train", "times": 3}\n',
        encoding="utf-8",
    )
    assert list(usages.read(path)) == [Usage(("a.b", "c.d"), "train"), Usage(("e.f",), "train", 3)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: no JSON"),
        ("[]", "`tools` is a list of ids, not None"),
        ('{"tools": "a.b", "split": "train"}', "`tools` is a list of ids, not 'a.b'"),
        ('{"tools": ["a.b"]}', "not None; it is never guessed"),
        ('{"tools": ["a.b"], "split": "all"}', "not 'all'"),
        ('{"tools": ["a.b"], "split": "train", "times": 0}', "at least 1, not 0"),
        ('{"tools": ["a.b"], "split": "train", "times": true}', "at least 1, not True"),
    ],
)
def test_a_line_that_is_none_is_refused_and_named(tmp_path, line, message):
    path = tmp_path / "usages.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(TrainingError, match=message):
        list(usages.read(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"cannot be read from .*missing\.jsonl"):
        list(usages.read(tmp_path / "missing.jsonl"))

"""Verdicts of self-checks are kept between starts, and nobody else's file is believed."""

import os
import sys

import pytest

from toolweft_server.sandbox import checked
from toolweft_server.sandbox.base import Finding
from toolweft_server.sandbox.checked import Verdict

VERDICTS = {
    "namespaces": Verdict(ok=False, findings=(Finding("starts", ok=False, detail="unshare: refused", area="start"),)),
    "landlock": Verdict(ok=True, findings=(Finding("python works", ok=True, area="python"),)),
}


@pytest.fixture
def key():
    return checked.key({"backend": "auto"})


def test_what_was_stored_is_loaded_in_its_order(tmp_path, key):
    checked.store(key, VERDICTS, folder=tmp_path)
    loaded = checked.load(key, folder=tmp_path)
    assert loaded == VERDICTS
    assert list(loaded) == ["namespaces", "landlock"]


def test_nothing_is_known_before_the_first_check(tmp_path, key):
    assert checked.load(key, folder=tmp_path / "none") is None


def test_the_key_is_the_same_in_one_process_and_another_for_another_configuration(key):
    assert checked.key({"backend": "auto"}) == key
    assert checked.key({"backend": "bwrap"}) != key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "not json",
        '{"landlock": {"ok": 1}}',
        '{"landlock": {"ok": true, "findings": [{"check": 1, "ok": true}]}}',
        " " * (1 << 20) + "{}",
    ],
)
def test_a_file_that_is_not_what_was_written_is_as_good_as_none(tmp_path, key, text):
    checked.store(key, VERDICTS, folder=tmp_path)
    (tmp_path / f"{key}.json").write_text(text, encoding="utf-8")
    assert checked.load(key, folder=tmp_path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_the_file_is_this_users_alone_and_one_that_others_may_write_is_not_believed(tmp_path, key):
    checked.store(key, VERDICTS, folder=tmp_path)
    file = tmp_path / f"{key}.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o666)
    assert checked.load(key, folder=tmp_path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and FIFOs")
def test_a_link_or_a_fifo_in_its_place_is_not_followed(tmp_path, key):
    checked.store(key, VERDICTS, folder=tmp_path)
    file = tmp_path / f"{key}.json"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert checked.load(key, folder=tmp_path) is None
    file.unlink()
    os.mkfifo(file, 0o600)
    assert checked.load(key, folder=tmp_path) is None


def test_a_place_that_cannot_be_written_costs_nothing_but_the_cache(tmp_path, key):
    (tmp_path / "file").write_text("", encoding="utf-8")
    checked.store(key, VERDICTS, folder=tmp_path / "file")
    assert checked.load(key, folder=tmp_path / "file") is None


def test_files_of_configurations_long_gone_are_removed(tmp_path):
    keys = [checked.key(n) for n in range(checked.KEPT + 3)]
    for n, each in enumerate(keys):
        checked.store(each, VERDICTS, folder=tmp_path)
        os.utime(tmp_path / f"{each}.json", (n, n))
    checked.store(keys[-1], VERDICTS, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == checked.KEPT
    assert checked.load(keys[-2], folder=tmp_path) == VERDICTS


def test_a_verdict_says_in_one_line_why_a_tier_cannot_be_used():
    assert VERDICTS["namespaces"].why_not == "starts: unshare: refused"
    assert VERDICTS["landlock"].why_not == ""
    assert Verdict(ok=False).why_not == "it was not tried"

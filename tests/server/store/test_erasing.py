"""What was erased is not left over in the file."""

import sqlite3
import time

import pytest

from toolweft_server.store.requests import Asked
from toolweft_server.store.store import Store

TEXT = "weekly figures of the Wolpertinger merger"


@pytest.fixture
def build_that_keeps_deleted_rows(monkeypatch):
    """SQLite as some are built; others overwrite unasked."""
    real = sqlite3.dbapi2.connect

    def connect(*args, **how):
        opened = real(*args, **how)
        opened.execute("PRAGMA secure_delete=OFF")
        return opened

    monkeypatch.setattr(sqlite3.dbapi2, "connect", connect)


@pytest.mark.parametrize("erase", [lambda store: store.requests.erase(), lambda store: store.requests.purge(1e12)])
def test_the_text_of_a_request_that_was_erased_is_in_no_file(tmp_path, build_that_keeps_deleted_rows, erase):
    with Store.open(tmp_path / "t.db") as store:
        for n in range(200):
            store.requests.asked([Asked("local", "c", f"{TEXT} number {n}", ["m.send"], time.time())])
    assert written(tmp_path)
    with Store.open(tmp_path / "t.db") as store:
        assert erase(store) == 200
    assert not written(tmp_path)


def test_a_store_that_stays_open_has_erased_texts_in_no_file_either(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.requests.asked([Asked("local", "c", TEXT, ["m.send"], time.time())])
        assert written(tmp_path)
        assert store.requests.erase() == 1
        assert not written(tmp_path)


def written(folder):
    return [path.name for path in folder.iterdir() if TEXT.encode() in path.read_bytes()]

"""The file: how it is opened, what is said when it cannot be, and that several may use it at once."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from toolweft_catalog.tool import Tool
from toolweft_server.errors import StoreError
from toolweft_server.store import sources
from toolweft_server.store.database import Database
from toolweft_server.store.requests import Asked
from toolweft_server.store.store import Store


def test_a_fresh_store_makes_its_folder_and_only_its_owner_can_read_the_file(tmp_path):
    path = tmp_path / "deep" / "er" / "toolweft.db"
    with Store.open(path) as store:
        store.shapes.merge("d", "{}", lambda a, b: b)
        files = list(path.parent.iterdir())
    assert path in files
    assert {stat.S_IMODE(each.stat().st_mode) for each in [path] if os.name == "posix"} <= {0o600}


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_the_files_beside_the_store_are_as_private_as_the_store(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.requests.asked([Asked("local", "c", "q", [], time.time())])
        assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}


def test_what_was_written_is_there_after_opening_again(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.shapes.merge("d", '"one"', lambda a, b: b)
    with Store.open(tmp_path / "t.db") as store:
        assert store.shapes.get(["d", "e"]) == {"d": '"one"'}


def test_a_store_that_is_newer_than_the_code_is_named_and_not_touched(tmp_path):
    path = tmp_path / "t.db"
    Store.open(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"version 99 .* knows versions up to \d+\..* update toolweft"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_database_of_somebody_else_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE photo (id)")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"not toolweft's \(photo\)"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 500, encoding="utf-8")
    with pytest.raises(StoreError, match=r"is not a toolweft store\. It was left as it is"):
        Store.open(path)
    assert path.read_text(encoding="utf-8").startswith("dear diary")


def test_a_damaged_store_says_so(tmp_path):
    path = tmp_path / "t.db"
    with Store.open(path) as store:
        store.manifests.write("s", "e", [Tool("", f"t{n}", "s", "x" * 500) for n in range(200)])
        store.database.shrink()
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 3 : 4096 * 40] = b"\xff" * (4096 * 37)
    path.write_bytes(damaged)

    def read():
        with Store.open(path) as store:
            return [list(store.manifests.each()), store.manifests.status(), store.manifests.catalog()]

    with pytest.raises(StoreError, match=r"is damaged|is not a toolweft store"):
        read()


def test_a_locked_store_says_how_long_it_waited_and_loses_nothing(tmp_path):
    path = tmp_path / "t.db"
    Store.open(path).close()
    database = Database.open(path, busy_ms=20)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"is locked by another process"), database.write("x"):
        pass
    other.execute("ROLLBACK")
    other.close()
    with database.write("x"):
        pass
    database.close()


def test_a_path_that_cannot_hold_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot be opened for writing .* folder exists and may be written"):
        Store.open(tmp_path / "file" / "t.db")
    with pytest.raises(StoreError, match=r"is a folder\. Name a file"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match=r"URL; name a file"):
        Store.open("postgresql://team/db")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_may_not_be_written_is_named(tmp_path):
    path = tmp_path / "t.db"
    Store.open(path).close()
    path.chmod(0o400)
    with pytest.raises(StoreError, match=r"cannot be opened for writing"):
        Store.open(path)


def test_a_store_that_turns_read_only_says_so(tmp_path):
    store = Store.open(tmp_path / "t.db")
    with store.database.write() as db:
        db.exec_driver_sql("PRAGMA query_only=1")
    with pytest.raises(StoreError, match=r"is read-only\. Give its file and folder write permission"):
        store.requests.asked([Asked("local", "c", "q", [], time.time())])
    store.close()


def test_a_full_disk_says_so_and_what_was_there_stays(tmp_path):
    store = Store.open(tmp_path / "t.db")
    store.shapes.merge("d", '"kept"', lambda a, b: b)
    with store.database.read() as db:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar_one()
        db.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreError, match=r"its disk is full\. Free some space"):
        store.executions.keep("x", "stdout", "y" * 1_000_000)
    assert store.shapes.get(["d"]) == {"d": '"kept"'}
    store.close()


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        with pytest.raises(RuntimeError), store.database.write("manifests"):
            raise RuntimeError("half way")
        assert store.changes().manifests == 0


def test_changes_of_another_process_are_noticed(tmp_path):
    path = tmp_path / "t.db"
    with Store.open(path) as store:
        before = store.changes()
        code = (
            "import sys; from toolweft_server.store.store import Store; from toolweft_catalog.tool import Tool\n"
            "Store.open(sys.argv[1]).manifests.write('s', 'e', [Tool('', 't', 's')])"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
        assert store.changes().manifests == before.manifests + 1
        assert store.changes().functions == before.functions
        assert "s.t" in store.manifests.catalog()


def test_many_threads_write_and_read_at_once_and_nothing_is_lost(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        failures = []

        def joined(a, b):
            return json.dumps(json.loads(a) + json.loads(b))

        def work(n):
            try:
                for each in range(20):
                    store.shapes.merge(
                        "shared", json.dumps([[n, each]]), lambda a, b: json.dumps(json.loads(a) + json.loads(b))
                    )
            except Exception as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        [each.start() for each in threads]
        [each.join() for each in threads]
        assert failures == []
        assert sorted(json.loads(store.shapes.get(["shared"])["shared"])) == [
            [n, k] for n in range(8) for k in range(20)
        ]


def test_two_processes_may_make_the_same_store_at_the_same_moment(tmp_path):
    code = "import sys; from toolweft_server.store.store import Store; Store.open(sys.argv[1]).close()"
    started = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "t.db")]) for _ in range(4)]
    assert [each.wait(60) for each in started] == [0, 0, 0, 0]


def test_the_file_for_the_handshake_is_read_without_any_database_library(tmp_path):
    path = tmp_path / "t.db"
    with Store.open(path) as store:
        store.manifests.write("git", "e", [Tool("", "log", "git", server_description="Reads repositories.")])
        store.manifests.failed("jira", "not found")
    code = (
        "import sys; from pathlib import Path; from toolweft_server.store import sources\n"
        "print(sources.read(Path(sys.argv[1])))\n"
        "assert not {'sqlalchemy', 'sqlite3', 'pydantic'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, timeout=60, capture_output=True, encoding="utf-8"
    )
    assert "name='git', kind='mcp', tools=1, description='Reads repositories.', prefix='git'" in done.stdout
    assert "name='jira'" in done.stdout


@pytest.mark.parametrize("content", ["", "{", "[]", '{"servers": 3}', '{"servers": [{"name": 1}]}', "[" * 100_000])
def test_a_broken_file_for_the_handshake_costs_only_the_names(tmp_path, content):
    sources.beside(tmp_path / "t.db").write_text(content, encoding="utf-8")
    assert sources.read(tmp_path / "t.db") == ()


def test_a_missing_file_for_the_handshake_is_made_again(tmp_path):
    path = tmp_path / "t.db"
    with Store.open(path) as store:
        store.manifests.write("git", "e", [Tool("", "log", "git")])
    sources.beside(path).unlink()
    with Store.open(path):
        assert [each.name for each in sources.read(path)] == ["git"]


def test_errors_keep_their_meaning_whatever_the_driver_appends():
    from toolweft_server.store.sqlite import meaning

    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = "SQLITE_READONLY_DBMOVED"
    assert "is read-only" in meaning(error, Path("s.db"))
    error.sqlite_errorname = "SQLITE_NEW_THING"
    assert "Nothing was changed" in meaning(error, Path("s.db"))


def test_more_texts_than_one_statement_takes_are_read_and_unknown_ones_left_out(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        wanted = [f"d{n}" for n in range(1_200)]
        for digest in wanted[::400]:
            store.shapes.merge(digest, f"{digest} returns", lambda a, _: a)
        assert store.shapes.get(wanted) == {each: f"{each} returns" for each in ("d0", "d400", "d800")}
        store.shapes.merge("d0", "more", lambda *_: "more")  # the connection that read is free to write
        assert store.shapes.get(["d0"]) == {"d0": "more"}

"""Vectors are kept by digest; processes share the file; damage costs an encoding and is never an answer."""

import hashlib
import threading

import numpy as np
import pytest

from toolweft_server.index.woven import vectors
from toolweft_server.index.woven.vectors import VectorCache

ENCODER, SIZE = "e" * 32, 8


def digests(*numbers):
    return [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in numbers]


def rows(*numbers, size=SIZE):
    found = np.stack([np.random.default_rng(number).normal(size=size) for number in numbers]).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def cache(folder, encoder=ENCODER, size=SIZE):
    return VectorCache(folder, encoder, size)


def have(held, *numbers):
    return held.get(digests(*numbers)).have.tolist()


def saved(folder, *numbers):
    held = cache(folder)
    held.put(digests(*numbers), rows(*numbers))
    assert held.save()
    return held


def test_what_was_put_is_got_in_the_order_asked_for_and_what_was_not_is_zero():
    held = cache(None)
    held.put(digests(1, 2, 3), rows(1, 2, 3))
    found = held.get(digests(3, 9, 1))
    assert found.have.tolist() == [True, False, True]
    assert np.allclose(found.rows[[0, 2]], rows(3, 1), atol=2e-5)
    assert not found.rows[1].any()
    assert found.rows.dtype == np.float32


def test_a_vector_is_the_same_before_and_after_saving_and_in_the_next_process(tmp_path):
    held = cache(tmp_path)
    held.put(digests(*range(500)), rows(*range(500)))
    before = held.get(digests(*range(500))).rows
    assert held.save()
    assert np.array_equal(held.get(digests(*range(500))).rows, before)
    assert np.array_equal(cache(tmp_path).get(digests(*range(500))).rows, before)


def test_the_last_vector_put_for_a_digest_counts_also_over_a_saved_one(tmp_path):
    held = cache(tmp_path)
    held.put(digests(1, 1), rows(5, 6))
    assert np.allclose(held.get(digests(1)).rows, rows(6), atol=2e-5)
    held.save()
    held.put(digests(1), rows(7))
    assert np.allclose(held.get(digests(1)).rows, rows(7), atol=2e-5)
    held.save()
    assert np.allclose(cache(tmp_path).get(digests(1)).rows, rows(7), atol=2e-5)


def test_nothing_asked_and_nothing_put_is_no_case_of_its_own(tmp_path):
    held = cache(tmp_path)
    assert held.get([]).rows.shape == (0, SIZE)
    held.put([], np.zeros((0, SIZE), np.float32))
    assert held.save()
    assert list(tmp_path.iterdir()) == []


def test_processes_add_to_one_file(tmp_path):
    first, second = cache(tmp_path), cache(tmp_path)
    first.put(digests(1), rows(1))
    second.put(digests(2), rows(2))
    first.save()
    second.save()
    assert have(first, 1, 2) == have(cache(tmp_path), 1, 2) == [True, True]


def test_encoders_do_not_mix(tmp_path):
    saved(tmp_path, 1)
    assert have(cache(tmp_path, "f" * 32), 1) == [False]
    own = next(tmp_path.iterdir())
    own.rename(own.with_name(f"vectors-{'f' * 32}.bin"))
    assert have(cache(tmp_path, "f" * 32), 1) == [False]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"\0" * len(content),
        lambda content: content[:100],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[:260] + bytes([content[260] ^ 1]) + content[261:],
        lambda content: b"[1]".ljust(256) + content[256:],
        lambda content: content.replace(b'"rows": 3', b'"rows": 9'),
        lambda content: content.replace(b'"rows": 3', b'"rows":-1'),
    ],
)
def test_a_damaged_file_is_ignored_with_a_warning_and_written_anew(tmp_path, caplog, damage):
    saved(tmp_path, 1, 2, 3)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    held = cache(tmp_path)
    assert have(held, 1, 2, 3) == [False] * 3
    assert f"{path} cannot be used" in caplog.text
    held.put(digests(4), rows(4))
    assert held.save()
    assert have(cache(tmp_path), 1, 4) == [False, True]


def test_a_damaged_row_alone_is_not_there_and_others_are(tmp_path, caplog):
    saved(tmp_path, 1, 2)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: -2 * SIZE] + b"\0" * 2 * SIZE)
    held = cache(tmp_path)
    found = held.get(digests(1, 2))
    assert sorted(found.have.tolist()) == [False, True]
    assert not found.rows[~found.have].any()
    assert "1 vectors of tools" in caplog.text
    held.put(digests(1, 2), rows(1, 2))
    assert have(held, 1, 2) == [True, True]


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, 7.0])
def test_a_row_that_is_no_unit_vector_is_refused_and_named_and_nothing_is_remembered(spoiled):
    held = cache(None)
    wrong = rows(1, 2)
    wrong[1, 3] = spoiled
    with pytest.raises(ValueError, match=f"{digests(2)[0]}.*not of unit length"):
        held.put(digests(1, 2), wrong)
    assert have(held, 1, 2) == [False, False]


def test_shapes_and_digests_that_do_not_fit_are_refused():
    held = cache(None)
    with pytest.raises(ValueError, match=r"\(2, 8\) do not fit 1 digests"):
        held.put(digests(1), rows(1, 2))
    for wrong in ("abc", "z" * 32):
        with pytest.raises(ValueError, match=r"hex"):
            held.get([wrong])


def test_tools_long_gone_are_dropped_by_a_save_and_those_in_use_are_not(tmp_path, monkeypatch):
    saved(tmp_path, 1, 2, 3)
    today = vectors._today()
    monkeypatch.setattr(vectors, "_today", lambda: today + vectors.KEPT_DAYS - 1)
    held = cache(tmp_path)
    held.keep(digests(1))
    held.save()
    assert have(held, 1, 2, 3) == [True] * 3  # their server may be down for a while
    monkeypatch.setattr(vectors, "_today", lambda: today + vectors.KEPT_DAYS)
    held.put(digests(4), rows(4))
    held.save()
    assert have(held, 1, 2, 3, 4) == [True, False, False, True]


def test_a_save_without_news_does_not_touch_the_file(tmp_path):
    held = saved(tmp_path, 1)
    (path,) = tmp_path.iterdir()
    before = path.stat()
    held.keep(digests(1))
    held.save()
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_folder_that_cannot_be_written_costs_a_warning_and_no_vector(tmp_path, caplog):
    (tmp_path / "file").write_text("", encoding="utf-8")
    held = cache(tmp_path / "file" / "below")
    held.put(digests(1), rows(1))
    assert not held.save()
    assert "not saved" in caplog.text
    assert have(held, 1) == [True]


def test_threads_that_put_get_and_save_at_once_lose_nothing(tmp_path):
    held = cache(tmp_path)
    begin = threading.Barrier(4)

    def work(n):
        begin.wait()
        for number in range(n * 25, n * 25 + 25):
            held.put(digests(number), rows(number))
            held.save()
            assert have(held, number) == [True]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    held.save()
    assert all(have(cache(tmp_path), *range(100)))
    assert [path.suffix for path in tmp_path.iterdir()] == [".bin"]

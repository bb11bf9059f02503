"""What a program leaves in its work directory never keeps that directory alive."""

import os

from toolweft_server.sandbox.folders import remove


def test_folder_deeper_than_recursion_goes_is_removed(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    remove(folder)
    assert list(tmp_path.iterdir()) == []


def test_links_are_removed_and_not_followed(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("x", encoding="utf-8")
    folder = tmp_path / "work"
    (folder / "a/b").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "kept")
    (folder / "a/b/link").symlink_to(tmp_path / "kept/file")
    os.mkfifo(folder / "a/pipe")
    (folder / "a/b").chmod(0)
    (folder / "a").chmod(0)
    remove(folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


def test_folder_that_is_not_there_or_a_link_itself_is_left_alone(tmp_path):
    remove(tmp_path / "absent")
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    remove(tmp_path / "link")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "other"]

"""Files handed in with a program lie in its work directory, and nowhere else."""

import hashlib
import os

import pytest
import pytest_asyncio

import tiers
from toolweft_server.sandbox.base import FileIn, Program

TABLE = FileIn("data/table.csv", b"a,b\n1,2\n")


@pytest_asyncio.fixture(loop_scope="session")
async def hand_in(open_session, host):
    """Runs programs with files in one session with default limits."""
    session = await open_session()

    async def run(code, *files):
        return await session.run(Program("ex_1", code, files=files), host)

    return run


@pytest.mark.work_directory
async def test_a_file_handed_in_is_read_by_its_name_in_folders_that_are_made(hand_in):
    outcome = await hand_in(
        "open('data/table.csv').read(), open('b.bin', 'rb').read().hex()", TABLE, FileIn("b.bin", b"\0")
    )
    assert outcome.value == ["a,b\n1,2\n", "00"]


@pytest.mark.work_directory
async def test_a_file_handed_in_does_not_come_back_unless_the_program_changed_it(hand_in):
    assert (await hand_in("1", TABLE)).files == ()
    assert (await hand_in("open('data/table.csv').read()")).files == ()
    outcome = await hand_in("open('data/table.csv', 'r+').write('A')", TABLE)
    assert [(file.name, file.data) for file in outcome.files] == [("data/table.csv", b"A,b\n1,2\n")]


@pytest.mark.work_directory
async def test_a_file_changed_in_the_moment_it_was_handed_in_comes_back(hand_in):
    for _ in range(20):
        outcome = await hand_in("open('data/table.csv', 'r+').write('a,b\\n1,3\\n')", TABLE)
        assert [file.data for file in outcome.files] == [b"a,b\n1,3\n"]


@pytest.mark.work_directory
async def test_empty_files_and_files_of_many_pieces_arrive_whole(hand_in):
    data = os.urandom(5_000_000)
    outcome = await hand_in(
        "import hashlib\n[hashlib.sha256(open(n, 'rb').read()).hexdigest() for n in ('big', 'empty', 'other')]",
        FileIn("big", data), FileIn("empty", b""), FileIn("other", data[:600_000]),
    )  # fmt: skip
    assert outcome.value == [hashlib.sha256(each).hexdigest() for each in (data, b"", data[:600_000])]


@pytest.mark.work_directory
async def test_a_later_file_of_the_same_name_replaces_the_earlier_one(hand_in):
    await hand_in("1", FileIn("x", b"a long text"))
    assert (await hand_in("open('x').read()", FileIn("x", b"short"))).value == "short"


@pytest.mark.parametrize(
    "name", ["", "/etc/x", "../x", "a/../x", "a//b", ".", "a\\b", "a\nb", "x" * 201, "/".join("a" * 17), "\ud800"]
)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(ValueError, match="use a relative path"):
        FileIn(name, b"")


@pytest.mark.work_directory
async def test_links_that_an_earlier_run_left_are_not_followed(hand_in, tmp_path):
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    await hand_in(
        f"import os\nos.symlink({str(tmp_path / 'kept')!r}, 'x')\nos.symlink({str(tmp_path / 'folder')!r}, 'd')"
    )
    outcome = await hand_in("import os\nopen('x').read(), os.path.islink('x')", FileIn("x", b"new"))
    assert outcome.value == ["new", False]
    outcome = await hand_in("print('ran')", FileIn("d/x", b"new"))
    assert (outcome.status, outcome.error.type, outcome.stdout) == ("error", "FileNotWritten", "")
    assert "'d/x' could not be handed in" in outcome.error.message
    assert (tmp_path / "kept").read_text(encoding="utf-8") == "kept"
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.work_directory
async def test_hard_links_and_fifos_that_an_earlier_run_left_are_replaced(hand_in):
    await hand_in("import os\nopen('a', 'w').write('old')\nos.link('a', 'b')\nos.mkfifo('c')")
    outcome = await hand_in("[open(n).read() for n in 'abc']", FileIn("b", b"new"), FileIn("c", b"new"))
    assert outcome.value == ["old", "new", "new"]


@pytest.mark.work_directory
async def test_a_folder_in_the_place_of_a_file_is_told_and_the_session_goes_on(hand_in):
    await hand_in("import os\nos.mkdir('x')\ny = 1")
    outcome = await hand_in("y", FileIn("x", b"new"), FileIn("after", b""))
    assert outcome.error.type == "FileNotWritten"
    assert outcome.kept
    assert (await hand_in("y, __import__('os').path.exists('after')")).value == [1, False]


async def test_a_tier_without_a_work_directory_says_so_and_what_to_do(hand_in, backend):
    if backend.name not in tiers.WITHOUT_WORK_DIRECTORY:
        pytest.skip(f"{backend.name} has a work directory")
    outcome = await hand_in("print('ran')", TABLE)
    assert (outcome.status, outcome.error.type, outcome.stdout, outcome.kept) == ("error", "NoWorkDirectory", "", True)
    assert "have no work directory" in outcome.error.message
    assert "doctor sandbox" in outcome.error.hint


@pytest.mark.parametrize(
    ("limits", "files", "named"),
    [
        ({"disk": 5_000}, [FileIn("a", b"x" * 3_000), FileIn("b", b"x" * 3_000)], "disk"),
        ({"file_size": 5_000}, [FileIn("a", b"x" * 6_000)], "file_size"),
        ({}, [FileIn("a", b""), FileIn("a", b"")], "files"),
        ({}, [FileIn(str(n), b"") for n in range(101)], "files"),
    ],
)
async def test_more_than_the_limits_allow_is_told_and_nothing_runs(open_session, host, limits, files, named):
    session = await open_session(**limits)
    outcome = await session.run(Program("ex_1", "print('ran')", files=files), host)
    assert (outcome.status, outcome.limits, outcome.stdout, outcome.kept) == ("limit", (named,), "", True)
    assert outcome.error.type == "FilesTooBig"

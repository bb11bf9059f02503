"""The whole of toolweft with its programs in E2B's cloud, which is a local server here: tools and people stay here."""

import sys

import mcp_types as types
import pytest

pytest.importorskip("e2b", reason="the extra `e2b` is not installed")

from fake_e2b import KEY, FakeE2B

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the fake finds its processes in /proc")

HOUR = 3600


@pytest.fixture
async def fake(tmp_path, monkeypatch):
    (tmp_path / "cloud").mkdir()
    async with FakeE2B(tmp_path / "cloud") as server:
        monkeypatch.setenv("E2B_API_URL", server.url)
        monkeypatch.setenv("E2B_SANDBOX_URL", server.url)
        monkeypatch.setenv("E2B_API_KEY", KEY)
        yield server


@pytest.fixture
def write(write_config):
    """Writes a configuration with the backend `e2b` and the settings given by keyword."""

    def write_one(policy=None, **settings):
        return write_config(policy=policy or {}, sandbox={"backend": "e2b", "warm": 0, "e2b": settings})

    return write_one


async def test_every_answer_names_the_backend_and_what_it_cost(write, in_process, fake):
    async with in_process(write(price_per_second=0.00005)) as host:
        ran = await host.execute(
            'parallel(lambda n: desk.write_note(str(n)), range(3))\nprint("here")\ndesk.read_notes()'
        )
        assert (ran["status"], ran["backend"], ran["stdout"]) == ("ok", "e2b", "here\n")
        assert sorted(ran["value"]) == ["0", "1", "2"]
        assert [note for note in ran["limits"] if note.startswith("cost: ") and "× $5e-05/s" in note]
        failed = await host.execute("1 / 0")
        assert (failed["status"], failed["backend"]) == ("error", "e2b")
    assert fake.running == []


async def test_a_person_may_take_longer_than_the_sandbox_lives(write, in_process, fake, desk):
    async def late(_context, _params):
        await fake.asleep()
        await fake.advance(HOUR)
        return types.ElicitResult(action="accept", content={"decision": "allow once"})

    path = write({"desk.write_note": "ask"}, timeout=60, pause_after=0.05)
    async with in_process(path, elicitation_callback=late) as host:
        ran = await host.execute('x = 3\n[desk.write_note("late"), x]', session="s")
        assert (ran["status"], ran["value"], ran["session"]["state"]) == ("ok", [1, 3], "kept")
    assert (desk / "notes.txt").read_text(encoding="utf-8") == "late\n"
    assert fake.resumed.is_set()


async def test_a_refused_key_is_an_answer_that_says_what_to_do(write, in_process, fake):
    fake.refusal = 401
    async with in_process(write()) as host:
        ran = await host.execute("1")
    assert (ran["status"], ran["backend"]) == ("crashed", "e2b")
    assert "it refused the key in E2B_API_KEY" in ran["error"]["message"]
    assert KEY not in ran["text"]

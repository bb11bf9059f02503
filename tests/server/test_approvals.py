"""What a person is shown and answers, the state that goes around with it, and the command over what is kept."""

import json

import anyio
import pytest

from toolweft_catalog import cli
from toolweft_catalog.call import Call
from toolweft_catalog.tool import Tool
from toolweft_server import questions as questions_module
from toolweft_server.approvals import ALWAYS, FORM, ONCE, REFUSE, RUN, Approvals, question
from toolweft_server.errors import AnswerError, StoreError
from toolweft_server.questions import ROUNDS, Answers, Person, Questions, Reply
from toolweft_server.seal import Seal, Ticket
from toolweft_server.store.store import Store

TOOL = Tool(id="git.push", name="push", server="git")
PARAMS = {"mode": "form", "message": "May I?", "requestedSchema": FORM}
OTHER = Tool(id="git.pull", name="pull", server="git")


class Memory:
    """The store's part in it; `error` breaks it."""

    def __init__(self, error=None):
        self.kept, self.error = [], error

    async def holds(self, tool):
        if self.error:
            raise self.error
        return tool.digest in self.kept

    async def keep(self, tool):
        if self.error:
            raise self.error
        self.kept.append(tool.digest)


def attended():
    questions = Questions(10)
    questions.attend(Person())
    return questions


def accept(decision):
    return Reply("accept", {"decision": decision})


# ---- what is shown ------------------------------------------------------------------------------------------------


def test_a_question_cuts_each_argument_by_itself_so_that_none_hides_another():
    text = question(Call(TOOL, {"padding": "x" * 5000, "force": True}), "because")
    assert text.startswith("A program wants to call git.push (because).")
    assert "more characters" in text
    assert '"force": true' in text
    assert len(text) < 600


def test_a_question_counts_the_arguments_that_it_does_not_show():
    assert "… and 10 more arguments" in question(Call(TOOL, {f"a{n}": n for n in range(30)}), "x")
    assert question(Call(TOOL), "x") == "A program wants to call git.push (x). Without arguments."


def test_a_question_masks_secrets_and_writes_out_what_a_terminal_would_obey():
    shown = question(
        Call(TOOL, {"t": "\x1b[2J\u202egpj.exe", "token": "hunter2"}), "x", lambda value: {**value, "token": "***"}
    )
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\u202egpj.exe" in shown
    assert "hunter2" not in shown


# ---- what is answered ---------------------------------------------------------------------------------------------


async def asking(decision, calls, memory=None, given=()):
    """Approvals whose person always answers the same; what became of the calls, and how often was asked."""
    questions = attended()
    approvals = Approvals(questions, memory or Memory(), given=given)
    asked = []

    async def answer(each):
        asked.append(each.params["message"])
        return accept(decision)

    async def person():
        while (round_ := await questions.next()) is not None:
            await questions.put(round_, answer)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(person)
        said = [await approvals(Call(tool), "x") for tool in calls]
        questions.end()
    return said, len(asked)


@pytest.mark.parametrize(("decision", "times"), [(ONCE, 3), (RUN, 2), (ALWAYS, 2)])
async def test_a_decision_for_a_run_is_for_one_tool(decision, times):
    assert await asking(decision, [TOOL, TOOL, OTHER]) == ([None] * 3, times)


async def test_no_earlier_decision_settles_a_doubt_and_the_form_offers_none_for_later():
    memory = Memory()
    memory.kept.append(TOOL.digest)
    questions = attended()
    approvals = Approvals(questions, memory, given=["git.*"])
    shown = []

    async def answer(each):
        shown.append(each.params["requestedSchema"]["properties"]["decision"]["enum"])
        return accept((ONCE, REFUSE, ALWAYS)[len(shown) - 1])

    async def person():
        while (round_ := await questions.next()) is not None:
            await questions.put(round_, answer)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(person)
        said = [await approvals(Call(TOOL), "made before", doubt=True) for _ in range(3)]
        questions.end()
    assert said[0] is None
    assert "a person refused the call of git.push" in said[1]
    assert "'always allow this tool', which is no decision" in said[2]
    assert shown == [[ONCE, REFUSE]] * 3


async def test_what_is_kept_for_good_is_not_asked_about():
    memory = Memory()
    assert await asking(ALWAYS, [TOOL], memory) == ([None], 1)
    assert await asking(ONCE, [TOOL], memory) == ([None], 0)


async def test_a_store_that_fails_asks_again_and_loses_no_answer(caplog):
    assert await asking(ALWAYS, [TOOL], Memory(StoreError("locked"))) == ([None], 1)
    assert "git.push" in caplog.text


async def test_an_answer_for_the_run_closes_the_other_questions_about_the_tool():
    questions = attended()
    approvals = Approvals(questions, Memory())
    got = []

    async def call():
        got.append(await approvals(Call(TOOL), "x"))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call)
        round_ = await questions.next()
        assert len(round_.questions) == 3
        questions.take(Answers("ex", 1, {round_.questions[1].id: accept(RUN)}))
    assert got == [None] * 3


async def test_questions_left_open_are_asked_again_until_the_rounds_are_used_up():
    questions = attended()
    got = []

    async def ask():
        got.append(await questions.ask(PARAMS))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        for number in range(1, ROUNDS + 1):
            round_ = await questions.next()
            assert (round_.number, [each.id for each in round_.questions]) == (number, ["q1"])
            questions.take(Answers("ex", number, {}))
        tasks.start_soon(questions.next)
        with anyio.fail_after(5):
            while not got:
                await anyio.lowlevel.checkpoint()
        questions.end()
    assert got == ["rounds"]


async def test_a_round_is_answered_once_and_only_the_latest_one():
    questions = attended()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(questions.ask, PARAMS)
        await questions.next()
        await questions.next()
        with pytest.raises(AnswerError, match="retry_of='ex'"):
            questions.take(Answers("ex", 1, {"q1": accept(ONCE)}))
        questions.take(Answers("ex", 2, {"q1": accept(ONCE), "q9": accept(ONCE)}))
        with pytest.raises(AnswerError, match="answered before"):
            questions.take(Answers("ex", 2, {"q1": accept(ONCE)}))


async def test_a_round_waits_for_calls_that_are_on_their_way_to_ask(monkeypatch):
    monkeypatch.setattr(questions_module, "LONGEST", 30)
    questions, go = attended(), anyio.Event()

    async def at_once(_call):
        await questions.ask(PARAMS)

    async def later(_call):
        await go.wait()
        await questions.ask(PARAMS)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(questions.counting(at_once), Call(TOOL))
        tasks.start_soon(questions.counting(later), Call(TOOL))
        with anyio.move_on_after(4 * questions_module.QUIET) as early:
            await questions.next()
        assert early.cancelled_caught
        go.set()
        assert len((await questions.next()).questions) == 2
        questions.end()


async def test_a_question_that_the_client_does_not_show_has_no_answer():
    questions = attended()
    address = {"mode": "url", "message": "Sign in", "url": "https://example.org"}
    assert await questions.ask(address) == "nobody"
    got = []

    async def ask():
        got.append(await questions.ask(PARAMS))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await questions.next()
        questions.attend(Person(modes=frozenset({"url"})))
    assert got == ["nobody"]


async def test_a_program_that_has_ended_asks_nobody():
    questions = attended()
    questions.end()
    assert (await questions.ask(PARAMS), await questions.next()) == ("nobody", None)


# ---- the state that goes around -----------------------------------------------------------------------------------


def test_a_state_opens_for_its_owner_its_request_and_its_time():
    now = [100.0]
    seal = Seal(clock=lambda: now[0])
    state = seal.seal(Ticket("ex_1", 2), owner="a", request={"code": "1"}, seconds=10)
    assert seal.open(state, owner="a", request={"code": "1"}) == Ticket("ex_1", 2)
    wrong = [
        ({"owner": "b"}, "somebody else"),
        ({"request": {"code": "2"}}, "other arguments"),
        ({"state": state + "0"}, "changed"),
        ({"state": state.partition(".")[0]}, "changed"),
        ({"state": "é" + state}, "not one that toolweft made"),
        ({"state": ""}, "not one that toolweft made"),
        ({"state": "W10=." + "0" * 64}, "not one that toolweft made"),
        ({"state": "e30=." + "0" * 64}, "another toolweft process"),
    ]
    for other, words in wrong:
        given = {"state": state, "owner": "a", "request": {"code": "1"}, **other}
        with pytest.raises(AnswerError, match=words):
            seal.open(given.pop("state"), **given)
    with pytest.raises(AnswerError, match=f"another toolweft process.*{seal.replica}"):
        Seal().open(state, owner="a", request={"code": "1"})
    now[0] = 110.0
    with pytest.raises(AnswerError, match=r"too late.*retry_of='ex_1'"):
        seal.open(state, owner="a", request={"code": "1"})


def test_a_forged_state_that_names_this_replica_is_refused():
    seal, forger = Seal(), Seal()
    forger.replica = seal.replica
    state = forger.seal(Ticket("ex_1", 1), owner="a", request={}, seconds=10)
    with pytest.raises(AnswerError, match="was changed"):
        seal.open(state, owner="a", request={})


# ---- what is kept -------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    """A configuration whose store keeps two answers."""
    config = tmp_path / "toolweft.json"
    store = tmp_path / "store.db"
    config.write_text(json.dumps({"store": str(store), "policy": {"git.*": "ask", "default": "careful"}}), "utf-8")
    with Store.open(store) as opened:
        opened.approvals.keep("local", "git.push", "d1")
        opened.approvals.keep("local", "git.push", "d2")
        opened.approvals.keep("token:ab", "git.pull", "d1")
    return config


def test_the_command_lists_and_forgets_what_is_always_allowed(kept, capsys):
    assert cli.main(["policy", "list", "--config", str(kept), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["default"], listed["patterns"]) == ("careful", {"git.*": "ask"})
    assert [(each["tool"], each["owner"], each["state"]) for each in listed["always"]] == [
        ("git.pull", "token:ab", "gone"),
        ("git.push", "local", "gone"),
    ]
    assert cli.main(["policy", "forget", "git.push", "--config", str(kept)]) == 0
    assert cli.main(["policy", "list", "--config", str(kept)]) == 0
    out = capsys.readouterr().out
    assert "forgotten: git.push" in out
    assert "git.pull" in out.split("forgotten")[1]
    assert cli.main(["policy", "forget", "--all", "--config", str(kept)]) == 0
    assert cli.main(["policy", "list", "--config", str(kept)]) == 0
    assert "No tool is always allowed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["forget"], 2, "name tools, or say --all"),
        (["forget", "git.push", "--all"], 2, "name tools, or say --all"),
        (["forget", "git.nothing"], 1, "no answer is kept for 'git.nothing'; there are: git.pull, git.push"),
    ],
)
def test_the_command_says_what_is_wrong(kept, capsys, words, code, said):
    assert cli.main(["policy", *words, "--config", str(kept)]) == code
    assert said in capsys.readouterr().err

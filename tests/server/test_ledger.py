"""Every call is on record before it goes out; a retry repeats nothing that happened, and no write of unknown end."""

import anyio
import pytest

from toolweft_catalog.call import Blob, Call, Result, failed
from toolweft_catalog.tool import Annotations, Tool
from toolweft_server.errors import StoreError
from toolweft_server.ledger import SAMPLE, Ledger
from toolweft_server.store.calls import RESULT
from toolweft_server.store.store import Store

READ = Tool("git.log", "log", "git", annotations=Annotations(read_only=True))
WRITE = Tool("git.push", "push", "git", annotations=Annotations(read_only=False))
UNKNOWN = Tool("git.do", "do", "git")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "t.db") as opened:
        yield opened


async def allowed(_call, /, *, doubt=""):
    """A person who says yes to everything."""


class Upstream:
    """Answers each call with the next of `answers`, then by counting; remembers what reached it."""

    def __init__(self, *answers):
        self.answers, self.made = list(answers), []

    async def __call__(self, call):
        self.made.append((call.tool.id, dict(call.arguments)))
        answer = self.answers.pop(0) if self.answers else Result({"n": len(self.made)})
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def test_the_start_of_a_write_is_on_record_before_it_goes_out_and_the_end_soon_after(store):
    seen, ledger = [], Ledger(store)

    async def upstream(call):
        seen.append(store.calls.of("ex_1"))
        return Result(1)

    await ledger.recorder("ex_1")(upstream)(Call(WRITE, {"to": "main", "password": "x"}))
    await ledger.settled()
    ((row,),) = seen
    assert (row["tool"], row["effect"], row["arguments"], row["status"]) == (
        "git.push", "write", '{"to":"main","password":"[secret]"}', None,
    )  # fmt: skip
    (row,) = store.calls.of("ex_1")
    assert (row["status"], row["sent"], row["kept"]) == ("ok", True, "exact")


async def test_a_retry_answers_what_succeeded_from_the_record_and_calls_the_rest(store):
    ledger, first, second = Ledger(store), Upstream(), Upstream(Result("fresh"))
    call = ledger.recorder("ex_1")(first)
    await call(Call(READ, {"n": 1}))
    await call(Call(WRITE, {"b": 1, "a": [2]}))
    retry = ledger.recorder("ex_2", "ex_1")
    call = retry(second)
    assert await call(Call(READ, {"n": 1})) == Result({"n": 1}, replayed=True)
    assert await call(Call(WRITE, {"a": [2], "b": 1})) == Result({"n": 2}, replayed=True)
    assert await call(Call(WRITE, {"a": [3], "b": 1})) == Result("fresh")
    assert second.made == [("git.push", {"a": [3], "b": 1})]
    assert [(each.seq, each.tool, each.replayed, each.status) for each in retry.records] == [
        (0, "git.log", True, "ok"), (1, "git.push", True, "ok"), (2, "git.push", False, "ok"),
    ]  # fmt: skip


NOTHING = [None, "", [], {}, {"rows": []}, {"rows": [], "page": 1, "next": None}]


@pytest.mark.parametrize("nothing", NOTHING)
async def test_a_read_that_brought_nothing_is_made_again_as_long_as_nothing_was_written(store, nothing):
    ledger, empty = Ledger(store), Result(nothing)
    for number in range(1, 7):
        store.executions.start(f"ex_{number}", "local", "c", None, "", f"ex_{number - 1}")
    await ledger.recorder("ex_1")(Upstream(empty))(Call(READ, {}))
    assert await ledger.recorder("ex_2", "ex_1")(Upstream(empty))(Call(READ, {})) == empty
    call = ledger.recorder("ex_3", "ex_2")(Upstream(Result([7]), Result("written")))
    assert await call(Call(READ, {})) == Result([7])
    await call(Call(WRITE, {}))
    call = ledger.recorder("ex_4", "ex_3")(Upstream())
    assert await call(Call(READ, {})) == Result([7], replayed=True)  # what the attempt that wrote acted on
    assert await call(Call(WRITE, {})) == Result("written", replayed=True)


@pytest.mark.parametrize("nothing", NOTHING)
async def test_a_read_that_brought_nothing_before_a_write_is_replayed(store, nothing):
    ledger = Ledger(store)
    call = ledger.recorder("ex_1")(Upstream(Result(nothing), Result("written"), Result([7])))
    for each in (READ, WRITE, READ):
        await call(Call(each, {}))
    call = ledger.recorder("ex_2", "ex_1")(Upstream())
    answers = [await call(Call(each, {})) for each in (READ, WRITE, READ)]
    assert answers == [Result(value, replayed=True) for value in (nothing, "written", [7])]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([[]], [[], "written", ["new"]]),
        ([[]], [["a"], "written", ["a", "new"]]),
        ([[], []], [[], ["x"], "written", ["x", "new"]]),
        ([[], []], [["x"], ["y"], "written", []]),
    ],
)
async def test_what_is_read_after_a_write_is_replayed_as_it_was_though_earlier_reads_were_made_again(
    store, first, second
):
    ledger = Ledger(store)
    for number in (1, 2, 3):
        store.executions.start(f"ex_{number}", "local", "c", None, "", f"ex_{number - 1}")
    call = ledger.recorder("ex_1")(Upstream(*map(Result, first)))
    for _ in first:
        await call(Call(READ, {}))
    calls = [Call(WRITE if each == "written" else READ, {}) for each in second]
    call = ledger.recorder("ex_2", "ex_1")(Upstream(*map(Result, second)))
    assert [(await call(each)).value for each in calls] == second
    call = ledger.recorder("ex_3", "ex_2")(Upstream())
    assert [await call(each) for each in calls] == [Result(each, replayed=True) for each in second]


SOMETHING = [0, False, 7, [0], {"n": 0}, {"rows": [[]]}, {"rows": [], "name": "Ada"}, {"id": 5, "to": None}]


@pytest.mark.parametrize("something", SOMETHING)
async def test_a_read_that_brought_little_is_replayed(store, something):
    ledger = Ledger(store)
    await ledger.recorder("ex_1")(Upstream(Result(something)))(Call(READ, {}))
    assert await ledger.recorder("ex_2", "ex_1")(Upstream())(Call(READ, {})) == Result(something, replayed=True)


async def test_identical_calls_are_told_apart_by_their_order(store):
    ledger, first, second = Ledger(store), Upstream(), Upstream(Result("third"))
    call = ledger.recorder("ex_1")(first)
    await call(Call(UNKNOWN, {}))
    await call(Call(UNKNOWN, {}))
    call = ledger.recorder("ex_2", "ex_1")(second, permit=allowed)
    answers = [(await call(Call(UNKNOWN, {}))).value for _ in range(3)]
    assert answers == [{"n": 1}, {"n": 2}, "third"]


async def test_a_retry_of_a_retry_knows_what_both_did(store):
    ledger = Ledger(store)
    store.executions.start("ex_1", "local", "c", None, "")
    store.executions.start("ex_2", "local", "c", None, "", "ex_1")
    call = ledger.recorder("ex_1")(Upstream())
    await call(Call(WRITE, {"n": 1}))
    call = ledger.recorder("ex_2", "ex_1")(Upstream(Result("two")))
    await call(Call(WRITE, {"n": 1}))
    await call(Call(WRITE, {"n": 2}))
    last = Upstream()
    call = ledger.recorder("ex_3", "ex_2")(last)
    assert [(await call(Call(WRITE, {"n": n}))).value for n in (1, 2)] == [{"n": 1}, "two"]
    assert last.made == []


async def test_what_was_read_before_a_write_is_no_answer_after_it(store):
    for number in (1, 2, 3):
        store.executions.start(f"ex_{number}", "local", "c", None, "", f"ex_{number - 1}" if number > 1 else None)
    ledger = Ledger(store)
    await ledger.recorder("ex_1")(Upstream(Result("as it was")))(Call(READ, {}))
    steps = [(READ, "as it was"), (WRITE, "written"), (READ, "as it is")]
    for attempt, replayed in (("ex_2", [True, False, False]), ("ex_3", [True, True, True])):
        retry = ledger.recorder(attempt, f"ex_{int(attempt[-1]) - 1}")
        call = retry(Upstream(Result("written"), Result("as it is")))
        assert [(await call(Call(tool, {}))).value for tool, _ in steps] == [value for _, value in steps]
        assert [each.replayed for each in retry.records] == replayed
    for attempt, writes in (("ex_4", True), ("ex_5", False)):
        call = ledger.recorder(attempt, "ex_3")(Upstream(Result("read anew")))
        answers = [(await call(Call(tool, {}))).value for tool in ((WRITE, READ) if writes else (READ,))]
        assert answers == (["written", "as it is"] if writes else ["as it was"])


async def test_what_was_read_between_the_writes_of_one_attempt_is_replayed_in_whatever_order(store):
    ledger, second = Ledger(store), Upstream()
    call = ledger.recorder("ex_1")(Upstream())
    for n in (1, 2):
        await call(Call(READ, {"n": n}))
        await call(Call(WRITE, {"n": n}))
    call = ledger.recorder("ex_2", "ex_1")(second)
    for n in (2, 1):
        assert (await call(Call(WRITE, {"n": n}))).replayed
        assert (await call(Call(READ, {"n": n}))).replayed
    assert second.made == []


@pytest.mark.parametrize("tool", [WRITE, UNKNOWN])
@pytest.mark.parametrize(
    "end", [failed("timeout", "slow"), failed("unavailable", "died"), RuntimeError("defect"), None]
)
async def test_a_write_whose_outcome_is_unknown_is_not_made_again(store, tool, end):
    ledger, second = Ledger(store), Upstream()
    if end is None:
        await start_without_end(ledger, tool)
    else:
        try:
            await ledger.recorder("ex_1")(Upstream(end))(Call(tool, {"x": 1}))
        except RuntimeError as error:
            assert str(error) == "defect"  # noqa: PT017
    call = ledger.recorder("ex_2", "ex_1")(second)
    for _ in range(2):
        result = await call(Call(tool, {"x": 1}))
        assert result.failure.kind == "refused"
        assert not result.failure.sent
        assert "nobody knows whether it took effect) and nobody can be asked here. Find out" in result.failure.message
    assert (await call(Call(tool, {"x": 2}))).ok
    assert second.made == [(tool.id, {"x": 2})]


async def start_without_end(ledger, tool):
    """A call during which the whole process could have died: its end is never written."""
    with anyio.move_on_after(10) as scope:

        async def upstream(call):
            ledger._store.calls.write = lambda rows: None
            scope.cancel()
            await anyio.sleep_forever()

        await ledger.recorder("ex_1")(upstream)(Call(tool, {"x": 1}))
    del ledger._store.calls.write


async def test_a_cancelled_call_is_on_record_as_of_unknown_outcome(store):
    ledger = Ledger(store)
    with anyio.move_on_after(10) as scope:

        async def upstream(call):
            scope.cancel()
            await anyio.sleep_forever()

        await ledger.recorder("ex_1")(upstream)(Call(WRITE, {}))
    assert scope.cancelled_caught
    await ledger.settled()
    (row,) = store.calls.of("ex_1")
    assert (row["status"], row["sent"]) == ("cancelled", True)
    assert (await ledger.recorder("ex_2", "ex_1")(Upstream())(Call(WRITE, {}))).failure.kind == "refused"


@pytest.mark.parametrize(
    ("tool", "end"),
    [(READ, failed("timeout", "slow")), (READ, failed("tool", "no")), (WRITE, failed("tool", "no")),
     (WRITE, failed("unavailable", "never started", sent=False)), (WRITE, failed("refused", "policy", sent=False))],
)  # fmt: skip
async def test_what_certainly_did_not_happen_or_only_reads_is_called_again(store, tool, end):
    ledger, second = Ledger(store), Upstream()
    assert await ledger.recorder("ex_1")(Upstream(end))(Call(tool, {})) == end
    assert (await ledger.recorder("ex_2", "ex_1")(second)(Call(tool, {}))).ok
    assert len(second.made) == 1


async def test_any_value_is_replayed_exactly(store):
    value = {
        "a": [None, True, 1.5, "ä\n", {"\0blob": {"x": 1}}],
        "img": Blob("image/png", b"\x00\xff"),
        "n": Blob("a/b", b""),
    }
    ledger = Ledger(store)
    await ledger.recorder("ex_1")(Upstream(Result(value)))(Call(WRITE, {}))
    assert await ledger.recorder("ex_2", "ex_1")(Upstream())(Call(WRITE, {})) == Result(value, replayed=True)


async def test_a_result_with_a_secret_is_read_again_but_never_written_again(store):
    ledger, second = Ledger(store), Upstream()
    secret = {"token": "t", "id": 7}
    for tool in (READ, WRITE):
        await ledger.recorder(f"of_{tool.name}")(Upstream(Result(secret)))(Call(tool, {}))
    assert (await ledger.recorder("r1", "of_log")(second)(Call(READ, {}))).value == {"n": 1}
    replayed = await ledger.recorder("r2", "of_push")(second)(Call(WRITE, {}))
    assert replayed == Result({"token": "[secret]", "id": 7}, replayed=True)
    assert second.made == [("git.log", {})]


async def test_a_result_too_large_to_keep_is_read_again_and_a_write_is_refused_with_the_reason(store):
    ledger, second = Ledger(store), Upstream()
    for tool in (READ, WRITE):
        await ledger.recorder(f"of_{tool.name}")(Upstream(Result("x" * (RESULT + 1))))(Call(tool, {}))
    assert (await ledger.recorder("r1", "of_log")(second)(Call(READ, {}))).ok
    refused = await ledger.recorder("r2", "of_push")(second)(Call(WRITE, {}))
    assert "succeeded, but its result was too large" in refused.failure.message


async def test_another_owners_execution_is_no_record(store):
    store.executions.start("ex_1", "ada", "c", None, "")
    ledger, second = Ledger(store), Upstream()
    await ledger.recorder("ex_1", owner="ada")(Upstream())(Call(WRITE, {}))
    result = await ledger.recorder("ex_2", "ex_1", owner="bob")(second)(Call(WRITE, {}))
    assert not result.replayed
    assert len(second.made) == 1


async def test_an_execution_that_retries_itself_or_nothing_ends(store):
    ledger = Ledger(store)
    store.executions.start("a", "local", "c", None, "", "b")
    store.executions.start("b", "local", "c", None, "", "a")
    for execution, retry_of in (("c", "c"), ("d", "none"), ("e", "a")):
        assert (await ledger.recorder(execution, retry_of)(Upstream())(Call(READ, {}))).ok


async def test_hundreds_of_calls_at_once_are_all_on_record_and_all_replayed(store):
    ledger, first, second = Ledger(store), Upstream(), Upstream()
    recorder = ledger.recorder("ex_1")
    call = recorder(first)
    async with anyio.create_task_group() as tasks:
        for n in range(300):
            tasks.start_soon(call, Call(WRITE, {"n": n % 100}))
    assert [each.seq for each in recorder.records] == list(range(300))
    await ledger.settled()
    rows = store.calls.of("ex_1")
    assert len(rows) == 300
    assert sorted({row["ordinal"] for row in rows}) == [0, 1, 2]
    call = ledger.recorder("ex_2", "ex_1")(second)
    async with anyio.create_task_group() as tasks:
        for n in range(300):
            tasks.start_soon(call, Call(WRITE, {"n": n % 100}))
    assert second.made == []


async def test_a_sample_is_short_and_without_secrets(store):
    recorder = Ledger(store).recorder("ex_1")
    call = recorder(Upstream(Result(["x" * 999]), Result({"k": "sk-" + "a" * 30}), failed("tool", "no\n" * 500)))
    for _ in range(3):
        await call(Call(READ, {}))
    long, secret, failure = [each.sample for each in recorder.records]
    assert long.endswith("…")
    assert {len(long), len(failure)} == {SAMPLE}
    assert secret == '{"k": "[secret]"}'


async def test_no_write_leaves_an_execution_whose_beginning_could_not_be_noted(store):
    ledger, upstream = Ledger(store), Upstream()

    def refused():
        raise StoreError("the disk is full.")

    ledger.begun("ex_1", refused)
    await ledger.settled()  # what comes later finds room again
    call = ledger.recorder("ex_1")(upstream)
    assert (await call(Call(READ, {}))).ok
    result = await call(Call(WRITE, {}))
    assert (result.failure.kind, result.failure.sent) == ("unavailable", False)
    assert "the disk is full. Nothing was sent" in result.failure.message
    assert upstream.made == [("git.log", {})]


async def test_without_a_record_reads_go_on_and_writes_are_not_made(store):
    recorder, upstream = Ledger(store).recorder("ex_1"), Upstream()
    with store.database.write() as db:
        db.exec_driver_sql("PRAGMA query_only=1")
    call = recorder(upstream)
    assert (await call(Call(READ, {}))).ok
    result = await call(Call(WRITE, {}))
    assert (result.failure.kind, result.failure.sent) == ("unavailable", False)
    assert "read-only" in result.failure.message
    assert upstream.made == [("git.log", {})]


async def test_arguments_nested_beyond_reason_are_refused_and_nothing_is_sent(store):
    deep = current = []
    for _ in range(100_000):
        current.append([])
        current = current[0]
    upstream = Upstream()
    result = await Ledger(store).recorder("ex_1")(upstream)(Call(WRITE, {"x": deep}))
    assert (result.failure.kind, result.failure.sent, upstream.made) == ("arguments", False, [])


async def test_a_row_that_cannot_be_written_costs_no_other_one(store, caplog):
    ledger = Ledger(store)
    call = ledger.recorder("ex_1")(Upstream(Result(1), Result(10**5000), Result(3)))
    for n in range(3):
        assert (await call(Call(WRITE, {"n": n}))).ok
    await ledger.settled()
    assert [row["status"] for row in store.calls.of("ex_1")] == ["ok", None, "ok"]
    assert "cannot be put on record" in caplog.text


async def doubts(store, first, second, *, tool=WRITE):
    """What a person must be asked about in a retry: for each call, why; "" if nothing."""
    ledger, asked = Ledger(store), []

    async def permit(call, /, *, doubt=""):
        asked.append(doubt)
        return

    call = ledger.recorder("ex_1")(Upstream())
    for arguments in first:
        await call(Call(tool, arguments))
    call = ledger.recorder("ex_2", "ex_1")(Upstream(), permit=permit)
    for arguments in second:
        await call(Call(tool, arguments))
    return asked


A, B, C = {"to": "a"}, {"to": "b"}, {"to": "c"}


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ([B], ['an earlier attempt called it with other arguments, {"to":"a"}, and this one did not repeat that']),
        ([A, A], ["an earlier attempt made this very call already, once"]),
        ([B, A], ['an earlier attempt called it with other arguments, {"to":"a"}, and this one did not repeat that']),
        ([A, B, C], ["", ""]),
    ],
    ids=["changed", "once more", "changed, then repeated", "all repeated, then others"],
)
async def test_a_write_that_may_be_an_earlier_one_in_other_words_is_for_a_person_to_decide(store, second, words):
    assert await doubts(store, [A], second) == words


async def test_writing_the_same_again_is_no_doubt_where_the_tool_says_that_it_is_idempotent(store):
    tool = Tool("git.tag", "tag", "git", annotations=Annotations(read_only=False, idempotent=True))
    assert await doubts(store, [A], [A, A], tool=tool) == [""]


async def test_what_only_reads_is_never_in_doubt(store):
    assert await doubts(store, [A], [B, A, A], tool=READ) == ["", ""]


async def test_a_write_of_unknown_outcome_puts_a_changed_one_in_doubt(store):
    ledger, asked = Ledger(store), []

    async def permit(call, /, *, doubt=""):
        asked.append(doubt)
        return failed("refused", "no", sent=False).failure

    await ledger.recorder("ex_1")(Upstream(failed("timeout", "slow")))(Call(WRITE, A))
    upstream = Upstream()
    result = await ledger.recorder("ex_2", "ex_1")(upstream, permit=permit)(Call(WRITE, B))
    assert (result.failure.kind, upstream.made) == ("refused", [])
    assert "did not repeat that" in asked[0]


@pytest.mark.parametrize("name", ["idempotency_key", "Idempotency-Key", "idempotencyKey"])
async def test_a_tool_that_takes_an_idempotency_key_gets_the_same_one_in_every_attempt(store, name):
    schema = {"type": "object", "properties": {"to": {"type": "string"}, name: {"type": "string"}}}
    tool = Tool("bank.pay", "pay", "bank", parameters=schema)
    ledger, first, second = Ledger(store), Upstream(failed("timeout", "slow")), Upstream()
    await ledger.recorder("ex_1")(first)(Call(tool, A))
    call = ledger.recorder("ex_2", "ex_1")(second, permit=allowed)
    for arguments in (A, A, B, {**A, name: "mine"}):
        await call(Call(tool, arguments))
    ((_, sent),) = first.made
    keys = [arguments[name] for _, arguments in second.made]
    assert keys[0] == sent[name]
    assert keys[-1] == "mine"
    assert len(set(keys)) == 4
    third = Upstream()
    await ledger.recorder("ex_3", "ex_2")(third, permit=allowed)(Call(tool, A))
    await ledger.recorder("ex_9")(third)(Call(tool, A))
    assert not {arguments[name] for _, arguments in third.made} & set(keys)


async def test_what_succeeded_at_the_second_try_is_the_answer_to_the_first_one_of_the_next_attempt(store):
    ledger, second = Ledger(store), Upstream()
    call = ledger.recorder("ex_1")(Upstream(failed("tool", "not now"), Result("done")))
    for _ in range(2):
        await call(Call(WRITE, A))
    assert (await ledger.recorder("ex_2", "ex_1")(second)(Call(WRITE, A))).value == "done"
    assert second.made == []


async def test_a_call_of_unknown_outcome_that_is_made_again_has_its_own_key_however_often(store):
    schema = {"type": "object", "properties": {"to": {"type": "string"}, "idempotency_key": {"type": "string"}}}
    tool, ledger = Tool("bank.pay", "pay", "bank", parameters=schema), Ledger(store)
    slow, upstreams = failed("timeout", "slow"), []
    for n, answers in enumerate([(failed("tool", "not now"), slow), (slow,), (Result("paid"),)], 1):
        store.executions.start(f"ex_{n}", "local", "c", None, "", f"ex_{n - 1}" if n > 1 else None)
        upstreams.append(Upstream(*answers))
        call = ledger.recorder(f"ex_{n}", f"ex_{n - 1}" if n > 1 else None)(upstreams[-1], permit=allowed)
        for _ in answers:
            await call(Call(tool, A))
        await ledger.settled()
    keys = [[arguments["idempotency_key"] for _, arguments in each.made] for each in upstreams]
    (_, unknown), (second,), (third,) = keys
    assert unknown == second == third


async def test_a_row_that_is_there_already_costs_no_row_of_others(store):
    ledger = Ledger(store)
    await ledger.recorder("ex_1")(Upstream())(Call(WRITE, A))
    await ledger.settled()
    doubled, innocent = ledger.recorder("ex_1")(Upstream()), ledger.recorder("ex_2")(Upstream())
    results = {}

    async def make(name, call):
        results[name] = await call(Call(WRITE, A))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make, "doubled", doubled)
        tasks.start_soon(make, "innocent", innocent)
    assert results["innocent"].ok
    assert "noted twice" in results["doubled"].failure.message

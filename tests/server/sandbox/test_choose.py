"""The choice of a tier: by what its checks show, twice where load may be the reason, anew where it stops working."""

import pytest

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Finding
from toolweft_server.sandbox.choose import ChosenSandbox
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.self_check import NOT_STOPPED

STARTED = Finding("it starts", ok=True)
HELD, OPEN = Finding("no file", ok=True), Finding("no file", ok=False, detail=f"{NOT_STOPPED}: /etc/passwd")
LATE, IN_TIME = Finding("a tool answers", ok=False, detail="no answer in time"), Finding("a tool answers", ok=True)


class Tier:
    """A tier whose checks find, one after another, what they are told to."""

    def __init__(self, name, *rounds):
        self.name, self._rounds = name, list(rounds)
        self.refuses = self.closed = False

    async def open(self, limits):
        if self.refuses:
            raise SandboxError(f"{self.name} was switched off")
        return self.name

    async def self_check(self):
        return [STARTED, *(self._rounds.pop(0) if len(self._rounds) > 1 else self._rounds[0])]

    async def aclose(self):
        self.closed = True


@pytest.fixture
def choose(tmp_path):
    def chosen(*tiers):
        made = {tier.name: tier for tier in tiers}
        return ChosenSandbox(list(made), lambda name, _: made[name], named=len(made) == 1, cache=tmp_path)

    return chosen


async def test_a_wall_that_something_got_through_once_is_none(choose):
    for rounds in ([[OPEN], [HELD]], [[HELD, LATE], [OPEN, IN_TIME]]):
        chosen = choose(Tier("a", *rounds), Tier("b", [HELD]))
        assert (await chosen.examine(fresh=True))["a"].why_not == f"no file: {OPEN.detail}"
        assert await chosen.open(Limits()) == "b"


async def test_a_check_that_was_late_gets_a_second_try(choose):
    assert await choose(Tier("a", [HELD, LATE], [HELD, IN_TIME]), Tier("b", [HELD])).open(Limits()) == "a"
    assert await choose(Tier("c", [HELD, LATE]), Tier("b", [HELD])).open(Limits()) == "b"


async def test_a_tier_that_does_not_start_any_more_gives_way_to_the_next(choose):
    first = Tier("a", [HELD])
    assert await choose(first, Tier("b", [HELD])).open(Limits()) == "a"
    again = Tier("a", [OPEN])
    again.refuses = True
    chosen = choose(again, Tier("b", [HELD]))
    assert await chosen.open(Limits()) == "b"
    assert (chosen.name, again.closed) == ("b", True)


async def test_a_tier_that_the_configuration_names_is_never_replaced(choose):
    named = Tier("a", [HELD])
    named.refuses = True
    with pytest.raises(SandboxError, match="a was switched off"):
        await choose(named).open(Limits())


async def test_where_no_tier_holds_the_error_says_what_each_lacks_and_what_helps(choose):
    with pytest.raises(SandboxError, match=r"- a: no file: not stopped.*\n- b: a tool answers.*\n.*toolweft\[monty\]"):
        await choose(Tier("a", [OPEN]), Tier("b", [LATE])).open(Limits())


async def test_the_only_tier_of_a_platform_is_checked_as_every_other(tmp_path):
    """On Windows there is one: that is no choice of the person's."""
    only = Tier("monty", [OPEN])
    chosen = ChosenSandbox(["monty"], lambda _name, _packages: only, cache=tmp_path)
    with pytest.raises(SandboxError, match="programs cannot be isolated on this machine") as error:
        await chosen.open(Limits())
    assert OPEN.detail in str(error.value)

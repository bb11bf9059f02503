"""Which tiers a platform offers, and what a person is told when none works."""

import pytest

from toolweft_server.sandbox import platforms


@pytest.mark.parametrize(
    ("platform", "tiers"),
    [
        ("linux", ("namespaces", "bwrap", "chroot", "landlock", "monty")),
        ("darwin", ("seatbelt", "monty")),
        ("win32", ("monty",)),
        ("freebsd14", ("monty",)),
        ("", ("monty",)),
    ],
)
def test_strongest_tier_of_a_platform_comes_first(platform, tiers):
    assert platforms.order(platform) == tiers


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32", "aix"])
def test_nothing_that_does_not_isolate_or_costs_money_is_ever_chosen(platform):
    assert not {"unsafe-process", "e2b"} & set(platforms.order(platform))


def test_refusal_says_what_each_tier_lacks_and_what_to_do():
    text = platforms.refused({"seatbelt": "no sandbox-exec", "monty": "not installed"})
    assert "- seatbelt: no sandbox-exec\n- monty: not installed\n" in text
    for remedy in ("pip install 'toolweft[monty]'", '"backend": "e2b"', '"backend": "unsafe-process"'):
        assert remedy in text

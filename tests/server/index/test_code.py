"""How a code is written."""

import pytest

from toolweft_server.index.woven import code


def test_a_code_is_written_with_a_letter_for_each_level():
    assert code.spell((10, 45)) == "<a_10><b_45>"
    assert code.spell((10, 45), suffix=2) == "<a_10><b_45><z_2>"


@pytest.mark.parametrize(("digits", "suffix"), [((0,), 0), ((10, 45), 0), ((1, 2, 3, 4), 7)])
def test_what_is_written_is_read_again(digits, suffix):
    assert code.parse(code.spell(digits, suffix)) == (digits, suffix)


@pytest.mark.parametrize(
    "text", ["", "a_1", "<b_1>", "<a_1><c_2>", "<a_01>", "<a_1> <b_2>", "<z_1>", "<a_1><z_0>", "<a_-1>"]
)
def test_what_is_no_code_is_refused(text):
    with pytest.raises(ValueError, match="is no code"):
        code.parse(text)


def test_a_level_without_a_letter_and_a_negative_digit_are_refused():
    with pytest.raises(ValueError, match="level 25"):
        code.token(25, 0)
    with pytest.raises(ValueError, match="digit -1"):
        code.token(0, -1)

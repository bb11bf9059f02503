"""From turns to rows: where the loss is, what is cut, and what never is."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from toolweft_server.training.align.collate import IGNORED, Example, pad  # noqa: E402
from toolweft_server.training.align.conversations import Conversation, Turn, retrieval  # noqa: E402
from toolweft_server.training.align.template import ChatTemplate, PlainTemplate, template_of  # noqa: E402
from toolweft_server.training.errors import TrainingError  # noqa: E402

pytestmark = pytest.mark.torch

PLAIN = "user:\nfind it\n\nassistant:\n<a_1><b_2><|im_end|>\n\nuser:\nargs?\n\nassistant:\n{}<|im_end|>\n\n"
CHATTY = (
    "<|im_start|>user\nfind it<|im_end|>\n<|im_start|>assistant\n<a_1><b_2><|im_end|>\n"
    "<|im_start|>user\nargs?<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
)
TALK = Conversation("t", (Turn("user", "find it"), Turn("assistant", "<a_1><b_2>", loss=True),
                          Turn("user", "args?"), Turn("assistant", "{}", loss=False)))  # fmt: skip
LEARNED = Conversation("t", (*TALK.turns[:3], Turn("assistant", "{}", loss=True)))


def said(encoder, ids):
    return encoder.tokenizer.decode(ids)


def learned(encoder, row):
    return said(encoder, [label for label in row.labels if label != IGNORED])


@pytest.mark.parametrize(("chat", "whole"), [(False, PLAIN), (True, CHATTY)], ids=["plain", "chat"])
def test_a_row_is_the_whole_conversation_and_its_labels_the_flagged_turns_with_their_ends(make, chat, whole):
    encoder = make(chat=chat).encoder
    assert isinstance(encoder.template, ChatTemplate if chat else PlainTemplate)
    row = encoder.example(LEARNED)
    assert said(encoder, row.ids) == whole
    assert learned(encoder, row) == "<a_1><b_2><|im_end|>{}<|im_end|>"
    assert all(label in (IGNORED, token) for token, label in zip(row.ids, row.labels, strict=True))
    assert encoder.end == encoder.tokenizer.eos_token_id


def test_turns_without_a_flag_are_never_labels_and_nothing_is_kept_after_the_last_flag(make):
    encoder = make().encoder
    row = encoder.example(TALK)
    assert learned(encoder, row) == "<a_1><b_2><|im_end|>"
    assert said(encoder, row.ids) == PLAIN.split("user:\nargs?")[0]


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_a_prompt_is_the_beginning_of_the_row_it_was_trained_with(make, world, chat):
    made = make(chat=chat)
    for each in retrieval(world.pairs[:3], made.spelled).conversations:
        row, prompt = made.encoder.example(each), made.encoder.prompt(each.turns[:1])
        assert row.ids[: len(prompt)] == prompt
        assert row.labels[: len(prompt)] == [IGNORED] * len(prompt)
        assert row.labels[len(prompt)] != IGNORED


def test_special_tokens_in_a_text_are_text(make):
    encoder = make().encoder
    hostile = Conversation("t", (Turn("user", "x<|im_end|>y"), Turn("assistant", "ok", loss=True)))
    row = encoder.example(hostile)
    assert row.ids.count(encoder.end) == 1
    assert "x<|im_end|>y" in said(encoder, row.ids)


LONG = "word and more " * 60


def test_what_is_too_long_loses_the_ends_of_its_longest_unlearned_contents(make):
    encoder = make(limit=128).encoder
    talk = Conversation("t", (Turn("user", "find it"), Turn("assistant", "<a_1><b_2>", loss=True), Turn("user", LONG),
                              Turn("assistant", "{}", loss=True)))  # fmt: skip
    row = encoder.example(talk)
    assert len(row.ids) == 128
    assert learned(encoder, row) == "<a_1><b_2><|im_end|>{}<|im_end|>"
    assert said(encoder, row.ids).startswith("user:\nfind it\n\nassistant:\n<a_1><b_2><|im_end|>\n\nuser:\nword and")


def test_turns_go_from_the_end_when_cutting_contents_is_not_enough(make):
    encoder = make(limit=64).encoder
    talk = Conversation("t", (Turn("user", "find it"), Turn("assistant", "<a_1><b_2>", loss=True),
                              Turn("user", "x"), Turn("assistant", LONG, loss=True)))  # fmt: skip
    row = encoder.example(talk)
    assert learned(encoder, row) == "<a_1><b_2><|im_end|>"
    alone = Conversation("alone", (Turn("user", "x"), Turn("assistant", LONG, loss=True)))
    assert encoder.example(alone) is None
    assert encoder.all([alone, talk]).dropped == ["alone"]


def test_no_cut_ever_halves_a_code(make):
    made = make(limit=200)
    codes = set(made.tokens.ids)
    starts = {token for token in codes if not made.tokens.continues(token)}
    for limit in range(48, 140):
        encoder = make_shorter(made.encoder, limit)
        talk = Conversation("t", (Turn("user", "see <a_1><b_2><z_1> " * 30), Turn("assistant", "yes", loss=True)))
        ids = encoder.example(talk).ids
        assert len(ids) <= limit
        runs = "".join("A" if t in starts else "b" if t in codes else "." for t in ids)
        assert "A" in runs
        assert runs.replace("Abb", "").strip(".") == ""


def make_shorter(encoder, limit):
    return type(encoder)(encoder.tokenizer, encoder.tokens, encoder.template, limit)


def test_a_prompt_that_is_too_long_is_cut_and_keeps_its_opening(make):
    encoder = make(limit=64).encoder
    ids = encoder.prompt([Turn("user", LONG)])
    assert len(ids) == 64
    assert said(encoder, ids).endswith("\n\nassistant:\n")
    with pytest.raises(TrainingError, match="do not fit"):
        encoder.prompt([Turn("user", "x"), Turn("assistant", "y")] * 30)


def test_padding_left_and_right_masks_counts_and_ignores():
    rows = [Example([5, 6, 7], [IGNORED, 6, 7]), Example([8], [8])]
    left, right = pad(rows, 0, side="left"), pad(rows, 0, side="right")
    assert left.ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert left.mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert left.positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert left.labels.tolist() == [[IGNORED, 6, 7], [IGNORED, IGNORED, 8]]
    assert right.ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert right.positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert right.labels.tolist() == [[IGNORED, 6, 7], [8, IGNORED, IGNORED]]
    with pytest.raises(TrainingError, match="needs a row"):
        pad([], 0, side="left")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ raise_exception('no system role') }}", "refuses these turns: no system role"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "does not close"),
        ("{{ messages | length }}{% for m in messages %}{{ m.content }}!{% endfor %}", "rewrites"),
    ],
)
def test_chat_templates_that_cannot_be_taken_apart_are_refused(make, template, says):
    encoder = make(chat=True).encoder
    encoder.tokenizer.chat_template = template
    with pytest.raises(TrainingError, match=says):
        encoder.example(LEARNED)


def test_without_a_token_for_the_end_there_is_no_plain_template(make):
    tokenizer = make().encoder.tokenizer
    tokenizer.eos_token = None
    with pytest.raises(TrainingError, match="no end-of-text token"):
        template_of(tokenizer)

"""Texts become the ids that the library `tokenizers` gives them, but for marks that somebody wrote."""

import json
import unicodedata
from functools import cache
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolweft_server.index.woven.wordpiece import WordPiece

SHIPPED = (resources.files("toolweft_server") / "weights" / "encoder" / "tokenizer.json").read_bytes()
OWN = WordPiece.parse(SHIPPED)
LONGEST = 128

TEXTS = [
    "",
    "   \t\n ",
    "Send an e-mail to Ann, then file it (quickly)!",
    "create_issue getUserById v2.0 100% a+b=c $5 <tag> ~/x `y` {z} \\ ^ |",
    "na\u00efve caf\u00e9 \u0130stanbul \u1e9e STRASSE \u039f\u0394\u039f\u03a3",
    "\u65e5\u8a18\u306b\u65b0\u3057\u3044\u8a18\u4e8b \ud55c\uad6d\uc5b4 \u0939\u093f\u0928\u094d\u0926\u0940",
    "\U0001f600 a\U0001f468\u200d\U0001f469\u200d\U0001f467b \u2026\u2014\u2018quoted\u2019 \u00bfqu\u00e9?",
    "a\u0000b\u0007c\u00add\u200be \ufffd \u00a0 \u3000 \u2028x\u0085y",
    "pneumonoultramicroscopicsilicovolcanoconiosis " + "x" * 100 + " " + "x" * 101,
    "word " * 200,
]


@cache
def library():
    tokenizers = pytest.importorskip("tokenizers")
    inner = tokenizers.Tokenizer.from_buffer(SHIPPED)
    inner.no_padding()
    inner.enable_truncation(LONGEST)
    return inner


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_the_library(text):
    assert OWN.ids(text, LONGEST) == library().encode(text).ids


def known(character):
    """Old, and never reclassified: which version of Unicode the library knows, it does not say."""
    return unicodedata.ucd_3_2_0.category(character) == unicodedata.category(character) != "Cn"


@given(st.text(st.characters(exclude_categories=["Cs", "Cn"]).filter(known), max_size=60))
def test_ids_are_those_of_the_library_for_any_text(text):
    assert OWN.ids(text, LONGEST) == library().encode(text).ids


def test_words_are_cut_into_the_longest_known_pieces():
    assert OWN.ids("Toolweft caf\u00e9, 42!", LONGEST) == [101, 6994, 8545, 6199, 7668, 1010, 4413, 999, 102]


def test_long_runs_of_accents_are_nothing_and_take_no_time():
    assert OWN.ids("a" + "\u0316\u0301" * 4000 + "b", LONGEST) == OWN.ids("ab", LONGEST)


def test_a_mark_that_somebody_wrote_is_text():
    cls, sep = OWN.ids("", 2)
    written = OWN.ids("ignore [SEP] this [CLS]", LONGEST)
    assert (written.count(cls), written.count(sep)) == (1, 1)


def test_what_is_cut_keeps_its_marks():
    assert OWN.ids("one two three four", 4) == [*OWN.ids("one two", 3)[:-1], *OWN.ids("two", 9)[1:]]
    assert len(OWN.ids("word " * 500, LONGEST)) == LONGEST


def test_a_lone_surrogate_is_nothing():
    assert OWN.ids("a \ud800 b", LONGEST) == OWN.ids("a b", LONGEST)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": {"type": "BPE"}}, "its model is BPE, and must be WordPiece"),
        ({"normalizer": None}, "its normalizer is None, and must be BertNormalizer"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "its pre_tokenizer is Whitespace"),
        ({"post_processor": {"type": "RobertaProcessing"}}, "its post_processor is RobertaProcessing"),
        (
            {"added_tokens": [{"content": "create_issue", "special": False}]},
            "it has tokens beside its vocabulary: 'create_issue'",
        ),
        ({"model": {"type": "WordPiece"}}, "it does not say what it must: KeyError: 'vocab'"),
    ],
)
def test_another_tokenizer_is_refused_by_name(change, reason):
    with pytest.raises(ValueError, match=reason):
        WordPiece.parse(json.dumps(json.loads(SHIPPED) | change).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}"])
def test_what_is_no_tokenizer_is_refused(content):
    with pytest.raises(ValueError, match=r"it does not say what it must|Expecting"):
        WordPiece.parse(content)

"""How codes are spelled, and that tokenizer and model agree on it."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

import tiny_lm  # noqa: E402
from toolweft_server.training.align import lm, rows, tokens  # noqa: E402
from toolweft_server.training.align.tokens import Code, CodeSpace  # noqa: E402
from toolweft_server.training.errors import TrainingError  # noqa: E402

pytestmark = pytest.mark.torch

SPACE = CodeSpace((12, 50), suffixes=3)


@pytest.fixture
def tokenizer():
    return tiny_lm.tokenizer_of(["read a file", "send a mail", "photo album"])


def test_a_code_is_spelled_level_by_level_and_read_back():
    assert SPACE.spell(Code((10, 45))) == "<a_10><b_45>"
    assert SPACE.spell(Code((0, 1), 2)) == "<a_0><b_1><z_2>"
    assert SPACE.read(" <a_0><b_1><z_2>\n") == Code((0, 1), 2)


@pytest.mark.parametrize(
    "text",
    ["", "<a_10>", "<b_45><a_10>", "<a_10><b_45><c_1>", "<a_12><b_0>", "<a_1><b_1><z_4>", "<a_1><z_1>", "<a_1> <b_1>",
     "<a_1><b_1><z_0>", "<a_01><b_1>",
     "x<a_1><b_1>", "<a_1><b_1><z_1><z_1>", "<a_-1><b_1>"],
)  # fmt: skip
def test_what_is_no_code_of_the_space_is_not_read(text):
    with pytest.raises(TrainingError):
        SPACE.read(text)


@pytest.mark.parametrize("code", [Code((12, 0)), Code((0,)), Code((0, -1)), Code((0, 0), 4)])
def test_what_is_no_code_of_the_space_is_not_spelled(code):
    with pytest.raises(TrainingError):
        SPACE.spell(code)


@pytest.mark.parametrize("sizes", [(), (0,), (2,) * 26])
def test_a_space_without_sense_is_refused(sizes):
    with pytest.raises(TrainingError):
        CodeSpace(sizes)


def test_each_spelling_is_one_ordinary_token_that_text_keeps(tokenizer):
    model = tiny_lm.model_of(len(tokenizer))
    own = tokens.add(tokenizer, model, SPACE)
    code = Code((10, 45), 1)
    assert tuple(tokenizer.encode("<a_10><b_45><z_1>", add_special_tokens=False)) == own.encode(code)
    assert tokenizer.decode(own.encode(code), skip_special_tokens=True) == "<a_10><b_45><z_1>"
    assert own.decode(own.encode(code)) == code
    assert len(lm.embeddings(model)) == len(tokenizer) == len(lm.head(model).weight)
    assert max(own.ids) < len(tokenizer)


def test_adding_twice_changes_nothing_and_spare_rows_are_used_first(tokenizer):
    model = tiny_lm.model_of(len(tokenizer) + 100)
    first = tokens.add(tokenizer, model, SPACE)
    assert len(lm.embeddings(model)) == len(tokenizer) - len(first.ids) + 100
    assert tokens.add(tokenizer, model, SPACE) == first == tokens.held(tokenizer, SPACE)
    with pytest.raises(TrainingError, match="lacks 50"):
        tokens.held(tokenizer, CodeSpace((12, 50, 50), suffixes=3))


def test_what_is_no_code_is_not_decoded(tokenizer):
    own = tokens.add(tokenizer, tiny_lm.model_of(len(tokenizer)), SPACE)
    for ids in ([5], own.encode(Code((1, 1)))[:1], own.encode(Code((1, 1)))[::-1]):
        with pytest.raises(TrainingError):
            own.decode(ids)


def test_foreign_text_that_spells_a_code_is_defused():
    assert tokens.defused("call <a_1><b_2> now, a < b_2>") == "call &lt;a_1>&lt;b_2> now, a < b_2>"
    assert not any(part.coded for part in tokens.parts(tokens.defused("<a_1><b_2>")))


# Rows


def setting(tokenizer, *, tied: bool):
    model = tiny_lm.model_of(len(tokenizer), tied=tied)
    own = tokens.add(tokenizer, model, CodeSpace((2, 3), suffixes=2))
    noise = torch.Generator().manual_seed(2)
    books = [torch.randn(2, 4, generator=noise), torch.randn(3, 4, generator=noise)]
    return model, own, books


def fill(tokenizer, model, own, books, **options):
    codes = [Code((a, b)) for a in range(2) for b in range(3)]
    names = ["read file", "send mail", "photo album", "read mail", "send file", "a file"]
    rows.fill(model, tokenizer, own, codebooks=books, codes=codes, names=names,
              generator=torch.Generator().manual_seed(1), **options)  # fmt: skip
    return codes, names


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_the_mean_of_a_tools_code_rows_is_what_the_ridge_map_says_of_it(tokenizer, tied):
    model, own, books = setting(tokenizer, tied=tied)
    codes, names = fill(tokenizer, model, own, books, stretch=False, strength=1e-9)
    tables = lm.tables(model)
    assert len(tables) == (1 if tied else 2)
    for table in tables:
        x = rows.sums(codes, books).double()
        y = torch.stack([table[tokenizer.encode(name)].double().mean(0) for name in names])
        centred = x - x.mean(0)
        expected = centred @ torch.linalg.pinv(centred, rtol=1e-6) @ (y - y.mean(0)) + y.mean(0)
        got = torch.stack([table[list(own.encode(code))].double().mean(0) for code in codes])
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_rows_of_a_level_spread_as_the_tables_other_rows_do(tokenizer):
    model, own, books = setting(tokenizer, tied=True)
    fill(tokenizer, model, own, books)
    table = lm.embeddings(model).detach()
    rest = table[: len(table) - len(own.ids)]
    spread = (rest - rest.mean(0)).square().sum(1).mean().sqrt()
    level = table[list(own.ids[2:5])]
    assert float((level - level.mean(0)).square().sum(1).mean().sqrt()) == pytest.approx(float(spread), rel=1e-4)


def test_random_rows_follow_from_their_generator_and_leave_other_rows_alone(tokenizer):
    tables = []
    for _ in range(2):
        model, own, _books = setting(copy.deepcopy(tokenizer), tied=False)
        before = lm.embeddings(model).detach().clone()
        rows.fill_random(model, own, torch.Generator().manual_seed(4))
        tables.append(lm.embeddings(model).detach().clone())
        rest = [n for n in range(len(before)) if n not in own.ids]
        assert torch.equal(tables[-1][rest], before[rest])
    assert torch.equal(tables[0], tables[1])


def test_codebooks_and_names_that_do_not_fit_are_refused(tokenizer):
    model, own, books = setting(tokenizer, tied=True)
    with pytest.raises(TrainingError, match=r"\(3, 2\) codewords"):
        fill(tokenizer, model, own, books[::-1])
    with pytest.raises(TrainingError, match="NaN"):
        fill(tokenizer, model, own, [books[0] * float("nan"), books[1]])
    with pytest.raises(TrainingError, match="one at least"):
        rows.fill(model, tokenizer, own, codebooks=books, codes=[Code((0, 0))], names=[""],
                  generator=torch.Generator())  # fmt: skip


def test_one_tool_alone_gives_rows_of_its_name(tokenizer):
    model, own, books = setting(tokenizer, tied=True)
    rows.fill(model, tokenizer, own, codebooks=books, codes=[Code((0, 0))], names=["read"],
              generator=torch.Generator().manual_seed(1))  # fmt: skip
    table = lm.embeddings(model).detach()
    name = table[tokenizer.encode("read")].mean(0)
    torch.testing.assert_close(table[own.ids[0]], name, atol=1e-5, rtol=1e-4)

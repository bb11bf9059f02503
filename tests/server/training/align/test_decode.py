"""Beam search under a trie: exact where it can be, legal always."""

from __future__ import annotations

import itertools
import math

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402

import tiny_lm  # noqa: E402
from toolweft_server.index.woven.trie import END as END_DIGIT  # noqa: E402
from toolweft_server.index.woven.trie import Trie  # noqa: E402
from toolweft_server.training.align import decode, lm, tokens  # noqa: E402
from toolweft_server.training.align.collate import prompts  # noqa: E402
from toolweft_server.training.errors import ArtefactError, TrainingError  # noqa: E402

pytestmark = pytest.mark.torch

END, FILL, WORDS = 1, 0, 40
LADDER = [(10, 20), (10, 21), (10, 21, 30), (11, 20), (11, 22, 30), (11, 22, 31), (12, 25)]
"""Codes of two and of three tokens, one the beginning of another."""
PROMPTS = [[3, 4, 5, 6, 7], [8], [9, 3, 9]]


def steps_of(paths=LADDER):
    return decode.compiled(decode.PathTrie(paths), END)


@pytest.fixture(params=[("llama", True), ("gpt2", False)], ids=["llama", "gpt2"])
def model(request):
    family, tied = request.param
    return tiny_lm.model_of(WORDS, family=family, tied=tied, width=32, seed=3)


def brute_force(model, prompt, paths):
    """Every path's probability from the definition: full rows, one at a time, renormalised over legal children."""
    trie = decode.PathTrie(paths)
    scores = {}
    for path in paths:
        ids = torch.tensor([[*prompt, *path]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0].double()
        total = 0.0
        for at, token in enumerate([*path, END]):
            children = [*trie.children(path[:at]), *([END] if trie.is_end(path[:at]) else [])]
            said = logits[len(prompt) - 1 + at]
            total += float(said[token] - torch.logsumexp(said[children], 0))
        scores[path] = total
    return scores


def test_a_beam_as_wide_as_the_trie_ranks_and_scores_as_exhaustive_search(model):
    found = decode.beam_search(model, PROMPTS, steps_of(), beams=len(LADDER), fill=FILL)
    for prompt, ranked in zip(PROMPTS, found, strict=True):
        expected = brute_force(model, prompt, LADDER)
        assert [each.path for each in ranked] == sorted(expected, key=lambda path: -expected[path])
        assert [each.score for each in ranked] == pytest.approx([expected[each.path] for each in ranked], abs=1e-4)


def test_the_probabilities_of_all_codes_sum_to_one(model):
    for ranked in decode.beam_search(model, PROMPTS, steps_of(), beams=len(LADDER), fill=FILL):
        assert sum(math.exp(each.score) for each in ranked) == pytest.approx(1.0, abs=1e-5)


def test_verification_gives_every_code_the_score_of_the_search(model):
    ranked = decode.beam_search(model, PROMPTS[:1], steps_of(), beams=len(LADDER), fill=FILL)[0]
    scores = decode.verify(model, PROMPTS[0], [each.path for each in ranked], steps_of(), fill=FILL, at_once=3)
    assert scores == pytest.approx([each.score for each in ranked], abs=1e-4)


def test_a_request_gets_the_same_codes_alone_and_beside_longer_ones(model):
    together = decode.beam_search(model, PROMPTS, steps_of(), beams=4, fill=FILL)
    for prompt, ranked in zip(PROMPTS, together, strict=True):
        alone = decode.beam_search(model, [prompt], steps_of(), beams=4, fill=FILL)[0]
        assert [each.path for each in alone] == [each.path for each in ranked]
        assert [each.score for each in alone] == pytest.approx([each.score for each in ranked], abs=1e-4)


@pytest.mark.parametrize("beams", [1, 2, 5, 50])
def test_only_whole_codes_of_the_trie_come_out_and_each_once(model, beams):
    many = list(itertools.product(range(10, 16), range(16, 24), range(24, 28)))[::3]
    for ranked in decode.beam_search(model, PROMPTS, steps_of(many), beams=beams, fill=FILL):
        paths = [each.path for each in ranked]
        assert set(paths) <= set(many)
        assert len(set(paths)) == len(paths) == min(beams, len(many))
        assert [each.score for each in ranked] == sorted((each.score for each in ranked), reverse=True)


def test_one_code_alone_is_certain(model):
    assert decode.beam_search(model, [[5]], steps_of([(10,)]), beams=5, fill=FILL) == [[((10,), 0.0)]]


def clamped(model, prompt, paths):
    """The defect: illegal logits are set to -1e10 after a softmax over the whole vocabulary, by a loop in Python."""
    trie, scores = decode.PathTrie(paths), {}
    for path in paths:
        with torch.no_grad():
            said = model(input_ids=torch.tensor([[*prompt, *path]])).logits[0].log_softmax(-1)
        total = 0.0
        for at, token in enumerate([*path, END]):
            row = said[len(prompt) - 1 + at].clone()
            for word in range(WORDS):
                if word not in trie.children(path[:at]) and not (word == END and trie.is_end(path[:at])):
                    row[word] = -1e10
            total += float(row[token])
        scores[path] = total
    return scores


def is_a_distribution(scores) -> bool:
    return sum(map(math.exp, scores)) == pytest.approx(1.0, abs=1e-5)


def test_scores_are_renormalised_over_legal_children_and_clamped_ones_would_not_be(model):
    ranked = decode.beam_search(model, PROMPTS[:1], steps_of(), beams=len(LADDER), fill=FILL)[0]
    assert is_a_distribution([each.score for each in ranked])
    assert not is_a_distribution(clamped(model, PROMPTS[0], LADDER).values())


def test_clamped_scores_favour_codes_with_fewer_tokens_and_ours_do_not(model):
    """Words that no code has take mass at every step, so that a longer code pays more often."""
    loud = [2, 3, 4]  # legal nowhere
    head = model.get_output_embeddings()
    bias = torch.zeros(WORDS)
    bias[loud] = 8.0
    head.register_forward_hook(lambda _module, _given, logits: logits + bias)
    paths = [(10, 20), (11, 22, 30)]
    calm = decode.beam_search(model, PROMPTS[:1], steps_of(paths), beams=2, fill=FILL)[0]
    quiet = dict(brute_force(model, PROMPTS[0], paths))
    assert {each.path: each.score for each in calm} == pytest.approx(quiet, abs=1e-4)
    wrong = clamped(model, PROMPTS[0], paths)
    assert wrong[paths[1]] - wrong[paths[0]] < quiet[paths[1]] - quiet[paths[0]] - 5


def test_the_mask_is_boolean_and_as_wide_as_the_trie_not_the_vocabulary():
    steps = steps_of()
    mask, after = decode.legal(steps, torch.tensor([0, steps.done, steps.table[(10, 21)]]))
    assert mask.dtype == torch.bool
    assert mask.shape == (3, len({token for path in LADDER for token in path}) + 2)  # the end and the stay
    tokens = [*steps.tokens.tolist(), "stay"]
    said = [[tokens[column] for column in row.nonzero().flatten().tolist()] for row in mask]
    assert said == [[10, 11, 12], ["stay"], [30, END]]
    assert after[2][mask[2]].tolist() == [steps.table[(10, 21, 30)], steps.done]


def test_every_path_has_its_end_and_no_other_node_has_one():
    steps = steps_of()
    end = steps.tokens.tolist().index(END)
    mask, _ = decode.legal(steps, torch.arange(steps.done))
    assert {path for path, node in steps.table.items() if mask[node, end]} == set(LADDER)


def test_the_catalogues_own_trie_decodes_as_a_trie_of_token_paths():
    tokenizer = tiny_lm.tokenizer_of(["x"])
    own = tokens.add(tokenizer, tiny_lm.model_of(len(tokenizer)), tokens.CodeSpace((3, 4), suffixes=2))
    held = [
        tokens.Code((0, 1)),
        tokens.Code((0, 1), 1),
        tokens.Code((0, 1), 2),
        tokens.Code((2, 0)),
        tokens.Code((2, 3)),
    ]
    matrix = np.array([[*code.digits, code.suffix or END_DIGIT] for code in held])
    woven = decode.compiled(decode.CodeTrie(Trie.build(matrix), own), END)
    plain = decode.compiled(decode.PathTrie(map(own.encode, held)), END)
    assert woven.table == plain.table
    for name in ("starts", "columns", "nodes", "tokens"):
        assert torch.equal(getattr(woven, name), getattr(plain, name))
    with pytest.raises(TrainingError, match="nothing follows"):
        decode.compiled(decode.CodeTrie(Trie.build(matrix[:0]), own), END)


@pytest.mark.parametrize(
    ("paths", "says"), [([], "nothing follows"), ([()], "nothing follows"), ([(10, END, 11)], "ends a code")]
)
def test_a_trie_without_sense_is_refused(paths, says):
    with pytest.raises(TrainingError, match=says):
        steps_of(paths)


def test_a_path_off_the_trie_is_not_verified(model):
    for stranger in [(10, 22), (11, 22), (10, 20, 30)]:
        with pytest.raises(TrainingError, match=r"no code"):
            decode.verify(model, [3], [stranger], steps_of(), fill=FILL)


def test_weights_that_are_no_numbers_are_refused_and_not_ranked(model):
    next(model.parameters()).data[:] = math.nan
    with pytest.raises(ArtefactError, match="no numbers"):
        decode.beam_search(model, PROMPTS, steps_of(), beams=2, fill=FILL)


def test_no_prompt_gets_no_answer_and_no_beam_is_refused(model):
    assert decode.beam_search(model, [], steps_of(), beams=2, fill=FILL) == []
    with pytest.raises(TrainingError, match="needs a beam"):
        decode.beam_search(model, [[1]], steps_of(), beams=0, fill=FILL)


def test_left_padded_rows_read_like_rows_alone(model):
    batch = prompts(PROMPTS, FILL)
    together = lm.read(model, batch.ids, batch.mask, batch.positions, last=1).logits[:, -1]
    for row, prompt in zip(together, PROMPTS, strict=True):
        torch.testing.assert_close(row, model(input_ids=torch.tensor([prompt])).logits[0, -1], atol=1e-5, rtol=1e-4)

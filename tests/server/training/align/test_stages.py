"""From vectors to a model that writes codes: every part in a row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tiny_lm  # noqa: E402
import tiny_tools  # noqa: E402
from toolweft_server.index.generative import GenerativeIndex  # noqa: E402
from toolweft_server.training.align import bundle as bundles  # noqa: E402
from toolweft_server.training.align import rows, tokens  # noqa: E402
from toolweft_server.training.align.conversations import Call, Trajectory, document, prompt  # noqa: E402
from toolweft_server.training.align.stages import Lessons, StagesConfig, _built, _plan, align, coded  # noqa: E402
from toolweft_server.training.align.train import AlignConfig  # noqa: E402
from toolweft_server.training.errors import ArtefactError, TrainingError  # noqa: E402
from toolweft_server.training.rqkmeans import RqKMeansConfig  # noqa: E402
from toolweft_server.training.tokenise import Sources, TokeniseConfig, tokenise  # noqa: E402

pytestmark = pytest.mark.torch

QUICK = AlignConfig(epochs=1, batch=25, rate=3e-3, warm_up=0.1, precision="fp32", device="cpu")
STAGES = StagesConfig(memorise=QUICK, retrieve=QUICK, act=QUICK, limit=256, act_limit=512, both_ways=False)


@pytest.fixture(scope="module")
def lessons():
    """Two tools have one vector: their codes differ by a suffix alone."""
    world = tiny_tools.world_of()
    vectors = np.zeros((50, 15), np.float32)
    for row, each in enumerate(world.tools):
        vectors[row, tiny_tools.THINGS.index(each.server)] = 1.0
        vectors[row, 5 + tiny_tools.VERBS.index(each.name)] = 0.5
    vectors[1] = vectors[0]
    config = TokeniseConfig(
        quantiser=RqKMeansConfig(levels=2, codes=10, projection_steps=0), assignment="unique", seed=1
    )
    pairs = [(each.id, each.digest) for each in world.tools]
    artefact = tokenise(config, Sources(pairs, vectors, "e" * 32)).artefact
    ran = [
        Trajectory("t", "close the ticket", (Call("ticket.close", {"id": "7"}, "closed", "It is a ticket."),), "Done.")
    ]
    return Lessons(artefact, world.tools, world.pairs, ran)


def fresh(lessons):
    texts = [document(each) for each in lessons.tools] + [pair.request for pair in lessons.pairs]
    tokenizer = tiny_lm.tokenizer_of([*texts, prompt("retrieve", request=""), prompt("memorise", document="")])
    return tiny_lm.model_of(len(tokenizer)), tokenizer


def seeded(seed: int = 1):
    return torch.Generator().manual_seed(seed)


def test_vectors_become_codes_and_codes_a_model_that_finds_tools(lessons, tmp_path):
    config = replace(STAGES, retrieve=replace(QUICK, epochs=18, batch=10))
    lessons = lessons._replace(pairs=lessons.pairs[::2])
    aligned = align(config, lessons, *fresh(lessons), seeded())
    assert list(aligned.losses) == ["memorise", "retrieve", "act"]
    assert not any(aligned.left_out.values())
    assert not any(aligned.dropped.values())
    assert sorted(each.code.suffix for each in aligned.bundle.tools.values())[-2:] == [0, 1]
    aligned.bundle.save(tmp_path)
    index = GenerativeIndex.build(lessons.tools, bundles.load(tmp_path, codebook=aligned.bundle.codebook))
    first = [index.search(pair.request, 1).hits[0].tool == pair.gold[0] for pair in lessons.pairs]
    assert sum(first) / len(first) >= 0.9


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_stopped_in_a_later_stage_goes_on_there_and_ends_the_same(lessons, tmp_path, method):
    settings = replace(QUICK, method=method, every=1)
    config = replace(STAGES, memorise=settings, retrieve=settings, act=None)
    straight = align(config, lessons, *fresh(lessons), seeded())

    class KilledError(Exception):
        pass

    seen = []

    def die(step):
        seen.append(step)
        if len(seen) == 2 + 3:
            raise KilledError

    with pytest.raises(KilledError):
        align(config, lessons, *fresh(lessons), seeded(), folder=tmp_path, progress=die)
    again = align(config, lessons, *fresh(lessons), seeded(), folder=tmp_path)
    assert again.losses == straight.losses
    expected, got = straight.bundle.model.state_dict(), again.bundle.model.state_dict()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    with pytest.raises(ArtefactError, match="other data or settings"):
        align(
            replace(config, memorise=replace(settings, rate=1e-3)), lessons, *fresh(lessons), seeded(), folder=tmp_path
        )


def test_a_share_of_what_was_memorised_comes_back_in_later_stages(lessons):
    spelled = {tool: f"<a_0><b_0>{tool}" for tool in coded(lessons.artefact)}
    plan = _plan(STAGES, _built(STAGES, lessons, spelled), seed=1)
    again = [[each.id for each in taught if each.id.startswith("memorise:")] for _, _, taught in plan]
    assert [len(each) for each in again] == [50, 10, 10]
    assert again[1] != again[2]
    without = _plan(replace(STAGES, memorise=None), _built(STAGES, lessons, spelled), seed=1)
    assert [stage for stage, _, _ in without] == ["retrieve", "act"]
    assert not any(each.id.startswith("memorise:") for _, _, taught in without for each in taught)


@pytest.mark.parametrize("how", ["ridge", "random"])
def test_code_tokens_begin_where_the_ridge_map_puts_them_or_at_random(lessons, how):
    model, tokenizer = fresh(lessons)
    with pytest.raises(KeyboardInterrupt):
        align(replace(STAGES, rows=how), lessons, model, tokenizer, seeded(), stop=lambda: True)
    plain, other = fresh(lessons)
    books = [torch.from_numpy(each).double() for each in lessons.artefact.quantiser.codebook]
    own = tokens.add(other, plain, tokens.CodeSpace(tuple(map(len, books)), 1))
    if how == "ridge":
        codes = coded(lessons.artefact)
        names = [f"{each.server} {each.title or each.name}" for each in lessons.tools]
        rows.fill(plain, other, own, codebooks=books, codes=[codes[each.id] for each in lessons.tools], names=names,
                  generator=seeded())  # fmt: skip
    else:
        rows.fill_random(plain, own, seeded())
    tables = [each.get_input_embeddings().weight[list(own.ids)] for each in (model, plain)]
    assert torch.equal(*tables)


def test_random_rows_are_an_option_and_nothing_to_learn_is_said_so(lessons):
    nothing = replace(STAGES, memorise=None, retrieve=None, act=None, rows="random")
    with pytest.raises(TrainingError, match="no stage has anything"):
        align(nothing, lessons, *fresh(lessons), seeded())


@pytest.mark.parametrize("wrong", [{"replay": 1.5}, {"rows": "zeros"}])
def test_a_configuration_without_sense_is_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        replace(STAGES, **wrong)

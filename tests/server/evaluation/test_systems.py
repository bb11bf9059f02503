"""Systems over one catalogue: what each finds, and how parts are put together."""

import numpy as np
import pytest

import tiny_woven
from toolweft_server.errors import EncoderError
from toolweft_server.evaluation import data, report, systems
from toolweft_server.evaluation.bm25 import RecipeBM25F
from toolweft_server.evaluation.errors import EvaluationError
from toolweft_server.evaluation.suite import NAMES, Suite
from toolweft_server.evaluation.systems import RRF, Convex, Scored, Weighed, by_best, min_max
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.woven.index import WovenIndex


class Fixed:
    """A part that always says the same."""

    def __init__(self, scores, ids="abc"):
        self.ids = list(ids)
        self._scores = np.array(scores, np.float32)

    def scores(self, queries):
        return np.tile(self._scores, (len(queries), 1))


def whole(tools, zero_shot):
    """With everything that a system may need; words stand for the language model, which needs torch."""
    return Suite(tools, engine=tiny_woven.engine(), zero_shot=zero_shot, generative=LexicalIndex.build)


@pytest.mark.parametrize("name", NAMES)
def test_every_system_finds_the_tool_that_a_plain_request_means(folder, axes, name):
    suite = whole(data.read(folder).tools, axes)
    system = suite.make(name)
    assert system.name == ("lexical" if name == "generative" else name)
    assert [ranking[0] for ranking in system.rank(["weather of a city", "creates an issue"], 3)] == [
        "sky.weather",
        "hub.create_issue",
    ]


def test_no_system_gives_more_than_it_was_asked_for_or_a_tool_twice(folder, axes):
    suite = whole(data.read(folder).tools, axes)
    for name in NAMES:
        for depth in (1, 4, 100):
            (ranking,) = suite.make(name).rank(["mail a person the weather"], depth)
            assert len(ranking) == len(set(ranking)) <= min(depth, 8)


def test_tools_that_share_no_word_with_the_request_are_not_found_by_words(folder):
    suite = Suite(data.read(folder).tools)
    assert suite.make("bm25f").rank(["xylophone"], 5) == [[]]


def test_without_an_encoder_only_systems_of_words_can_be_made(folder):
    suite = Suite(data.read(folder).tools)
    assert suite.names() == ["bm25", "bm25f", "lexical"]
    with pytest.raises(EvaluationError, match="need an encoder, and there is none"):
        suite.make("hybrid")


def test_the_woven_system_ranks_as_the_index_that_is_served(folder):
    tools, engine = data.read(folder).tools, tiny_woven.engine()
    index = WovenIndex.build(tools, engine)
    while index.unfinished():
        index = index.further()
    queries = ["weather of a city", "send a mail to a person and create an issue"]
    served = [[hit.tool for hit in index.search(query, 5).hits] for query in queries]
    assert Suite(tools, engine=tiny_woven.engine()).make("woven").rank(queries, 5) == served


def test_a_tool_is_encoded_once_for_vectors_and_codes(folder):
    engine = tiny_woven.engine()
    suite = Suite(data.read(folder).tools, engine=engine)
    for name in ("encoder", "woven", "generate", "codes"):
        suite.make(name)
    assert len(engine.encoder.texts) == len(suite.tools)


def test_codes_judge_what_others_found_and_name_tools_of_their_own(folder):
    suite = Suite(data.read(folder).tools, engine=tiny_woven.engine())
    query = ["send a mail"]
    (found,), (judged,) = suite.make("hybrid").rank(query, 8), suite.make("codes").rank(query, 8)
    assert set(judged) == set(found)
    assert set(suite.make("generate").rank(query, 8)[0]) <= {tool.id for tool in suite.tools}


def test_an_encoder_that_cannot_be_used_is_an_error_and_not_a_measurement_of_words(folder):
    engine = tiny_woven.engine()
    suite = Suite(data.read(folder).tools, engine=engine)
    engine.encoder.broken = True
    with pytest.raises(EncoderError, match="it is broken"):
        suite.make("woven")


@pytest.mark.parametrize(("name", "said"), [("woven", "an encoder with heads"), ("generative", "a trained model")])
def test_what_a_system_needs_is_said(folder, axes, name, said):
    with pytest.raises(EvaluationError, match=f"need.* {said}, and"):
        Suite(data.read(folder).tools, axes).make(name)


def test_a_system_that_does_not_exist_is_named_with_those_that_do(folder):
    with pytest.raises(EvaluationError, match="there is no system 'bm26'; there are bm25, bm25f"):
        Suite(data.read(folder).tools).make("bm26")


def test_the_recipe_folds_plurals_ings_and_cases_and_leaves_out_words_of_asking(folder):
    tools = data.read(folder).tools
    part = RecipeBM25F(tools)
    plain, folded = part.scores(["commit show"]), part.scores(["please Showing me theCommits"])
    np.testing.assert_array_equal(plain > 0, folded > 0)


def test_a_term_that_the_request_repeats_counts_once_in_the_recipe(folder):
    part = RecipeBM25F(data.read(folder).tools)
    np.testing.assert_array_equal(part.scores(["mail"]), part.scores(["mail mail mail"]))


def test_a_convex_mix_adds_the_normalised_parts():
    mix = Convex([Weighed(0.25, Fixed([4, 0, 2]), by_best), Weighed(0.75, Fixed([-1, 1, 0]), min_max)])
    np.testing.assert_allclose(mix.scores(["x"]), [[0.25, 0.75, 0.125 + 0.375]])


def test_parts_that_say_nothing_are_normalised_to_nothing():
    assert by_best(np.zeros((1, 3), np.float32)).tolist() == [[0, 0, 0]]
    assert min_max(np.full((1, 3), 0.5, np.float32)).tolist() == [[0, 0, 0]]


def test_reciprocal_ranks_add_up_and_what_a_part_did_not_find_gets_nothing_from_it():
    fused = RRF([Fixed([3, 2, 0]), Fixed([0.1, 0.9, 0.5])]).scores(["x"])[0]
    np.testing.assert_allclose(fused, [1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 62], rtol=1e-6)


def test_parts_over_other_tools_cannot_be_mixed():
    with pytest.raises(ValueError, match="same tools in the same order"):
        RRF([Fixed([1, 2, 3]), Fixed([1, 2, 3], ids="acb")])


def test_equal_scores_keep_the_order_of_the_catalogue():
    assert Scored("fixed", Fixed([1, 2, 2])).rank(["x"], 3) == [["b", "c", "a"]]
    assert Scored("fixed", Fixed([1, 1, 1])).rank(["x"], 2) == [["a", "b"]]


def test_words_as_a_part_rank_as_the_lexical_index_does(folder):
    suite = Suite(data.read(folder).tools)
    queries = ["the weather of a city", "sends attachments to people"]
    for query, by_index in zip(queries, suite.make("lexical").rank(queries, 5), strict=True):
        by_part = Scored("part", suite.lexical).rank([query], len(by_index))[0]
        assert by_part == by_index


def test_the_scores_of_a_changed_index_are_in_the_order_of_its_ids(folder):
    tools = data.read(folder).tools
    index = Suite(tools[4:]).index.updated(tools[:4], [tools[5].id])
    rebuilt = Suite([tool for tool in tools if tool.id != tools[5].id]).index
    assert index.ids() == rebuilt.ids()
    np.testing.assert_allclose(index.scores("mail the commits"), rebuilt.scores("mail the commits"), rtol=1e-6)


def test_a_request_is_encoded_once_for_all_systems(folder, axes):
    calls = []

    class Counting:
        def encode(self, texts):
            calls.append(list(texts))
            return axes.encode(texts)

    suite = Suite(data.read(folder).tools, Counting())
    for name in ("encoder", "rrf", "hybrid"):
        suite.make(name).rank(["weather"], 3)
    assert sum(texts.count("weather") for texts in calls) == 1


def test_differences_to_a_baseline_are_paired_and_the_table_says_which_are_sure(folder, axes):
    read = data.read(folder).only(split="dev")
    suite = Suite(read.tools, axes)
    measured = [report.measure(read, suite.make(name)) for name in ("bm25f", "encoder")]
    rows = report.rows(measured, ["hit@1", "R@5"], baseline="bm25f")
    assert rows[0].against is None
    assert rows[1].against.baseline == "bm25f"
    assert rows[1].against.differences["R@5"].mean == pytest.approx(
        rows[1].metrics["R@5"].mean - rows[0].metrics["R@5"].mean
    )
    assert "minus bm25f" in report.table(rows, ["hit@1", "R@5"])


def test_parts_of_the_requests_together_are_all_of_them(folder):
    read = data.read(folder)
    measured = [report.measure(read, Suite(read.tools).make("bm25f"))]
    parts = report.by(read, measured, "style")
    assert list(parts) == ["agent", "multi", "user"]
    assert sum(len(part[0].rankings) for part in parts.values()) == 6


def test_the_text_of_the_recipe_names_server_tool_and_parameters(folder):
    (tool, *_) = data.read(folder).tools
    assert systems.recipe_text(tool) == "git: git_log. Shows the commits of a repository."

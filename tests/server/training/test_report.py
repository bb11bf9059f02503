"""The page about a woven catalogue: complete, harmless, and the same every time."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import clusters
from toolweft_server.training import artefact, measured, report
from toolweft_server.training.affinity import Usage
from toolweft_server.training.errors import ArtefactError
from toolweft_server.training.rqkmeans import RqKMeansConfig
from toolweft_server.training.tokenise import Sources, TokeniseConfig, tokenise

pytestmark = pytest.mark.torch

HOSTILE = "<script>alert(1)</script>$a${levels}&\ud800.t"


@pytest.fixture(scope="module")
def made():
    usages = [Usage(pair, "train", 3) for pair in clusters.partners(200)]
    sources = Sources(clusters.names(200), clusters.vectors(), "e" * 32, usages)
    config = TokeniseConfig(quantiser=RqKMeansConfig(codes=8, levels=2, projection_steps=20, edges_per_step=32))
    return tokenise(config, sources)


@pytest.fixture(scope="module")
def page(made):
    return report.page(made.artefact, made.measured)


def test_every_number_of_every_level_stands_in_the_page(made, page):
    for level in made.diagnostics.levels:
        for shown in (f"{level.perplexity:.1f}", f"{level.distortion:.4g}", f"{100 * level.collision_rate:.1f} %",
                      f"{100 * level.neighbours_together:.1f} %", str(level.largest_bucket)):  # fmt: skip
            assert f"<td>{shown}</td>" in page
    assert all(digest in page for digest in made.artefact.digests)
    assert len(re.findall(r'<img alt="[^"]+" src="data:image/svg\+xml;base64,', page)) == 4


def test_the_page_needs_and_fetches_nothing(page):
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert not re.findall("https?:", page)


def test_names_of_tools_are_text_and_nothing_else(made):
    named = replace(made.artefact, tools=tuple((f"{HOSTILE}{n}", "d" * 32) for n in range(200)))
    shown = report.page(named, made.measured)
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;$a${levels}&amp;?.t" in shown
    every = report.first_codes(named, made.measured)
    assert sum(each.tools for each in every) == 200
    assert [each.tools for each in every] == sorted((each.tools for each in every), reverse=True)


def test_the_same_artefact_gives_the_same_bytes(made, page):
    assert report.page(made.artefact, made.measured) == page


def test_what_was_measured_is_saved_and_read_back_and_belongs_to_one_artefact(made, tmp_path):
    made.save(tmp_path)
    again = measured.load(tmp_path, made.artefact.digests)
    assert again.history == made.history
    assert again.digests == made.artefact.digests
    np.testing.assert_allclose(again.plane, made.measured.plane, rtol=1e-4, atol=1e-6)
    assert (
        report.numbers(artefact.load(tmp_path), again)["levels"]
        == report.numbers(made.artefact, made.measured)["levels"]
    )
    with pytest.raises(ArtefactError, match="measured of codebook"):
        measured.load(tmp_path, made.artefact.digests._replace(codebook="f" * 32))
    (tmp_path / measured.FILE).write_text('{"format": 1}', encoding="utf-8")
    with pytest.raises(ArtefactError, match="do not fit together"):
        measured.load(tmp_path, made.artefact.digests)


def test_a_catalogue_without_co_usage_and_of_one_tool_has_a_page(tmp_path):
    one = tokenise(TokeniseConfig(), Sources([("a.b", "d" * 32)], np.ones((1, 4), np.float32), "e" * 32))
    assert math.isnan(one.diagnostics.levels[0].neighbours_together)
    one.save(tmp_path)
    again = measured.load(tmp_path, one.artefact.digests)
    assert math.isnan(again.diagnostics.levels[0].neighbours_together)
    shown = report.page(one.artefact, again)
    assert "<td>–</td>" in shown
    assert "Nothing was trained." in shown


def test_the_map_keeps_what_lies_apart_apart_and_turns_no_other_way_the_next_time():
    points = np.array([[0.0, 0.0, 5.0], [0.0, 1.0, 5.0], [9.0, 0.0, 5.0], [9.0, 1.0, 5.0]])
    found = measured.plane(points)
    assert np.abs(found[:, 0]).tolist() == pytest.approx([4.5] * 4)
    assert found[0, 0] < 0 < found[2, 0]
    assert np.array_equal(measured.plane(points), found)

"""How an explanation reads: every part's evidence, the code spelled out, and what is missing said."""

from __future__ import annotations

import json

from toolweft_server.index.base import Hit, Matches
from toolweft_server.index.woven.explain import (
    Evidence,
    Explanation,
    Step,
    Term,
    describing,
    of_matches,
    render,
    spread,
    to_json,
)

FULL = Explanation(
    "create an issue",
    "woven",
    (
        Evidence(
            tool="github.create_issue",
            score=0.91,
            name="exact",
            lexical=1.0,
            terms=(Term("issue", 3.1), Term("create", 1.2)),
            dense=0.62,
            code=(Step("<a_10>", ("repository", "issue"), 40), Step("<b_45>", ("issue",), 1)),
            code_score=-0.7,
            used=4.2,
            use=0.31,
            shift=0.2,
            shares={"lexical": 0.3, "dense": 0.5, "codes": 0.0, "use": 0.11},
        ),
        Evidence(tool="jira.add", score=0.2, dense=0.3),
    ),
    ("3 of 40 tools are not encoded yet.",),
)


def test_an_explanation_says_what_each_part_gave_and_spells_the_code():
    assert render(FULL) == (
        "'create an issue', ranked by the woven index\n\n"
        "1. github.create_issue  0.910\n"
        "   score    lexical 0.300 + dense 0.500 + use 0.110\n"
        "   name     exact\n"
        "   lexical  1.000  (issue 3.10, create 1.20)\n"
        "   dense    0.620\n"
        "   code     <a_10><b_45>  log P -0.70\n"
        "            <a_10> repository, issue (40 tools)\n"
        "            <b_45> issue (1 tool)\n"
        "   use      0.310  (served 4.2 requests; vector moved by 0.20)\n\n"
        "2. jira.add  0.200\n"
        "   dense    0.300\n\n"
        "note: 3 of 40 tools are not encoded yet."
    )


def test_as_json_everything_has_a_name():
    found = json.loads(json.dumps(to_json(FULL)))
    assert found["tools"][0]["terms"][0] == {"term": "issue", "weight": 3.1}
    assert found["tools"][0]["code"][0] == {"token": "<a_10>", "words": ["repository", "issue"], "tools": 40}
    assert found["tools"][1]["lexical"] is None


def test_an_index_that_cannot_say_more_says_which_parts_spoke():
    found = of_matches("q", "lexical", Matches([Hit("a.b", 1.0, ("name", "lexical"))], 1, []))
    assert (found.tools[0].name, found.tools[0].lexical) == ("named", 1.0)
    assert "nothing matches" in render(of_matches("q", "lexical", Matches([], 0, [])))


def test_a_prefix_is_described_by_the_words_that_only_its_tools_have():
    names = ["github list_issues", "github create_issue", "jira create_issue", "mail create_draft", "mail list_drafts"]
    everywhere = spread(names)
    assert describing(names[:3], everywhere, len(names))[0] == "github"
    assert "mail" in describing(names[3:], everywhere, len(names))
    assert describing([], everywhere, len(names)) == ()

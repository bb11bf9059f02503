"""`Explanation`: why tools were found for a request, part by part, for people to read.

The index that ranked fills it in (`Explains`); this says what belongs in it and how it is printed. Numbers are those
that were added up: `share` of a part is what it gave to the tool's final score.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from toolweft_server.index import text
from toolweft_server.index.base import Matches


class Term(NamedTuple):
    """A word of the request that the tool's texts have."""

    term: str
    weight: float
    """What it gave to the lexical score."""


class Step(NamedTuple):
    """One digit of a tool's code."""

    token: str
    """`<a_10>`."""
    words: tuple[str, ...]
    """What the tools below this prefix have in common that others lack."""
    tools: int
    """How many tools stand below it."""


_WORD = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|[^\W_A-Za-z\d]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What spoke for one tool. A part that is off, or not ready for this tool, is `None`: that is not a score of 0."""

    tool: str
    score: float
    """What it was ranked by."""
    name: str | None = None
    """`exact` or `near` when the request names the tool."""
    lexical: float | None = None
    """BM25F as a share of the best tool's."""
    terms: tuple[Term, ...] = ()
    dense: float | None = None
    """Cosine of request and tool, after what use has moved."""
    code: tuple[Step, ...] = ()
    code_score: float | None = None
    """log P(code | request), normalised over the codes that exist."""
    used: float = 0.0
    """Past requests that it served, after saturation and decay."""
    use: float = 0.0
    """How much they speak for it here, 0 to 1."""
    shift: float = 0.0
    """How far use has moved its vector, 0 to 1."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Part -> what it gave to `score`."""
    place: str | None = None
    """Why it does not stand where its own evidence would put it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    query: str
    index: str
    """Which index ranked."""
    tools: tuple[Evidence, ...]
    """Best first."""
    notes: tuple[str, ...] = ()
    """A sentence on each part that is off, missing or not finished."""


@runtime_checkable
class Explains(Protocol):
    """An index that can say why."""

    def explain(self, query: str, limit: int) -> Explanation:
        """The evidence for the first `limit` tools, in the order in which `search` ranks them."""
        ...


def of_matches(query: str, index: str, matches: Matches) -> Explanation:
    """What is known of an index that cannot say more: who was found, by which parts."""
    tools = tuple(
        Evidence(
            tool=hit.tool,
            score=hit.score,
            name="named" if "name" in hit.why else None,
            lexical=hit.score if "lexical" in hit.why else None,
        )
        for hit in matches.hits
    )
    return Explanation(query, index, tools, (f"The {index} index tells which parts spoke, not how much each gave.",))


def describing(below: Iterable[str], everywhere: Mapping[str, int], size: int, most: int = 3) -> tuple[str, ...]:
    """The words that tell tools below a prefix from all others; empty when none does.

    `below` are the tools' names or short texts, `everywhere` says in how many of all `size` tools a word is
    (`spread`). Ranked by how much oftener a word is here than elsewhere (a log-likelihood of the tools that have it).
    """
    texts = [_words(each) for each in below]
    here = Counter(word for words in texts for word in words)
    scored = []
    for word, count in here.items():
        inside, outside = count / len(texts), (everywhere.get(word, count) - count + 0.5) / (size - len(texts) + 1)
        if inside > outside:
            scored.append((-count * math.log(inside / outside), word))
    return tuple(word for _, word in sorted(scored)[:most])


def spread(texts: Iterable[str]) -> Counter[str]:
    """In how many texts each word is, for `describing`."""
    return Counter(word for each in texts for word in _words(each))


def _words(of: str) -> set[str]:
    """Whole words, for people to read: `createIssue` is two, and nothing is stemmed."""
    return {word.lower() for word in _WORD.findall(of)} - text.STOP_WORDS


def to_json(explanation: Explanation) -> dict[str, Any]:
    found = asdict(explanation)
    for tool in found["tools"]:
        tool["terms"] = [
            term._asdict() if isinstance(term, Term) else dict(zip(Term._fields, term, strict=True))
            for term in tool["terms"]
        ]
        tool["code"] = [dict(zip(Step._fields, step, strict=True)) for step in tool["code"]]
        tool["shares"] = dict(tool["shares"])
    return found


def render(explanation: Explanation) -> str:
    """As text, one block a tool."""
    blocks = ["\n".join(_block(rank, each)) for rank, each in enumerate(explanation.tools, start=1)]
    notes = [f"note: {each}" for each in explanation.notes]
    head = f"{explanation.query!r}, ranked by the {explanation.index} index"
    return "\n\n".join([head, *(blocks or ["nothing matches"]), *notes])


def _block(rank: int, each: Evidence) -> list[str]:
    lines = [f"{rank}. {each.tool}  {each.score:.3f}"]
    if each.shares:
        lines.append("   score    " + " + ".join(f"{part} {share:.3f}" for part, share in each.shares.items() if share))
    if each.place is not None:
        lines.append(f"   place    {each.place}")
    if each.name is not None:
        lines.append(f"   name     {each.name}")
    if each.lexical is not None:
        terms = ", ".join(f"{term.term} {term.weight:.2f}" for term in each.terms)
        lines.append(f"   lexical  {each.lexical:.3f}" + (f"  ({terms})" if terms else ""))
    if each.dense is not None:
        lines.append(f"   dense    {each.dense:.3f}")
    if each.code:
        score = "" if each.code_score is None else f"  log P {each.code_score:.2f}"
        lines.append(f"   code     {''.join(step.token for step in each.code)}{score}")
        lines += [
            f"            {step.token} {', '.join(step.words) or '-'} ({step.tools} tool{'s' * (step.tools != 1)})"
            for step in each.code
        ]
    if each.used:
        moved = f"; vector moved by {each.shift:.2f}" if each.shift else ""
        lines.append(f"   use      {each.use:.3f}  (served {each.used:.1f} requests{moved})")
    return lines

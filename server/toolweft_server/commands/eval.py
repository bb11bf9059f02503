"""`toolweft eval retrieval FOLDER`: how well tools are found for requests whose right tools are known.

Other kinds of evaluation are modules named by entry points in the group `toolweft.evaluations`, each with `HELP`,
`EXAMPLES`, `add` and `run`: the client's judge finished runs, and the server knows nothing of the client.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolweft_server.commands.opened import show

if TYPE_CHECKING:
    from toolweft_catalog.tool import Tool
    from toolweft_server.evaluation.data import Dataset
    from toolweft_server.evaluation.report import Row
    from toolweft_server.evaluation.suite import Suite
    from toolweft_server.index.base import ToolIndex
    from toolweft_server.index.woven.encoder import Encoder
    from toolweft_server.index.woven.engine import Engine

GROUP = "toolweft.evaluations"
PATIENCE = 2.0
"""Seconds of silence before a line says what is being done."""


def add(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    retrieval = kinds.add_parser("retrieval", help="how well tools are found for requests")
    retrieval.add_argument("folder", type=Path, help="holds tools.jsonl[.gz] and queries.jsonl[.gz]")
    retrieval.add_argument("--split", default="dev", help="which requests: train, dev, test, or all (default dev)")
    retrieval.add_argument("--kind", metavar="KIND", help="only requests of this kind, e.g. multi")
    retrieval.add_argument("--style", metavar="STYLE", help="only requests of this style, e.g. agent")
    retrieval.add_argument(
        "--systems", type=_names, metavar="NAMES", help="comma-separated (default: all that can run)"
    )
    retrieval.add_argument("--metrics", type=_names, metavar="NAMES", help="comma-separated, or all")
    retrieval.add_argument("--k", type=_numbers, metavar="NUMBERS", help="N, R and COMP at these ranks, e.g. 1,5,10")
    retrieval.add_argument("--baseline", metavar="NAME", help="differences to this system, in pairs (default bm25f)")
    retrieval.add_argument("--by", type=_names, default=[], metavar="NAMES", help="also by style, kind, tier, seen")
    retrieval.add_argument("--encoder", type=Path, metavar="FOLDER", help="an encoder (default: the shipped one)")
    retrieval.add_argument(
        "--heads", type=Path, metavar="FOLDER", help="heads for its codes, without examples (default: what ships)"
    )
    retrieval.add_argument("--model", type=Path, metavar="FOLDER", help="a language model of `toolweft train lm`")
    retrieval.add_argument("--zero-shot", type=Path, metavar="FOLDER", help="an untrained one, to stand beside it")
    retrieval.add_argument(
        "--scenario", choices=[f"U{n}" for n in range(7)], help="a catalogue that changes, see below"
    )
    retrieval.add_argument("--seed", type=int, default=0, help="of intervals and scenarios (default 0)")
    retrieval.add_argument("--json", action="store_true", help="print JSON")
    retrieval.formatter_class = argparse.RawDescriptionHelpFormatter
    retrieval.epilog = (
        "scenarios: U0 known tools, new requests; U1 new tools of known servers; U2 new servers; U3 new categories;\n"
        "U4 servers that come one after another; U5 edited descriptions; U6 removed tools. Nothing is refitted.\n\n"
        "examples:\n"
        "  toolweft eval retrieval ./requests\n"
        "  toolweft eval retrieval ./requests --split test --systems bm25f,lexical --baseline bm25f --by kind,seen\n"
        "  toolweft eval retrieval ./requests --scenario U2 --systems lexical\n"
        "  toolweft eval retrieval ./requests --metrics all --json"
    )
    examples = ["  toolweft eval retrieval ./requests"]
    for name, module in _others():
        other = kinds.add_parser(
            name, help=module.HELP, description=module.__doc__, epilog=f"examples:\n{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        module.add(other)
        other.set_defaults(other=module)
        examples.append(module.EXAMPLES.split("\n")[0])
    parser.epilog = "examples:\n" + "\n".join(examples) + "\n\n`toolweft eval WHAT --help` says more."


def _others() -> Iterator[tuple[str, Any]]:
    """Kinds of evaluation that other packages bring, by name."""
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda each: each.name):
        yield point.name, point.load()


def run(args: argparse.Namespace) -> int:
    if hasattr(args, "other"):
        return int(args.other.run(args))
    from toolweft_server.errors import ToolweftError
    from toolweft_server.evaluation.errors import EvaluationError

    try:
        return _retrieval(args)
    except ToolweftError as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2 if isinstance(error, EvaluationError) else 1


class Ticker:
    """Says on stderr what is being done, once it takes longer than one waits in silence."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self._told >= PATIENCE:
            self._told = time.monotonic()
            print(f"… {done} of {total} {what}", file=sys.stderr, flush=True)


def _retrieval(args: argparse.Namespace) -> int:
    from toolweft_server.evaluation import data as datasets
    from toolweft_server.evaluation import report

    shown = _shown(args.metrics, args.k)
    facets = [_facet(name) for name in args.by]
    print(f"… reading {args.folder}", file=sys.stderr)
    whole = datasets.read(args.folder)
    if args.scenario:
        return _scenario(args, whole, shown)
    data = whole.only(split=None if args.split == "all" else args.split, kind=args.kind, style=args.style)
    suite = _maker(args)(data.tools)
    names = list(dict.fromkeys(args.systems or suite.names()))
    baseline = _baseline(args.baseline, names)
    ticker = Ticker()
    measured = [report.measure(data, suite.make(name), progress=ticker) for name in names]
    parts = {"": measured}
    for facet in facets:
        parts |= {f"{facet}: {value}": part for value, part in report.by(data, measured, facet).items()}
    tables = {part: report.rows(each, shown, baseline=baseline, seed=args.seed) for part, each in parts.items()}
    if args.json:
        show(_json(args, data, tables))
        return 0
    print(f"{data.name}: {len(data.tools)} tools, split {args.split}, {len(data.requests)} requests; percent, 95 %")
    for part, rows in tables.items():
        print(f"\n{part} ({rows[0].requests} requests)" if part else "")
        print(report.table(rows, shown))
    return 0


def _maker(args: argparse.Namespace) -> Callable[[Sequence[Tool]], Suite]:
    """How the systems over a catalogue are made, with the encoders and models that there are."""
    from toolweft_server.errors import EncoderError
    from toolweft_server.evaluation.suite import Suite
    from toolweft_server.index.woven.encoder import Encoder

    zero_shot = Encoder.load(args.zero_shot) if args.zero_shot else None
    generative = _generative(args.model) if args.model else None
    encoder = None
    try:
        encoder = Encoder.load(args.encoder) if args.encoder else Encoder.shipped()
    except EncoderError as error:
        if args.encoder:
            raise
        print(f"toolweft: only systems without an encoder can run: {error}", file=sys.stderr)
    engine = _engine(args, encoder) if encoder else None
    return lambda tools: Suite(
        tools, encoder, engine=engine, zero_shot=zero_shot, generative=generative, progress=Ticker()
    )


def _engine(args: argparse.Namespace, encoder: Encoder) -> Engine | None:
    """The encoder with what ships for it, or with the given heads; None when there is nothing for it."""
    from toolweft_server.errors import ToolweftError
    from toolweft_server.index.woven.engine import Engine
    from toolweft_server.index.woven.heads import Heads

    try:
        if args.heads:
            return Engine(encoder, Heads.load(args.heads, encoder=encoder.digest))
        return Engine.shipped(encoder=encoder)
    except ToolweftError as error:
        if args.heads:
            raise
        print(f"toolweft: only systems without codes can run: {error}", file=sys.stderr)
        return None


def _generative(folder: Path) -> Callable[[Sequence[Tool]], ToolIndex]:
    from toolweft_server.evaluation.errors import EvaluationError
    from toolweft_server.index.generative import GenerativeIndex
    from toolweft_server.index.generative_kind import NEEDED

    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise EvaluationError(f"--model needs {', '.join(missing)}: pip install 'toolweft[train]'")
    from toolweft_server.training.align import bundle

    model = bundle.load(folder, device="auto")
    return lambda tools: GenerativeIndex.build(tools, model)


def _scenario(args: argparse.Namespace, data: Dataset, shown: Sequence[str]) -> int:
    from toolweft_server.evaluation import changing, report, splits

    cut = splits.scenario(args.scenario, data, split=args.split, seed=args.seed)
    maker = _maker(args)
    results: list[dict[str, Any]] = []
    lines = [["stage", "system", "tools", "requests", *shown, "first 5 places", "of the catalogue"]]
    for name in args.systems or maker(cut.known).names():
        first = changing.first(name, cut.known, maker)
        for stage in changing.live(data, cut, first, progress=Ticker()):
            row = report.rows([stage.measured], shown, baseline=None, seed=args.seed)[0]
            shares = (f"{100 * share:.1f}" for share in stage.bias)
            cells = [report.percent(row.metrics[each]) for each in shown]
            lines.append([stage.stage, name, str(stage.tools), str(row.requests), *cells, *shares])
            results.append({"stage": stage.stage, "tools": stage.tools, "bias": stage.bias._asdict()} | _row(row))
    if args.json:
        show({"set": data.name, "split": args.split, "scenario": args.scenario, "seed": args.seed, "stages": results})
        return 0
    print(f"{data.name}: {args.scenario}, split {args.split}; the last two: what goes to tools that are new or changed")
    print(report.aligned(lines))
    return 0


def _shown(wanted: Sequence[str] | None, ks: Sequence[int] | None) -> list[str]:
    from toolweft_server.evaluation import metrics, report
    from toolweft_server.evaluation.errors import EvaluationError

    if wanted == ["all"]:
        return list(metrics.NAMES)
    if wanted is None and ks is None:
        return list(report.SHOWN)
    for name in wanted or []:
        if name not in metrics.NAMES:
            raise EvaluationError(f"there is no metric {name!r}; there are {', '.join(metrics.NAMES)}")
    chosen = list(wanted or [])
    for k in ks or []:
        at_k = [name for name in (f"N@{k}", f"R@{k}", f"COMP@{k}") if name in metrics.NAMES]
        if not at_k:
            raise EvaluationError(f"nothing is measured at k = {k}; use {', '.join(map(str, metrics.RECALL_AT))}")
        chosen += at_k
    return list(dict.fromkeys(chosen))


def _facet(name: str) -> Any:
    from toolweft_server.evaluation.data import FACETS
    from toolweft_server.evaluation.errors import EvaluationError

    if name not in FACETS:
        raise EvaluationError(f"requests cannot be sorted by {name!r}; use {', '.join(FACETS)}")
    return name


def _baseline(wanted: str | None, names: Sequence[str]) -> str | None:
    from toolweft_server.evaluation.errors import EvaluationError

    if wanted is None:
        return "bm25f" if "bm25f" in names and len(names) > 1 else None
    if wanted not in names:
        raise EvaluationError(f"the baseline {wanted!r} is not among the systems: {', '.join(names)}")
    return wanted


def _json(args: argparse.Namespace, data: Dataset, tables: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    return {
        "set": data.name,
        "split": args.split,
        "tools": len(data.tools),
        "requests": len(data.requests),
        "seed": args.seed,
        "parts": [{"part": part or "all", "systems": [_row(row) for row in rows]} for part, rows in tables.items()],
    }


def _row(row: Row) -> dict[str, Any]:
    against = row.against and {
        "baseline": row.against.baseline,
        "differences": {name: value._asdict() for name, value in row.against.differences.items()},
        "hit@1": row.against.hit._asdict(),
    }
    metrics = {name: value._asdict() for name, value in row.metrics.items()}
    return {"system": row.system, "requests": row.requests, "metrics": metrics, "against": against}


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _numbers(given: str) -> list[int]:
    try:
        return [int(each) for each in given.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"whole numbers are needed, as in 1,5,10, not {given!r}") from None

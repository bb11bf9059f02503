"""`toolweft train tokenize`: weaves the catalogue in the store into codes. Needs the extra `train`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolweft_server.commands.opened import add_common, show

if TYPE_CHECKING:
    from toolweft_server.training.diagnostics import Diagnostics
    from toolweft_server.training.progress import Step
    from toolweft_server.training.quantise import QuantiserConfig

NEEDED = ("torch", "transformers", "safetensors")


def add(parser: argparse.ArgumentParser) -> None:
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    tokenize = stages.add_parser("tokenize", help="codes for every tool of the catalogue")
    tokenize.add_argument(
        "--encoder", required=True, metavar="FOLDER", help="an encoder of `transformers`, saved there"
    )
    tokenize.add_argument("--out", required=True, metavar="FOLDER", help="where the artefact goes")
    tokenize.add_argument("--usages", metavar="FILE", help='JSON lines: {"tools": [ids], "split": "train", "times": 1}')
    tokenize.add_argument("--quantiser", choices=["rqkmeans", "rqvae"], default="rqkmeans")
    tokenize.add_argument("--levels", type=int, metavar="L")
    tokenize.add_argument("--codes", type=int, metavar="K", help="of each level, at most")
    tokenize.add_argument("--steps", type=int, metavar="N", help="of training; for rqkmeans those of its co-usage map")
    switch = argparse.BooleanOptionalAction
    tokenize.add_argument("--graph", action=switch, default=True, help="co-usage shapes the codes")
    tokenize.add_argument("--balance", action=switch, default=True, help="codes are used evenly (rqvae)")
    tokenize.add_argument("--unique", action=switch, default=False, help="no two tools share a code")
    tokenize.add_argument("--seed", type=int, default=0)
    add_common(tokenize)
    parser.epilog = (
        "examples:\n  toolweft train tokenize --encoder ./minilm --out ./woven\n"
        "  toolweft train tokenize --encoder ./minilm --out ./woven --quantiser rqvae --no-graph --unique"
    )


def run(args: argparse.Namespace) -> int:
    from toolweft_server.errors import ConfigError, ToolweftError

    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(f"toolweft: training needs {', '.join(missing)}: pip install 'toolweft[train]'", file=sys.stderr)
        return 1
    try:
        return _tokenize(args)
    except (ToolweftError, OSError) as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def quantiser_of(args: argparse.Namespace) -> QuantiserConfig:
    """What the options say. A switch that is off puts a weight to 0.

    Raises:
        TrainingError: A value that makes no sense.

    """
    from toolweft_server.training.rqkmeans import RqKMeansConfig
    from toolweft_server.training.rqvae import RqVaeConfig

    given: dict[str, Any] = {"levels": args.levels, "codes": args.codes}
    given = {name: value for name, value in given.items() if value is not None}
    if args.quantiser == "rqkmeans":
        if not args.graph or args.steps is not None:
            given["projection_steps"] = args.steps if args.graph else 0
        return RqKMeansConfig(**given)
    if args.steps is not None:
        given |= {"steps": args.steps, "warmup": min(RqVaeConfig().warmup, args.steps // 10)}
    if not args.graph:
        given |= {"graph": 0.0, "contrast": 0.0}
    if not args.balance:
        given["balance"] = 0.0
    return RqVaeConfig(**given)


def _tokenize(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.store.store import Store
    from toolweft_server.training import encode, usages
    from toolweft_server.training.tokenise import Sources, TokeniseConfig, tokenise

    config = TokeniseConfig(
        quantiser=quantiser_of(args), assignment="unique" if args.unique else "shared", seed=args.seed
    )
    encoder, settings = encode.load(Path(args.encoder)), encode.EncodeConfig()
    with Store.open(configuration.load(args.config).store) as store:
        catalog = store.manifests.catalog()
        cards = list(catalog)
        tools = catalog.tools([card.id for card in cards])
    encoded = encode.encode_tools(settings, encoder.model, encoder.tokenizer, tools, progress=_told)
    sources = Sources(
        [(card.id, card.digest) for card in cards],
        encode.combined(encoded, encode.ViewWeights()),
        encode.digest(settings, encoder.model, encoder.tokenizer),
        list(usages.read(Path(args.usages))) if args.usages else (),
    )
    made = tokenise(config, sources, progress=_told)
    made.artefact.save(Path(args.out))
    result = {"folder": args.out, "tools": len(cards), "digests": made.artefact.digests._asdict()}
    levels = list(_levels(made.diagnostics))
    if args.json:
        show(result | {"levels": levels})
        return 0
    print(f"{len(cards)} tools woven into {args.out}")
    for number, level in enumerate(levels, start=1):
        print(f"level {number}: " + ", ".join(f"{name} {value}" for name, value in level.items()))
    return 0


def _levels(diagnostics: Diagnostics) -> list[Mapping[str, float | None]]:
    def plain(value: float) -> float | None:
        return None if value != value else round(value, 4)  # NaN, without co-usage, is no JSON

    return [
        {name: plain(value) for name, value in level._asdict().items() if name != "usage"}
        for level in diagnostics.levels
    ]


def _told(step: Step) -> None:
    """A line now and then: the first, the last, and every tenth part between."""
    every = max(1, step.total // 10)
    if step.done % every == 0 or step.done == step.total:
        loss = "" if step.loss is None else f", loss {step.loss:.4g}"
        print(f"… {step.stage} {step.done}/{step.total}{loss}", file=sys.stderr)

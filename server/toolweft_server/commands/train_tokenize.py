"""Weaves the catalogue in the store into codes, and measures how good they are.

What is half done lies beside the folder of the artefact, in OUT.training, until the end: after Ctrl-C or a crash
`--resume` goes on from there.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolweft_server.commands.opened import add_common, show
from toolweft_server.commands.train_progress import begun, told

if TYPE_CHECKING:
    from toolweft_server.training.quantise import QuantiserConfig

HELP = "codes for every tool of the catalogue"
EXAMPLES = """\
  toolweft train tokenize --encoder ./minilm --out ./woven
  toolweft train tokenize --encoder ./minilm --out ./woven --quantiser rqvae --no-graph --unique
  toolweft train tokenize --encoder ./minilm --out ./woven --usages requests.jsonl.gz --executed --seed 3 --resume
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", required=True, metavar="FOLDER", help="an encoder of `transformers`, saved there")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where the artefact goes")
    parser.add_argument("--usages", nargs="+", default=[], metavar="FILE",
                        help='JSON lines: {"tools": [ids], "split": "train"}, or requests with `gold`')  # fmt: skip
    parser.add_argument("--executed", action="store_true", help="co-usage of the executions in the store, too")
    parser.add_argument("--quantiser", choices=["rqkmeans", "rqvae"], default="rqkmeans")
    parser.add_argument("--levels", type=int, metavar="L")
    parser.add_argument("--codes", type=int, metavar="K", help="of each level, at most")
    parser.add_argument("--steps", type=int, metavar="N", help="of training; for rqkmeans those of its co-usage map")
    switch = argparse.BooleanOptionalAction
    parser.add_argument("--graph", action=switch, default=True, help="co-usage shapes the codes")
    parser.add_argument("--balance", action=switch, default=True, help="codes are used evenly (rqvae)")
    parser.add_argument("--unique", action=switch, default=False, help="no two tools share a code")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    add_common(parser)


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


def run(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.store.store import Store
    from toolweft_server.training import encode, usages
    from toolweft_server.training.measured import levels_json
    from toolweft_server.training.tokenise import Sources, TokeniseConfig, tokenise

    config = TokeniseConfig(
        quantiser=quantiser_of(args), assignment="unique" if args.unique else "shared", seed=args.seed
    )
    encoder, settings = encode.load(Path(args.encoder)), encode.EncodeConfig()
    with Store.open(configuration.load(args.config).store) as store:
        catalog = store.manifests.catalog()
        cards = list(catalog)
        tools = catalog.tools([card.id for card in cards])
        used = list(usages.executed(store)) if args.executed else []
    for file in args.usages:
        used += usages.read(Path(file))
    work = begun(Path(args.out), resume=args.resume)
    encoded = encode.encode_tools(settings, encoder.model, encoder.tokenizer, tools, folder=work, progress=told)
    sources = Sources(
        [(card.id, card.digest) for card in cards],
        encode.combined(encoded, encode.ViewWeights()),
        encode.digest(settings, encoder.model, encoder.tokenizer),
        used,
    )
    made = tokenise(config, sources, state=work / "quantiser.state", progress=told)
    made.save(Path(args.out))
    shutil.rmtree(work, ignore_errors=True)
    levels = [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in level.items()
         if name != "usage"} for level in levels_json(made.diagnostics)
    ]  # fmt: skip
    if args.json:
        digests = made.artefact.digests._asdict()
        show({"folder": args.out, "tools": len(cards), "seed": args.seed, "digests": digests, "levels": levels})
        return 0
    print(f"{len(cards)} tools woven into {args.out}")
    for number, level in enumerate(levels, start=1):
        print(f"level {number}: " + ", ".join(f"{name} {value}" for name, value in level.items()))
    return 0

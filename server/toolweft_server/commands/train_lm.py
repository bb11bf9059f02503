"""Teaches a causal language model to write the codes of the tools of a woven catalogue, and to act with them.

Three stages, each only when there is something to learn in it: memorise (a tool's documentation, its code), retrieve (a
request, a code), act (thoughts, codes, arguments and answers of whole runs). Weave the catalogue with `--unique` first,
or several tools will share one code. On a GPU training is in bf16, without one in fp32. What is half done lies beside
the folder of the model, in OUT.training: Ctrl-C keeps a checkpoint there, and `--resume` goes on from it.

Settings are a JSON file: {"rows": "ridge", "replay": 0.2, "limit": 1024, "act_limit": 6144, "both_ways": true,
"memorise": {"epochs": 1}, "retrieve": {"epochs": 5, "method": "lora", "rate": 2e-4, "adapters": {"rank": 16}},
"act": null}. Options win over it, in every stage.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolweft_server.commands.opened import add_common, show
from toolweft_server.commands.train_progress import begun, told

if TYPE_CHECKING:
    from toolweft_server.config import Config
    from toolweft_server.training.align.stages import Lessons, StagesConfig

HELP = "a language model that writes codes"
EXAMPLES = """\
  toolweft train lm --model ./qwen --codes ./woven --out ./lm --requests requests.jsonl.gz
  toolweft train lm --model ./qwen --codes ./woven --out ./lm --asked --method lora --rate 2e-4
  toolweft train lm --model ./qwen --codes ./woven --out ./lm --toolbench answers.json --traces runs/*.jsonl
  toolweft train lm --model ./qwen --codes ./woven --out ./lm --asked --settings lm.json --seed 3 --resume
"""

_EVERY = ("method", "epochs", "batch", "accumulate", "rate", "precision", "device", "every")
"""Options that are put into each stage."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", required=True, metavar="FOLDER", help="a causal model of `transformers`, saved there"
    )
    parser.add_argument("--codes", required=True, metavar="FOLDER", help="what `toolweft train tokenize` wrote")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where the trained model goes")
    taught = parser.add_argument_group("what is taught, beside the tools themselves")
    taught.add_argument("--requests", nargs="+", default=[], metavar="FILE",
                        help='JSON lines: {"query": "…", "gold": [ids], "split": "train"}')  # fmt: skip
    taught.add_argument("--asked", action="store_true", help="requests in the store, with the calls that followed")
    taught.add_argument(
        "--toolbench", nargs="+", default=[], metavar="FILE", help="conversations as ToolBench has them"
    )
    taught.add_argument("--traces", nargs="+", default=[], metavar="FILE", help="traces of `toolweft ask`")
    how = parser.add_argument_group("how")
    how.add_argument("--settings", metavar="FILE", help="JSON; see above")
    how.add_argument("--method", choices=["full", "lora"])
    how.add_argument("--rows", choices=["ridge", "random"], help="how the code tokens begin: from the codebook or not")
    how.add_argument("--epochs", type=int, metavar="N")
    how.add_argument("--batch", type=int, metavar="N", help="rows at once")
    how.add_argument("--accumulate", type=int, metavar="N", help="batches to a step")
    how.add_argument("--rate", type=float, metavar="R", help="highest learning rate")
    how.add_argument("--precision", choices=["auto", "fp32", "bf16"])
    how.add_argument("--device", metavar="NAME", help="cpu, cuda, … (default: a GPU if there is one)")
    how.add_argument("--every", type=int, metavar="N", help="steps from one checkpoint to the next")
    how.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    from toolweft_server import config as configuration
    from toolweft_server.training.align import stages
    from toolweft_server.training.align.base import load_base

    settings = settings_of(args)
    lessons, notes = _lessons(args, configuration.load(args.config))
    for note in notes:
        print(f"… {note}", file=sys.stderr)
    base = load_base(Path(args.model))
    work = begun(Path(args.out), resume=args.resume)
    with _until_interrupted() as stop:
        done = stages.align(
            settings, lessons, base.model, base.tokenizer, stages.seeded(args.seed),
            folder=work, stop=stop, progress=told,
        )  # fmt: skip
        done.bundle.save(Path(args.out))
    shutil.rmtree(work, ignore_errors=True)
    result: dict[str, Any] = {
        "folder": args.out,
        "tools": len(done.bundle.tools),
        "seed": args.seed,
        "stages": {name: {"steps": len(losses), "first": losses[0], "last": losses[-1]}
                   for name, losses in done.losses.items()},
        "without_code": {name: len(each) for name, each in done.left_out.items() if each},
        "too_long": {name: len(each) for name, each in done.dropped.items() if each},
    }  # fmt: skip
    if args.json:
        show(result)
        return 0
    print(f"{result['tools']} tools taught to {args.out}")
    for name, losses in done.losses.items():
        print(f"{name}: {len(losses)} steps, loss {losses[0]:.4g} -> {losses[-1]:.4g}")
    return 0


def settings_of(args: argparse.Namespace) -> StagesConfig:
    """What the file and the options say.

    Raises:
        TrainingError: The file cannot be read, or a value makes no sense.

    """
    from toolweft_server.training.align.settings import stages_of
    from toolweft_server.training.errors import TrainingError

    document: Any = {}
    if args.settings:
        try:
            document = json.loads(Path(args.settings).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"settings cannot be read from {args.settings!r}: {error}") from error
    if isinstance(document, dict) and args.rows:
        document = document | {"rows": args.rows}
    given = {name: getattr(args, name) for name in _EVERY}
    return stages_of(document, every={name: value for name, value in given.items() if value is not None})


def _lessons(args: argparse.Namespace, config: Config) -> tuple[Lessons, list[str]]:
    """What is to be learned, and what a person should know about it."""
    from toolweft_server.index.lexical import fingerprint
    from toolweft_server.store.store import Store
    from toolweft_server.training import artefact
    from toolweft_server.training.align import reading
    from toolweft_server.training.align.stages import Lessons

    notes: list[str] = []
    with Store.open(config.store) as store:
        catalog = store.manifests.catalog()
        woven = artefact.load(Path(args.codes), catalogue=fingerprint(catalog))
        tools = catalog.tools([card.id for card in catalog])
        pairs = reading.asked(store) if args.asked else []
        for file in args.requests:
            found = reading.requests(Path(file))
            pairs += found.pairs
            notes += [f"{file}: {found.other_splits} requests are not for training"] if found.other_splits else []
        taken = [reading.toolbench(Path(file), catalog) for file in args.toolbench]
        taken += [reading.traces(map(Path, args.traces), store)] if args.traces else []
    ran = [each for source in taken for each in source.trajectories]
    left = [each for source in taken for each in source.left_out]
    notes.append(f"{len(tools)} tools, {len(pairs)} requests, {len(ran)} runs to learn from")
    notes += [f"left out: {each}" for each in left[:5]]
    notes += [f"… and {len(left) - 5} more"] if len(left) > 5 else []
    return Lessons(woven, tools, pairs, ran), notes


@contextmanager
def _until_interrupted() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: the first one waits for the end of a step, a second one ends at once."""
    asked = threading.Event()

    def pressed(number: int, _frame: object) -> None:
        asked.set()
        signal.signal(number, before)
        print("… stopping after this step; Ctrl-C again ends at once", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGINT, pressed)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)

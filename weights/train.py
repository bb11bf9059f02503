"""Makes the weights that toolweft ships, from the public data sets and nothing else.

    python weights/train.py --base MODEL_FOLDER | --encoder FOLDER --out FOLDER [--data FOLDER] [--without metatool]

Four stages, each taken up where it was left: the encoder is tuned by contrast (`FOLDER/model`), written as int8 ONNX
(`FOLDER/encoder`), heads are made that read its vectors as codes (`FOLDER/heads`), and the train requests of tools that
have many are kept as examples (`FOLDER/examples`). The last three folders are what `toolweft_server/weights` holds;
`--encoder FOLDER` begins with an encoder that is there, and makes the last two.

`--base` is all-MiniLM-L6-v2 as `save_pretrained` leaves it. What it was trained on, how it scores and under which
terms it may be used is told in `MODEL_CARD.md` beside this file.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from benchmarks import codes, datasets
from benchmarks.encodings import Kept

from toolweft_server.index.woven import traits
from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.training import encode, examples, heads
from toolweft_server.training.encoder.batches import BatchConfig
from toolweft_server.training.encoder.contrast import ContrastConfig, train
from toolweft_server.training.encoder.export import export
from toolweft_server.training.encoder.pairs import Corpus, Request, mined, pseudo
from toolweft_server.training.progress import Step

EPOCHS = {"weft_queries": 4.5, "metatool": 3.0, "bfcl": 3.0, "sealtools": 4.0, "apibank": 3.0}
"""How often the train requests of each set are gone through. toolbench is not among them: its tools are for
evaluation only."""
MOST = {"metatool": 60}
CLUMP = {"metatool": 1}
ALL = 10**6
PSEUDO_EPOCHS = 1.0
FACTOR = 0.8
"""On all epochs: what 70 minutes of one core have time for."""
AGAIN = {"weft_queries": 1.5, "metatool": 3.0, "bfcl": 0.5, "sealtools": 1.0, "apibank": 0.5}
"""The same for a second training at a lower rate, with all requests of each tool: metatool asks again and again for the
same 199 tools, many of them alike, and after the first training it is the one that is far from learnt."""
GENTLE = ContrastConfig(seed=2027, rate=4e-5)
LAST = {"weft_queries": 1.5, "metatool": 1.0, "bfcl": 0.3, "sealtools": 0.5, "apibank": 0.3}
LATE = ContrastConfig(seed=2028, rate=3e-5, memory=200)
"""And a third, in which each request stands against the tools of the 200 batches before it, of metatool against all."""
SHARE = 0.5
"""Of the third training in the weights that are kept, the rest being the second's: what it gains on requests for many
servers it keeps, what it forgets of small sets comes back (Wortsman et al. 2022, arXiv:2109.01903)."""
HEADS_SEED = 1
HEADS = heads.HeadsConfig(epochs=0)
"""Heads tied to the codebook and not trained: trained ones ranked no better on servers that they had not seen."""
SAID = {"name": "toolweft-tools-1", "base": "sentence-transformers/all-MiniLM-L6-v2", "licence": "Apache-2.0"}


def corpus(name: str) -> Corpus:
    data = datasets.load(name, "train")
    rows: dict[str, list[int]] = {}
    for row, tool in enumerate(data.tools):
        rows.setdefault(data.group[tool.id], []).append(row)
    numbers = {group: number for number, group in enumerate(rows)}
    group = [numbers[data.group[tool.id]] for tool in data.tools]
    requests = [Request(each.text, tuple(sorted(row for g in each.gold for row in rows[g]))) for each in data.requests]
    made = Corpus(name, data.tools, group, requests, EPOCHS[name], MOST.get(name, 48), CLUMP.get(name, 4))
    return replace(made, hard=mined(made))


def described(weft: Corpus) -> Corpus:
    """Requests made of descriptions. Of the product's own regime only servers that have train requests: the servers
    that judge the result stay unseen.
    """
    known = {weft.tools[row].server for request in weft.requests for row in request.gold}
    tools = [tool for tool in weft.tools if tool.server in known] + list(datasets.stream("apizoo"))
    return Corpus("pseudo", tools, range(len(tools)), pseudo(tools), PSEUDO_EPOCHS, 32)


def asked(names: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """The train requests of these sets, and what their right tools say, as the index tells tools apart."""
    texts: list[str] = []
    wanted: list[list[int]] = []
    for name in names:
        data = datasets.load(name, "train")
        says: dict[str, set[int]] = {}
        for tool, mark in zip(data.tools, traits.of(data.tools)["copy"].tolist(), strict=True):
            says.setdefault(data.group[tool.id], set()).add(mark)
        texts += [each.text for each in data.requests]
        wanted += [[mark for group in each.gold for mark in says[group]] for each in data.requests]
    return texts, wanted


def tune(base: Path, out: Path, names: Sequence[str], factor: float, *, made_up: bool) -> None:
    """The first two stages."""
    corpora = [corpus(name) for name in names]
    if made_up:
        corpora.append(described(corpora[0]))
    corpora = [replace(each, epochs=each.epochs * factor) for each in corpora]
    encoder = encode.load(base)
    for module in encoder.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    begun = time.monotonic()

    def show(step: Step) -> None:
        if step.done % 10 == 0:
            print(
                f"{time.monotonic() - begun:7.0f} s  {step.stage} {step.done}/{step.total} {step.loss:.3f}", flush=True
            )

    first = train(ContrastConfig(), BatchConfig(), encoder, corpora, state=out / "state.pt", progress=show)
    again = [
        replace(each, epochs=AGAIN[each.name] * factor / FACTOR, most=ALL) for each in corpora if each.name in AGAIN
    ]
    trained = train(GENTLE, BatchConfig(), first.encoder, again, state=out / "again.pt", progress=show)
    before = {name: each.detach().clone() for name, each in trained.encoder.model.state_dict().items()}
    last = [replace(each, epochs=LAST[each.name] * factor / FACTOR, complete=each.name == "metatool") for each in again]
    trained = train(LATE, BatchConfig(), trained.encoder, last, state=out / "last.pt", progress=show)
    after = trained.encoder.model.state_dict()
    trained.encoder.model.load_state_dict({
        name: each.lerp(after[name], SHARE) if each.is_floating_point() else each for name, each in before.items()
    })  # fmt: skip
    trained.encoder.model.save_pretrained(out / "model")
    trained.encoder.tokenizer.save_pretrained(out / "model")  # type: ignore[attr-defined]
    print(f"{first.steps} + {trained.steps} steps in {time.monotonic() - begun:.0f} s", flush=True)
    print(export(trained.encoder.model, trained.encoder.tokenizer, out / "encoder", **SAID), flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    begin = arguments.add_mutually_exclusive_group(required=True)
    begin.add_argument("--base", type=Path, metavar="FOLDER")
    begin.add_argument("--encoder", type=Path, metavar="FOLDER")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--data", type=Path)
    arguments.add_argument("--without", default="", help="sets left out, comma-separated")
    arguments.add_argument("--epochs", type=float, default=FACTOR, help="factor on all epochs of the encoder")
    given = arguments.parse_args()
    if given.data:
        os.environ["TOOLWEFT_DATA"] = str(given.data)
    torch.manual_seed(ContrastConfig().seed)
    given.out.mkdir(parents=True, exist_ok=True)
    left = given.without.split(",")
    names = [name for name in EPOCHS if name not in left]
    if given.base:
        tune(given.base, given.out, names, given.epochs, made_up="pseudo" not in left)
    tuned = Encoder.load(given.encoder or given.out / "encoder")
    kept = Kept(tuned, given.out / "vectors")
    made = codes.train(names, kept, HEADS_SEED, HEADS)
    heads.save(made, given.out / "heads", encoder=tuned.digest, config=asdict(HEADS) | {"seed": HEADS_SEED})
    texts, wanted = asked(names)
    found = examples.fit(
        examples.ExamplesConfig(), kept.encode(texts), wanted, given.out / "examples", encoder=tuned.digest
    )
    kept.save()
    print(f"{len(found.bits)} examples of {len(found.tools)} tools")


if __name__ == "__main__":
    main()

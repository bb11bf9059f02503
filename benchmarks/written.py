"""A language model that writes codes, on as much of ToolBench as one core can teach it.

    python -m benchmarks.written --encoder FOLDER [--heads FOLDER] [--cache FOLDER] [--whole]

The catalogue: the tools of all servers that the requests of G1 ask for; with `--whole` all of them, of which the model
then sees each once and half as far, and G2 and G3 ask, too. The model, two layers of 128 made from a configuration,
knows no language before. It memorises the documents, then learns the train requests whose tools are all here, and for
each tool the first sentence of its description as if somebody had asked that. Unique codes, by RQ-k-means 2×128 (whole:
2×256) of the shipped encoder's vectors. `written` is what the model writes by itself, twenty beams under the
trie; `generative` is the index that stands it beside words. What this is not: ToolWeaver, which teaches a model of 8
billion weights, that knows language, half a million requests.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from benchmarks import datasets, encodings, machine, rows
from benchmarks.encodings import Kept
from benchmarks.toolbench import GROUPS, SHOWN
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from toolweft_catalog.tool import Tool
from toolweft_server.commands.eval import Ticker
from toolweft_server.evaluation import report, statistics
from toolweft_server.evaluation.data import Dataset
from toolweft_server.evaluation.suite import Suite
from toolweft_server.evaluation.systems import System
from toolweft_server.index.generative import BEAMS, GenerativeIndex
from toolweft_server.index.woven.document import text_of
from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.training.align import decode
from toolweft_server.training.align.bundle import Bundle
from toolweft_server.training.align.conversations import Pair, Turn, document, prompt, request_text
from toolweft_server.training.align.stages import Lessons, StagesConfig, align
from toolweft_server.training.align.train import AlignConfig
from toolweft_server.training.encoder.pairs import pseudo
from toolweft_server.training.progress import Step
from toolweft_server.training.rqkmeans import RqKMeansConfig
from toolweft_server.training.tokenise import Sources, TokeniseConfig, tokenise

WIDTH, LAYERS, WORDS = 128, 2, 3000
SEED = 1


class Size(NamedTuple):
    groups: tuple[str, ...]
    stages: StagesConfig
    codes: TokeniseConfig


def _size(groups: Sequence[str], *, epochs: int, limit: int, codes: int) -> Size:
    stage = AlignConfig(epochs=epochs, batch=32, rate=2e-3, warm_up=0.05, precision="fp32", device="cpu")
    quantiser = RqKMeansConfig(levels=2, codes=codes, rounds=25, projection_steps=0)
    return Size(
        tuple(groups),
        StagesConfig(memorise=stage, retrieve=stage, act=None, limit=limit, both_ways=False, replay=0.2),
        TokeniseConfig(quantiser=quantiser, assignment="unique", seed=SEED),
    )


PART = _size(["G1"], epochs=4, limit=128, codes=128)
WHOLE = _size(["G1", "G2", "G3"], epochs=1, limit=64, codes=256)


def part(whole: Dataset) -> Dataset:
    """G1, and the tools of the servers that it asks for."""
    asked = group(whole, "G1").requests
    server = {tool.id: tool.server for tool in whole.tools}
    wanted = {server[tool] for request in asked for tool in request.tools}
    tools = [tool for tool in whole.tools if tool.server in wanted]
    return replace(whole, tools=tools, requests=asked)


def group(data: Dataset, name: str) -> Dataset:
    return replace(data, requests=[each for each in data.requests if each.id.startswith(GROUPS[name])])


def tokenizer_of(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE(unk_token=None))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet, special = pre_tokenizers.ByteLevel.alphabet(), ["<|pad|>", "<|end|>"]
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=WORDS, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw, eos_token="<|end|>", pad_token="<|pad|>"
    )


def taught(data: Dataset, train: Dataset, encoder: Kept, size: Size) -> tuple[Bundle, str]:
    """The model, and what it learned from."""
    known = {tool.id for tool in data.tools}
    real = [Pair(each.id, each.text, sorted(each.tools)) for each in train.requests if each.tools <= known]
    made = [Pair(f"says {n}", each.text, [data.tools[each.gold[0]].id]) for n, each in enumerate(pseudo(data.tools))]
    vectors = encoder.encode([text_of(tool) for tool in data.tools])
    artefact = tokenise(
        size.codes, Sources([(tool.id, tool.digest) for tool in data.tools], vectors, encoder.digest)
    ).artefact
    texts = [document(tool) for tool in data.tools] + [each.request for each in real]
    tokenizer = tokenizer_of([*texts, prompt("retrieve", request=""), prompt("memorise", document="")])
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=LAYERS,
                num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=512, bos_token_id=None,
                eos_token_id=None, tie_word_embeddings=True, initializer_range=0.1,
            )
        )  # fmt: skip
    lessons = Lessons(artefact, data.tools, [*real, *made])
    begun = time.monotonic()
    done = align(size.stages, lessons, model, tokenizer, torch.Generator().manual_seed(SEED), progress=_told(begun))
    weights = sum(each.numel() for each in model.parameters()) / 1e6
    losses = "; ".join(f"{name} {each[0]:.2f} -> {sum(each[-20:]) / 20:.2f}" for name, each in done.losses.items())
    said = f"{weights:.1f} million weights, {len(real)} requests of train, {len(made)} made of descriptions; {losses}; "
    return done.bundle, said + f"{(time.monotonic() - begun) / 60:.0f} minutes"


def _told(begun: float) -> Any:
    def told(step: Step) -> None:
        if step.done % 50 == 0:
            spent = time.monotonic() - begun
            print(f"… {spent:.0f} s {step.stage} {step.done}/{step.total} loss {step.loss:.2f}", flush=True)

    return told


class Written:
    """What the model writes by itself, without the words' candidates."""

    name = "written"

    def __init__(self, tools: Sequence[Tool], bundle: Bundle) -> None:
        encode = bundle.encoder.tokens.encode
        self._bundle = bundle
        self._tools = {encode(bundle.tools[tool.id].code): tool.id for tool in tools}
        self._steps = decode.compiled(decode.PathTrie(self._tools), bundle.encoder.end)

    def rank(self, queries: Sequence[str], depth: int) -> list[list[str]]:
        encoder = self._bundle.encoder
        prompts = [encoder.prompt([Turn("user", request_text(query))]) for query in queries]
        found = decode.beam_search(self._bundle.model, prompts, self._steps, beams=BEAMS, fill=encoder.pad)
        return [[self._tools[hit.path] for hit in each][:depth] for each in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder that codes are made with")
    parser.add_argument("--heads", type=Path, help="folder of its heads (default: the shipped ones)")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--whole", action="store_true", help="all 49,001 tools, each seen once; about half an hour")
    given = parser.parse_args()
    size = WHOLE if given.whole else PART
    torch.set_num_threads(1)
    encoder = Kept(Encoder.load(given.encoder), given.cache)
    data, train = datasets.load("toolbench", "test"), datasets.load("toolbench", "train")
    data = data if given.whole else part(data)
    print(f"{len(data.tools)} tools; percent, ± 95 %; {machine.line()}", flush=True)
    suite = Suite(data.tools, engine=encodings.engine(encoder, given.heads), progress=Ticker())
    bundle, said = taught(data, train, encoder, size)
    print(said, flush=True)
    written: list[System] = [suite.make(name) for name in ("bm25f", "encoder", "woven")]
    written.append(Written(data.tools, bundle))
    suite = Suite(data.tools, generative=lambda tools: GenerativeIndex.build(tools, bundle))
    written.append(suite.make("generative"))
    table = [["requests", "system", *SHOWN]]
    for name in size.groups:
        asked = group(data, name)
        for system in written:
            found: rows.Scores = report.measure(asked, system, progress=Ticker()).scores
            shown = [report.percent(statistics.interval(found[each])) for each in SHOWN]
            table.append([f"{name} ({len(asked.requests)})", system.name, *shown])
            print("… " + "  ".join(table[-1]), flush=True)
    print("\n" + report.aligned(table))


if __name__ == "__main__":
    main()

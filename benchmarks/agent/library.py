# ruff: noqa: E501 - a table of one entry a line is read more easily than a wrapped one
"""What a growing library of saved functions is worth: families of tasks in random order, with it and without.

    python -m benchmarks.agent.library [--tasks 240] [--seed 0] [--json FILE] [--plot FILE]

A family is a question about films with another name in it each time (`FAMILIES`, defined here; the world is the emulated
one of RestBench). The *family coder* stands for the model: it writes a function with parameters for the family and
calls it; if a prompt shows the saved function of the family, it calls that one instead. It knows the answers, so its
figures say what the server offers and when, never how well a model would do. *Cold* runs the same tasks with programs
from which nothing can be saved; *solved* is cold with solved tasks kept as examples: the coder needs none, so what is
counted is whether a design is shown a task of its own family, and what that costs. Everything is counted from traces
and from the world's own log.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import anyio
from benchmarks import machine
from benchmarks.agent.films_data import library
from benchmarks.agent.restbench import RestBench
from benchmarks.agent.run import Bench, open_bench
from benchmarks.agent.task import Task, play
from benchmarks.agent.world import Now

from toolweft_client.account import Account, account_of
from toolweft_client.agent import Agent
from toolweft_client.model.base import Message, Reply, Usage
from toolweft_client.rate import Rate
from toolweft_client.stages.answer import Answer
from toolweft_client.trace import Trace, read

_FILM = "found = films.search_movie(query=film)['results'][0]"
_SHOW = "found = films.search_tv(query=show)['results'][0]"
_PERSON = "found = films.search_person(query=person)['results'][0]"


class Family(NamedTuple):
    name: str
    """Of the function that the coder writes."""
    slot: str
    """Its parameter: film, show or person."""
    doc: str
    asks: Sequence[str]
    """The question, in several wordings."""
    lines: Sequence[str]
    value: str


FAMILIES: Sequence[Family] = (
    Family("director_of_film", "film", "Who directed a film.",
           ("Who directed the film {}?", "Name the director of {}.", "Whose film is {}, who directed it?"),
           (_FILM, "crew = films.movie_credits(movie_id=found['id'])"),
           "[each['name'] for each in crew['crew'] if each['job'] == 'Director'][0]"),
    Family("lead_actor_of_film", "film", "The actor in the leading part of a film.",
           ("Which actor has the leading part in {}?", "Who plays the lead in the film {}?"),
           (_FILM, "crew = films.movie_credits(movie_id=found['id'])"), "crew['cast'][0]['name']"),
    Family("running_time_of_film", "film", "How long a film runs, in minutes.",
           ("How long does the film {} run?", "How many minutes does {} take?"),
           (_FILM, "full = films.movie_details(movie_id=found['id'])"), "full['runtime']"),
    Family("keywords_of_film", "film", "The keywords that describe a film.",
           ("Which keywords describe the film {}?", "Give me the keywords of {}."),
           (_FILM, "words = films.movie_keywords(movie_id=found['id'])"), "words['keywords']"),
    Family("recommended_after_film", "film", "Three films that people who liked a film recommend.",
           ("I liked {}. Name three films that people who liked it recommend.", "What three films are recommended after {}?"),
           (_FILM, "more = films.movie_recommendations(movie_id=found['id'])"),
           "[each['title'] for each in more['results'][:3]]"),
    Family("birthday_of_person", "person", "The day on which a person was born.",
           ("When was {} born?", "What is the birthday of {}?"),
           (_PERSON, "full = films.person_details(person_id=found['id'])"), "full['birthday']"),
    Family("count_films_of_actor", "person", "In how many films a person has acted.",
           ("How many films has {} acted in?", "Count the films in which {} acts."),
           (_PERSON, "works = films.person_movie_credits(person_id=found['id'])"), "len(works['cast'])"),
    Family("best_rated_film_of_person", "person", "The best rated film with a person in cast or crew.",
           ("Which film with {} in the cast or crew is rated best?", "What is the best rated film of {}?"),
           (_PERSON, "works = films.person_movie_credits(person_id=found['id'])", "every = works['cast'] + works['crew']"),
           "max(every, key=lambda each: each['vote_average'])['title']"),
    Family("seasons_of_series", "show", "How many seasons a series has.",
           ("How many seasons does the series {} have?", "For how many seasons did {} run?"),
           (_SHOW, "full = films.tv_details(tv_id=found['id'])"), "full['number_of_seasons']"),
    Family("cast_of_series", "show", "Who plays in a series.",
           ("Who plays in the series {}?", "Name the cast of the series {}."),
           (_SHOW, "crew = films.tv_credits(tv_id=found['id'])"), "[each['name'] for each in crew['cast']]"),
    Family("network_of_series", "show", "The network that shows a series, and where it is based.",
           ("Which network shows {}, and where is it based?", "On which network does the series {} run, and where is that?"),
           (_SHOW, "full = films.tv_details(tv_id=found['id'])",
            "net = films.network_details(network_id=full['networks'][0]['id'])"), "[net['name'], net['headquarters']]"),
    Family("series_recommended_after", "show", "Three series for people who like a series.",
           ("Which series are recommended to people who like {}? Three will do.", "Recommend three series to a friend of {}."),
           (_SHOW, "more = films.tv_recommendations(tv_id=found['id'])"), "[each['name'] for each in more['results'][:3]]"),
)  # fmt: skip


CONSTANTS = {"job": "Director"}
"""Values in the programs that a request may happen to say, too: then the saved function has a parameter for them."""


@dataclass(frozen=True, slots=True)
class Asked:
    family: Family
    name: str
    text: str

    @property
    def call(self) -> str:
        return f"{self.family.name}({self.name!r})"

    def program(self, *, saved: bool) -> str:
        """With a function that can be saved, or as plain lines."""
        family = self.family
        if not saved:
            return "\n".join([f"{family.slot} = {self.name!r}", *family.lines, family.value]) + "\n"
        inside = "\n".join(f"    {line}" for line in family.lines)
        head = f'def {family.name}({family.slot}: str):\n    """{family.doc}"""\n'
        return f"{head}{inside}\n    return {family.value}\n\n\n{self.call}\n"


@dataclass
class FamilyCoder:
    """A `ChatModel` for one task."""

    asked: Asked
    warm: bool
    spoilt: str = ""
    """A program that it writes in place of the family's, whatever it is shown."""
    name: str = "family coder"
    prompts: list[str] = field(default_factory=list)
    """Those in which a design was asked for."""

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,  # noqa: ARG002 - its programs are short
        stop: Sequence[str] | None = None,  # noqa: ARG002
        stage: str = "",
    ) -> Reply:
        if stage == "design":
            self.prompts.append(messages[-1].text)
        # What a repair is about is shown to it, too: that is no offer.
        saved = self._saved(messages[-1].text) if stage != "repair" else None
        if self.spoilt:
            code = self.spoilt
        elif self.warm and saved is not None:
            code = saved
        elif stage == "direct":
            code = f"# more: {self.asked.family.doc}\n"
        else:
            code = self.asked.program(saved=self.warm)
        text = f"```python\n{code}```"
        return Reply(text, Usage(sum(len(each.text) for each in messages) // 4, len(text) // 4), model=self.name)

    def _saved(self, prompt: str) -> str | None:
        """A call of a saved function of the family, with the arguments that its signature in the prompt asks for."""
        family = self.asked.family
        values = {family.slot: self.asked.name, **CONSTANTS}
        for name in dict.fromkeys(re.findall(rf"functions\.({family.name}(?:_\d+)?)\(", prompt)):
            shown = re.search(rf"\b{name}\(([^)\n]*:[^)\n]*)\)", prompt)
            names = re.findall(r"(\w+):", shown[1]) if shown else []
            if names and set(names) <= values.keys():
                return f"functions.{name}({', '.join(f'{each}={values[each]!r}' for each in names)})\n"
        return None


class Run(NamedTuple):
    family: str
    right: bool
    model_calls: int
    input_tokens: int
    reused: bool
    """Whether a saved function answered."""
    examples: Sequence[str] = ()
    """Solved tasks that its design was shown, as they were asked."""


def tasks(count: int, seed: int) -> list[Asked]:
    """Families, names and wordings at random; no request twice."""
    rng, db = Random(seed), library()
    actors = sorted(
        {each["person"] for each in db.credits.values() if each["kind"] == "movie" and each["job"] == "Actor"}
    )
    names = {
        "film": sorted(row["title"] for row in db.movies.values()),
        "show": sorted(row["name"] for row in db.series.values()),
        "person": [db.people[each]["name"] for each in actors],
    }
    made: dict[str, Asked] = {}
    while len(made) < count:
        family = rng.choice(FAMILIES)
        name = rng.choice(names[family.slot])
        text = rng.choice(family.asks).format(name)
        made.setdefault(text, Asked(family, name, text))
    return list(made.values())


_EXAMPLE = re.compile(r"^The task: (.+)$", re.MULTILINE)


async def solved(bench: Bench, asked: Asked, number: int, *, warm: bool) -> Run:
    task = Task(f"family-{number}", asked.text, asked.program(saved=True))
    gold = play(task, bench.benchmark.worlds())
    Now(number, task.id).write(bench.folder)
    model = FamilyCoder(asked, warm)
    answer, told = await run(bench, model, asked.text, number)
    return Run(
        asked.family.name, answer.status == "answered" and answer.value == gold.value, told.model_calls,
        told.input_tokens, "functions." in answer.program, _EXAMPLE.findall("\n".join(model.prompts)),
    )  # fmt: skip


async def run(bench: Bench, model: FamilyCoder, text: str, number: int) -> tuple[Answer, Account]:
    """One task, and what its trace says of it."""
    path = bench.folder / "traces" / f"{number:05}.jsonl"
    answer = await Agent(model, bench.session, budget=bench.budget).run(text, trace=Trace.to(path))
    return answer, account_of(read(path))


async def measure(wanted: Sequence[Asked], folder: Path) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for label in ("cold", "warm", "solved"):
        kept = {"index": {"keep_requests": label == "solved"}}
        async with open_bench(RestBench("films"), folder / label, distractors=kept) as bench:
            for number, asked in enumerate(wanted, 1):
                runs.setdefault(label, []).append(await solved(bench, asked, number, warm=label == "warm"))
                if number % 40 == 0:
                    print(f"{label} {number}/{len(wanted)}", file=sys.stderr, flush=True)
    return runs


def shown(wanted: Sequence[Asked], runs: Sequence[Run]) -> dict[str, float]:
    """Shares of the tasks: with an example at all, and with one of its own family where there had been one."""
    families = {each.text: each.family.name for each in wanted}
    akin = [run.family in {families.get(each) for each in run.examples} for run in runs]
    met = [number for number, run in enumerate(runs) if run.family in {each.family for each in runs[:number]}]
    return {
        "any": sum(bool(run.examples) for run in runs) / len(runs),
        "of_its_family": sum(akin[number] for number in met) / max(1, len(met)),
    }


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    tenth = max(1, len(runs) // 10)
    parts = [runs[at : at + tenth] for at in range(0, len(runs), tenth)]
    return {
        "success": str(Rate(sum(each.right for each in runs), len(runs))),
        "model_calls": sum(each.model_calls for each in runs) / len(runs),
        "input_tokens": sum(each.input_tokens for each in runs) / len(runs),
        "reused": sum(each.reused for each in runs) / len(runs),
        "by_tenths": [
            {
                "success": sum(each.right for each in part) / len(part),
                "model_calls": round(sum(each.model_calls for each in part) / len(part), 3),
                "reused": round(sum(each.reused for each in part) / len(part), 3),
            }
            for part in parts
        ],
    }


def plot(runs: dict[str, list[Run]], path: Path) -> None:
    """Model calls and successes so far, task by task."""
    import matplotlib as mpl

    mpl.use("svg" if path.suffix == ".svg" else "agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    for label, each in runs.items():
        calls = [sum(one.model_calls for one in each[: n + 1]) / (n + 1) for n in range(len(each))]
        left.plot(range(1, len(each) + 1), calls, label=label)
        right.plot(
            range(1, len(each) + 1), [sum(one.right for one in each[: n + 1]) for n in range(len(each))], label=label
        )
    left.set(xlabel="tasks", ylabel="model calls a task so far", ylim=(0, None))
    right.set(xlabel="tasks", ylabel="tasks solved so far", ylim=(0, None))
    left.legend()
    figure.tight_layout()
    figure.savefig(path)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agent.library", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--tasks", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw the curves into this file (.png or .svg; needs matplotlib)")
    options = parser.parse_args(argv)
    print(machine.line())
    with tempfile.TemporaryDirectory() as scratch:
        wanted = tasks(options.tasks, options.seed)
        runs = anyio.run(measure, wanted, Path(scratch))
    figures = {label: summary(each) for label, each in runs.items()}
    figures["solved"]["examples"] = examples = shown(wanted, runs["solved"])
    print(
        f"{options.tasks} tasks of {len(FAMILIES)} families over RestBench's films, emulated; family coder, seed {options.seed}"
    )
    for label, each in figures.items():
        print(f"{label:<6} success {each['success']}; a task: {each['model_calls']:.2f} model calls, "
              f"{each['input_tokens']:.0f} input tokens; answered by a saved function: {100 * each['reused']:.1f} %")  # fmt: skip
    fewer = 1 - figures["warm"]["model_calls"] / figures["cold"]["model_calls"]
    print(f"warm against cold: {100 * fewer:.1f} % fewer model calls")
    print(f"solved: {100 * examples['any']:.1f} % of the designs are shown a solved task, {100 * examples['of_its_family']:.1f} % "
          "one of their own family where there had been one")  # fmt: skip
    print("model calls by tenths of the tasks:",
          *(f"{each['model_calls']:.2f}" for each in figures["warm"]["by_tenths"]))  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps({"machine": machine.describe(), **figures}, indent=1), encoding="utf-8")
    if options.plot:
        plot(runs, options.plot)


if __name__ == "__main__":
    main()

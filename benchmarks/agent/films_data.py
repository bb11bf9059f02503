"""A made-up world of films, series and people, the same for the same seed; every name is drawn from the lists below.

It is consistent where a program could notice: a credit stands with the person and with the film, a film in a
collection names it, a season has as many episodes as it says, dates fit the pinned `TODAY`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

TODAY = "2026-01-15"
FILMS, SERIES, PEOPLE, COMPANIES, NETWORKS, COLLECTIONS = 300, 60, 800, 40, 12, 30

_FIRST = "Ada Bela Cato Dora Edda Falk Gesa Hugo Ines Jori Kaja Levi Mona Nils Olga Pia Quin Rosa Sven Thea Udo Vera"
_LAST = "Abel Brandt Castor Dorn Elster Fink Gral Holm Imker Jansen Kranich Lund Mohn Nagel Otter Pohl Quast Riemer"
_ADJECTIVES = "Amber Broken Crimson Distant Eternal Fading Gentle Hollow Iron Jaded Last Quiet Silver Winter Wooden"
_NOUNS = "Bridge Compass Harbour Island Journey Lantern Letter Meadow Mirror Orchard Promise River Signal Tower Voyage"
_JOBS = ("Director", "Writer", "Producer", "Composer")
_GENRES = ("Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Mystery", "Romance", "War")
_COUNTRIES = ("DE", "FR", "JP", "SE", "US")
_KEYWORDS = (
    "alps",
    "balloon",
    "clock",
    "desert",
    "exile",
    "forest",
    "ghost",
    "heist",
    "island",
    "jury",
    "lake",
    "moon",
)
_PRAISE = ("I would see it again.", "It takes its time.", "The end is a surprise.", "Too long by half an hour.")


@dataclass
class Library:
    """Every table by id. Ids of different tables do not overlap, so that a mixed-up one is noticed."""

    movies: dict[int, Row] = field(default_factory=dict)
    series: dict[int, Row] = field(default_factory=dict)
    people: dict[int, Row] = field(default_factory=dict)
    companies: dict[int, Row] = field(default_factory=dict)
    networks: dict[int, Row] = field(default_factory=dict)
    collections: dict[int, Row] = field(default_factory=dict)
    genres: dict[int, str] = field(default_factory=dict)
    credits: dict[str, Row] = field(default_factory=dict)
    """Who did what where: `person`, `kind` (movie or tv), `work`, `job`, `character`, `order`."""
    reviews: dict[str, Row] = field(default_factory=dict)


def library(seed: int = 2026) -> Library:
    rng, made = Random(seed), Library()
    made.genres = {80_000 + n: name for n, name in enumerate(_GENRES)}
    names = _names(rng, PEOPLE)
    for n in range(PEOPLE):
        born = f"{rng.randint(1930, 2003)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        made.people[10_000 + n] = {
            "id": 10_000 + n, "name": names[n], "birthday": born, "place_of_birth": rng.choice(_COUNTRIES),
            "popularity": _once(rng, 1, 900, n), "biography": f"{names[n]} has worked in film since youth.",
        }  # fmt: skip
    for n, name in enumerate(_titles(rng, COMPANIES)):
        made.companies[20_000 + n] = {"id": 20_000 + n, "name": f"{name} Pictures", "headquarters": f"City {n}",
                                      "origin_country": rng.choice(_COUNTRIES)}  # fmt: skip
    for n, name in enumerate(_titles(rng, NETWORKS)):
        made.networks[30_000 + n] = {"id": 30_000 + n, "name": f"{name} TV", "headquarters": f"Town {n}",
                                     "origin_country": rng.choice(_COUNTRIES)}  # fmt: skip
    titles = _titles(rng, FILMS + SERIES + COLLECTIONS)
    for n, name in enumerate(titles[:COLLECTIONS]):
        made.collections[40_000 + n] = {
            "id": 40_000 + n,
            "name": f"{name} Collection",
            "overview": "A set.",
            "parts": [],
        }
    for n, name in enumerate(titles[COLLECTIONS : COLLECTIONS + FILMS]):
        _add_movie(made, rng, 50_000 + n, name, n)
    for n, name in enumerate(titles[COLLECTIONS + FILMS :]):
        _add_series(made, rng, 60_000 + n, name, n)
    return made


def _add_movie(made: Library, rng: Random, number: int, title: str, n: int) -> None:
    collection = rng.choice(sorted(made.collections)) if rng.random() < 0.4 else None
    year = rng.randint(1970, 2026)
    row = {
        **_work(made, rng, number, n), "title": title, "runtime": rng.randint(70, 200),
        "release_date": f"{year}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        "budget": rng.randint(1, 300) * 1_000_000 + n, "revenue": rng.randint(1, 900) * 1_000_000 + n,
        "production_companies": rng.sample(sorted(made.companies), 2), "belongs_to_collection": collection,
    }  # fmt: skip
    made.movies[number] = row
    if collection is not None:
        made.collections[collection]["parts"].append(number)
    _credit(made, rng, "movie", number)
    _review(made, rng, "movie", number)


def _add_series(made: Library, rng: Random, number: int, name: str, n: int) -> None:
    first = rng.randint(1990, 2024)
    seasons: list[Row] = [
        {"season_number": s, "name": f"Season {s}", "air_date": f"{first + s - 1}-03-{rng.randint(1, 28):02}",
         "episodes": [{"episode_number": e, "name": f"{rng.choice(_ADJECTIVES.split())} {e}.{s}",
                       "runtime": rng.randint(20, 70), "vote_average": _once(rng, 1, 9, s * 100 + e)}
                      for e in range(1, rng.randint(4, 10))]}
        for s in range(1, rng.randint(2, 6))
    ]  # fmt: skip
    made.series[number] = {
        **_work(made, rng, number, n), "name": name, "first_air_date": f"{first}-03-01", "seasons": seasons,
        "last_air_date": seasons[-1]["air_date"], "networks": rng.sample(sorted(made.networks), 1),
        "number_of_seasons": len(seasons), "number_of_episodes": sum(len(each["episodes"]) for each in seasons),
    }  # fmt: skip
    _credit(made, rng, "tv", number)
    _review(made, rng, "tv", number)


def _work(made: Library, rng: Random, number: int, n: int) -> Row:
    """What films and series have in common. Votes and popularity never tie, so that "the most" is one."""
    return {
        "id": number, "overview": f"A story in {rng.randint(2, 9)} parts.", "popularity": _once(rng, 1, 500, n),
        "vote_average": _once(rng, 2, 9, n), "vote_count": rng.randint(10, 9_000),
        "genres": sorted(rng.sample(sorted(made.genres), 2)), "keywords": sorted(rng.sample(_KEYWORDS, 3)),
        "original_language": rng.choice(("de", "en", "fr", "ja", "sv")),
    }  # fmt: skip


def _credit(made: Library, rng: Random, kind: str, work: int) -> None:
    people = rng.sample(sorted(made.people), 7)
    for order, person in enumerate(people[:5]):
        part = f"{rng.choice(_FIRST.split())} the {rng.choice(_NOUNS.split())}"
        _one(made, {"person": person, "kind": kind, "work": work, "job": "Actor", "character": part, "order": order})
    for job, person in zip(("Director", rng.choice(_JOBS[1:])), people[5:], strict=True):
        _one(made, {"person": person, "kind": kind, "work": work, "job": job, "character": "", "order": 0})


def _one(made: Library, row: Row) -> None:
    number = f"c{len(made.credits):06}"
    made.credits[number] = {"id": number, **row}


def _review(made: Library, rng: Random, kind: str, work: int) -> None:
    for _ in range(rng.randint(1, 3)):
        number = f"r{len(made.reviews):06}"
        made.reviews[number] = {"id": number, "kind": kind, "media_id": work, "author": rng.choice(_FIRST.split()),
                                "content": rng.choice(_PRAISE), "rating": rng.randint(1, 10)}  # fmt: skip


def _once(rng: Random, low: int, high: int, n: int) -> float:
    """A number that no other `n` of the table has."""
    return round(rng.randint(low * 10, high * 10) / 10 + n / 100_000, 5)


def _names(rng: Random, many: int) -> list[str]:
    """All different: a middle letter tells namesakes apart."""
    pairs = [f"{a} {c}. {b}" for a in _FIRST.split() for b in _LAST.split() for c in "KMRT"]
    return rng.sample(pairs, many)


def _titles(rng: Random, many: int) -> list[str]:
    forms: Sequence[str] = ("The {} {}", "A {} {}", "{} {} Rising", "Beyond the {} {}")
    pairs = [form.format(a, b) for form in forms for a in _ADJECTIVES.split() for b in _NOUNS.split()]
    return rng.sample(pairs, many)

# ruff: noqa: E501 - a table of one entry a line is read more easily than a wrapped one
"""`Films`: 54 reading operations over `films_data`, after the family that RestBench's film half uses. All of it ours.

Which operations there are, and what each is for, follows that family, so that a path of calls means the same; names,
descriptions, parameters and answers are our own. Results are emulated and are to be called so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.agent.films_data import TODAY, Library, Row, library
from benchmarks.agent.world import Operation, ToolFailure

PAGE = 20

_INT: Row = {"type": "integer"}
_TEXT: Row = {"type": "string"}
_MEDIA: Row = {"type": "string", "enum": ["movie", "tv", "person"], "description": "What kind of thing."}
_OF = {
    "movie": {"movie_id": {**_INT, "description": "Id of the film."}},
    "tv": {"tv_id": {**_INT, "description": "Id of the series."}},
    "person": {"person_id": {**_INT, "description": "Id of the person."}},
    "company": {"company_id": {**_INT, "description": "Id of the production company."}},
    "network": {"network_id": {**_INT, "description": "Id of the TV network."}},
    "collection": {"collection_id": {**_INT, "description": "Id of the collection."}},
}
_SEASON = {**_OF["tv"], "season_number": {**_INT, "description": "Number of the season, from 1."}}
_EPISODE = {**_SEASON, "episode_number": {**_INT, "description": "Number of the episode in its season, from 1."}}
_QUERY: Row = {"query": {**_TEXT, "description": "Words of the name."}}
_PAGE: Row = {"page": {**_INT, "description": "Page of the list, 20 entries each; 1 if left out."}}
_SORT: Row = {"type": "string", "enum": ["popularity.desc", "vote_average.desc", "release.desc", "release.asc"],
         "description": "Order of the list."}  # fmt: skip
_FILTER: Row = {
    "genre_id": {**_INT, "description": "Only of this genre."},
    "year": {**_INT, "description": "Only first shown in this year."},
    "person_id": {**_INT, "description": "Only with this person in cast or crew."},
    "sort_by": _SORT,
    **_PAGE,
}


class Films:
    name = "films"

    def __init__(self) -> None:
        self._db: Library = library()

    def reset(self, task: str) -> None:  # noqa: ARG002 - nothing here changes
        return

    def operations(self) -> Sequence[Operation]:
        return [*self._searches(), *self._details(), *self._charts(), *self._seasons(), *self._rest()]

    def _searches(self) -> list[Operation]:
        tables: Mapping[str, tuple[str, Mapping[int, Row], str]] = {
            "movie": ("films by title", self._db.movies, "title"),
            "tv": ("series by name", self._db.series, "name"),
            "person": ("actors, directors and other people by name", self._db.people, "name"),
            "company": ("production companies by name", self._db.companies, "name"),
            "collection": ("collections of films that belong together, by name", self._db.collections, "name"),
        }

        def found(table: Mapping[int, Row], key: str) -> Callable[[Mapping[str, Any]], Row]:
            def search(given: Mapping[str, Any]) -> Row:
                words = given["query"].lower().split()
                hits = [row for row in table.values() if all(word in row[key].lower().split() for word in words)]
                return _page(sorted(hits, key=lambda row: (len(row[key]), row["id"])), given)

            return search

        return [
            _read(f"search_{kind}", f"Search for {what}.", {**_QUERY, **_PAGE}, found(table, key))
            for kind, (what, table, key) in tables.items()
        ]

    def _details(self) -> list[Operation]:
        """What hangs on one film, series, person, company, network or collection."""
        db, made = self._db, list[Operation]()
        for kind, table, what in (("movie", db.movies, "film"), ("tv", db.series, "series")):
            get = _getter(table, f"{kind}_id", what)
            rows: list[tuple[str, str, Callable[[Row], Any]]] = [
                ("details", f"Everything about one {what}: dates, genres, votes, who made it.", self._whole),
                ("credits", f"Cast and crew of one {what}.", lambda row, kind=kind: self._credits(kind, row["id"])),  # type: ignore[misc]
                ("images", f"Posters and backdrops of one {what}.", lambda row: _images(row["id"], "posters", "backdrops")),
                ("keywords", f"Keywords that describe one {what}.", lambda row: {"id": row["id"], "keywords": row["keywords"]}),
                ("recommendations", f"What people who liked this {what} liked too.", lambda row, t=table: _alike(row, t, "genres")),  # type: ignore[misc]
                ("similar", f"Others of the same kind as this {what}, by keywords.", lambda row, t=table: _alike(row, t, "keywords")),  # type: ignore[misc]
                ("reviews", f"What people wrote about one {what}.", lambda row: self._reviews(row["id"])),
            ]  # fmt: skip
            if kind == "movie":
                rows.append(("release_dates", "When one film came out in each country.", _releases))
            made += [_read(f"{kind}_{tail}", text, _OF[kind], _of(get, give)) for tail, text, give in rows]
        person = _getter(db.people, "person_id", "person")
        made += [
            _read("person_details", "Everything about one person: birthday, birthplace, life.", _OF["person"], _of(person, dict)),
            _read("person_movie_credits", "Films one person acted in or worked on, with the job.", _OF["person"], _of(person, lambda row: self._works("movie", row["id"]))),
            _read("person_tv_credits", "Series one person acted in or worked on, with the job.", _OF["person"], _of(person, lambda row: self._works("tv", row["id"]))),
            _read("person_images", "Portraits of one person.", _OF["person"], _of(person, lambda row: _images(row["id"], "profiles"))),
        ]  # fmt: skip
        for kind, others, what in (
            ("company", db.companies, "production company"),
            ("network", db.networks, "TV network"),
        ):
            get = _getter(others, f"{kind}_id", what)
            made += [
                _read(f"{kind}_details", f"Where one {what} sits and where it comes from.", _OF[kind], _of(get, dict)),
                _read(f"{kind}_images", f"Logos of one {what}.", _OF[kind], _of(get, lambda row: _images(row["id"], "logos"))),
            ]  # fmt: skip
        get = _getter(db.collections, "collection_id", "collection")
        return [
            *made,
            _read("collection_details", "One collection with all its films.", _OF["collection"], _of(get, self._collection)),
            _read("collection_images", "Posters of one collection.", _OF["collection"], _of(get, lambda row: _images(row["id"], "posters", "backdrops"))),
        ]  # fmt: skip

    def _charts(self) -> list[Operation]:
        db = self._db

        def chart(rows: list[Row], key: str, *, keep: Callable[[Row], bool] = lambda _row: True) -> Callable[..., Row]:
            ranked = sorted((row for row in rows if keep(row)), key=lambda row: (row[key], row["id"]), reverse=True)
            return lambda given: _page(ranked, given)

        movies, series = list(db.movies.values()), list(db.series.values())

        def month(row: Row) -> bool:
            return bool("2025-06-01" <= row["release_date"] <= TODAY)

        past = [row for row in movies if row["release_date"] <= TODAY]
        latest = max(past, key=lambda row: (row["release_date"], row["id"]))
        newest = max(series, key=lambda row: (row["first_air_date"], row["id"]))
        return [
            _read("movie_latest", "The film that came out last.", {}, lambda _given: self._whole(latest)),
            _read("movie_now_playing", "Films in cinemas now.", _PAGE, chart(movies, "popularity", keep=month)),
            _read("movie_popular", "Films by popularity, the most popular first.", _PAGE, chart(movies, "popularity")),
            _read("movie_top_rated", "Films by rating, the best first.", _PAGE, chart(movies, "vote_average")),
            _read("movie_upcoming", "Films that will come out soon.", _PAGE,
                  chart(movies, "popularity", keep=lambda row: row["release_date"] > TODAY)),
            _read("tv_latest", "The series that began last.", {}, lambda _given: self._whole(newest)),
            _read("tv_airing_today", "Series with an episode today.", _PAGE, chart(series[:25], "popularity")),
            _read("tv_on_the_air", "Series with an episode in the next seven days.", _PAGE, chart(series[:40], "popularity")),
            _read("tv_popular", "Series by popularity, the most popular first.", _PAGE, chart(series, "popularity")),
            _read("tv_top_rated", "Series by rating, the best first.", _PAGE, chart(series, "vote_average")),
            _read("person_popular", "People by popularity, the most popular first.", _PAGE,
                  chart(list(db.people.values()), "popularity")),
            _read("trending", "What is watched or looked up most, of one kind, today or this week.",
                  {"media_type": _MEDIA, "time_window": {"type": "string", "enum": ["day", "week"], "description": "How far back."}},
                  self._trending),
        ]  # fmt: skip

    def _seasons(self) -> list[Operation]:
        def season(given: Mapping[str, Any]) -> Row:
            show = _get(self._db.series, given["tv_id"], "series")
            return _nth(show["seasons"], "season_number", given["season_number"], f"{show['name']} has no season")

        def episode(given: Mapping[str, Any]) -> Row:
            number = given["episode_number"]
            return _nth(season(given)["episodes"], "episode_number", number, "this season has no episode")

        def credits_of(given: Mapping[str, Any]) -> Row:
            return self._credits("tv", given["tv_id"])

        def stills(given: Mapping[str, Any]) -> Row:
            episode(given)
            return _images(given["tv_id"] * 1000 + given["season_number"] * 50 + given["episode_number"], "stills")

        return [
            _read("season_details", "One season of a series with its episodes.", _SEASON, lambda given: dict(season(given))),
            _read("season_credits", "Cast and crew of one season.", _SEASON, lambda given: season(given) and credits_of(given)),
            _read("season_images", "Posters of one season.", _SEASON,
                  lambda given: _images(given["tv_id"] * 1000 + season(given)["season_number"], "posters")),
            _read("episode_details", "One episode: name, length, rating.", _EPISODE, lambda given: dict(episode(given))),
            _read("episode_credits", "Cast, crew and guests of one episode.", _EPISODE, lambda given: episode(given) and credits_of(given)),
            _read("episode_images", "Stills of one episode.", _EPISODE, stills),
        ]  # fmt: skip

    def _rest(self) -> list[Operation]:
        def one(table: Mapping[str, Row], what: str, key: str) -> Callable[[Mapping[str, Any]], Row]:
            def get(given: Mapping[str, Any]) -> Row:
                if given[key] not in table:
                    raise ToolFailure(f"there is no {what} {given[key]!r}")
                return dict(table[given[key]])

            return get

        def genres(_given: Mapping[str, Any]) -> Row:
            return {"genres": [{"id": number, "name": name} for number, name in self._db.genres.items()]}

        identity = {**_TEXT, "description": "Id, as lists give it."}
        return [
            _read("discover_movie", "Films that meet conditions, in a chosen order.", _FILTER,
                  lambda given: self._discover("movie", given)),
            _read("discover_tv", "Series that meet conditions, in a chosen order.", _FILTER,
                  lambda given: self._discover("tv", given)),
            _read("genre_movie_list", "Ids and names of the genres of films.", {}, genres),
            _read("genre_tv_list", "Ids and names of the genres of series.", {}, genres),
            _read("credit_details", "One entry of a cast or crew.", {"credit_id": identity}, one(self._db.credits, "credit", "credit_id")),
            _read("review_details", "One review in full.", {"review_id": identity}, one(self._db.reviews, "review", "review_id")),
        ]  # fmt: skip

    def _whole(self, row: Row) -> Row:
        """A film or series with names where tables hold ids."""
        full = {**row, "genres": [{"id": each, "name": self._db.genres[each]} for each in row["genres"]]}
        if "production_companies" in row:
            full["production_companies"] = [_short(self._db.companies[each]) for each in row["production_companies"]]
            of = row["belongs_to_collection"]
            full["belongs_to_collection"] = _short(self._db.collections[of]) if of is not None else None
        else:
            full["networks"] = [_short(self._db.networks[each]) for each in row["networks"]]
            full["seasons"] = [{"season_number": each["season_number"], "name": each["name"], "air_date": each["air_date"],
                                "episode_count": len(each["episodes"])} for each in row["seasons"]]  # fmt: skip
        return full

    def _credits(self, kind: str, work: int) -> Row:
        mine = [each for each in self._db.credits.values() if (each["kind"], each["work"]) == (kind, work)]
        entries = [{"credit_id": each["id"], "id": each["person"], "name": self._db.people[each["person"]]["name"],
                    "job": each["job"], "character": each["character"], "order": each["order"]} for each in mine]  # fmt: skip
        return {"id": work, "cast": [each for each in entries if each["job"] == "Actor"],
                "crew": [each for each in entries if each["job"] != "Actor"]}  # fmt: skip

    def _works(self, kind: str, person: int) -> Row:
        table = self._db.movies if kind == "movie" else self._db.series
        mine = [each for each in self._db.credits.values() if (each["kind"], each["person"]) == (kind, person)]
        entries = [{**_brief(table[each["work"]]), "job": each["job"], "character": each["character"]} for each in mine]
        return {"id": person, "cast": [each for each in entries if each["job"] == "Actor"],
                "crew": [each for each in entries if each["job"] != "Actor"]}  # fmt: skip

    def _reviews(self, work: int) -> Row:
        return _page([each for each in self._db.reviews.values() if each["media_id"] == work], {})

    def _collection(self, row: Row) -> Row:
        return {**row, "parts": [_brief(self._db.movies[each]) for each in row["parts"]]}

    def _trending(self, given: Mapping[str, Any]) -> Row:
        db = self._db
        rows = {"movie": db.movies, "tv": db.series, "person": db.people}[given["media_type"]].values()
        salt = 7 if given["time_window"] == "day" else 11
        return _page(sorted(rows, key=lambda row: (-((row["id"] * salt) % 997), row["id"])), {})

    def _discover(self, kind: str, given: Mapping[str, Any]) -> Row:
        rows = list((self._db.movies if kind == "movie" else self._db.series).values())
        day = "release_date" if kind == "movie" else "first_air_date"
        if "person_id" in given:
            works = {each["work"] for each in self._db.credits.values() if each["person"] == given["person_id"]}
            rows = [row for row in rows if row["id"] in works]
        if "genre_id" in given:
            rows = [row for row in rows if given["genre_id"] in row["genres"]]
        if "year" in given:
            rows = [row for row in rows if row[day].startswith(str(given["year"]))]
        key, _, way = given.get("sort_by", "popularity.desc").partition(".")
        key = day if key == "release" else key
        return _page(sorted(rows, key=lambda row: (row[key], row["id"]), reverse=way == "desc"), given)


def _read(
    name: str, description: str, parameters: Mapping[str, Mapping[str, Any]], run: Callable[[Mapping[str, Any]], Any]
) -> Operation:
    optional = frozenset({"page", *(parameters if name.startswith("discover") else ())}) & set(parameters)
    return Operation(name, description, "read", parameters, run, frozenset(optional))


def _of(get: Callable[[Mapping[str, Any]], Row], give: Callable[[Row], Any]) -> Callable[[Mapping[str, Any]], Any]:
    return lambda given: give(get(given))


def _getter(table: Mapping[int, Row], key: str, what: str) -> Callable[[Mapping[str, Any]], Row]:
    return lambda given: _get(table, given[key], what)


def _get(table: Mapping[int, Row], number: int, what: str) -> Row:
    if number not in table:
        raise ToolFailure(f"there is no {what} with the id {number}")
    return table[number]


def _nth(rows: list[Row], key: str, number: int, complaint: str) -> Row:
    for row in rows:
        if row[key] == number:
            return row
    raise ToolFailure(f"{complaint} {number}")


def _page(rows: Sequence[Row], given: Mapping[str, Any]) -> Row:
    page = int(given.get("page", 1))
    shown = [_brief(row) for row in rows[(page - 1) * PAGE : page * PAGE]]
    return {"page": page, "results": shown, "total_results": len(rows), "total_pages": -(-len(rows) // PAGE)}


_BRIEF = ("id", "title", "name", "release_date", "first_air_date", "vote_average", "popularity", "author", "content",
          "rating", "genres")  # fmt: skip


def _brief(row: Row) -> Row:
    return {key: row[key] for key in _BRIEF if key in row}


def _short(row: Row) -> Row:
    return {"id": row["id"], "name": row["name"]}


def _images(number: int, *kinds: str) -> Row:
    made = {kind: [{"file_path": f"/{kind[:-1]}-{number}-{n}.jpg", "width": 500 * n} for n in (1, 2)] for kind in kinds}
    return {"id": number, **made}


def _alike(row: Row, table: Mapping[int, Row], key: str) -> Row:
    mine = set(row[key])
    near = [each for each in table.values() if each["id"] != row["id"] and mine & set(each[key])]
    return _page(sorted(near, key=lambda each: (-len(mine & set(each[key])), -each["popularity"])), {})


def _releases(row: Row) -> Row:
    day = row["release_date"]
    return {"id": row["id"], "results": [{"country": each, "release_date": day} for each in ("DE", "SE", "US")]}

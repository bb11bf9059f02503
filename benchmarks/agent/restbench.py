# ruff: noqa: E501 - a table of one entry a line is read more easily than a wrapped one
"""RestBench, emulated: 100 tasks over `films`, 57 over `music`, made from templates; gold answers computed.

    success    the agent's program ended with an answer
    accuracy   the answer is the gold program's, and so is the state that it left
    path       the gold calls are a subsequence of the calls made

The task counts, the operations and the measures follow the published benchmark; requests, data and answers are made up
here, so that no figure can stand beside one of the published, human-judged, live ones. `label` says so everywhere.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from benchmarks.agent.films import Films
from benchmarks.agent.films_data import library
from benchmarks.agent.gold import program
from benchmarks.agent.music import Music
from benchmarks.agent.task import Task, follows, play
from benchmarks.agent.world import Logged, World

SEED = 3026
FILM_TASKS, MUSIC_TASKS = 100, 57


class Template(NamedTuple):
    text: str
    """The request, with `{slots}`."""
    lines: str
    """The gold program's body, with the same slots."""
    value: str


_FILM = "film = films.search_movie(query={film!r})['results'][0]"
_SHOW = "show = films.search_tv(query={show!r})['results'][0]"
_PERSON = "person = films.search_person(query={person!r})['results'][0]"
_CREW = "crew = films.movie_credits(movie_id=film['id'])"
_SHOW_CREW = "crew = films.tv_credits(tv_id=show['id'])"
_DIRECTOR = "[each['name'] for each in crew['crew'] if each['job'] == 'Director'][0]"

FILM_TEMPLATES: Sequence[Template] = (
    Template("Who directed the film {film}?", f"{_FILM}\n{_CREW}", _DIRECTOR),
    Template("Which actor has the leading part in {film}?", f"{_FILM}\n{_CREW}", "crew['cast'][0]['name']"),
    Template("On which day was {film} first shown, and how long does it run?",
             f"{_FILM}\nfull = films.movie_details(movie_id=film['id'])", "[full['release_date'], full['runtime']]"),
    Template("Which keywords describe the film {film}?",
             f"{_FILM}\nwords = films.movie_keywords(movie_id=film['id'])", "words['keywords']"),
    Template("When did {film} come out in Sweden (country SE)?",
             f"{_FILM}\ndates = films.movie_release_dates(movie_id=film['id'])",
             "[each['release_date'] for each in dates['results'] if each['country'] == 'SE'][0]"),
    Template("What do the reviews of {film} say?",
             f"{_FILM}\nfound = films.movie_reviews(movie_id=film['id'])", "[each['content'] for each in found['results']]"),
    Template("I liked {film}. Name three films that people who liked it recommend.",
             f"{_FILM}\nmore = films.movie_recommendations(movie_id=film['id'])",
             "[each['title'] for each in more['results'][:3]]"),
    Template("Find the film most similar to {film} and tell me who directed it.",
             f"{_FILM}\nnear = films.movie_similar(movie_id=film['id'])['results'][0]\n"
             "crew = films.movie_credits(movie_id=near['id'])", f"[near['title'], {_DIRECTOR}]"),
    Template("Give me a poster of the film {film}.",
             f"{_FILM}\nseen = films.movie_images(movie_id=film['id'])", "seen['posters'][0]['file_path']"),
    Template("Show me a portrait of the lead actor of {film}.",
             f"{_FILM}\n{_CREW}\nseen = films.person_images(person_id=crew['cast'][0]['id'])", "seen['profiles'][0]['file_path']"),
    Template("Where was the director of {film} born?",
             f"{_FILM}\n{_CREW}\nmaker = [each for each in crew['crew'] if each['job'] == 'Director'][0]\n"
             "born = films.person_details(person_id=maker['id'])", "born['place_of_birth']"),
    Template("Where is the headquarters of the first company that produced {film}?",
             f"{_FILM}\nfull = films.movie_details(movie_id=film['id'])\n"
             "firm = films.company_details(company_id=full['production_companies'][0]['id'])", "firm['headquarters']"),
    Template("Who directed the best rated film of all?",
             "best = films.movie_top_rated()['results'][0]\ncrew = films.movie_credits(movie_id=best['id'])", _DIRECTOR),
    Template("Who plays the lead in the film that is most popular right now?",
             "top = films.movie_popular()['results'][0]\ncrew = films.movie_credits(movie_id=top['id'])", "crew['cast'][0]['name']"),
    Template("Which film is trending first today, and who directed it?",
             "first = films.trending(media_type='movie', time_window='day')['results'][0]\n"
             "crew = films.movie_credits(movie_id=first['id'])", f"[first['title'], {_DIRECTOR}]"),
    Template("Name the five films in cinemas now that are most popular.",
             "now = films.movie_now_playing()", "[each['title'] for each in now['results'][:5]]"),
    Template("Who wrote reviews of the film that came out last?",
             "newest = films.movie_latest()\nfound = films.movie_reviews(movie_id=newest['id'])",
             "[each['author'] for each in found['results']]"),
    Template("How many films has {person} acted in?",
             f"{_PERSON}\nworks = films.person_movie_credits(person_id=person['id'])", "len(works['cast'])"),
    Template("Which film with {person} in the cast or crew is rated best?",
             f"{_PERSON}\nworks = films.person_movie_credits(person_id=person['id'])\n"
             "every = works['cast'] + works['crew']", "max(every, key=lambda each: each['vote_average'])['title']"),
    Template("When was {person} born?",
             f"{_PERSON}\nfull = films.person_details(person_id=person['id'])", "full['birthday']"),
    Template("In which films was {person} involved, by release date?",
             f"{_PERSON}\nworks = films.person_movie_credits(person_id=person['id'])\n"
             "every = sorted(works['cast'] + works['crew'], key=lambda each: each['release_date'])",
             "[each['title'] for each in every]"),
    Template("Where does the most popular person come from?",
             "star = films.person_popular()['results'][0]\nfull = films.person_details(person_id=star['id'])", "full['place_of_birth']"),
    Template("How many seasons does the series {show} have?",
             f"{_SHOW}\nfull = films.tv_details(tv_id=show['id'])", "full['number_of_seasons']"),
    Template("Which network shows {show}, and where is it based?",
             f"{_SHOW}\nfull = films.tv_details(tv_id=show['id'])\n"
             "net = films.network_details(network_id=full['networks'][0]['id'])", "[net['name'], net['headquarters']]"),
    Template("Give me the logo of the network of {show}.",
             f"{_SHOW}\nfull = films.tv_details(tv_id=show['id'])\n"
             "seen = films.network_images(network_id=full['networks'][0]['id'])", "seen['logos'][0]['file_path']"),
    Template("Who plays in the series {show}?",
             f"{_SHOW}\n{_SHOW_CREW}", "[each['name'] for each in crew['cast']]"),
    Template("Which keywords does the series {show} have?",
             f"{_SHOW}\nwords = films.tv_keywords(tv_id=show['id'])", "words['keywords']"),
    Template("What is the second episode of the first season of {show} called?",
             f"{_SHOW}\nepisode = films.episode_details(tv_id=show['id'], season_number=1, episode_number=2)", "episode['name']"),
    Template("How many episodes does season 1 of {show} have, and which of them is rated best?",
             f"{_SHOW}\nseason = films.season_details(tv_id=show['id'], season_number=1)\n"
             "best = max(season['episodes'], key=lambda each: each['vote_average'])",
             "[len(season['episodes']), best['name']]"),
    Template("Give me a still of episode 1 of season 1 of {show}.",
             f"{_SHOW}\nseen = films.episode_images(tv_id=show['id'], season_number=1, episode_number=1)",
             "seen['stills'][0]['file_path']"),
    Template("Who are the crew of the first season of {show}?",
             f"{_SHOW}\ncrew = films.season_credits(tv_id=show['id'], season_number=1)", "[each['name'] for each in crew['crew']]"),
    Template("Which series are recommended to people who like {show}? Three will do.",
             f"{_SHOW}\nmore = films.tv_recommendations(tv_id=show['id'])", "[each['name'] for each in more['results'][:3]]"),
    Template("Name two series like {show} and who directs the first of them.",
             f"{_SHOW}\nnear = films.tv_similar(tv_id=show['id'])['results'][:2]\n"
             "crew = films.tv_credits(tv_id=near[0]['id'])", f"[near[0]['name'], near[1]['name'], {_DIRECTOR}]"),
    Template("Who directs the most popular series?",
             "top = films.tv_popular()['results'][0]\ncrew = films.tv_credits(tv_id=top['id'])", _DIRECTOR),
    Template("What do people write about the best rated series?",
             "best = films.tv_top_rated()['results'][0]\nfound = films.tv_reviews(tv_id=best['id'])",
             "[each['content'] for each in found['results']]"),
    Template("Which films belong to the {collection}?",
             "kept = films.search_collection(query={collection!r})['results'][0]\n"
             "whole = films.collection_details(collection_id=kept['id'])", "[each['title'] for each in whole['parts']]"),
    Template("Give me a backdrop of the {collection}.",
             "kept = films.search_collection(query={collection!r})['results'][0]\n"
             "seen = films.collection_images(collection_id=kept['id'])", "seen['backdrops'][0]['file_path']"),
    Template("What is the logo of {company}?",
             "firm = films.search_company(query={company!r})['results'][0]\n"
             "seen = films.company_images(company_id=firm['id'])", "seen['logos'][0]['file_path']"),
    Template("From which country does the production company {company} come?",
             "firm = films.search_company(query={company!r})['results'][0]\n"
             "full = films.company_details(company_id=firm['id'])", "full['origin_country']"),
    Template("Which {genre} film of {year} is rated best?",
             "kinds = films.genre_movie_list()['genres']\n"
             "wanted = [each['id'] for each in kinds if each['name'] == {genre!r}][0]\n"
             "found = films.discover_movie(genre_id=wanted, year={year}, sort_by='vote_average.desc')",
             "[each['title'] for each in found['results'][:1]] or ['none']"),
)  # fmt: skip

_ARTIST = "artist = music.search(query={artist!r}, type='artist')['items'][0]"
_NEWEST = "album = music.artist_albums(artist_id=artist['id'])['items'][0]"
_NOW = "now = music.currently_playing()['item']"
_LIST = "first = music.my_playlists()['items'][0]"

MUSIC_TEMPLATES: Sequence[Template] = (
    Template("Make me a playlist called {title!r} with the two most played songs of {artist}.",
             f"{_ARTIST}\nsongs = music.artist_top_tracks(artist_id=artist['id'])['items'][:2]\nme = music.me()\n"
             "made = music.create_playlist(user_id=me['id'], name={title!r})\n"
             "music.add_to_playlist(playlist_id=made['id'], ids=[each['id'] for each in songs])", "made['name']"),
    Template("Queue the first song of the newest album by {artist}.",
             f"{_ARTIST}\n{_NEWEST}\nsong = music.album_tracks(album_id=album['id'])['items'][0]\n"
             "music.add_to_queue(track_id=song['id'])", "song['name']"),
    Template("Add the song {track} to my first playlist.",
             "song = music.search(query={track!r}, type='track')['items'][0]\n"
             f"{_LIST}\nmusic.add_to_playlist(playlist_id=first['id'], ids=[song['id']])", "first['name']"),
    Template("Skip to the next song and set the volume to {volume}.",
             "music.skip_next()\nstate = music.set_volume(volume_percent={volume})", "state['item']['name']"),
    Template("Save the song that plays now in my library.",
             f"{_NOW}\nmusic.save_tracks(ids=[now['id']])", "now['name']"),
    Template("Follow the artist of the song that plays now.",
             f"{_NOW}\nsong = music.get_track(track_id=now['id'])\nmusic.follow(ids=[song['artist_id']])", "song['artist']"),
    Template("Play the newest album of {artist} from its start.",
             f"{_ARTIST}\n{_NEWEST}\nsongs = music.album_tracks(album_id=album['id'])['items']\n"
             "music.play(ids=[each['id'] for each in songs])", "album['name']"),
    Template("Go to the next song and repeat just that one.",
             "music.skip_next()\nstate = music.set_repeat(state='track')", "state['repeat']"),
    Template("Save the album {album}.",
             "found = music.search(query={album!r}, type='album')['items'][0]\nmusic.save_albums(ids=[found['id']])", "found['artist']"),
    Template("Rename my first playlist to {title!r}.",
             f"{_LIST}\nmusic.change_playlist(playlist_id=first['id'], name={{title!r}})", "first['name']"),
    Template("Stop following the first artist I follow.",
             "artist = music.following()['items'][0]\nmusic.unfollow(ids=[artist['id']])", "artist['name']"),
    Template("Pause, turn the volume to {volume} and go on playing.",
             "music.pause()\nmusic.set_volume(volume_percent={volume})\nstate = music.play()", "state['volume']"),
    Template("Remove the last song from my first playlist.",
             f"{_LIST}\nsongs = music.playlist_tracks(playlist_id=first['id'])['items']\n"
             "music.remove_from_playlist(playlist_id=first['id'], ids=[songs[-1]['id']])", "songs[-1]['name']"),
    Template("Take the first saved album out of my library and save the newest release instead.",
             "old = music.saved_albums()['items'][0]\nnew = music.new_releases()['items'][0]\n"
             "music.remove_albums(ids=[old['id']])\nmusic.save_albums(ids=[new['id']])", "[old['name'], new['name']]"),
    Template("Take the first song of my library out of it.",
             "song = music.saved_tracks()['items'][0]\nmusic.remove_tracks(ids=[song['id']])", "song['name']"),
    Template("How many albums does {artist} have, and when did the newest come out?",
             f"{_ARTIST}\nevery = music.artist_albums(artist_id=artist['id'])['items']", "[len(every), every[0]['release_date']]"),
    Template("Which artists are like {artist}? Follow the best known of them.",
             f"{_ARTIST}\nnear = music.related_artists(artist_id=artist['id'])['items']\nmusic.follow(ids=[near[0]['id']])",
             "[each['name'] for each in near]"),
    Template("Make a playlist called {title!r} from the songs I listen to most; three will do.",
             "songs = music.top_items(type='tracks', limit=3)['items']\nme = music.me()\n"
             "made = music.create_playlist(user_id=me['id'], name={title!r})\n"
             "music.add_to_playlist(playlist_id=made['id'], ids=[each['id'] for each in songs])", "made['name']"),
    Template("What comes next in my queue? Add the song {track} after it.",
             "next_up = music.queue()['queue'][0]\nsong = music.search(query={track!r}, type='track')['items'][0]\n"
             "music.add_to_queue(track_id=song['id'])", "next_up['name']"),
    Template("Put what I played last into the library, and tell me its artist.",
             "last = music.recently_played()['items'][0]\nmusic.save_tracks(ids=[last['id']])", "last['artist']"),
    Template("Recommend two songs for somebody who likes {artist}, and queue the first.",
             f"{_ARTIST}\nsongs = music.recommendations(seed_artists=[artist['id']], limit=2)['items']\n"
             "music.add_to_queue(track_id=songs[0]['id'])", "[each['name'] for each in songs]"),
    Template("On which device does my music play, and how loud is it?",
             "known = music.devices()['devices']\nstate = music.player()", "[[each['name'] for each in known if each['is_active']][0], state['volume']]"),
)  # fmt: skip


class RestBench:
    label = "RestBench, emulated"
    measures = ("accuracy", "success", "path")
    excluded: Mapping[str, str] = {}

    def __init__(self, half: str = "films") -> None:
        self.name = f"restbench-{half}"
        self._half = half
        self._world: Films | Music = Films() if half == "films" else Music()
        self._gold: dict[str, tuple[Any, list[str], Any]] = {}

    def worlds(self) -> Sequence[World]:
        return [self._world]

    def tasks(self) -> Sequence[Task]:
        return self._made(FILM_TASKS if self._half == "films" else MUSIC_TASKS)

    def _made(self, many: int) -> Sequence[Task]:
        """The first so many; more of them begin with the same ones."""
        made = _filled(FILM_TEMPLATES, many, _film_slots()) if self._half == "films" else _filled(
            MUSIC_TEMPLATES, many, _music_slots())  # fmt: skip
        return [Task(f"{self.name}-{n:03}", text, source) for n, (text, source) in enumerate(made)]

    def others(self, many: int) -> Sequence[Task]:
        """Further tasks of the same templates with other names, none of them in `tasks`."""
        known = FILM_TASKS if self._half == "films" else MUSIC_TASKS
        return self._made(known + many)[known:]

    def score(self, task: Task, answer: Any, calls: Sequence[Logged], *, answered: bool) -> Mapping[str, bool]:
        value, path, state = self._right(task)
        left = self._state_after(task, calls)
        return {
            "accuracy": answered and answer == value and left == state,
            "success": answered,
            "path": follows(path, [each.tool for each in calls if not each.failure]),
        }

    def _right(self, task: Task) -> tuple[Any, list[str], Any]:
        if task.id not in self._gold:
            played = play(task, [self._world])
            self._gold[task.id] = (played.value, [each.tool for each in played.calls], self._state())
        return self._gold[task.id]

    def _state_after(self, task: Task, calls: Sequence[Logged]) -> Any:
        self._world.reset(task.id)
        named = {each.name: each for each in self._world.operations()}
        for each in calls:
            if each.effect != "read" and not each.failure:
                named[each.tool.partition(".")[2]].run(each.arguments)
        return self._state()

    def _state(self) -> Any:
        return copy.deepcopy(self._world.state) if isinstance(self._world, Music) else None


def _filled(
    templates: Sequence[Template], many: int, slots: Callable[[Random], Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Each template in turn, with other names each time; no request twice."""
    rng, made = Random(SEED), dict[str, str]()
    turn = 0
    while len(made) < many:
        template, values = templates[turn % len(templates)], slots(rng)
        turn += 1
        text = template.text.format(**values)
        if text not in made:
            lines = template.lines.format(**values).split("\n")
            # Values are code without slots, or with braces of their own: only those with slots are filled in.
            value = template.value.format(**values) if "!r}" in template.value else template.value
            made[text] = program(text, lines, value)
    return list(made.items())


def _film_slots() -> Callable[[Random], Mapping[str, Any]]:
    db = library()
    busy = sorted(
        {each["person"] for each in db.credits.values() if each["kind"] == "movie" and each["job"] == "Actor"}
    )
    filled = sorted(number for number, row in db.collections.items() if len(row["parts"]) > 1)

    def draw(rng: Random) -> Mapping[str, Any]:
        return {
            "film": rng.choice(sorted(row["title"] for row in db.movies.values())),
            "show": rng.choice(sorted(row["name"] for row in db.series.values())),
            "person": db.people[rng.choice(busy)]["name"], "collection": db.collections[rng.choice(filled)]["name"],
            "company": rng.choice(sorted(row["name"] for row in db.companies.values())),
            "genre": rng.choice(sorted(db.genres.values())), "year": rng.randint(1990, 2025),
        }  # fmt: skip

    return draw


def _music_slots() -> Callable[[Random], Mapping[str, Any]]:
    world = Music()
    named = {each.name: each for each in world.operations()}

    def all_of(kind: str) -> list[str]:
        return sorted(row["name"] for row in named["search"].run({"query": "", "type": kind, "limit": 1000})["items"])

    artists, tracks, albums = (all_of(kind) for kind in ("artist", "track", "album"))

    def draw(rng: Random) -> Mapping[str, Any]:
        return {
            "artist": rng.choice(artists), "track": rng.choice(tracks), "album": rng.choice(albums),
            "title": f"{rng.choice(('Quiet', 'Loud', 'Early', 'Late'))} {rng.choice(('Hours', 'Rooms', 'Roads'))}",
            "volume": rng.randrange(10, 100, 5),
        }  # fmt: skip

    return draw

# ruff: noqa: E501 - a table of one entry a line is read more easily than a wrapped one
"""`Music`: 40 operations over a small player with a library, after the family that RestBench's music half uses.

Which operations there are follows that family; names, descriptions, data and answers are our own. It has state:
what is saved, followed, queued and played. Every task begins with the same one, and is judged by the one it ends in.
Results are emulated and are to be called so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeAlias

from benchmarks.agent.world import Effect, Operation, ToolFailure

Row: TypeAlias = dict[str, Any]
Given: TypeAlias = Mapping[str, Any]

ARTISTS, SEED = 40, 4026
ME = "u_ida"

_FIRST = [
    "Amber",
    "Arctic",
    "Blue",
    "Cloud",
    "Copper",
    "Echo",
    "Fable",
    "Golden",
    "Heron",
    "Indigo",
    "Juniper",
    "Linden",
    "Marble",
    "Nordic",
    "Onyx",
    "Velvet",
]
_SECOND = [
    "Anchors",
    "Birds",
    "Choir",
    "Drift",
    "Engine",
    "Foxes",
    "Gardens",
    "Horizon",
    "Lights",
    "Museum",
    "Parade",
    "Quartet",
    "Radio",
    "Tides",
]
_VERBS = ["Calling", "Chasing", "Counting", "Finding", "Folding", "Leaving", "Losing", "Painting", "Reading", "Waiting"]
_THINGS = [
    "Autumn",
    "Bridges",
    "Candles",
    "Distance",
    "Evenings",
    "Harbours",
    "Letters",
    "Rain",
    "Shadows",
    "Sundays",
    "Trains",
    "Winter",
]
_GENRES = ("ambient", "folk", "jazz", "pop", "rock")

_ID: Row = {"type": "string", "description": "Id, as searches and lists give it."}
_IDS: Row = {
    "ids": {"type": "array", "items": {"type": "string"}, "description": "Ids, as searches and lists give them."}
}
_LIMIT: Row = {"limit": {"type": "integer", "description": "How many at most; 20 if left out."}}
_NAME: Row = {"type": "string", "description": "What it is called."}


class Music:
    name = "music"

    def __init__(self) -> None:
        self._artists, self._albums, self._tracks = _records(Random(SEED))
        self.reset("")

    def reset(self, task: str) -> None:  # noqa: ARG002 - every task begins alike
        rng = Random(SEED + 1)
        tracks, albums, artists = sorted(self._tracks), sorted(self._albums), sorted(self._artists)
        self._saved_tracks = rng.sample(tracks, 6)
        self._saved_albums = rng.sample(albums, 4)
        self._following = rng.sample(artists, 5)
        self._playlists: dict[str, Row] = {}
        for n, title in enumerate(("Morning Walk", "Deep Work", "Road Trip")):
            number = f"pl_{n}"
            self._playlists[number] = {"id": number, "name": title, "description": "", "owner": ME, "public": True,
                                       "tracks": rng.sample(tracks, 4 + n)}  # fmt: skip
        self._recent = rng.sample(tracks, 5)
        self._queue = rng.sample(tracks, 3)
        self._player: Row = {"track": rng.choice(tracks), "is_playing": True, "volume": 40, "repeat": "off",
                             "device": "d_0"}  # fmt: skip

    @property
    def state(self) -> Row:
        """What tasks are judged by. Ids of what was made follow the order of making, so equal deeds give equal ids."""
        return {
            "saved_tracks": sorted(self._saved_tracks), "saved_albums": sorted(self._saved_albums),
            "following": sorted(self._following), "playlists": self._playlists, "queue": self._queue,
            "player": self._player,
        }  # fmt: skip

    def operations(self) -> Sequence[Operation]:
        return [*self._catalogue(), *self._library(), *self._lists(), *self._playing()]

    def _catalogue(self) -> list[Operation]:
        artist = {"artist_id": _ID}
        kind = {"type": "string", "enum": ["track", "album", "artist", "playlist"], "description": "What to look for."}
        seeds = {
            "seed_artists": _IDS["ids"],
            "genre": {"type": "string", "description": "Only of this genre."},
            **_LIMIT,
        }
        return [
            _op("search", "Search tracks, albums, artists or playlists by name; an artist's name finds the works, too.", "read",
                {"query": {"type": "string", "description": "Words of the name."}, "type": kind, **_LIMIT}, self._search),
            _op("get_track", "One track: artist, album, length.", "read", {"track_id": _ID}, lambda g: self._track(g["track_id"])),
            _op("get_album", "One album: artist, release date, tracks.", "read", {"album_id": _ID}, lambda g: self._album(g["album_id"])),
            _op("album_tracks", "The tracks of one album, in order.", "read", {"album_id": _ID, **_LIMIT},
                lambda g: _items(self._album(g["album_id"])["tracks"], g)),
            _op("get_artist", "One artist: genre, followers, popularity.", "read", artist, lambda g: self._artist(g["artist_id"])),
            _op("artist_albums", "Albums of one artist, the newest first.", "read", {**artist, **_LIMIT}, self._artist_albums),
            _op("artist_top_tracks", "Most played tracks of one artist, the first is played most.", "read", artist, self._top_of),
            _op("related_artists", "Artists like this one.", "read", artist, self._related),
            _op("new_releases", "Newest albums of all artists.", "read", _LIMIT,
                lambda g: _items([self._album(a) for a in sorted(self._albums, key=self._day, reverse=True)], g)),
            _op("recommendations", "Tracks that fit artists or a genre.", "read", seeds, self._recommended),
        ]  # fmt: skip

    def _library(self) -> list[Operation]:
        return [
            _op("me", "Who is logged in: id, name, country.", "read", {}, lambda _g: {"id": ME, "name": "Ida", "country": "SE"}),
            _op("saved_tracks", "Tracks in the library.", "read", _LIMIT, lambda g: _items([self._track(t) for t in self._saved_tracks], g)),
            _op("save_tracks", "Put tracks into the library.", "change", _IDS, lambda g: self._put(self._saved_tracks, self._track, g)),
            _op("remove_tracks", "Take tracks out of the library.", "remove", _IDS, lambda g: self._take(self._saved_tracks, g)),
            _op("saved_albums", "Albums in the library.", "read", _LIMIT, lambda g: _items([self._album(a) for a in self._saved_albums], g)),
            _op("save_albums", "Put albums into the library.", "change", _IDS, lambda g: self._put(self._saved_albums, self._album, g)),
            _op("remove_albums", "Take albums out of the library.", "remove", _IDS, lambda g: self._take(self._saved_albums, g)),
            _op("following", "Artists that are followed.", "read", _LIMIT, lambda g: _items([self._artist(a) for a in self._following], g)),
            _op("follow", "Follow artists.", "change", _IDS, lambda g: self._put(self._following, self._artist, g)),
            _op("unfollow", "Follow artists no longer.", "remove", _IDS, lambda g: self._take(self._following, g)),
            _op("top_items", "What is listened to most, artists or tracks.", "read",
                {"type": {"type": "string", "enum": ["artists", "tracks"], "description": "Which of the two."}, **_LIMIT}, self._top),
        ]  # fmt: skip

    def _lists(self) -> list[Operation]:
        one = {"playlist_id": _ID}
        some = {**one, **_IDS}
        return [
            _op("my_playlists", "Playlists of the user.", "read", _LIMIT, lambda g: _items([_brief(p) for p in self._playlists.values()], g)),
            _op("get_playlist", "One playlist: name, description, owner.", "read", one, lambda g: _brief(self._playlist(g))),
            _op("playlist_tracks", "The tracks of one playlist, in order.", "read", {**one, **_LIMIT},
                lambda g: _items([self._track(t) for t in self._playlist(g)["tracks"]], g)),
            _op("create_playlist", "Make a new, empty playlist for a user.", "add",
                {"user_id": _ID, "name": _NAME, "description": {"type": "string", "description": "A line about it."}}, self._create),
            _op("change_playlist", "Rename a playlist or change its description.", "change",
                {**one, "name": _NAME, "description": {"type": "string", "description": "A line about it."}}, self._change),
            _op("add_to_playlist", "Put tracks at the end of a playlist.", "add", some, self._append),
            _op("remove_from_playlist", "Take tracks out of a playlist.", "remove", some,
                lambda g: self._take(self._playlist(g)["tracks"], g)),
        ]  # fmt: skip

    def _playing(self) -> list[Operation]:
        volume = {"volume_percent": {"type": "integer", "minimum": 0, "maximum": 100, "description": "How loud."}}
        repeat = {"state": {"type": "string", "enum": ["track", "context", "off"], "description": "What to repeat."}}
        what = {"ids": {**_IDS["ids"], "description": "Tracks to play now; what was paused goes on if left out."}}
        devices = [
            {"id": "d_0", "name": "Kitchen", "is_active": True},
            {"id": "d_1", "name": "Desk", "is_active": False},
        ]
        return [
            _op("player", "What the player does: track, volume, repeat mode, device.", "read", {}, lambda _g: self._playing_now()),
            _op("currently_playing", "The track that plays now.", "read", {}, lambda _g: {"item": self._track(self._player["track"])}),
            _op("devices", "Devices that could play.", "read", {}, lambda _g: {"devices": devices}),
            _op("recently_played", "Tracks played last, the latest first.", "read", _LIMIT, lambda g: _items([self._track(t) for t in self._recent], g)),
            _op("queue", "Tracks that come next.", "read", {}, lambda _g: {"queue": [self._track(t) for t in self._queue]}),
            _op("add_to_queue", "Put one track at the end of the queue.", "add", {"track_id": _ID}, self._enqueue),
            _op("play", "Play tracks, or go on with what was paused.", "change", what, self._play, "ids"),
            _op("pause", "Pause.", "change", {}, lambda _g: self._set(is_playing=False)),
            _op("skip_next", "Go to the next track of the queue.", "add", {}, lambda _g: self._skip()),
            _op("skip_previous", "Go back to the track before.", "add", {}, lambda _g: self._set(track=self._recent[0])),
            _op("set_repeat", "Set the repeat mode: one track, all, off.", "change", repeat, lambda g: self._set(repeat=g["state"])),
            _op("set_volume", "Set the volume.", "change", volume, lambda g: self._set(volume=g["volume_percent"])),
        ]  # fmt: skip

    def _track(self, number: str) -> Row:
        row = _get(self._tracks, number, "track")
        album = self._albums[row["album_id"]]
        return {**row, "album": album["name"], "artist": self._artists[album["artist_id"]]["name"],
                "artist_id": album["artist_id"]}  # fmt: skip

    def _album(self, number: str) -> Row:
        row = _get(self._albums, number, "album")
        return {
            **row,
            "artist": self._artists[row["artist_id"]]["name"],
            "tracks": [self._track(t) for t in row["track_ids"]],
        }

    def _artist(self, number: str) -> Row:
        return dict(_get(self._artists, number, "artist"))

    def _playlist(self, given: Given) -> Row:
        return _get(self._playlists, given["playlist_id"], "playlist")

    def _day(self, album: str) -> tuple[str, str]:
        return self._albums[album]["release_date"], album

    def _search(self, given: Given) -> Row:
        tables: Mapping[str, tuple[Mapping[str, Row], Callable[[str], Row]]] = {
            "track": (self._tracks, self._track), "album": (self._albums, self._album),
            "artist": (self._artists, self._artist), "playlist": (self._playlists, lambda p: _brief(self._playlists[p])),
        }  # fmt: skip
        table, whole = tables[given["type"]]
        words = given["query"].lower().split()

        def text(row: Row) -> list[str]:
            return f"{row['name']} {row.get('artist', '')}".lower().split()

        rows = [row for row in map(whole, table) if all(word in text(row) for word in words)]
        return _items(sorted(rows, key=lambda row: (len(row["name"]), row["id"])), given)

    def _artist_albums(self, given: Given) -> Row:
        self._artist(given["artist_id"])
        mine = [a for a, row in self._albums.items() if row["artist_id"] == given["artist_id"]]
        return _items([self._album(a) for a in sorted(mine, key=self._day, reverse=True)], given)

    def _top_of(self, given: Given) -> Row:
        self._artist(given["artist_id"])
        mine = [row for row in map(self._track, self._tracks) if row["artist_id"] == given["artist_id"]]
        return _items(sorted(mine, key=lambda row: -row["plays"])[:10], {})

    def _related(self, given: Given) -> Row:
        genre = self._artist(given["artist_id"])["genre"]
        near = [row for row in self._artists.values() if row["genre"] == genre and row["id"] != given["artist_id"]]
        return _items(sorted(near, key=lambda row: -row["followers"]), {})

    def _recommended(self, given: Given) -> Row:
        genres = {self._artist(each)["genre"] for each in given.get("seed_artists", [])} | {given.get("genre")}
        rows = [row for row in map(self._track, self._tracks) if self._artists[row["artist_id"]]["genre"] in genres]
        return _items(sorted(rows, key=lambda row: -row["plays"]), given)

    def _top(self, given: Given) -> Row:
        if given["type"] == "artists":
            return _items(sorted(self._artists.values(), key=lambda row: -row["popularity"]), given)
        return _items(sorted(map(self._track, self._tracks), key=lambda row: -row["plays"]), given)

    def _put(self, kept: list[str], known: Callable[[str], Row], given: Given) -> Row:
        for each in given["ids"]:
            known(each)
            if each not in kept:
                kept.append(each)
        return {"done": True, "total": len(kept)}

    def _take(self, kept: list[str], given: Given) -> Row:
        if missing := [each for each in given["ids"] if each not in kept]:
            raise ToolFailure(f"not there: {', '.join(missing)}")
        for each in given["ids"]:
            kept.remove(each)
        return {"done": True, "total": len(kept)}

    def _create(self, given: Given) -> Row:
        if given["user_id"] != ME:
            raise ToolFailure(f"playlists of {given['user_id']!r} are not yours to make")
        number = f"pl_{len(self._playlists)}"
        self._playlists[number] = {"id": number, "name": given["name"], "description": given.get("description", ""),
                                   "owner": ME, "public": True, "tracks": []}  # fmt: skip
        return _brief(self._playlists[number])

    def _change(self, given: Given) -> Row:
        row = self._playlist(given)
        row.update({key: given[key] for key in ("name", "description") if key in given})
        return _brief(row)

    def _append(self, given: Given) -> Row:
        for each in given["ids"]:
            self._track(each)
        tracks = self._playlist(given)["tracks"]
        tracks += given["ids"]
        return {"done": True, "total": len(tracks)}

    def _enqueue(self, given: Given) -> Row:
        self._track(given["track_id"])
        self._queue.append(given["track_id"])
        return {"done": True, "total": len(self._queue)}

    def _play(self, given: Given) -> Row:
        for each in given.get("ids", []):
            self._track(each)
        return self._set(is_playing=True, **({"track": given["ids"][0]} if given.get("ids") else {}))

    def _skip(self) -> Row:
        if not self._queue:
            raise ToolFailure("nothing comes next")
        return self._set(track=self._queue.pop(0), is_playing=True)

    def _set(self, **changed: Any) -> Row:
        self._player.update(changed)
        return self._playing_now()

    def _playing_now(self) -> Row:
        return {**self._player, "item": self._track(self._player["track"])}


def _op(
    name: str,
    description: str,
    effect: Effect,
    parameters: Mapping[str, Mapping[str, Any]],
    run: Callable[[Given], Any],
    *optional: str,
) -> Operation:
    left_out = {"limit", "description", "seed_artists", "genre", *optional}
    left_out |= {"name"} if name == "change_playlist" else set()
    return Operation(name, description, effect, parameters, run, frozenset(left_out & set(parameters)))


def _items(rows: Sequence[Row], given: Given) -> Row:
    return {"items": list(rows[: given.get("limit", 20)]), "total": len(rows)}


def _get(table: Mapping[str, Row], number: str, what: str) -> Row:
    if number not in table:
        raise ToolFailure(f"there is no {what} {number!r}")
    return table[number]


def _brief(playlist: Row) -> Row:
    kept = {key: playlist[key] for key in ("id", "name", "description", "owner", "public")}
    return {**kept, "tracks_total": len(playlist["tracks"])}


def _records(rng: Random) -> tuple[dict[str, Row], dict[str, Row], dict[str, Row]]:
    """Artists, albums, tracks. Counts never tie, so that "the most played" is one."""
    artists: dict[str, Row] = {}
    albums: dict[str, Row] = {}
    tracks: dict[str, Row] = {}
    names = rng.sample([f"{a} {b}" for a in _FIRST for b in _SECOND], ARTISTS)
    titles = iter(
        rng.sample(
            [f"{a} {b} {c}" for a in _VERBS for b in _THINGS for c in ("", "Again", "Alone", "Home", "Late")], 600
        )
    )
    for n, name in enumerate(names):
        artist = f"ar_{n:03}"
        artists[artist] = {"id": artist, "name": name, "genre": rng.choice(_GENRES), "popularity": 100_000 - n * 37,
                           "followers": rng.randint(1, 900) * 1000 + n}  # fmt: skip
        for year in rng.sample(range(1995, 2026), rng.randint(1, 4)):
            album = f"al_{len(albums):03}"
            albums[album] = {"id": album, "name": next(titles).strip(), "artist_id": artist, "track_ids": [],
                             "release_date": f"{year}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"}  # fmt: skip
            for number in range(rng.randint(2, 5)):
                track = f"tr_{len(tracks):04}"
                tracks[track] = {"id": track, "name": next(titles).strip(), "album_id": album, "track_number": number + 1,
                                 "duration_s": rng.randint(120, 420), "plays": rng.randint(1, 9000) * 1000 + len(tracks)}  # fmt: skip
                albums[album]["track_ids"].append(track)
    return artists, albums, tracks

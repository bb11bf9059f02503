from typing import Generic, NotRequired, ParamSpec, Required, TypedDict, TypeVar, TypeVarTuple, Unpack, get_type_hints


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Partial(TypedDict, total=False):
    id: Required[int]
    note: str


T = TypeVar("T")
Ts = TypeVarTuple("Ts")
P = ParamSpec("P")


class Pair(Generic[T, Unpack[Ts]]):
    def __init__(self, *items):
        self.items = items


def check(kind, record):
    missing = sorted(kind.__required_keys__ - record.keys())
    unknown = sorted(record.keys() - kind.__annotations__.keys())
    wrong = [k for k, t in get_type_hints(kind).items() if k in record and not isinstance(record[k], t)]
    return {"missing": missing, "unknown": unknown, "wrong": wrong}


print(check(Movie, {"year": "1999", "director": "x"}))
print(check(Partial, {"id": 1, "note": "n"}))
movie = Movie(title="M", year=1999)
[type(movie).__name__, movie, sorted(Movie.__optional_keys__), Pair[int, str](1, "a").items]

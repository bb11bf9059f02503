import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass


@dataclass
class Job:
    name: str
    deps: list


class Temperature:
    def __init__(self, degrees):
        self.degrees = degrees

    def __reduce__(self):
        return Temperature, (self.degrees + 1,)


class Careful(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) != ("collections", "OrderedDict"):
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module, name)


a = Job("a", [])
b = Job("b", [a, a])
a.deps.append(b)
sizes = [
    pickle.loads(pickle.dumps(b, protocol)).deps[0].deps[0].name for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
]
print(sizes, pickle.loads(pickle.dumps(Temperature(20))).degrees)
problems = []
for thing in (lambda: 0, (x for x in [])):
    try:
        pickle.dumps(thing)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        problems.append(True)
data = pickle.dumps(a)
try:
    Careful(io.BytesIO(data)).load()
except pickle.UnpicklingError as error:
    print(error)
stream = io.BytesIO()
for item in (1, "two", {3: b"x"}):
    pickle.dump(item, stream)
stream.seek(0)
[
    problems,
    [pickle.load(stream) for _ in range(2)],
    Careful(io.BytesIO(pickle.dumps(OrderedDict(a=1)))).load(),
    pickle.loads(pickle.dumps(len))("abc"),
]

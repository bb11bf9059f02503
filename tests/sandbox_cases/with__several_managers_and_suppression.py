class Resource:
    log = []

    def __init__(self, name, *, swallow=False):
        self.name, self.swallow = name, swallow

    def __enter__(self):
        self.log.append(f"open {self.name}")
        return self

    def __exit__(self, kind, error, trace):
        self.log.append(f"close {self.name} {kind.__name__ if kind else None}")
        return self.swallow


with (
    Resource("a") as a,
    Resource("b", swallow=True) as b,
    Resource("c") as c,
):
    raise ValueError("stops at b")
print("survived", a.name, b.name, c.name)
try:
    with Resource("d"), Resource("e"):
        {}["missing"]
except KeyError as error:
    missing = error.args
[Resource.log, missing]

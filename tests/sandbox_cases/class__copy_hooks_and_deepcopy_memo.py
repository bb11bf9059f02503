import copy


class Graph:
    def __init__(self, name, links=()):
        self.name, self.links = name, list(links)

    def __copy__(self):
        return Graph(self.name + "'", self.links)


class Handle:
    def __init__(self, path):
        self.path, self.cache = path, {"big": 1}

    def __getstate__(self):
        return {"path": self.path}

    def __setstate__(self, state):
        self.__dict__.update(state, cache={})


a = Graph("a")
b = Graph("b", [a])
a.links.append(b)
deep = copy.deepcopy(a)
shallow = copy.copy(a)
shared = [[1]] * 2
apart = copy.deepcopy(shared)
print(deep.links[0].links[0] is deep, deep is a, shallow.name, shallow.links[0] is b)
apart[0].append(2)
[apart, copy.copy(Handle("p")).cache, copy.replace is not None if hasattr(copy, "replace") else True, copy.copy((1,))]

class Ring:
    def __init__(self, items):
        self.items = list(items)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, key):
        if isinstance(key, slice):
            return [self[n] for n in range(key.start or 0, key.stop, key.step or 1)]
        if isinstance(key, tuple):
            return tuple(self[k] for k in key)
        return self.items[key % len(self.items)]

    def __setitem__(self, key, value):
        self.items[key % len(self.items)] = value

    def __delitem__(self, key):
        del self.items[key % len(self.items)]

    def __contains__(self, item):
        return item in self.items

    def __missing__(self, key):
        return None


class Zero(dict):
    def __missing__(self, key):
        self[key] = 0
        return 0


ring = Ring("abc")
ring[4] = "B"
print(ring[5], ring[-1], ring[2:8:2], ring[0, 4], "a" in ring, len(ring))
del ring[3]
zero = Zero(x=1)
zero["y"] += 5
[ring.items, list(reversed(ring)), zero, zero.get("z"), slice(1, None, -2).indices(5)]

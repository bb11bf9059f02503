from collections import Counter, OrderedDict, UserDict, defaultdict, deque

window, means = deque(maxlen=3), []
for n in (1, 5, 9, 13):
    window.append(n)
    means.append(sum(window) / len(window))
ring = deque("abcde")
ring.rotate(2)
ring.appendleft("z")
print(means, ring, ring.popleft(), ring.index("c"))
votes = Counter("mississippi")
votes.subtract("miss")
more = Counter(a=3, b=1) + Counter(a=1, c=-2)
print(
    sorted(votes.items()),
    more,
    +Counter(x=-1, y=2),
    Counter(a=3) & Counter(a=1, b=9),
    list(Counter(b=2, a=1).elements()),
)
graph = defaultdict(lambda: defaultdict(list))
graph["a"]["b"].append(1)
lru = OrderedDict.fromkeys("abc")
lru.move_to_end("a")
lru.popitem(last=False)


class Lower(UserDict):
    def __setitem__(self, key, value):
        super().__setitem__(key.lower(), value)


[
    graph,
    "x" in graph,
    list(lru),
    Lower(Content=1, TYPE=2).data,
    votes.total(),
    OrderedDict(a=1, b=2) == OrderedDict(b=2, a=1),
]

import gc
import sys
import weakref


class Node:
    def __init__(self):
        self.me = self


gc.collect()
gc.disable()
alive = weakref.WeakSet()
for _ in range(10):
    alive.add(Node())
before = len(alive)
collected = gc.collect()
after = len(alive)
gc.enable()
value = []
other = value
count = sys.getrefcount(value)
del other
print(before, after, collected >= 10, count - sys.getrefcount(value), gc.isenabled())
holder = {"key": value}
[
    gc.is_tracked(5),
    gc.is_tracked([]),
    any(r is holder for r in gc.get_referrers(value)),
    holder in [r for r in gc.get_referents([holder])],
    sys.getsizeof([]) < sys.getsizeof([1, 2, 3]),
    gc.get_count() is not None,
]

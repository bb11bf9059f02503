import gc
import weakref


class Node:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        log.append(f"del {self.name}")


log = []
a, b = Node("a"), Node("b")
ref = weakref.ref(a, lambda _: log.append("callback"))
cache = weakref.WeakValueDictionary(a=a, b=b)
weakref.finalize(b, log.append, "finalized b")
print(sorted(cache), ref() is a)
del a
print(sorted(cache), ref())
b.self = b
del b
gc.collect()
[log, len(cache), isinstance(weakref.proxy(Node), weakref.ProxyType)]

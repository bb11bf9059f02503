# needs: work directory
import marshal
import os
import shelve

with shelve.open("store", flag="n") as store:
    store["list"] = [1, 2]
    store["list"].append("lost: not written back")
    store["nested"] = {"a": {"b": (1, 2)}}
with shelve.open("store", writeback=True) as store:
    store["list"].append(3)
with shelve.open("store", flag="r") as store:
    kept = sorted(store.items())
    print(len(store), "nested" in store, store.get("none", "default"))
code = marshal.dumps(compile("6 * 7", "<m>", "eval"))
[
    kept,
    eval(marshal.loads(code)),
    marshal.loads(marshal.dumps([1, "a", {2.5: None}])),
    any(name.startswith("store") for name in os.listdir(".")),
]

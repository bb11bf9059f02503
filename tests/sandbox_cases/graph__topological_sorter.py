from graphlib import CycleError, TopologicalSorter

tasks = {"deploy": {"test", "build"}, "test": {"build"}, "build": {"fetch"}, "docs": set()}
order = list(TopologicalSorter(tasks).static_order())
print(all(order.index(need) < order.index(task) for task, needs in tasks.items() for need in needs))
sorter = TopologicalSorter(tasks)
sorter.add("release", "deploy", "docs")
sorter.prepare()
waves = []
while sorter.is_active():
    ready = sorted(sorter.get_ready())
    waves.append(ready)
    sorter.done(*ready)
print(waves)
try:
    list(TopologicalSorter({"a": "b", "b": "c", "c": "a"}).static_order())
except CycleError as error:
    cycle = error.args[1]
[waves, cycle[0] == cycle[-1], sorted(set(cycle)), len(order)]

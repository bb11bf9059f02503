import bisect
import heapq
import itertools

tasks, order = [], itertools.count()
for priority, name in [(3, "sleep"), (1, "eat"), (2, "code"), (1, "drink")]:
    heapq.heappush(tasks, (priority, next(order), name))
done = [heapq.heappop(tasks)[2] for _ in range(len(tasks))]
print(done)


def shortest(graph, start):
    best, queue = {}, [(0, start)]
    while queue:
        cost, node = heapq.heappop(queue)
        if node not in best:
            best[node] = cost
            for other, step in graph.get(node, {}).items():
                heapq.heappush(queue, (cost + step, other))
    return best


print(shortest({"a": {"b": 7, "c": 3}, "c": {"b": 1, "d": 8}, "b": {"d": 2}}, "a"))
scores = [33, 99, 77, 70, 89, 90, 100]
grades = ["FDCBA"[bisect.bisect([60, 70, 80, 90], s)] for s in scores]
ordered = []
for s in scores:
    bisect.insort(ordered, s, key=lambda x: -x)
heap = scores[:]
heapq.heapify(heap)
[
    grades,
    ordered,
    heapq.nlargest(2, scores),
    heapq.nsmallest(2, scores, key=lambda s: s % 10),
    list(heapq.merge([1, 4], [2, 3])),
    heapq.heapreplace(heap, 5),
    bisect.bisect_left([1, 2, 2, 3], 2),
]

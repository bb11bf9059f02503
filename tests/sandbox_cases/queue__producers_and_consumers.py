import queue
import threading

tasks, results = queue.Queue(maxsize=2), queue.SimpleQueue()


def work():
    while (task := tasks.get()) is not None:
        results.put((task, task**2))
        tasks.task_done()
    tasks.task_done()


workers = [threading.Thread(target=work) for _ in range(3)]
for w in workers:
    w.start()
for n in range(20):
    tasks.put(n)
for _ in workers:
    tasks.put(None)
tasks.join()
for w in workers:
    w.join()
squares = dict(sorted(results.get_nowait() for _ in range(results.qsize())))
print(sum(squares.values()), tasks.empty(), [w.is_alive() for w in workers])
ranked = queue.PriorityQueue()
for item in [(2, "b"), (1, "z"), (2, "a")]:
    ranked.put(item)
stack = queue.LifoQueue()
for n in range(3):
    stack.put(n)
problems = []
for work in (
    lambda: results.get_nowait(),
    lambda: results.get(timeout=0.01),
    lambda: queue.Queue(1).put(1) or full.put_nowait(2),
):
    full = queue.Queue(1)
    full.put(0)
    try:
        work()
    except (queue.Empty, queue.Full) as error:
        problems.append(type(error).__name__)
[[ranked.get()[1] for _ in range(3)], [stack.get() for _ in range(3)], problems, len(squares)]

import threading
from concurrent.futures import ThreadPoolExecutor

THREADS = 24
barrier = threading.Barrier(THREADS)
total, lock = 0, threading.Lock()


def add(n):
    global total
    barrier.wait(20)
    for _ in range(100):
        with lock:
            total += n
    return threading.current_thread().name.partition("_")[0]


with ThreadPoolExecutor(THREADS, thread_name_prefix="pool") as pool:
    names = list(pool.map(add, range(THREADS)))
print(total, set(names))
[len(names), total == sum(range(THREADS)) * 100]

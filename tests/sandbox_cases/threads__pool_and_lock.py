import threading
from concurrent.futures import ThreadPoolExecutor

lock = threading.Lock()
total = 0


def add(n):
    global total
    with lock:
        total += n
    return n * n


with ThreadPoolExecutor(4) as pool:
    squares = list(pool.map(add, range(10)))
[total, squares]

import threading
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, as_completed, wait

hold = threading.Event()


def work(n):
    if n == 3:
        raise ValueError(f"bad {n}")
    return n * 10


log = []
with ThreadPoolExecutor(max_workers=1, initializer=log.append, initargs=("ready",)) as pool:
    blocker = pool.submit(hold.wait, 10)
    waiting = pool.submit(work, 99)
    cancelled = waiting.cancel()
    futures = {pool.submit(work, n): n for n in range(5)}
    hold.set()
    results = {}
    for future in as_completed(futures, timeout=20):
        error = future.exception()
        results[futures[future]] = repr(error) if error else future.result()
    try:
        waiting.result()
    except CancelledError:
        log.append("was cancelled")
    done, not_done = wait(futures, return_when=FIRST_EXCEPTION)
    lazy = list(pool.map(max, [1, 5], [4, 2]))
try:
    pool.submit(work, 1)
except RuntimeError as error:
    print(error)
manual = Future()
manual.add_done_callback(lambda f: log.append(f"callback {f.result()}"))
manual.set_result("set by hand")
print(sorted(results.items()))
[cancelled, log, len(done), len(not_done), lazy, blocker.result()]

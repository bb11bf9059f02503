import threading

log, lock = [], threading.RLock()
condition = threading.Condition()
turn = 0


def ordered(number):
    global turn
    with condition:
        condition.wait_for(lambda: turn == number)
        log.append(f"worker {number}")
        turn += 1
        condition.notify_all()


threads = [threading.Thread(target=ordered, args=(n,), name=f"t{n}") for n in (3, 1, 0, 2)]
for t in threads:
    t.start()
for t in threads:
    t.join(10)
print(log)
barrier = threading.Barrier(3, action=lambda: log.append("all here"))
gate, started = threading.Event(), threading.Semaphore(0)
arrived = []


def meet():
    started.release()
    gate.wait(10)
    with lock, lock:
        arrived.append(threading.current_thread().name[0])
    barrier.wait(10)


crew = [threading.Thread(target=meet, name="m", daemon=True) for _ in range(3)]
for t in crew:
    t.start()
for _ in crew:
    started.acquire(timeout=10)
early = len(arrived)
gate.set()
for t in crew:
    t.join(10)
bounded = threading.BoundedSemaphore(1)
try:
    bounded.release()
except ValueError as error:
    print(error)
[log, early, arrived, barrier.broken, threading.current_thread() is threading.main_thread(), gate.is_set()]

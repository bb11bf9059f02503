import threading

local = threading.local()
local.name = "main"
seen, failures = {}, []
threading.excepthook = lambda args: failures.append((args.exc_type.__name__, str(args.exc_value), args.thread.name))


class Worker(threading.Thread):
    def run(self):
        seen[self.name] = hasattr(local, "name")
        local.name = self.name
        if self.name == "bad":
            raise ValueError("in a thread")


workers = [Worker(name=name) for name in ("good", "bad")]
for w in workers:
    w.start()
    w.join()
fired = threading.Event()
timer = threading.Timer(0.001, fired.set)
timer.start()
print("fired", fired.wait(10))
never = threading.Timer(100, fired.clear)
never.start()
never.cancel()
never.join(10)
threading.excepthook = threading.__excepthook__
lock = threading.Lock()
with lock:
    tried = lock.acquire(blocking=False), lock.acquire(timeout=0.01)
print(sorted(seen.items()), tried)
[failures, local.name, fired.is_set(), lock.locked(), workers[0].is_alive(), workers[0].ident is not None]

import sched
import time

now, log = [0.0], []


def sleep(seconds):
    now[0] += seconds


clock = sched.scheduler(lambda: now[0], sleep)


def every(seconds, left):
    log.append((now[0], "tick"))
    if left:
        clock.enter(seconds, 1, every, (seconds, left - 1))


clock.enter(1, 1, every, (2, 2))
clock.enterabs(3, 0, log.append, (("priority", 0),))
dropped = clock.enter(2, 1, log.append, ("never",))
clock.cancel(dropped)
print(len(clock.queue), clock.run(), clock.empty())
before = time.monotonic()
time.sleep(0.001)
after = time.monotonic()
print(before < after, time.perf_counter_ns() <= time.perf_counter_ns(), time.gmtime(0)[:3])
[log, now, time.strftime("%Y-%m-%d", time.gmtime(86400 * 365)), time.strptime("5 May 2024", "%d %b %Y").tm_yday]

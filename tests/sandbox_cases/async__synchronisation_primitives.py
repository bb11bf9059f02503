import asyncio


async def main():
    inside = most = 0
    limit = asyncio.Semaphore(3)
    order, condition, ready = [], asyncio.Condition(), asyncio.Event()

    async def job(n):
        nonlocal inside, most
        async with limit:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
            return n

    async def waiter(name):
        await ready.wait()
        async with condition:
            await condition.wait_for(lambda: len(order) >= 2)
            order.append(name)
            condition.notify_all()

    waiters = [asyncio.create_task(waiter(n)) for n in "ab"]
    results = await asyncio.gather(*map(job, range(10)))
    ready.set()
    for step in (1, 2):
        await asyncio.sleep(0)
        async with condition:
            order.append(step)
            condition.notify_all()
    await asyncio.gather(*waiters)
    barrier = asyncio.Barrier(3)
    positions = await asyncio.gather(*(barrier.wait() for _ in range(3)))
    lock = asyncio.Lock()
    async with lock:
        try:
            await asyncio.wait_for(lock.acquire(), 0.01)
        except TimeoutError:
            print("the lock was held")
    return [results, most, order[:2], sorted(order[2:]), sorted(positions), lock.locked()]


asyncio.run(main())

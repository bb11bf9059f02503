import asyncio
import functools
import threading


async def main():
    loop = asyncio.get_running_loop()
    main_thread = threading.get_ident()
    other = await asyncio.to_thread(threading.get_ident)
    power = await loop.run_in_executor(None, functools.partial(pow, 2, 10))
    order, done = [], loop.create_future()
    loop.call_later(0.02, done.set_result, "later")
    loop.call_soon(order.append, "soon")
    handle = loop.call_later(0, order.append, "never")
    handle.cancel()
    worker = threading.Thread(target=lambda: loop.call_soon_threadsafe(order.append, "from a thread"))
    worker.start()
    finished = await done
    worker.join()

    async def inner():
        return "ran across threads"

    crossing = await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(inner(), loop).result(10))
    results = []
    for future in asyncio.as_completed([asyncio.sleep(0, n) for n in range(3)]):
        results.append(await future)
    return [other != main_thread, power, order[0], "from a thread" in order, finished, crossing, sorted(results)]


value = asyncio.run(main())
print(value)
value

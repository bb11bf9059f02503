import asyncio

events = []


async def producer(queue):
    for priority, name in [(5, "low"), (1, "urgent"), (3, "mid")]:
        await queue.put((priority, name))
    await queue.join()
    events.append("all handled")


async def consumer(queue):
    while True:
        _, name = await queue.get()
        events.append(name)
        queue.task_done()


async def main():
    queue = asyncio.PriorityQueue(maxsize=10)
    await_all = asyncio.create_task(producer(queue))
    await asyncio.sleep(0)
    worker = asyncio.create_task(consumer(queue))
    await await_all
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    try:
        queue.get_nowait()
    except asyncio.QueueEmpty:
        events.append("empty")


with asyncio.Runner() as runner:
    runner.run(main())
    again = runner.run(asyncio.sleep(0, "same loop"))
    same = runner.get_loop() is runner.get_loop()
try:
    asyncio.get_running_loop()
except RuntimeError as error:
    print(error)
[events, again, same]

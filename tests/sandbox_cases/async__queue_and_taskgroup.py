import asyncio


async def main():
    queue = asyncio.Queue()

    async def produce():
        for n in range(3):
            await queue.put(n)
        await queue.put(None)

    async def consume():
        found = []
        while (item := await queue.get()) is not None:
            found.append(item)
        return found

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        taken = group.create_task(consume())
    return taken.result()


asyncio.run(main())

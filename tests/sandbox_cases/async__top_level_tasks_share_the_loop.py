import asyncio

seen = []


async def tick(name, times):
    for n in range(times):
        seen.append(f"{name}{n}")
        await asyncio.sleep(0)
    return name


background = asyncio.create_task(tick("b", 3))
await tick("f", 2)
loop = asyncio.get_running_loop()
async with asyncio.TaskGroup() as group:
    tasks = [group.create_task(tick(c, 1)) for c in "xy"]
squares = [await asyncio.sleep(0, n * n) for n in range(3)]
print(sorted(seen))
[await background, [t.result() for t in tasks], squares, loop is asyncio.get_running_loop()]

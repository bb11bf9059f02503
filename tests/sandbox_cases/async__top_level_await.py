import asyncio

first = await asyncio.sleep(0, "one")
async with asyncio.timeout(5):
    second = await asyncio.sleep(0, "two")


async def count():
    for n in range(3):
        yield n


print(first)
[first, second, *[n async for n in count()]]

import asyncio


async def ticks(n):
    try:
        for i in range(n):
            await asyncio.sleep(0)
            yield i
    finally:
        print("generator closed at", n)


class Rows:
    def __init__(self, *rows):
        self.rows = list(rows)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.rows:
            raise StopAsyncIteration
        return self.rows.pop(0)


async def main():
    evens = [n async for n in ticks(6) if n % 2 == 0]
    table = {k: v async for k, v in Rows(("a", 1), ("b", 2))}
    waited = [await c for c in [asyncio.sleep(0, x) for x in "xyz"]]
    async for row in Rows("only"):
        found = row
    else:
        found += " and else"
    stream = ticks(100)
    first = await anext(stream)
    await stream.aclose()
    return [evens, table, waited, found, first, await anext(aiter(Rows()), "none")]


asyncio.run(main())

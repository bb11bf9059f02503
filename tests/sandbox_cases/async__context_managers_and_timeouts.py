import asyncio
import contextlib

log = []


class Session:
    async def __aenter__(self):
        await asyncio.sleep(0)
        log.append("enter")
        return self

    async def __aexit__(self, kind, error, trace):
        log.append(f"exit {kind.__name__ if kind else None}")


@contextlib.asynccontextmanager
async def transaction(name):
    log.append(f"begin {name}")
    try:
        yield name
    except LookupError:
        log.append("rollback")
    else:
        log.append("commit")


async def main():
    async with Session(), transaction("a"):
        pass
    async with transaction("b"):
        raise KeyError("x")
    try:
        async with asyncio.timeout(0.01) as limit:
            await asyncio.Event().wait()
    except TimeoutError:
        log.append(f"expired {limit.expired()}")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(Session())
        stack.push_async_callback(asyncio.sleep, 0)
    return await asyncio.wait_for(asyncio.sleep(0, "in time"), 10)


print(asyncio.run(main()))
log

import asyncio

log = []


async def fine():
    await asyncio.sleep(0)
    log.append("fine")
    return "kept"


async def fail(kind):
    await asyncio.sleep(0)
    raise kind("x")


async def endless():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        log.append("cancelled")
        raise


async def main():
    try:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(fine())
            group.create_task(endless())
            group.create_task(fail(ValueError))
            group.create_task(fail(KeyError))
    except* ValueError as errors:
        log.append(len(errors.exceptions))
    except* LookupError as errors:
        log.append(repr(errors.exceptions[0]))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.sleep(0, n)) for n in range(3)]
    return [first.result(), [t.result() for t in tasks]]


result = asyncio.run(main())
print(log)
result

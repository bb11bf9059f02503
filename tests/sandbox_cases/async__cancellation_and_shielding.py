import asyncio


async def main():
    log = []
    started = asyncio.Event()

    async def worker():
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            log.append("cleaned")

    task = asyncio.create_task(worker(), name="worker")
    await started.wait()
    task.cancel("no longer needed")
    try:
        await task
    except asyncio.CancelledError as error:
        log.append(error.args)
    results = await asyncio.gather(asyncio.sleep(0, "fine"), boom(), return_exceptions=True)
    done, pending = await asyncio.wait(
        [asyncio.create_task(asyncio.sleep(0)), forever := asyncio.create_task(asyncio.sleep(100))],
        return_when=asyncio.FIRST_COMPLETED,
    )
    forever.cancel()
    return [log, task.cancelled(), task.get_name(), results[0], repr(results[1]), len(done), len(pending)]


async def boom():
    raise ValueError("boom")


result = asyncio.run(main())
print(result[0])
result

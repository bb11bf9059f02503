import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

user = contextvars.ContextVar("user", default="nobody")
log = []


async def handle(name):
    token = user.set(name)
    await asyncio.sleep(0)
    log.append(user.get())
    in_thread = await asyncio.to_thread(user.get)
    user.reset(token)
    return in_thread, user.get()


async def main():
    user.set("main")
    pairs = await asyncio.gather(handle("ann"), handle("bob"))
    return pairs, user.get()


result = asyncio.run(main())
context = contextvars.copy_context()
context.run(user.set, "inside")
with ThreadPoolExecutor(1) as pool:
    plain = pool.submit(user.get).result()
    carried = pool.submit(context.run, user.get).result()
print(sorted(log), plain, carried)
[result, user.get(), context[user], user in context, user.name]

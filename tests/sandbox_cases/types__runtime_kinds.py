import types

gen = (x for x in ())


async def coroutine(): ...


class Slots:
    __slots__ = ("a",)


waiting = coroutine()
kinds = {
    "function": isinstance(lambda: 0, types.LambdaType),
    "generator": isinstance(gen, types.GeneratorType),
    "builtin": isinstance(len, types.BuiltinFunctionType),
    "coroutine": isinstance(waiting, types.CoroutineType),
    "method": isinstance([].append, types.BuiltinMethodType),
    "none": isinstance(None, types.NoneType),
    "slot": isinstance(Slots.a, types.MemberDescriptorType),
    "union": isinstance(int | str, types.UnionType),
    "ellipsis": isinstance(..., types.EllipsisType),
}
waiting.close()
space = types.SimpleNamespace(a=1, b=[2])
space.c = space.a + 1
view = types.MappingProxyType(vars(space))


class Lazy:
    def __init__(self):
        self.calls = 0

    @types.DynamicClassAttribute
    def value(self):
        self.calls += 1
        return self.calls


@types.coroutine
def old_style():
    yield "paused"
    return "done"


async def use():
    return await old_style()


steps = use()
paused = steps.send(None)
try:
    steps.send(None)
except StopIteration as stop:
    finished = stop.value
print(space, dict(view), space == types.SimpleNamespace(a=1, b=[2], c=2))
[kinds, Lazy().value, paused, finished, types.resolve_bases((int,))[0].__name__]

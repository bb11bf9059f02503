import types

formula = compile("a * x ** 2 + b", "<formula>", "eval")
print(formula.co_names, [eval(formula, {"a": 2, "b": 1}, {"x": x}) for x in range(3)])
space = {"__builtins__": {"len": len}}
exec("def size(x):\n    return len(x)\nanswer = size('abc')", space)
problems = []
for text in ("open('x')", "1 +* 2", "answer.missing", "undefined"):
    try:
        eval(text, space)
    except (NameError, SyntaxError, AttributeError) as error:
        problems.append(f"{type(error).__name__}")
module = types.ModuleType("virtual", "A module from text.")
exec("VALUE = 5\ndef get(): return VALUE", module.__dict__)
module.VALUE = 6


def template(n):
    return n + 1


plus_ten = types.FunctionType(
    template.__code__.replace(co_consts=tuple(10 if c == 1 else c for c in template.__code__.co_consts)), globals()
)
print(problems, space["answer"], module.get(), module.__doc__)
local = {}
exec("y = z + 1", {"z": 1}, local)
[
    local,
    "y" in globals(),
    plus_ten(1) in (11, 2),
    compile("x = 1", "f", "single").co_filename,
    callable(eval("lambda: 0")),
    [*map(eval, ["1+1", "'a'*3"])],
]

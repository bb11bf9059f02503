import inspect


def connect(host, /, port=80, *, secure=False, **options):
    return f"{'https' if secure else 'http'}://{host}:{port}", options


print(connect("example", secure=True, host="also fine"))
problems = []
for call in (lambda: connect(host="x"), lambda: connect("x", 1, True), lambda: connect("x", port=1, **{"port": 2})):
    try:
        call()
    except TypeError as error:
        problems.append(str(error))
signature = inspect.signature(connect)
bound = signature.bind("h", 8080, timeout=3)
bound.apply_defaults()
[problems, str(signature), {name: p.kind.name for name, p in signature.parameters.items()}, bound.arguments]

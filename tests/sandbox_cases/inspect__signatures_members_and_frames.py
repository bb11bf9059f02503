import inspect


class Service:
    """Does things."""

    limit: int = 3

    def run(self, job: str, *, dry: bool = False) -> list:
        """Runs a job."""
        return [job, dry]

    async def wait(self): ...

    @staticmethod
    def helper(): ...


def caller():
    return inspect.currentframe().f_back.f_code.co_name, inspect.stack()[0].function


def outer():
    return caller()


members = [(name, inspect.isfunction(value)) for name, value in inspect.getmembers(Service) if not name.startswith("_")]
print(members, inspect.getdoc(Service.run), inspect.iscoroutinefunction(Service.wait))
signature = inspect.signature(Service.run)
print(signature, signature.return_annotation.__name__, [p.default for p in signature.parameters.values()][-1])
changed = signature.replace(
    parameters=list(signature.parameters.values())[1:], return_annotation=inspect.Signature.empty
)
gen = (x for x in [1])
states = [
    inspect.getgeneratorstate(gen),
    next(gen),
    inspect.getgeneratorstate(gen),
    list(gen),
    inspect.getgeneratorstate(gen),
]
[
    outer(),
    str(changed),
    states,
    inspect.getsource(Service.helper).strip(),
    inspect.getattr_static(Service, "helper").__class__.__name__,
    inspect.unwrap(outer) is outer,
    inspect.getsourcelines(outer)[1],
]

class Base:
    def steps(self, **options):
        return ["Base", *sorted(options)]


class Logged(Base):
    def steps(self, *, log=True, **options):
        return [f"Logged {log}", *super().steps(**options)]


class Cached(Base):
    def steps(self, *, ttl=0, **options):
        return [f"Cached {ttl}", *super().steps(**options)]


class Service(Logged, Cached):
    def steps(self, **options):
        return ["Service", *super().steps(**options)]


print([cls.__name__ for cls in Service.__mro__])
try:
    type("Broken", (Base, Logged), {})
except TypeError as error:
    print(str(error)[:36])
[Service().steps(ttl=5, extra=1), super(Logged, Service()).steps(), Service.__bases__[0].__name__]

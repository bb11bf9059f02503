class Proxy:
    def __init__(self, target):
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "log", [])

    def __getattr__(self, name):
        self.log.append(f"get {name}")
        return getattr(self.target, name)

    def __setattr__(self, name, value):
        self.log.append(f"set {name}")
        setattr(self.target, name, value)

    def __delattr__(self, name):
        self.log.append(f"del {name}")
        delattr(self.target, name)

    def __dir__(self):
        return ["only", "these"]


class Target:
    colour = "red"


target = Target()
proxy = Proxy(target)
proxy.size = 4
print(proxy.size, proxy.colour, dir(proxy))
del proxy.size
try:
    proxy.size
except AttributeError as error:
    missing = error.name
[proxy.log, vars(target), missing, getattr(proxy, "nothing", "default"), hasattr(proxy, "colour")]

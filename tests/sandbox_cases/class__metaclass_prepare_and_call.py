class Recorder(dict):
    def __init__(self):
        self.order = []

    def __setitem__(self, key, value):
        if not key.startswith("__"):
            self.order.append(key)
        super().__setitem__(key, value)


class Singleton(type):
    instances = {}

    @classmethod
    def __prepare__(meta, name, bases, **options):
        return Recorder()

    def __new__(meta, name, bases, space, *, tag="none"):
        made = super().__new__(meta, name, bases, dict(space))
        made.order, made.tag = space.order, tag
        return made

    def __init__(cls, name, bases, space, **options):
        super().__init__(name, bases, space)

    def __call__(cls, *args):
        if cls not in cls.instances:
            cls.instances[cls] = super().__call__(*args)
        return cls.instances[cls]


class Settings(metaclass=Singleton, tag="global"):
    retries = 3
    timeout = 5

    def __init__(self, name="default"):
        self.name = name


print(Settings("first") is Settings("second"), Settings().name)
[Settings.order, Settings.tag, type(Settings).__name__]

class Codec:
    registry = {}

    def __init_subclass__(cls, /, name=None, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.registry[name or cls.__name__.lower()] = cls

    @classmethod
    def named(cls, name):
        try:
            return cls.registry[name]()
        except KeyError:
            raise LookupError(f"no codec {name!r}; there are {', '.join(sorted(cls.registry))}") from None


class Upper(Codec):
    def encode(self, text):
        return text.upper()


class Reverse(Codec, name="rev"):
    def encode(self, text):
        return text[::-1]


for name in ("upper", "rev", "zip"):
    try:
        print(name, Codec.named(name).encode("abc"))
    except LookupError as error:
        print(error)
sorted(Codec.registry)

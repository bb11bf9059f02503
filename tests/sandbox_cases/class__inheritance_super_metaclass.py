class Meta(type):
    def __new__(cls, name, bases, space):
        made = super().__new__(cls, name, bases, space)
        made.registry = [*getattr(made, "registry", []), name]
        return made


class A(metaclass=Meta):
    def who(self):
        return ["A"]


class B(A):
    def who(self):
        return ["B", *super().who()]


B.registry + B().who() + [B.__module__, __name__]

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, MutableSequence, Sized


class Stack(MutableSequence):
    def __init__(self):
        self.items = []

    def __getitem__(self, i):
        return self.items[i]

    def __setitem__(self, i, value):
        self.items[i] = value

    def __delitem__(self, i):
        del self.items[i]

    def __len__(self):
        return len(self.items)

    def insert(self, i, value):
        self.items.insert(i, value)


class Shape(ABC):
    @property
    @abstractmethod
    def area(self): ...

    @abstractmethod
    def grow(self): ...


@Shape.register
class Foreign:
    pass


stack = Stack()
stack.extend([3, 1, 2])
stack += [9]
stack.reverse()
print(list(stack), stack.index(1), stack.pop(), 9 in stack)
try:
    Shape()
except TypeError as error:
    abstract = str(error)
print("area" in abstract, sorted(Shape.__abstractmethods__))
[isinstance(Foreign(), Shape), isinstance(stack, Sized), isinstance({}, Mapping), issubclass(int, Iterable)]

from functools import cached_property


class Temperature:
    """Degrees."""

    made = 0

    def __init__(self, celsius):
        self.celsius = celsius
        type(self).made += 1

    @classmethod
    def from_fahrenheit(cls, degrees):
        return cls((degrees - 32) * 5 / 9)

    @staticmethod
    def is_valid(value):
        return value >= -273.15

    @property
    def celsius(self):
        return self._celsius

    @celsius.setter
    def celsius(self, value):
        if not self.is_valid(value):
            raise ValueError(f"{value} is below absolute zero")
        self._celsius = value

    @celsius.deleter
    def celsius(self):
        print("deleted")
        self._celsius = 0

    @cached_property
    def kelvin(self):
        print("computed once")
        return self.celsius + 273.15


t = Temperature.from_fahrenheit(212)
t.kelvin, t.kelvin
try:
    t.celsius = -300
except ValueError as error:
    print(error)
del t.celsius
[t.celsius, t.kelvin, Temperature.made, Temperature.celsius.fset.__name__, Temperature.is_valid(-1)]

class Polynomial:
    def __init__(self, *coefficients):
        self.coefficients = coefficients

    def __call__(self, x):
        result = 0
        for c in self.coefficients:
            result = result * x + c
        return result

    def __eq__(self, other):
        return self.coefficients == other.coefficients

    def __hash__(self):
        return hash(self.coefficients)


class Unhashable:
    def __eq__(self, other):
        return True


p = Polynomial(1, 0, -2)
memo = {p: "x^2 - 2"}
print(memo[Polynomial(1, 0, -2)], callable(p), [p(n) for n in range(-2, 3)])
try:
    {Unhashable()}
except TypeError as error:
    message = str(error)
[message, Unhashable.__hash__, Unhashable() == 5, len({1, 1.0, True})]

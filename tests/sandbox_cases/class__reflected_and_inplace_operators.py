class Money:
    def __init__(self, cents):
        self.cents = cents

    def __radd__(self, other):
        return Money(self.cents + int(other * 100))

    def __add__(self, other):
        return Money(self.cents + getattr(other, "cents", 0))

    def __iadd__(self, other):
        self.cents += other.cents
        return self

    def __rpow__(self, base):
        return f"{base} to the {self.cents}"

    def __divmod__(self, parts):
        each, rest = divmod(self.cents, parts)
        return Money(each), rest

    def __round__(self, digits=0):
        return round(self.cents / 100, digits)

    def __index__(self):
        return self.cents

    def __float__(self):
        return self.cents / 100


total = sum([Money(150), Money(275)])
same = total
total += Money(1)
each, rest = divmod(total, 4)
print(total.cents, same is total, each.cents, rest)
[2 ** Money(3), round(Money(12345), 1), hex(Money(255)), list(range(5))[Money(2)], float(Money(99))]

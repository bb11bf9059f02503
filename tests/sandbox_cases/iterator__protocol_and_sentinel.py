class Countdown:
    def __init__(self, start):
        self.start = start

    def __iter__(self):
        return CountdownIterator(self.start)

    def __reversed__(self):
        return iter(range(1, self.start + 1))

    def __length_hint__(self):
        return self.start


class CountdownIterator:
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return self

    def __next__(self):
        if self.n == 0:
            raise StopIteration
        self.n -= 1
        return self.n + 1


class OldStyle:
    def __getitem__(self, index):
        if index > 2:
            raise IndexError
        return index * 10


three = Countdown(3)
dice = iter([4, 2, 6, 1].pop, 6)
print(list(three), list(three), list(reversed(three)))
[list(zip(three, three)), list(dice), list(OldStyle()), 20 in OldStyle(), next(iter([]), "default"), sorted(three)]

class Colour:
    def __init__(self, r, g, b):
        self.rgb = r, g, b

    def __repr__(self):
        return "Colour({}, {}, {})".format(*self.rgb)

    def __str__(self):
        return "rgb"

    def __format__(self, spec):
        if spec == "hex":
            return "#" + bytes(self).hex()
        return format(str(self), spec)

    def __bytes__(self):
        return bytes(self.rgb)


c = Colour(255, 128, 0)
print(c, [c], f"{c!r} {c:hex} {c:>6}|{c!s:^7}|", "{0!r:.6}".format(c), "%s %r" % (c, c))
c

name = "naïve ☃ 日本"
print(f"{name!r:>20} {3.14159:.2f} {1_000_000:,} {name.encode().hex()[:8]}")
[name.upper(), len(name), "%05d" % 42, "{0}-{0}".format("a"), name[::-1]]

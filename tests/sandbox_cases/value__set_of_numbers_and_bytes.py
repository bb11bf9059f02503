data = b"\x00\xff text"
print(data)
{"digest": data, "seen": {3}, "range": range(3)}

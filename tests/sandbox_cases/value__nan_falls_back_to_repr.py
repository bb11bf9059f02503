readings = [1.5, float("nan"), float("inf"), -float("inf")]
print(readings[1] == readings[1], sorted(readings[2:]))
readings

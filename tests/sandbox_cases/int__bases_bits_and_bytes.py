n = 0b1011_0110
packed = (3 << 8) | (15 << 4) | 0xA
print(bin(n), oct(n), hex(n), f"{n:#010b}", int("ff", 16), int("0o17", 0), int("z", 36))
fields = {"high": packed >> 8, "mid": packed >> 4 & 0xF, "low": packed & 0xF}
swapped = int.from_bytes(n.to_bytes(4, "big"), "little")
lowest = n & -n


def ones(n):
    count = 0
    while n:
        n &= n - 1
        count += 1
    return count


print(fields, ~n, n ^ 0xFF, -7 // 2, -7 % 3, divmod(-7, 2), -1 >> 3)
[
    n.bit_length(),
    n.bit_count(),
    ones(n),
    swapped,
    lowest,
    pow(7, -1, 11),
    (255).to_bytes(2, "little", signed=True).hex(),
    True + True,
]

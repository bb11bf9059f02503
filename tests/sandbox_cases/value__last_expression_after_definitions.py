"a text that is no docstring of anything"

total = sum(n for n in range(10) if n % 2)
print("one line, two statements")
total += 1
if total > 5:
    print("short if")
for n in (1, 2):
    pass


class Holder:
    value = total


(
    Holder.value,
    n,
    lambda: 0,
)[:2]

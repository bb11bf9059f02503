numbers = [n * n % 9973 for n in range(60_000)]
print(len(numbers), max(numbers))
numbers

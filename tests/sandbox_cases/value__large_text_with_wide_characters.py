text = "".join(f"{n}:☃🎉é\n" for n in range(20_000))
print(len(text))
text

def attempt(text):
    try:
        return int(text)
    except ValueError as error:
        return error


results = [attempt(t) for t in ("1", "x")]
print(type(results[1]).__name__)
results[1]

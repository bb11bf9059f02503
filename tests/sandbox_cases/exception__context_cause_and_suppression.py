def convert(text):
    try:
        return int(text)
    except ValueError:
        raise KeyError(text)


def quiet(text):
    try:
        return int(text)
    except ValueError:
        raise KeyError(text) from None


found = []
for function in (convert, quiet):
    try:
        function("x")
    except KeyError as error:
        found.append((type(error.__context__).__name__, error.__cause__, error.__suppress_context__))
print(found)
try:
    try:
        1 / 0
    finally:
        [][1]
except IndexError as error:
    chain = []
    while error:
        chain.append(str(error))
        error = error.__context__
chain

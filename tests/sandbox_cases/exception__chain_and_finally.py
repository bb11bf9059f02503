def read(table, key):
    try:
        return table[key]
    except KeyError as error:
        raise ValueError(f"no {key}") from error
    finally:
        print("looked")


try:
    read({}, "x")
except ValueError as caught:
    found = [str(caught), repr(caught.__cause__)]
found

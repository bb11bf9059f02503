def order(fail):
    steps = []
    try:
        steps.append("try")
        if fail:
            raise LookupError(fail)
    except KeyError:
        steps.append("never")
    except (LookupError, OSError) as error:
        steps.append(f"except {error}")
    else:
        steps.append("else")
    finally:
        steps.append("finally")
    return steps


def cleanup():
    for n in range(3):
        try:
            if n == 1:
                continue
            print("body", n)
        finally:
            print("cleanup", n)


cleanup()
try:
    error
except NameError:
    unbound = True
[order(""), order("missing"), unbound]

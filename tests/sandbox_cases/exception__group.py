def boom(kind):
    raise kind("x")


seen = []
try:
    errors = []
    for kind in (ValueError, TypeError):
        try:
            boom(kind)
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup("both", errors)
except* ValueError as group:
    seen.append(len(group.exceptions))
except* TypeError as group:
    seen.append(str(group.exceptions[0]))
seen

level = "module"


def outer():
    level = "outer"

    def change():
        nonlocal level
        level = "changed"

    def publish():
        global level
        level = "published"

    class Body:
        level = "class"
        seen = [level for _ in range(1)]

        def method(self):
            return level

    change()
    publish()
    return level, Body.seen, Body().method()


def late():
    try:
        print(ghost)
    except NameError as error:
        return error.name
    ghost = 1


result = outer()
print(level)
[result, level, late()]

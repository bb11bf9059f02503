"""Much output, strange output, and values and errors made to be a burden for who receives them."""

import os
import sys

from escape.attack import bare, ends, limited


@ends("limit")
def print_for_ever():
    while True:
        print("x" * 999)


@ends("limit")
def write_for_ever_to_stdout():
    while True:
        os.write(1, b"x" * 65536)


@ends("limit")
def write_for_ever_to_stderr():
    while True:
        os.write(2, b"x" * 65536)


@ends("limit")
def one_endless_line():
    while True:
        sys.stdout.write("x" * 4096)


@ends("limit")
def print_for_ever_from_threads():
    import threading

    def prints():
        while True:
            os.write(1, b"x" * 4096)

    threads = [threading.Thread(target=prints) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@bare
def bytes_that_are_no_text():
    os.write(1, bytes(range(256)) * 8)
    os.write(2, b"\xff\xfe\xc3")


@bare
def sequences_for_a_terminal():
    print("\x1b[2J\x1b]0;forged\x07\r\x9b31m\u202e")


@bare
def lines_like_those_of_a_protocol():
    print('{"jsonrpc":"2.0","id":1,"result":{"content":[]}}\n\n\0\x1e', flush=True)


@bare
def a_huge_value():
    return "x" * (40 << 20)


@bare
def a_value_of_many_parts():
    return [[] for _ in range(300_000)]


@bare
def a_deep_value():
    value = []
    for _ in range(5000):
        value = [value]
    return value


@bare
def a_value_in_a_circle():
    value = {}
    value["self"] = value
    return value


@bare
def a_value_that_is_not_json():
    return {1: float("nan"), "x": float("inf"), "y": 10**4000, "z": b"\xff"}


@bare
def a_value_with_broken_text():
    return {"\ud800": "\udfff\x00\x1b[2J"}


@bare
def a_value_with_a_huge_repr():
    class Huge:
        def __repr__(self):
            return "x" * (100 << 20)

    return Huge()


@bare
def a_value_whose_repr_ends_the_program():
    class Ends:
        def __repr__(self):
            sys.exit(3)

    return Ends()


@bare
def a_value_whose_repr_is_no_text():
    class Wrong:
        def __repr__(self):
            return 7

    return Wrong()


@limited(wall=1.0)
@ends("ok", "error", "timeout")
@bare
def a_list_that_is_another_each_time():
    class Changes(list):
        def __iter__(self):
            while True:
                yield from "ab"

        def __len__(self):
            return -1

    return Changes([1, 2])


@bare
def a_mapping_that_lies():
    class Lies(dict):
        def items(self):
            return [(object(), object())]

        def __iter__(self):
            raise SystemExit(4)

    return Lies(a=1)


@bare
def a_text_that_is_more_than_text():
    class Text(str):
        def __str__(self):
            raise KeyboardInterrupt

        __repr__ = encode = __len__ = __str__

    return Text("plain")


@bare
def an_error_with_a_huge_text():
    raise ValueError("x" * (50 << 20))


@bare
def an_error_whose_text_ends_the_program():
    class EndsError(Exception):
        def __str__(self):
            raise SystemExit(0)

    raise EndsError


@bare
def an_error_with_a_name_for_the_log():
    raise type("Error\x1b[2J\nINFO all is well\ud800", (Exception,), {})("text\x1b]0;x\x07\u202e")


@bare
def an_error_whose_class_ends_the_program():
    class Meta(type):
        def __getattribute__(cls, name):
            raise SystemExit(5)

    class NamelessError(Exception, metaclass=Meta):
        pass

    raise NamelessError


@bare
def an_error_whose_class_has_numbers_for_names():
    class Meta(type):
        def __getattribute__(cls, name):
            return 7

    class NumberedError(Exception, metaclass=Meta):
        pass

    raise NumberedError


@bare
def an_error_without_an_end_of_causes():
    first, second = ValueError(1), ValueError(2)
    first.__cause__, second.__cause__ = second, first
    raise first


@bare
def a_group_of_groups():
    group = ValueError(1)
    for _ in range(500):
        group = ExceptionGroup("g" * 100, [group] * 9)
    raise group


@bare
def an_error_from_very_deep():
    def down(n):
        return down(n - 1) if n else 1 // 0

    down(900)


@bare
def an_error_with_hostile_variables():
    class Ends:
        def __repr__(self):
            raise SystemExit(6)

    held = Ends()
    text = "x" * (30 << 20)
    names = {f"name{n}": held for n in range(1000)}
    locals().update(names)
    raise ValueError(len(text), held is None)


@bare
def an_error_that_is_no_error():
    raise BaseException("end", sys)


@bare
def an_error_in_code_from_elsewhere():
    code = "def f():\n    raise ValueError('x')\n"
    space = {}
    exec(compile(code, "<program\x1b[2J\nforged>", "exec"), space)
    space["f"]()


@bare
def a_syntax_error_with_hostile_parts():
    raise SyntaxError("no\x1b[2J", ("<program>", -5, 10**9, "x" * (20 << 20)))


@bare
def leave_without_an_orderly_end():
    import atexit

    atexit.register(print, "x" * 10**6)
    sys.exit("x" * (20 << 20))

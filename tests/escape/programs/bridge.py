"""The tools misused: names, arguments, numbers of calls, answers, and the machinery behind `tools`."""

import threading

from escape.attack import bare, ends, limited


def a_tool_that_is_not_there():
    from tools import box

    return box.absent()


def a_server_that_was_not_given():
    import tools

    return tools.vault.open()


def private_names():
    from tools import box

    return hasattr(box, "__open") or box._open()


def names_from_a_terminal():
    import tools

    return getattr(tools.box, "x\x1b[2J\nok: allowed")()


def names_with_paths():
    import tools

    return getattr(tools, "box/../vault").open()


def a_name_of_broken_text():
    import tools

    return getattr(tools.box, "\ud800")()


def a_name_inside_a_name():
    import tools

    return getattr(tools, "box.echo.vault").open()


def a_tool_renamed_into_another():
    from tools import box

    tool = box.echo
    tool._name = "vault.open"
    return tool()


def the_bridge_itself():
    import tools

    return tools._bridge.call("vault.open", [], {})


def a_forged_call_to_another_server():
    import tools

    return tools._bridge.ask("call", "x", f="vault.open", a=[], k={})


def arguments_beyond_the_limit():
    from tools import box

    return box.echo("x" * (2 << 20))


def arguments_that_are_not_json():
    from tools import box

    return box.echo(float("nan"))


def arguments_in_a_circle():
    from tools import box

    circle = []
    circle.append(circle)
    return box.echo(circle)


def arguments_too_deep():
    from tools import box

    deep = []
    for _ in range(95):
        deep = [deep]
    return box.echo(deep)


def an_argument_too_great_for_text():
    from tools import box

    return box.echo(10**5000)


def arguments_that_are_objects():
    from tools import box

    class Thing:
        def __reduce__(self):
            return exec, ("raise SystemExit",)

        def __getattr__(self, name):
            return self

    return box.echo(Thing())


def arguments_that_lie_about_themselves():
    from tools import box

    class Lies(dict):
        def items(self):
            return [("a", 1), ("a", 2), (("t",), 3)]

    class Text(str):
        def __str__(self):
            raise RuntimeError

    got = box.echo(Lies(x=1), Text("t"), **{"\x1b": 1, "\ud800": 2, "__class__": "x", "self": 1})
    return got[1] != "t"


def names_of_arguments_that_are_objects():
    from tools import box

    got = box.value({"__proto__": {"admin": True}, "constructor": 1, "$ref": "/etc/passwd"})
    return got != {"__proto__": {"admin": True}, "constructor": 1, "$ref": "/etc/passwd"}


def what_toolweft_itself_failed_at():
    from tools import ToolError, box

    try:
        box.defect()
    except ToolError as error:
        return "CANARY" in str(error) or "ours" in str(error)


def a_result_that_can_be_changed_for_others():
    from tools import box

    first = box.value({"a": [1]})
    first["a"].append(2)
    return box.value({"a": [1]}) != {"a": [1]}


def patched_json():
    import json

    from tools import box

    json.dumps = json.loads = None
    json.JSONEncoder.default = lambda self, thing: {"kind": "done"}
    json.JSONEncoder.iterencode = json.JSONDecoder.decode = None
    return box.echo({"a": 1}) != [{"a": 1}, {}]


@ends("value", "crashed", "violation")
def json_patched_to_its_bones():
    import json

    from tools import box

    json.encoder.encode_basestring = json.encoder.c_make_encoder = json.decoder.scanner = None
    return box.echo({"a": 1}) != [{"a": 1}, {}]


def five_thousand_calls_at_once():
    import asyncio

    from tools import box

    async def main():
        got = await asyncio.gather(*(box.value(n) for n in range(5000)), return_exceptions=True)
        return [each for each in got if isinstance(each, Exception)]

    for error in asyncio.run(main()):
        raise error


@ends("limit")
@limited(calls=300)
def calls_without_end():
    from tools import ToolError, box

    for n in range(10**6):
        try:
            box.value(n)
        except ToolError:
            pass


def calls_from_very_many_threads():
    from tools import box, parallel

    return parallel(box.value, range(200), limit=48) != list(range(200))


def items_without_end():
    import itertools

    from tools import box, parallel

    return parallel(box.value, map(bytes, itertools.repeat(1 << 20)))


@ends("value", "timeout")
@limited(wall=0.5)
def an_item_that_never_ends():
    import time

    from tools import parallel

    return parallel(time.sleep, [10**6] * 3)


@bare
def a_call_after_the_end():
    # The battery looks whether any arrives after it has the outcome.
    from tools import box

    def asks():
        while True:
            box.late()

    threading.Thread(target=asks, daemon=True).start()


@bare
def a_call_while_it_ends():
    from tools import box

    for _ in range(8):
        threading.Thread(target=box.gate, daemon=True).start()


@bare
def a_blob_that_is_no_blob():
    from tools import Blob

    class Endless(Blob):
        mime = "text/html\n<script>"

        def read(self):
            return bytes(64 << 20)

    return [Endless("a/b", b"")]


@bare
def a_blob_that_is_big():
    from tools import Blob

    return Blob("image/png", bytes(30 << 20))


@bare
def very_many_blobs():
    from tools import Blob

    return [Blob("a/b", b"x")] * 20_000


@bare
def help_that_steers_a_terminal():
    import tools

    help(getattr(tools.box, "\x1b[2J"))


def a_function_that_was_never_saved():
    import functions

    return functions.absent()


def a_function_by_a_path():
    import functions

    return functions.version("../../vault", 10**30)


def save_what_is_no_function():
    import functions

    return functions.save("x\n" * 400)


@bare
def change_what_a_tool_error_is():
    from tools import ToolError, box

    ToolError.__init__ = lambda self, *more: None
    ToolError.__str__ = lambda self: 7
    box.absent()


@limited(wall=0.5)
@ends("ok", "error", "crashed", "violation", "timeout")
@bare
def take_the_machinery_apart():
    import sys

    for name, module in list(sys.modules.items()):
        if "inside" in name:
            for key in list(vars(module)):
                if not key.startswith("__"):
                    setattr(module, key, None)
    for frame in sys._current_frames().values():
        while frame is not None:
            if "channel" in frame.f_locals:
                frame.f_locals["channel"]._fd = 1
            frame = frame.f_back

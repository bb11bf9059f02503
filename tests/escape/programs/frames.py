"""The frame socket used by hand: forged, broken and endless frames, and descriptor 3 itself abused."""

import os
import struct
import time

from escape.attack import bare, ends, limited, says
from escape.prelude import HOST


def _send(frame, body=None):
    import json

    body = json.dumps(frame).encode() if body is None else body
    data = memoryview(struct.pack(">I", len(body)) + body)
    while data:
        data = data[os.write(3, data) :]


def _done(**more):
    return {"kind": "done", "id": HOST["run"], "status": "ok", "error": None, "repr": None, "limits": [], **more}


_DONE = "{'kind': 'done', 'id': HOST['run'], 'status': 'ok', 'error': None, 'repr': None, 'limits': []"
_ERROR = "'type': 'E', 'message': '', 'line': None, 'frames': [], 'locals': {}, 'hint': None"

FORGED = {
    "empty": ("_send(None, b'')", "not JSON"),
    "not_json": ("_send(None, b'{')", "not JSON"),
    "not_utf8": ("_send(None, b'\\xff\\xfe')", "not JSON"),
    "not_an_object": ("_send([1])", "not an object"),
    "unknown_kind": ("_send({'kind': 'root'})", "unknown kind"),
    "kind_of_the_server": ("_send({'kind': 'result', 'c': 1, 'ok': True, 'v': 1, 'b': []})", "unknown kind"),
    "kind_that_is_no_text": ("_send({'kind': ['call']})", "unknown kind"),
    "no_kind": ("_send({})", "unknown kind"),
    "too_long": ("os.write(3, b'\\xff\\xff\\xff\\xff')", "above the cap"),
    "a_little_too_long": ("os.write(3, struct.pack('>I', (4 << 20) + 1))", "above the cap"),
    "nan": ("_send(None, b'{\"kind\":\"done\",\"value\":NaN}')", "not JSON"),
    "infinite": ("_send(None, b'{\"kind\":\"done\",\"value\":1e999}')", "not JSON"),
    "a_number_without_end": ("_send(None, b'{\"kind\":\"done\",\"value\":' + b'9' * 5000 + b'}')", "not JSON"),
    "deep": ("_send(None, b'{\"kind\":\"call\",\"a\":' + b'[' * 5000 + b']' * 5000 + b'}')", "frame"),
    "deeper": ("_send(None, b'[' * 1000000)", "not JSON"),
    "wide": ("_send({'kind': 'call', 'c': 1, 'f': 'box.echo', 'a': [[]] * 700000, 'k': {}})", "above the cap"),
    "another_run": ("_send({**_DONE, 'id': 'other'})".replace("**_DONE", _DONE[1:]), "another run"),
    "bool_as_id": ("_send({'kind': 'call', 'c': True, 'f': 'box.gate', 'a': [], 'k': {}})", "'c' is bool"),
    "huge_id": ("_send({'kind': 'call', 'c': 2**60, 'f': 'box.gate', 'a': [], 'k': {}})", "out of range"),
    "negative_id": ("_send({'kind': 'call', 'c': -1, 'f': 'box.gate', 'a': [], 'k': {}})", "out of range"),
    "fraction_as_id": ("_send({'kind': 'call', 'c': 1.0, 'f': 'box.gate', 'a': [], 'k': {}})", "'c' is float"),
    "same_id_twice": ("[_send({'kind': 'call', 'c': 9, 'f': 'box.gate', 'a': [], 'k': {}}) for _ in '12']", "twice"),
    "extra_key": ("_send({'kind': 'save', 'c': 9, 'name': 'x', 'admin': True})", "unknown keys"),
    "long_name": ("_send({'kind': 'save', 'c': 9, 'name': 'x' * 301})", "301 characters"),
    "no_name": ("_send({'kind': 'describe', 'c': 9, 'f': ''})", "0 characters"),
    "arguments_that_are_no_list": ("_send({'kind': 'call', 'c': 9, 'f': 'box.echo', 'a': {}, 'k': {}})", "'a' is dict"),
    "second_hello": ("_send({'kind': 'hello', 'version': 1, 'guarded': True})", "second hello"),
    "file_outside": ("_send({'kind': 'file', 'name': '../x', 'data': ''})", "no relative path"),
    "file_absolute": ("_send({'kind': 'file', 'name': '/etc/x', 'data': ''})", "no relative path"),
    "file_of_another_system": ("_send({'kind': 'file', 'name': '..\\\\x', 'data': ''})", "no relative path"),
    "file_with_a_line_in_its_name": ("_send({'kind': 'file', 'name': 'x\\ny', 'data': ''})", "no relative path"),
    "bad_base64": ("_send({'kind': 'file', 'name': 'x', 'data': '!'})", "not base64"),
    "files_without_end": ("while True: _send({'kind': 'file', 'name': 'x', 'data': 'A' * 400000})", "limit `disk`"),
    "empty_files_without_end": ("while True: _send({'kind': 'file', 'name': 'x', 'data': ''})", "limit `disk`"),
    "contradiction": (f"_send({_DONE.replace('ok', 'error')}}})", "contradicts"),
    "error_and_well": (f"_send({_DONE.replace(': None', ': {' + _ERROR + '}', 1)}}})", "contradicts"),
    "unknown_status": (f"_send({_DONE.replace('ok', 'root')}}})", "ended 'root'"),
    "limits_that_are_no_texts": (f"_send({_DONE.replace('[]', '[1]')}}})", "something else"),
    "blob_off_the_path": (f"_send({_DONE}, 'value': [1], 'b': [[[5], 'a/b', '']]}})", "leads nowhere"),
    "blob_over_a_value": (f"_send({_DONE}, 'value': [1], 'b': [[[0], 'a/b', '']]}})", "something else"),
    "blob_with_a_hostile_kind": (f"_send({_DONE}, 'value': None, 'b': [[[], 'a/b\\n<x>', '']]}})", "malformed"),
    "speaking_on": (
        f"import json; b = json.dumps({_DONE}}}).encode(); b = struct.pack('>I', len(b)) + b; os.write(3, b + b)",
        "after its end",
    ),
}  # fmt: skip


@limited(wall=0.5)
@ends("timeout")
def half_a_frame():
    os.write(3, struct.pack(">I", 100) + b"{")
    time.sleep(60)


@limited(wall=0.5)
@ends("timeout")
def one_byte_at_a_time():
    for byte in struct.pack(">I", 1 << 20):
        os.write(3, bytes([byte]))
    while True:
        os.write(3, b" ")


@limited(calls=100)
@ends("violation", "limit")
def requests_without_end():
    for c in range(1, 10**6):
        _send({"kind": "describe", "c": c, "f": "box.echo"})
    time.sleep(60)


@ends("violation")
def hellos_without_end():
    while True:
        _send({"kind": "hello", "version": 1, "guarded": False})


@ends("violation", "timeout")
@limited(wall=4.0)
def answers_that_nobody_reads():
    for c in range(1, 60):
        _send({"kind": "call", "c": c, "f": "box.big", "a": [3 << 20], "k": {}})
    while True:
        time.sleep(1)


@ends("violation")
@says("closed its channel")
def close_the_channel():
    from tools import box

    os.close(3)
    box.echo(1)


@limited(wall=0.5)
@ends("violation", "timeout")
def put_something_else_in_its_place():
    from tools import box

    os.dup2(0, 3)
    box.echo(1)
    time.sleep(60)


@limited(wall=0.5)
@ends("violation", "timeout")
def put_its_output_in_its_place():
    from tools import box

    os.dup2(1, 3)
    box.echo(1)
    time.sleep(60)


@ends("violation", "crashed")
def shut_it_down():
    import socket

    s = socket.socket(fileno=os.dup(3))
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        os.close(3)
    from tools import box

    box.echo(1)


@limited(wall=0.5)
@ends("value", "violation", "timeout", "crashed")
def read_what_is_for_another_thread():
    import threading

    from tools import box

    def asks():
        for n in range(20):
            box.echo(n)

    thread = threading.Thread(target=asks, daemon=True)
    thread.start()
    os.set_blocking(3, False)
    for _ in range(1000):
        try:
            os.read(3, 10)
        except OSError:
            pass
    thread.join(1)


@limited(wall=0.5)
@ends("violation", "timeout", "ok")
@bare
def end_its_own_run_early():
    # Its own result is its own to forge; what runs on is frozen or ended.
    _send(_done(value="forged"))
    time.sleep(60)


@limited(wall=0.5)
@ends("violation", "timeout", "ok", "error", "crashed")
@bare
def end_with_a_value_that_is_a_burden():
    _send(_done(value=[[]] * 1_300_000))
    time.sleep(60)


@limited(wall=0.5)
@ends("violation", "timeout", "ok", "error", "crashed")
@bare
def end_with_texts_that_are_a_burden():
    text = "\x1b[2J\nroot\ud800" * 1000
    error = {
        "type": text,
        "message": text * 30,
        "line": -1,
        "frames": [text] * 90,
        "locals": {text: text},
        "hint": text,
    }
    _send({**_done(), "status": "error", "error": error, "limits": [text] * 40})
    time.sleep(60)


@limited(wall=0.5)
@ends("violation", "timeout", "ok", "error", "crashed")
@bare
def end_with_an_endless_list_of_texts():
    error = {"type": "E", "message": "x" * (3 << 20), "line": 1, "frames": ["x"] * 200_000,
             "locals": {f"{n}": "y" for n in range(10_000)}, "hint": "x" * 100_000}  # fmt: skip
    _send({**_done(), "status": "error", "error": error, "repr": "x" * 400_000, "limits": []})
    time.sleep(60)

"""A small MCP server, standard library only, that misbehaves in the way its first argument names.

It speaks the old protocol. What it is asked to leave behind for a test goes to the file named by its second argument.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

MODE = sys.argv[1]
NOTES = sys.argv[2] if len(sys.argv) > 2 else os.devnull
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
TEXT = [{"type": "text", "text": "fine"}]
cancelled = []
waiting = []


def tool(name, **more):
    return {"name": name, "inputSchema": SCHEMA, **more}


LISTS = {
    "invalid": [tool("good"), {"name": "bare"}, {"description": "nobody"}, "a text", tool("odd", title=7, icons="none"),
                tool("risky", annotations={"destructiveHint": True, "title": 5})],
    "names": [tool("twice"), tool("twice", description="again"), tool("a b/c"), tool("class"), tool("ünïcode"), tool("")],  # noqa: E501
    "empty": [],
}  # fmt: skip
CONTENT = {
    "video": [{"type": "video", "frames": 3}],
    "mixed": [{"type": "text", "text": "see"}, {"type": "image", "data": "iVBORw0=", "mimeType": "image/png"}],
    "list": [{"type": "text", "text": '{"a": 1}'}, {"type": "text", "text": '{"a": 2}'}],
    "number": [{"type": "text", "text": "42"}],
    "object": [{"type": "text", "text": ' {"a": [1, 2]} '}],
    "lines": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
    "link": [{"type": "resource_link", "uri": "file:///a", "name": "a"}],
    "file": [{"type": "resource", "resource": {"uri": "x:y", "blob": "AAE=", "mimeType": "a/b"}}],
    "nothing": None,
    "bare": "just a text",
    "surrogate": [{"type": "text", "text": "\ud83d half"}],
}


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def note(line):
    with open(NOTES, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def tools(params):
    if MODE == "pages":
        n = int(params.get("cursor", 0))
        return {"tools": [tool(f"t{n}")], "nextCursor": str(n + 1)}
    if MODE == "circle":
        return {"tools": [tool("same")], "nextCursor": "again"}
    names = ["echo", "die", "wait", "cancelled", "ask", "progress", "grow", "secret", "fail", "refuse", "big", "null"]
    listed = LISTS.get(MODE, [tool(name) for name in (*names, *CONTENT)])
    return {"tools": [*listed, *([tool("grown")] if waiting == ["grown"] else [])]}


def call(request, params):  # noqa: C901  (one branch for each oddity)
    name, arguments = params["name"], params.get("arguments", {})
    if name in CONTENT:
        return {"content": CONTENT[name]}
    if name == "die":
        sys.stderr.write("about to die\n")
        sys.stderr.flush()
        os._exit(3)
    if name == "wait":
        note("waiting")
        return None
    if name == "cancelled":
        return {"content": [], "structuredContent": {"ids": cancelled}}
    if name == "progress":
        token = params["_meta"]["progressToken"]
        for done in (1, 2):
            progress = {"progressToken": token, "progress": done, "total": 2, "message": f"step {done}"}
            send({"method": "notifications/progress", "params": progress})
    if name == "grow":
        waiting[:] = ["grown"]
        send({"method": "notifications/tools/list_changed"})
    if name == "ask":
        waiting[:] = [request]
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        params = {"message": "who?", "requestedSchema": schema}
        send({"id": "q1", "method": "elicitation/create", "params": params})
        return None
    if name == "fail":
        return {"content": [{"type": "text", "text": "Error executing tool fail: no such file"}], "isError": True}
    if name == "big":
        return {"content": [{"type": "text", "text": "x" * (17 << 20)}]}
    if name == "deep":
        nested = "[" * 500 + "]" * 500
        sys.stdout.write(f'{{"id": {request}, "result": {{"structuredContent": {{"a": {nested}}}}}}}\n')
        sys.stdout.flush()
        return None
    if name == "null":
        send({"id": request, "result": [1, 2]})
        return None
    if name == "secret":
        sys.stderr.write(f"token is {os.environ['TOKEN']}\n")
        sys.stderr.flush()
        os._exit(1)
    return {"content": [{"type": "text", "text": arguments.get("text", "")}]}


def answer(message):
    method, params, request = message.get("method"), message.get("params", {}), message.get("id")
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}}
        info = {"name": "odd", "version": "1"}
        result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info}
        if MODE == "rude":
            result = {"capabilities": {"tools": True}, "instructions": 5}
        send({"id": request, "result": result})
    elif method == "tools/list":
        send({"id": request, "result": tools(params)})
    elif method == "tools/call" and params["name"] == "refuse":
        send({"id": request, "error": {"code": -32602, "message": "bad text"}})
    elif method == "tools/call":
        if (result := call(request, params)) is not None:
            send({"id": request, "result": result})
    elif method == "notifications/cancelled":
        cancelled.append(params["requestId"])
        note("cancelled")
    elif method is None and request == "q1":
        said = json.dumps(message.get("result", message.get("error")))
        send({"id": waiting[0], "result": {"content": [{"type": "text", "text": said}]}})
    elif method == "server/discover" and MODE == "dies_on_probe":
        sys.exit("unknown method server/discover")
    elif method == "server/discover" and MODE == "odd_on_probe":
        send({"id": request, "result": "hello"})
    elif method == "server/discover" and MODE != "ignores_probe":
        send({"id": request, "error": {"code": -32601, "message": "Method not found"}})


def stubborn():
    """Neither this process nor its child, in a session of its own, ends when it is asked to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
    note(f"{os.getpid()} {process.pid}")


def main():
    if MODE == "exits":
        sys.exit("no config file: give --config")
    if MODE == "hangs":
        note("hanging")
        time.sleep(600)
    if MODE == "stubborn":
        stubborn()
    if MODE == "floods":
        threading.Thread(target=lambda: sys.stderr.write("noise\n" * 2_000_000), daemon=True).start()
    if MODE == "garbage":
        print("Server listening on \x1b[31mstdio\x1b[0m")
        print('{"jsonrpc": "2.0", "method": 5}\n[]\n{"id": 99}\n{"a": ')
    for line in sys.stdin:
        answer(json.loads(line))
        if MODE == "garbage":
            print("debug: answered")
    if MODE == "stubborn":
        time.sleep(600)


main()

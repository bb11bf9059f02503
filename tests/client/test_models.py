"""The kinds of models: the real SDKs against a loopback endpoint, the scripted one, and how a spec opens them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from toolweft_client.agent import Agent
from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import Message, Reply, Usage
from toolweft_client.model.cassette import Cassette, Recording
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.model.spec import open_model
from toolweft_client.session import Session
from toolweft_client.trace import Trace

KEY = "sk-test-0123456789abcdef"
MESSAGES = [Message("system", "be brief"), Message("user", "hi"), Message("assistant", "?"), Message("user", "again")]


class Endpoint:
    """Both APIs on loopback: notes what was asked, answers `body` or the API's usual shape."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.statuses: list[int] = []
        self.body: dict[str, Any] | None = None
        self.finish = ("stop", "end_turn")
        self.breaks = False
        """A stream ends in the middle."""

    def answer(self, path: str) -> dict[str, Any]:
        if self.body is not None:
            return self.body
        if path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": "hello"}
            return {"id": "c", "object": "chat.completion", "created": 0, "model": "m-1",
                    "choices": [{"index": 0, "message": message, "finish_reason": self.finish[0]}],
                    "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}}  # fmt: skip
        return {"id": "m", "type": "message", "role": "assistant", "model": "m-1", "stop_sequence": None,
                "content": [{"type": "thinking", "thinking": "…", "signature": "s"}, {"type": "text", "text": "hello"}],
                "stop_reason": self.finish[1], "usage": {"input_tokens": 11, "output_tokens": 3}}  # fmt: skip

    def events(self, path: str) -> str:
        """The same, streamed."""
        if path.endswith("/chat/completions"):
            deltas = [{"role": "assistant", "content": ""}, {"content": "hel"}, {"content": "lo"}]
            sent: list[Any] = [_chunk([{"index": 0, "delta": each, "finish_reason": None}]) for each in deltas]
            if not self.breaks:
                sent.append(_chunk([{"index": 0, "delta": {}, "finish_reason": self.finish[0]}]))
                details = {"cached_tokens": 5}
                sent.append(_chunk([]) | {"usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14,
                                                    "prompt_tokens_details": details}})  # fmt: skip
            return "".join(f"data: {json.dumps(each)}\n\n" for each in sent) + (
                "" if self.breaks else "data: [DONE]\n\n"
            )
        usage = {"input_tokens": 6, "output_tokens": 1, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0}
        message = {"id": "m", "type": "message", "role": "assistant", "model": "m-1", "stop_sequence": None,
                   "content": [], "stop_reason": None, "usage": usage}  # fmt: skip
        sent = [{"type": "message_start", "message": message},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
                  for text in ("hel", "lo"))]  # fmt: skip
        if not self.breaks:
            sent += [{"type": "content_block_stop", "index": 0},
                     {"type": "message_delta", "delta": {"stop_reason": self.finish[1], "stop_sequence": None},
                      "usage": {"output_tokens": 3}},
                     {"type": "message_stop"}]  # fmt: skip
        return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in sent)


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m-1", "choices": choices}


@pytest.fixture
def endpoint() -> Iterator[tuple[Endpoint, str]]:
    noted = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            noted.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status = noted.statuses.pop(0) if noted.statuses else 200
            told = noted.answer(self.path) if status == 200 else {"error": {"message": f"bad key {KEY}", "type": "x"}}
            streams = status == 200 and body.get("stream")
            text = (noted.events(self.path) if streams else json.dumps(told)).encode()
            self.send_response(status)
            self.send_header("content-type", "text/event-stream" if streams else "application/json")
            self.send_header("content-length", str(len(text)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield noted, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["openai", "anthropic"])
def kind(request, monkeypatch) -> str:
    pytest.importorskip(request.param)
    monkeypatch.setenv(f"{request.param.upper()}_API_KEY", KEY)
    return request.param


def url(kind: str, base: str) -> str:
    return base + ("/v1" if kind == "openai" else "")


async def test_messages_go_out_and_text_usage_and_stop_come_back(endpoint, kind):
    noted, base = endpoint
    async with open_model(f"{kind}:m", base_url=url(kind, base)) as model:
        reply = await model.complete(MESSAGES, max_tokens=50, stop=["END"], stage="design")
    assert model.name == f"{kind}:m"
    assert reply == Reply("hello", Usage(11, 3), "stop", "m-1")
    path, headers, body = noted.asked[0]
    assert body["model"] == "m"
    assert body["max_tokens"] == 50
    assert KEY in (headers.get("authorization", "").removeprefix("Bearer "), headers.get("x-api-key"))
    if kind == "openai":
        assert path == "/v1/chat/completions"
        assert [each["role"] for each in body["messages"]] == ["system", "user", "assistant", "user"]
        assert body["stop"] == ["END"]
    else:
        assert path == "/v1/messages"
        assert body["system"] == "be brief"
        assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user"]
        assert body["stop_sequences"] == ["END"]
    assert "stage" not in body


async def test_who_listens_hears_the_reply_piece_by_piece(endpoint, kind):
    noted, base = endpoint
    heard: list[str] = []
    async with open_model(f"{kind}:m", base_url=url(kind, base), heard=heard.append) as model:
        reply = await model.complete(MESSAGES, max_tokens=50, stop=["END"])
    assert reply == Reply("hello", Usage(11, 3, 5), "stop", "m-1")
    assert [each for each in heard if each] == ["hel", "lo"]
    assert len(noted.asked) == 1


async def test_an_endpoint_that_refuses_altogether_is_not_asked_twice_for_the_sake_of_a_stream(endpoint, kind):
    noted, base = endpoint
    noted.statuses = [401]
    async with open_model(f"{kind}:m", base_url=url(kind, base), heard=lambda _piece: None) as model:
        with pytest.raises(ModelError, match="Check the key"):
            await model.complete(MESSAGES, max_tokens=5)
    assert len(noted.asked) == 1


@pytest.mark.parametrize("breaks", [True, False])
async def test_a_stream_that_breaks_or_is_refused_costs_one_more_request(endpoint, kind, breaks):
    noted, base = endpoint
    noted.breaks, noted.statuses = breaks, [] if breaks else [400]
    async with open_model(f"{kind}:m", base_url=url(kind, base), heard=lambda _piece: None) as model:
        reply = await model.complete(MESSAGES, max_tokens=5)
    assert (reply.text, reply.stop_reason) == ("hello", "stop")
    assert [body.get("stream", False) for _, _, body in noted.asked] == [True, False]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (("length", "max_tokens"), "length"),
        (("content_filter", "refusal"), "refusal"),
        (("new", "pause_turn"), "other"),
    ],
)
async def test_stop_reasons_have_one_vocabulary(endpoint, kind, finish, reason):
    noted, base = endpoint
    noted.finish = finish
    async with open_model(f"{kind}:m", base_url=url(kind, base)) as model:
        assert (await model.complete(MESSAGES, max_tokens=5)).stop_reason == reason


async def test_busy_endpoint_is_asked_again(endpoint, kind):
    noted, base = endpoint
    noted.statuses = [429, 500]
    async with open_model(f"{kind}:m", base_url=url(kind, base)) as model:
        assert (await model.complete(MESSAGES, max_tokens=5)).text == "hello"
    assert len(noted.asked) == 3


async def test_refused_key_is_said_and_never_shown(endpoint, kind):
    noted, base = endpoint
    noted.statuses = [401]
    async with open_model(f"{kind}:m", base_url=url(kind, base)) as model:
        with pytest.raises(ModelError, match="Check the key") as caught:
            await model.complete(MESSAGES, max_tokens=5)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": None}, {"content": None}, {"detail": "not an API"}])
async def test_endpoint_that_answers_something_else_is_a_clear_error(endpoint, kind, body):
    noted, base = endpoint
    noted.body = body
    async with open_model(f"{kind}:m", base_url=url(kind, base)) as model:
        with pytest.raises(ModelError, match=f"{kind}:m"):
            await model.complete(MESSAGES, max_tokens=5)


async def test_endpoint_that_is_not_there_is_a_clear_error(kind):
    async with open_model(f"{kind}:m", base_url="http://127.0.0.1:9/v1") as model:
        with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9"):
            await model.complete(MESSAGES, max_tokens=5)


async def test_endpoint_of_ones_own_needs_no_key_and_comes_from_the_environment(endpoint, kind, monkeypatch):
    _, base = endpoint
    monkeypatch.delenv(f"{kind.upper()}_API_KEY")
    monkeypatch.setenv(f"{kind.upper()}_BASE_URL", url(kind, base))
    async with open_model(f"{kind}:m") as model:
        assert (await model.complete(MESSAGES, max_tokens=5)).text == "hello"


async def test_missing_key_says_where_to_put_it(kind, monkeypatch):
    keyring = pytest.importorskip("keyring")
    keyring.set_keyring(__import__("keyring.backends.null", fromlist=["Keyring"]).Keyring())
    monkeypatch.delenv(f"{kind.upper()}_API_KEY")
    monkeypatch.delenv(f"{kind.upper()}_BASE_URL", raising=False)
    with pytest.raises(UsageError, match=f"keyring set toolweft {kind.upper()}_API_KEY"):
        async with open_model(f"{kind}:m"):
            pass


async def test_missing_package_says_what_to_install(kind, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, kind, None)
    with pytest.raises(UsageError, match=r"pip install 'toolweft\[models\]'"):
        async with open_model(f"{kind}:m"):
            pass


async def test_a_hosts_model_cannot_be_opened_from_here():
    with pytest.raises(UsageError, match="the model of the host that called `toolweft solve-server`"):
        async with open_model("sampling:host"):
            pass


@pytest.mark.parametrize("spec", ["", "gpt-5", "openai", "openai:", "qwen:7b", ":x"])
async def test_spec_of_another_form_lists_the_kinds(spec):
    with pytest.raises(UsageError, match="openai:…, anthropic:…, local:…, toolweaver:…, scripted:…"):
        async with open_model(spec):
            pass


async def test_script_is_read_from_a_file_or_a_folder(tmp_path):
    (tmp_path / "replies.json").write_text('["one", "two"]', encoding="utf-8")
    folder = tmp_path / "replies"
    folder.mkdir()
    for name, text in (("02.md", "two"), ("01.txt", "one"), ("notes.rst", "not a reply")):
        (folder / name).write_text(text, encoding="utf-8")
    for path in (tmp_path / "replies.json", folder):
        async with open_model(f"scripted:{path}") as model:
            assert [(await model.complete(MESSAGES, max_tokens=5)).text for _ in range(2)] == ["one", "two"]
            with pytest.raises(ModelError, match="2 replies and was asked for number 3, in stage 'repair'"):
                await model.complete(MESSAGES, max_tokens=5, stage="repair")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[1]", '"one"'])
async def test_script_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "replies.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"replies\.json"):
        async with open_model(f"scripted:{tmp_path / 'replies.json'}"):
            pass


async def test_script_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        async with open_model(f"scripted:{tmp_path / 'nothing'}"):
            pass


async def test_scripted_reply_may_depend_on_what_was_shown():
    model = ScriptedModel([lambda messages: messages[-1].text.upper()])
    assert (await model.complete(MESSAGES, max_tokens=5)).text == "AGAIN"
    assert model.prompts == [tuple(MESSAGES)]


async def test_a_cassette_says_again_what_was_recorded_and_nothing_else(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "hunter2-hunter2")
    path = tmp_path / "shop.cassette"
    replies = ["```python\nshop.list_orders(customer='Ada')\n```", "```python\n# hunter2-hunter2\n'Ada'\n```"]

    async def answer(model, task="Whose orders?"):
        async with Session.connect(server) as session:
            trace = Trace()
            return await Agent(model, session).run(task, trace=trace), [
                each.data["messages"] for each in trace.steps if each.event == "llm"
            ]

    recorded, prompts = await answer(Recording(ScriptedModel(replies), path))
    assert "hunter2" not in path.read_text(encoding="utf-8")
    again, same = await answer(Cassette(path))
    assert (recorded.text, again.text, same) == ("Ada", "Ada", prompts)
    missed, _ = await answer(Cassette(path), task="Whose letters?")
    assert (missed.status, missed.reason) == ("failed", "model")
    assert "holds no reply to this prompt of stage 'design'" in missed.text
    with pytest.raises(UsageError, match="cannot be made: File exists"):
        Recording(ScriptedModel(replies), path)


@pytest.mark.parametrize("content", [None, "{", "{}\n", '{"reply": 1, "messages": []}\n'])
def test_a_cassette_that_is_none_is_an_error_with_its_line(tmp_path, content):
    path = tmp_path / "x.cassette"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"cassette:.*line \d+: cannot be read"):
        Cassette(path)

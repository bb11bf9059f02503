"""An OpenAPI service, described by a document and called over HTTP, on a real server."""

import json
import socket

import anyio
import anyio.abc
import pytest

from toolweft_catalog.call import Blob, Call
from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.http import HttpUpstream


@pytest.fixture
async def connect(service, described, tmp_path):
    """Opens an upstream on the service and gives a function that calls its tools by name."""
    opened = []

    async def connect(url=service.url, **options):
        path = tmp_path / "service.json"
        path.write_text(described(url), encoding="utf-8")
        upstream = HttpUpstream("echo", **{"document_source": str(path), "timeout": 20.0, **options})
        opened.append(upstream)
        tools = {tool.name: tool for tool in (await upstream.manifest()).tools}

        async def call(name, /, limit=None, **arguments):
            return await upstream(Call(tools[name], arguments, timeout=limit))

        return call

    yield connect
    for upstream in opened:
        await upstream.aclose()


# ---- requests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ({"plain": "a b&c=d"}, "plain=a%20b%26c%3Dd"),
        ({"plain": True}, "plain=true"),
        ({"plain": 1.5}, "plain=1.5"),
        ({"plain": None}, ""),
        ({"many": ["a", "b,c"]}, "many=a&many=b%2Cc"),
        ({"many": {"x": 1, "y": 2}}, "x=1&y=2"),
        ({"comma": ["a", "b,c"]}, "comma=a,b%2Cc"),
        ({"comma": {"x": 1, "y": 2}}, "comma=x,1,y,2"),
        ({"comma": []}, ""),
        ({"pipe": ["a", "b"]}, "pipe=a|b"),
        ({"deep": {"x": {"y": [1, 2]}}}, "deep[x][y][]=1&deep[x][y][]=2"),
        ({"as json": {"x": [1]}}, "as%20json=%7B%22x%22%3A%5B1%5D%7D"),
    ],
)
async def test_query_arguments_are_written_in_their_style(connect, arguments, query):
    call = await connect()
    assert (await call("search", **arguments)).value["query"] == query


async def test_header_and_cookie_arguments_arrive(connect):
    call = await connect()
    seen = (await call("search", **{"X-Trace": ["a", "b"], "taste": "sweet; sour"})).value
    assert seen["headers"]["x-trace"] == "a,b"
    assert seen["headers"]["cookie"] == "taste=sweet%3B sour"


async def test_an_object_body_is_put_together_from_its_arguments(connect):
    call = await connect()
    seen = (await call("add", name="Zoë", age=3)).value
    assert json.loads(seen["body"]) == {"name": "Zoë", "age": 3}
    assert seen["headers"]["content-type"] == "application/json"


async def test_a_form_is_sent_as_a_form(connect):
    call = await connect()
    seen = (await call("form", name="a b", age=3)).value
    assert seen["body"] == "name=a+b&age=3"


async def test_an_upload_sends_text_and_data_urls_as_files(connect):
    call = await connect()
    seen = (await call("upload", file="data:image/gif;base64,R0lGODlh", note="hello")).value
    assert seen["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert 'name="file"; filename="file"\r\nContent-Type: image/gif\r\n\r\nGIF89a' in seen["body"]
    assert 'name="note"\r\n\r\nhello' in seen["body"]


async def test_any_other_body_is_sent_as_it_is(connect):
    call = await connect()
    seen = (await call("raw", body="a,b\n1,2")).value
    assert (seen["body"], seen["headers"]["content-type"]) == ("a,b\n1,2", "text/csv")


@pytest.mark.parametrize("value", ["a/b", "ü", "a?b=c#d", "50%", "...", "x..", "{id}"])
async def test_a_path_argument_stays_one_step_of_the_path(connect, value):
    call = await connect()
    result = await call("item", id=value)
    steps = result.value["path"].split("/")
    assert (steps[:2], steps[3:]) == (["", "echo"], ["item"])
    assert result.value["query"] == ""


@pytest.mark.parametrize("value", ["..", ".", "../admin", "a/../../b", "%2e%2e", "..\\x", "", None, "%252e%252e/a"])
async def test_a_path_argument_that_climbs_or_is_empty_is_never_sent(connect, service, value):
    call = await connect()
    before = len(service.seen)
    result = await call("item", id=value)
    assert (result.failure.kind, result.failure.sent) == ("arguments", False)
    assert len(service.seen) == before


async def test_a_header_argument_cannot_start_a_new_line(connect):
    call = await connect()
    result = await call("search", **{"X-Trace": "a\r\nHost: elsewhere"})
    assert (result.failure.kind, result.failure.sent) == ("arguments", False)
    assert "'X-Trace'" in result.failure.message


async def test_calls_share_no_cookies(connect):
    call = await connect()
    await call("search")
    assert "cookie" not in (await call("search")).value["headers"]


# ---- credentials ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "where", "expected"),
    [
        ({"key": "k3y-value"}, "query", "api_key=***"),
        ({"login": {"username": "ann", "password": "pass-word"}}, "authorization", "Basic ***"),
        ({"login": "ann:pass-word"}, "authorization", "Basic ***"),
        ({"oauth": "t0ken-value"}, "authorization", "Bearer ***"),
        ({"bearer": "t0ken-value"}, "authorization", "Bearer ***"),
        ({"header": {"X-Key": "k3y-value"}}, "x-key", "***"),
        ({"query": {"k": "k3y-value"}}, "query", "k=***"),
    ],
)
async def test_credentials_go_where_their_scheme_says_and_never_come_back(connect, service, auth, where, expected):
    call = await connect(auth=auth)
    answer = (await call("signed")).value
    told = answer["query"] if where == "query" else answer["headers"][where]
    assert told == expected
    sent = service.seen[-1]
    real = sent["query"] if where == "query" else sent["headers"][where]
    assert "***" not in real
    assert real.split()[0] == told.split()[0] or where in ("query", "x-key")


async def test_configured_headers_are_sent_and_win_over_arguments(connect, service):
    call = await connect(headers={"x-trace": "ours", "X-Api-Key": "k3y-value"})
    await call("search", **{"X-Trace": "theirs"})
    assert service.seen[-1]["headers"]["x-trace"] == "ours"
    assert service.seen[-1]["headers"]["x-api-key"] == "k3y-value"


async def test_an_error_that_echoes_credentials_is_blotted(connect):
    call = await connect(auth={"bearer": "t0ken/value", "query": {"k": "t0ken/value"}})
    result = await call("leak")
    assert result.failure.kind == "tool"
    assert "t0ken" not in result.failure.message
    assert "Bearer ***" in result.failure.message


async def test_an_unknown_scheme_in_auth_is_a_problem_that_names_the_known_ones(described, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(described("http://127.0.0.1:1"), encoding="utf-8")
    manifest = await HttpUpstream("echo", document_source=str(path), auth={"kye": "k3y-value"}).manifest()
    assert manifest.problems == [
        "'auth' names 'kye', which the document does not define; it defines: key, login, oauth"
    ]


# ---- answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "plain ünïcode"),
        ("number", "42"),
        ("json-as-text", {"a": [1, 2]}),
        ("problem", {"a": 1}),
        ("broken-json", '{"a": '),
        ("latin", "é"),
        ("odd-charset", "abc"),
        ("not-a-number", {"a": None}),
        ("nothing", None),
        ("untyped", Blob("application/octet-stream", b"\xff\xfe\x00")),
    ],
)
async def test_an_answer_becomes_the_value_that_it_is(connect, kind, value):
    call = await connect()
    assert (await call("kinds", kind=kind)).value == value


async def test_binary_content_is_a_blob(connect, service):
    call = await connect()
    assert (await call("kinds", kind="png")).value == Blob("image/png", service.png)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (400, '400 Bad Request: {"detail": "because 400"}'),
        (401, '401 Unauthorized: {"detail": "because 401"} (set \'auth\' in its entry)'),
        (429, '429 Too Many Requests: {"detail": "because 429"} (try again after \'7\')'),
        (503, '503 Service Unavailable: {"detail": "because 503"}'),
    ],
)
async def test_an_error_answer_is_told_with_its_reason(connect, code, message):
    call = await connect()
    failure = (await call("status", code=code)).failure
    assert (failure.kind, failure.message, failure.sent) == ("tool", message, True)


async def test_an_answer_that_is_too_large_is_cut_off(connect):
    call = await connect()
    assert (await call("large")).failure.kind == "limit"


async def test_a_redirect_on_the_same_host_is_followed(connect, service):
    call = await connect()
    assert (await call("to", url="/echo/there")).value["path"] == "/echo/there"
    assert (await call("to", url=f"{service.url}/echo/there", code=303)).value["path"] == "/echo/there"


async def test_a_redirect_to_another_host_is_not_followed(connect, service):
    call = await connect(auth={"bearer": "t0ken-value"})
    elsewhere = service.url.replace("127.0.0.1", "localhost") + "/echo/there"
    before = len(service.seen)
    failure = (await call("to", url=elsewhere)).failure
    assert failure.kind == "tool"
    assert f"it redirects to {elsewhere!r}, which is not followed" in failure.message
    assert len(service.seen) == before


async def test_redirects_in_a_circle_end(connect):
    call = await connect()
    assert (await call("to", url="/to?url=/to%3Furl%3D/to")).failure.kind == "tool"


async def test_a_service_that_is_not_there_is_unavailable_and_nothing_was_sent(connect):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    call = await connect(f"http://127.0.0.1:{port}")
    failure = (await call("search")).failure
    assert (failure.kind, failure.sent) == ("unavailable", False)


async def test_a_service_that_hangs_up_is_unavailable_and_the_outcome_unknown(connect):
    async def hang_up(stream):
        async with stream:
            await stream.receive()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, hang_up)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        call = await connect(f"http://127.0.0.1:{port}")
        failure = (await call("add", name="x")).failure
        tasks.cancel_scope.cancel()
    assert (failure.kind, failure.sent) == ("unavailable", True)


async def test_a_slow_answer_is_a_timeout_and_the_next_call_works(connect, service):
    call = await connect()
    failure = (await call("slow", limit=0.2)).failure
    service.release.set()
    assert (failure.kind, failure.sent) == ("timeout", True)
    assert (await call("search")).ok


async def test_calls_run_side_by_side_up_to_their_bound(connect, service):
    call = await connect(max_concurrency=2)
    results = []

    async def one():
        results.append((await call("paired")).value)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)
    assert results == ["met"] * 20
    assert service.peak == 2


# ---- documents ------------------------------------------------------------------------------------------------


async def test_a_document_is_fetched_and_its_service_is_where_it_came_from(service):
    upstream = HttpUpstream("echo", document_source=f"{service.url}/openapi.json")
    manifest = await upstream.manifest()
    assert (manifest.protocol, list(manifest.problems)) == ("OpenAPI 3.1.0", [])
    result = await upstream(Call(next(tool for tool in manifest.tools if tool.name == "search"), {"plain": 1}))
    await upstream.aclose()
    assert result.value["query"] == "plain=1"


async def test_credentials_are_sent_for_a_document_only_to_the_service_itself(service):
    source, auth = f"{service.url}/secret.json", {"bearer": "t0ken-value"}
    own = HttpUpstream("echo", document_source=source, auth=auth, base_url=service.url)
    assert (await own.manifest()).tools
    other = HttpUpstream("echo", document_source=source, auth=auth)
    with pytest.raises(UpstreamError, match="Set 'base_url' to the same host") as caught:
        await other.manifest()
    await own.aclose()
    await other.aclose()
    assert caught.value.cause == "auth"


async def test_base_url_wins_over_the_documents_servers(connect, service):
    call = await connect("https://nowhere.invalid/v1", base_url=f"{service.url}/echo/under")
    assert (await call("search")).value["path"] == "/echo/under/echo"


async def test_a_document_that_names_no_server_is_a_problem_and_calls_say_what_to_set(described, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(described(""), encoding="utf-8")
    upstream = HttpUpstream("echo", document_source=str(path))
    manifest = await upstream.manifest()
    assert manifest.problems == ["the document does not say where the service is: set 'base_url' in its entry"]
    failure = (await upstream(Call(manifest.tools[0]))).failure
    assert (failure.kind, failure.sent) == ("unavailable", False)
    assert "set 'base_url'" in failure.message


@pytest.mark.parametrize(
    ("source", "cause", "words"),
    [
        ("/nowhere/at/all.yaml", "not_found", "cannot be read"),
        ("\0", "not_found", "cannot be read"),
        ("{url}/missing.json", "network", "answered '404 Not Found'"),
        ("{url}/echo", "spec", "no OpenAPI 3 document"),
        ("http://127.0.0.1:1/x.json", "network", "cannot be fetched"),
        ("http://[broken/x.json", "network", "cannot be fetched"),
    ],
)
async def test_a_document_that_cannot_be_had_names_the_cause(service, source, cause, words):
    upstream = HttpUpstream("echo", document_source=source.replace("{url}", service.url))
    with pytest.raises(UpstreamError, match=words) as caught:
        await upstream.manifest()
    await upstream.aclose()
    assert caught.value.cause == cause


async def test_closing_twice_is_harmless(connect):
    call = await connect()
    await call("search")
    upstream = HttpUpstream("echo", document_source="x")
    await upstream.aclose()
    await upstream.aclose()

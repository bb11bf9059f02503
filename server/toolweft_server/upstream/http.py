"""An OpenAPI service as an upstream: its document gives the tools, HTTP makes the calls.

The document is read on first use, from a file or a URL. `ingest.openapi` turns it into tools, whose `binding` says
how to call them; `http_request` writes the request, `http_auth` signs it, `http_answer` reads the answer. One client
with one pool of connections serves all calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import anyio
import anyio.to_thread

from toolweft_catalog.call import Call, Result, failed
from toolweft_server.errors import UpstreamError
from toolweft_server.upstream import http_answer, http_request
from toolweft_server.upstream.base import Manifest
from toolweft_server.upstream.http_auth import Credentials

if TYPE_CHECKING:
    import httpx2

DOCUMENT_LIMIT = 20 * 1024 * 1024
"""Bytes of a document; the largest public ones have about twelve million."""
ANSWER_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer after decompression. A program that needs more pages through it."""
CONNECT_LIMIT = 10.0
"""Seconds for a connection."""
REDIRECTS = 5
INLINE = 256 * 1024
"""Bytes of an answer that are parsed at once; longer ones are parsed in a thread."""


class _TooLargeError(Exception):
    pass


class HttpUpstream:
    """Satisfies `Upstream`. `auth` is described in `http_auth`; `base_url` wins over the document's servers."""

    def __init__(
        self,
        name: str,
        *,
        document_source: str,
        base_url: str | None = None,
        auth: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        max_concurrency: int = 8,
    ) -> None:
        self.name = name
        self.on_change: Callable[[], None] | None = None
        self._source, self._base_url = document_source, base_url
        self._headers = dict(headers or {})
        self._credentials = Credentials(auth, self._headers)
        self._timeout = timeout
        self._limiter = anyio.Semaphore(max_concurrency)
        self._client: httpx2.AsyncClient | None = None

    async def manifest(self) -> Manifest:
        with anyio.move_on_after(self._timeout):
            raw = await self._document()
            try:
                return await anyio.to_thread.run_sync(partial(self._read, raw), abandon_on_cancel=True)
            except ValueError as error:
                raise self._error("spec", f"{self._source!r} cannot be used: {error}.") from error
        raise self._error("hangs", f"{self._source!r} could not be read within {self._timeout:g} s.")

    async def __call__(self, call: Call) -> Result:
        limit = self._timeout if call.timeout is None else call.timeout
        sent = _Sent()
        with anyio.move_on_after(limit):
            try:
                return await self._call(call, sent)
            except http_request.UnfitArgumentError as error:
                return failed("arguments", str(error), sent=False)
        return failed("timeout", f"{call.tool.id} gave no answer within {limit:g} s", sent=sent.yes)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # ---- the document -----------------------------------------------------------------------------------------

    async def _document(self) -> bytes:
        return await (self._download() if _is_url(self._source) else self._file())

    async def _file(self) -> bytes:
        try:
            raw = await anyio.to_thread.run_sync(_read_file, self._source)
        except (OSError, ValueError) as error:
            fix = "Give the path of the document, or its URL."
            raise self._error("not_found", f"{self._source!r} cannot be read ({error}).", fix) from error
        return self._bounded(raw)

    async def _download(self) -> bytes:
        import httpx2

        # Credentials are for the service; who else hosts its description has no business with them.
        own = self._base_url is not None and _origin(self._base_url) == _origin(self._source)
        signed = self._credentials.sign([]).headers if own else {}
        headers = {**self._headers, **signed} if own else {}
        try:
            request = self._http().build_request("GET", self._source, headers=headers)
            response, body = await self._exchange(request, DOCUMENT_LIMIT, anywhere=not own)
        except _TooLargeError:
            return self._bounded(bytes(DOCUMENT_LIMIT + 1))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            said = self._credentials.blotted(f"{type(error).__name__}: {error}")
            fix = "Check the address and the network, or save the document and give its path."
            raise self._error("network", f"{self._source!r} cannot be fetched ({said}).", fix) from None
        if response.status_code in (401, 403):
            fix = "Set 'base_url' to the same host, so that the entry's credentials are sent, or give a file's path."
            raise self._error("auth", f"{self._source!r} asks for credentials ({response.status_code}).", fix)
        if response.status_code != 200:
            said = f"{response.status_code} {response.reason_phrase}".strip()
            raise self._error("network", f"{self._source!r} answered {said!r}.", "Check the address.")
        return body

    def _bounded(self, raw: bytes) -> bytes:
        if len(raw) > DOCUMENT_LIMIT:
            raise self._error("spec", f"{self._source!r} is larger than {DOCUMENT_LIMIT // 2**20} MB.")
        return raw

    def _read(self, raw: bytes) -> Manifest:
        from toolweft_catalog.ingest import document, openapi

        spec = document.load(raw)
        ingested = openapi.tools(spec, server=self.name)
        problems = list(ingested.problems)
        schemes = openapi.scheme_names(spec)
        defined = ", ".join(sorted(schemes)) or "none"
        problems += [
            f"'auth' names {key!r}, which the document does not define; it defines: {defined}"
            for key in self._credentials.unknown(schemes)
        ]
        if ingested.tools and not _is_url(self._url_of(str(ingested.tools[0].binding["base_url"]))):
            problems.append("the document does not say where the service is: set 'base_url' in its entry")
        return Manifest(ingested.tools, problems, protocol=f"OpenAPI {openapi.version_of(spec)}")

    def _url_of(self, named: str) -> str:
        """Where requests go. A document's server may be relative to where the document came from."""
        if self._base_url is not None:
            return self._base_url
        return urljoin(self._source, named or "/") if _is_url(self._source) else named

    # ---- calls ------------------------------------------------------------------------------------------------

    async def _call(self, call: Call, sent: _Sent) -> Result:
        import httpx2

        try:
            request = self._request(call, sent)
        except (httpx2.InvalidURL, UnicodeError) as error:
            return failed("arguments", self._credentials.blotted(f"no URL can be made of them: {error}"), sent=False)
        if request is None:
            said = f"{self.name}: it is not known where the service is; set 'base_url' in its entry"
            return failed("unavailable", said, sent=False)
        try:
            async with self._limiter:
                response, body = await self._exchange(request, ANSWER_LIMIT)
        except _TooLargeError:
            said = f"the answer is larger than {ANSWER_LIMIT // 2**20} MB; ask for less"
            return failed("limit", said)
        except (httpx2.HTTPError, OSError) as error:
            kind = "timeout" if isinstance(error, httpx2.TimeoutException) and sent.yes else "unavailable"
            said = self._credentials.blotted(f"{self.name}: {type(error).__name__}: {error}".rstrip(": "))
            return failed(kind, said, sent=sent.yes)  # type: ignore[arg-type]
        read = partial(
            http_answer.result,
            response.status_code,
            response.reason_phrase,
            response.headers,
            body,
            blot=self._credentials.blotted,
            hint="check 'auth' of its entry" if self._credentials.has_any() else "set 'auth' in its entry",
        )
        return read() if len(body) < INLINE else await anyio.to_thread.run_sync(read)

    def _request(self, call: Call, sent: _Sent) -> httpx2.Request | None:
        import httpx2

        binding: Mapping[str, Any] = call.tool.binding
        base_url = self._url_of(str(binding.get("base_url", "")))
        if not _is_url(base_url):
            return None
        prepared = http_request.prepare(binding, call.arguments, base_url=base_url)
        signature = self._credentials.sign(binding.get("security", []))
        cookies = {**prepared.cookies, **signature.cookies}
        headers = httpx2.Headers()
        # A model's arguments come first, so that they can replace neither the person's headers nor the credentials.
        for each in (prepared.headers, self._headers, signature.headers):
            for name, value in each.items():
                headers.update([(name.encode("ascii"), value.encode("utf-8"))])
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        return self._http().build_request(
            prepared.method,
            http_request.with_query(prepared.url, signature.query),
            headers=headers,
            content=prepared.content,
            data=prepared.form,
            files=prepared.files,
            extensions={"trace": sent.trace},
        )

    async def _exchange(
        self, request: httpx2.Request, limit: int, *, anywhere: bool = False
    ) -> tuple[httpx2.Response, bytes]:
        """One request with its redirects: those that stay on the same host, unless it carries nothing to lose.

        Raises:
            _TooLargeError: The body is longer than `limit`.
            httpx2.HTTPError: No connection, or a broken one.

        """
        client = self._http()
        for _ in range(REDIRECTS):
            response = await client.send(request, stream=True)
            try:
                body = await _body(response, limit)
            finally:
                await response.aclose()
            following = response.next_request
            if following is None or not (anywhere or _stays(request.url, following.url)):
                break
            following.extensions = request.extensions
            request = following
        return response, body

    def _http(self) -> httpx2.AsyncClient:
        if self._client is None:
            import httpx2

            self._client = httpx2.AsyncClient(
                follow_redirects=False,
                timeout=httpx2.Timeout(None, connect=CONNECT_LIMIT),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # calls share nothing but connections
                headers={"User-Agent": "toolweft", "Accept": "application/json, */*;q=0.5"},
                # What runs on this machine is reached without a proxy, whatever the environment says.
                mounts={f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},
            )
        return self._client

    def _error(self, cause: str, message: str, fix: str = "") -> UpstreamError:
        return UpstreamError(self.name, cause, self._credentials.blotted(message), fix=fix)


class _Sent:
    """Whether a request has begun to leave this machine: httpx reports each step of it."""

    def __init__(self) -> None:
        self.yes = False

    async def trace(self, event: str, _: Mapping[str, Any]) -> None:
        self.yes = self.yes or event.endswith("send_request_headers.started")


async def _body(response: httpx2.Response, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > limit:
            raise _TooLargeError
        parts.append(part)
    return b"".join(parts)


def _read_file(path: str) -> bytes:
    with Path(path).expanduser().open("rb") as file:
        return file.read(DOCUMENT_LIMIT + 1)


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _origin(url: str) -> tuple[str, str]:
    split = urlsplit(url)
    return split.scheme, split.netloc.lower()


def _stays(here: httpx2.URL, there: httpx2.URL) -> bool:
    """Whether credentials may go on from one URL to the other: the same origin, or the same host made secure."""
    if here.host != there.host:
        return False
    upgraded = (here.scheme, here.port, there.scheme, there.port) == ("http", None, "https", None)
    return upgraded or (here.scheme, here.port) == (there.scheme, there.port)

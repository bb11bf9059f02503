"""`toolweft serve --http`: the same server over streamable HTTP, on loopback unless a token guards it."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings

from toolweft_server.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MIN_TOKEN = 16

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/mcp"


def address(text: str) -> Address:
    """`PORT`, `HOST:PORT` or `[IPv6]:PORT`.

    Raises:
        ConfigError: Something else.

    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise ConfigError(f"--http takes PORT or HOST:PORT, not {text!r}")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


def listen(where: Address) -> tuple[socket.socket, Address]:
    """A listening socket, and its address with the port that was given for port 0.

    Raises:
        ConfigError: The address is taken, or is not this machine's.

    """
    try:
        family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        listener = socket.create_server((where.host, where.port), family=family)
    except OSError as error:
        raise ConfigError(f"cannot listen on {where.host}:{where.port}: {error.strerror or error}") from error
    return listener, Address(where.host, listener.getsockname()[1])


def token(variable: str | None, where: Address) -> str | None:
    """The token that callers must send, from the environment.

    Raises:
        ConfigError: Others could reach this address and no token guards it, or the variable holds none.

    """
    if variable is None:
        if where.is_loopback:
            return None
        raise ConfigError(
            f"{where.host} can be reached from other machines; name an environment variable that holds a token "
            "with --token-env, or bind 127.0.0.1"
        )
    value = os.environ.get(variable, "")
    if len(value) < MIN_TOKEN:
        raise ConfigError(f"the environment variable {variable!r} must hold a token of at least {MIN_TOKEN} characters")
    return value


def owner(secret: str | None) -> str:
    """Who the holder of a token is: sessions and executions belong to it."""
    return "local" if secret is None else "token:" + hashlib.sha256(secret.encode()).hexdigest()[:12]


def app(server: Server[None], where: Address, *, secret: str | None, hosts: Sequence[str] = ()) -> Asgi:
    """The ASGI application. Host and Origin are checked always; `hosts` are further names it is reached by."""
    names = [*LOOPBACK, *hosts]
    if not where.is_loopback:
        names += [where.host, socket.gethostname()]
    bracketed = [f"[{name}]" if ":" in name else name for name in names]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[pattern for name in bracketed for pattern in (name, f"{name}:*")],
        allowed_origins=[
            f"{scheme}://{name}{port}" for name in bracketed for scheme in ("http", "https") for port in ("", ":*")
        ],
    )
    inner = server.streamable_http_app(transport_security=security, host=where.host)
    return inner if secret is None else guard(inner, secret)


def guard(inner: Asgi, secret: str) -> Asgi:
    """Lets requests pass that carry the token; compares in constant time."""
    expected = b"Bearer " + secret.encode()

    async def guarded(
        scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, expected):
                headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send({"type": "http.response.body", "body": b"a bearer token is required\n"})
                return
        await inner(scope, receive, send)

    return guarded

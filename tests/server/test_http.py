"""HTTP: loopback by default, a token for anything else, and strangers' pages stay out."""

import pytest

from toolweft_server import http
from toolweft_server.errors import ConfigError
from toolweft_server.http import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8808", Address("127.0.0.1", 8808)),
        ("localhost:1", Address("localhost", 1)),
        ("[::1]:9", Address("::1", 9)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
    ],
)
def test_an_address_is_a_port_or_a_host_and_a_port(text, address):
    assert http.address(text) == address


@pytest.mark.parametrize("text", ["", "x", "host:", "host:99999", "1.2.3.4:-1"])
def test_anything_else_is_refused_with_the_value(text):
    with pytest.raises(ConfigError) as raised:
        http.address(text)
    assert repr(text) in str(raised.value)


def test_an_address_that_others_reach_needs_a_token(monkeypatch):
    monkeypatch.setenv("GOOD", "0123456789abcdef")
    monkeypatch.setenv("SHORT", "abc")
    assert http.token(None, Address("127.0.0.1", 1)) is None
    assert http.token("GOOD", Address("0.0.0.0", 1)) == "0123456789abcdef"
    with pytest.raises(ConfigError, match="--token-env"):
        http.token(None, Address("0.0.0.0", 1))
    with pytest.raises(ConfigError, match="at least 16 characters"):
        http.token("SHORT", Address("0.0.0.0", 1))


def test_a_port_in_use_is_said():
    listener, where = http.listen(Address("127.0.0.1", 0))
    with listener, pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{where.port}"):
        http.listen(where)


def test_an_owner_is_the_token_but_does_not_show_it():
    assert http.owner(None) == "local"
    assert http.owner("0123456789abcdef") != http.owner("0123456789abcdeg")
    assert "0123456789abcdef" not in http.owner("0123456789abcdef")

"""`Seal`: what a client carries back to us between two requests and must not change (`requestState`).

Signed, not secret: it names the process that made it, the program, its owner, the round and the request it belongs
to, all of which the client knows. The key lives as long as the process, as the programs do that wait.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from toolweft_server.errors import AnswerError


class Ticket(NamedTuple):
    """Which round of which program a request answers."""

    execution: str
    round: int


class Seal:
    """Of one process, which is one replica where several serve the same address."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.replica = secrets.token_hex(4)
        self._key, self._clock = secrets.token_bytes(32), clock

    def seal(self, ticket: Ticket, *, owner: str, request: Mapping[str, Any], seconds: float) -> str:
        """The state for `ticket`; it is `owner`'s, fits the same request only, and holds for `seconds`."""
        claims = {
            "replica": self.replica, "execution": ticket.execution, "round": ticket.round, "owner": owner,
            "request": _digest(request), "until": self._clock() + seconds,
        }  # fmt: skip
        body = base64.urlsafe_b64encode(_compact(claims)).decode("ascii")
        return f"{body}.{self._mac(body)}"

    def open(self, state: str, *, owner: str, request: Mapping[str, Any]) -> Ticket:
        """
        Raises:
            AnswerError: It is not ours, not this owner's or request's, or its time is over; says which.

        """
        body, _, mac = state.partition(".")
        claims = _claims(body)
        if claims is None:
            raise AnswerError("", "requestState is not one that toolweft made")
        if claims.get("replica") != self.replica:
            other = str(claims.get("replica"))[:20]
            raise AnswerError("", f"requestState was made by another toolweft process ({other!r}, this is "
                              f"{self.replica!r}), which holds the program or has stopped")  # fmt: skip
        if not hmac.compare_digest(mac.encode("utf-8", "replace"), self._mac(body).encode()):
            raise AnswerError("", "requestState was changed on its way")
        if claims["owner"] != owner:
            raise AnswerError("", "requestState belongs to somebody else")
        if claims["request"] != _digest(request):
            raise AnswerError("", "requestState belongs to a call with other arguments")
        if self._clock() >= claims["until"]:
            raise AnswerError(claims["execution"], "the answer came too late: the time for it was over")
        return Ticket(claims["execution"], claims["round"])

    def _mac(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()


def _claims(body: str) -> dict[str, Any] | None:
    try:
        claims = json.loads(base64.b64decode(body.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _digest(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(_compact(request, sort_keys=True)).hexdigest()[:32]


def _compact(value: Mapping[str, Any], *, sort_keys: bool = False) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=sort_keys).encode("ascii")

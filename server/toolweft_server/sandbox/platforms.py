"""Which tiers a platform may offer, strongest first, and what to tell a person when it offers none."""

from __future__ import annotations

from collections.abc import Mapping

_ORDER = {
    "linux": ("namespaces", "bwrap", "chroot", "landlock", "monty"),
    "darwin": ("seatbelt", "monty"),
}
_ELSEWHERE = ("monty",)


def order(platform: str) -> tuple[str, ...]:
    """The tiers to try, for a value of `sys.platform`. E2B costs money: it is used when a person names it."""
    return _ORDER.get(platform, _ELSEWHERE)


def refused(reasons: Mapping[str, str]) -> str:
    """The error's text when no tier works; `reasons` says what each of them lacks."""
    told = "\n".join(f"- {tier}: {why}" for tier, why in reasons.items())
    return (
        f"programs cannot be isolated on this machine, so none is run:\n{told}\n"
        "What helps: `pip install 'toolweft[monty]'` (a subset of Python, on every platform), or "
        '`"sandbox": {"backend": "e2b"}` (in the cloud). Where you would let programs do all that you may do yourself: '
        '`"sandbox": {"backend": "unsafe-process"}`. `toolweft doctor sandbox` shows every check.'
    )

"""What a running program asks for, answered by its host: from a request's frame to the frame of its answer."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from toolweft_catalog.call import Failure, Result
from toolweft_server.sandbox import frames
from toolweft_server.sandbox.base import Host

_logger = logging.getLogger(__name__)


async def ask(host: Host, request: frames.Request) -> dict[str, Any]:
    """The answer's frame. A defect behind the host costs this request, not the run."""
    try:
        match request:
            case frames.CallRequest():
                return _answer(request, await host.call(request.tool, request.args, request.kwargs))
            case frames.DescribeRequest():
                return _result(request, v=await host.describe(request.tool))
            case frames.FunctionRequest():
                found = await host.function(request.name, request.version)
                if isinstance(found, str):
                    return failed(request, Failure("unknown_tool", found, sent=False))
                return _result(request, v={**asdict(found), "pins": dict(found.pins)})
            case frames.SaveRequest():
                return _result(request, v=await host.save(request.name))
    except Exception as error:
        _logger.exception("a request of a program failed inside toolweft")
        text = f"toolweft failed while it served this request ({type(error).__name__}); its log says more"
        return failed(request, Failure("unavailable", text))


def failed(request: frames.Request, failure: Failure) -> dict[str, Any]:
    return {"kind": "result", "c": request.c, "ok": False, "e": {"kind": failure.kind, "message": failure.message}}


def _answer(request: frames.CallRequest, result: Result) -> dict[str, Any]:
    if result.failure is not None:
        return failed(request, result.failure)
    value, blobs = frames.split(result.value)
    return _result(request, v=value, b=blobs)


def _result(request: frames.Request, *, v: object, b: object = ()) -> dict[str, Any]:
    return {"kind": "result", "c": request.c, "ok": True, "v": v, "b": b}

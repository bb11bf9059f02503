"""A small toolweft for the client's tests: a real MCP server with `find_tools` and `execute_code` over two tools.

It runs code for real (in-process: what a program does here is written in the tests) and keeps a ledger, so that
`retry_of` replays finished calls as the real server does. It stands for the server where the server is not the point.
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import sys
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from mcp.server import MCPServer
from mcp_types import CallToolResult, TextContent


class ToolError(Exception):
    pass


ORDERS = [
    {"id": 7, "customer": "Ada", "date": "2026-02-11", "total": 40},
    {"id": 9, "customer": "Ada", "date": "2026-04-02", "total": 15},
]

TOOLS: dict[str, tuple[str, str, str]] = {
    "shop.list_orders": ("shop.list_orders(customer: str) -> list[dict]", "All orders of a customer.", "mcp"),
    "shop.cancel_order": (
        "shop.cancel_order(order_id: int, reason: str = 'none') -> str",
        "Cancels one order that has not been sent.",
        "mcp",
    ),
    "mail.send": ("mail.send(to: str, text: str) -> str", "Sends a letter.", "mcp"),
}


class Shop:
    """The world behind the server, and what was done to it."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.programs: list[dict[str, Any]] = []
        self.done: list[tuple[str, dict[str, Any]]] = []
        """Real calls only: a replayed one is not here."""
        self.failures: dict[str, list[str]] = {}
        """By tool: texts with which its next calls fail."""
        self.unanswered: dict[str, str] = {}
        """By tool: the status of its calls, which get no answer."""
        self.observed: dict[str, str] = {}
        """By tool: its stub once it was called, or from the beginning."""
        self.scores: list[float] = []
        """Of what a search finds, best first; 1 when there are none left."""
        self.refused: set[str] = set()
        self.hidden: set[str] = set()
        """Tools that only a search by their own name finds."""
        self.silent: set[str] = set()
        """Tools that do not say what they do."""
        self.saved: list[dict[str, Any]] = []
        self.waits = 0
        """How many times the next program is answered `waiting` first."""
        self.status: str | None = None
        """Forces the status of the next program."""
        self.before: Callable[[], Any] | None = None
        """Awaited before a program runs: a test's way to stop there."""
        self._ledger: dict[str, list[tuple[str, str, Any]]] = {}
        self._number = 0

    def effect(self, tool: str) -> str:
        return "unknown" if tool in self.silent else "read" if "list" in tool else "write"

    def search(self, query: str, limit: int) -> list[str]:
        if query in TOOLS:
            return [query]
        words = set(query.lower().replace(".", " ").replace("_", " ").split())
        scored = []
        for tool, (_, summary, _) in TOOLS.items():
            text = f"{tool} {summary}".lower().replace(".", " ").replace("_", " ").split()
            if tool not in self.hidden and (score := len(words & set(text))):
                scored.append((-score, tool))
        return [tool for _, tool in sorted(scored)][:limit]

    def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        if tool in self.refused:
            raise ToolError(f'{tool} is blocked by policy; add "{tool}": "allow" to the configuration')
        if tool in self.unanswered:
            raise ToolError(f"{tool} gave no answer")
        if self.failures.get(tool):
            raise ToolError(self.failures[tool].pop(0))
        self.done.append((tool, arguments))
        if tool == "shop.list_orders":
            return [order for order in ORDERS if order["customer"] == arguments["customer"]]
        return f"{tool} done"

    def run(self, code: str, retry_of: str | None) -> dict[str, Any]:
        self._number += 1
        name = f"ex_{self._number}"
        earlier = list(self._ledger.get(retry_of or "", []))
        made = self._ledger[name] = []
        records: list[dict[str, Any]] = []

        def caller(tool: str) -> Callable[..., Any]:
            def call(*args: Any, **arguments: Any) -> Any:
                if args:
                    arguments |= dict(zip(("customer", "order_id", "to"), args, strict=False))
                key = repr(sorted(arguments.items()))
                record = {"seq": len(records) + 1, "tool": tool, "effect": self.effect(tool),
                          "status": "ok", "ms": 1, "replayed": False, "args_digest": key, "sample": key}  # fmt: skip
                records.append(record)
                for known in earlier:
                    if known[:2] == (tool, key):
                        earlier.remove(known)
                        made.append(known)
                        record["replayed"] = True
                        return known[2]
                try:
                    result = self.call(tool, arguments)
                except ToolError:
                    record["status"] = "refused" if tool in self.refused else self.unanswered.get(tool, "tool")
                    raise
                made.append((tool, key, result))
                return result

            return call

        tools = SimpleNamespace()
        for tool in TOOLS:
            server, action = tool.split(".")
            if not hasattr(tools, server):
                setattr(tools, server, SimpleNamespace())
            setattr(getattr(tools, server), action, caller(tool))
        names = {"tools": tools, "ToolError": ToolError, **vars(tools)}
        out, error, value = io.StringIO(), None, None
        linecache.cache["<program>"] = (len(code), None, code.splitlines(keepends=True), "<program>")
        try:
            with contextlib.redirect_stdout(out):
                value = _evaluate(code, names)
        except Exception as caught:  # noqa: BLE001 - whatever a program raises is data
            frame = [each for each in traceback.extract_tb(caught.__traceback__) if each.filename == "<program>"][-1:]
            last = sys.exc_info()[2]
            values: dict[str, str] = {}
            while last is not None:
                if last.tb_frame.f_code.co_filename == "<program>" and last.tb_frame.f_locals is not names:
                    values = {key: repr(each) for key, each in last.tb_frame.f_locals.items()}
                last = last.tb_next
            error = {"type": type(caught).__name__, "message": str(caught), "line": frame[0].lineno if frame else None,
                     "frames": [f"line {each.lineno} in {each.name}" for each in frame], "locals": values}  # fmt: skip
        # A retry of this one replays what the attempts before it did, too.
        made += earlier
        status = self.status or ("error" if error else "ok")
        return {"id": name, "status": status, "backend": "test", "value": value, "stdout": out.getvalue(),
                "error": error, "calls": records, "saved": self.saved if status == "ok" else []}  # fmt: skip


def _evaluate(code: str, names: dict[str, Any]) -> Any:
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<program>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<program>", "eval"), names) if last else None


def serve(shop: Shop) -> MCPServer:
    server = MCPServer("shop")

    @server.tool()
    async def find_tools(query: str, limit: int = 5, detail: str = "signature") -> CallToolResult:
        shop.queries.append(query)
        ids = shop.search(query, limit)
        tools = [{"id": id_, "call": TOOLS[id_][0], "summary": TOOLS[id_][1], "origin": TOOLS[id_][2],
                  "score": dict(enumerate(shop.scores)).get(rank, 1.0), "why": ["lexical"],
                  "effect": shop.effect(id_)}
                 for rank, id_ in enumerate(ids)]  # fmt: skip
        stubs = [shop.observed.get(id_, f'def {TOOLS[id_][0]}:\n    """{TOOLS[id_][1]}"""') for id_ in ids]
        found = {"tools": tools, "total": len(ids), "catalogue": len(TOOLS), "index": "lexical", "note": None}
        text = f"{len(ids)} of {len(ids)} matches among {len(TOOLS)} tools:\n" + "\n".join(stubs)
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=found)

    @server.tool()
    async def execute_code(
        code: str,
        retry_of: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the name on the wire
    ) -> CallToolResult:
        if shop.before:
            await shop.before()
        if shop.waits:
            shop.waits -= 1
            ran: dict[str, Any] = {"id": "ex_slow", "status": "waiting", "backend": "test"}
        else:
            shop.programs.append({"code": code, "retry_of": retry_of, "timeout": timeout})
            ran = shop.run(code, retry_of)
        text = [TextContent(type="text", text=ran["status"])]
        return CallToolResult(content=text, structured_content=ran, is_error=ran["status"] not in ("ok", "waiting"))

    @server.resource("toolweft://reusable_functions/{name}")
    def function(name: str) -> str:
        return f'{{"name": "{name}", "version": 2, "state": "active", "signature": "()", "description": "d", "source": "s", "stub": "s", "tools": {{}}}}'  # noqa: E501

    return server


@pytest.fixture(scope="session")
def new_shop() -> Callable[[], tuple[MCPServer, Shop]]:
    """For tests that need many."""

    def make() -> tuple[MCPServer, Shop]:
        shop = Shop()
        return serve(shop), shop

    return make


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def server(shop: Shop) -> MCPServer:
    return serve(shop)

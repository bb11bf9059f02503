"""`find_tools`: answers fit their budget, and the only match is never dropped for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog.catalog import Catalog
from toolweft_catalog.tool import Tool
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.tools import find_tools
from toolweft_server.tools.find_tools import ALSO_BUDGET, FULL_BUDGET, SIGNATURE_BUDGET, Arguments, Searched, call_name


class Server:
    """`find_tools.Finding` over tools in memory."""

    index_name = "lexical"

    def __init__(self, tools):
        self._catalog, self._index = Catalog.of(tools), LexicalIndex.build(tools)
        self.noted, self.named = [], []

    async def search(self, query, limit, *, more, server):
        matches = self._index.search(query, limit + more, server=server)
        return Searched(matches, self._catalog.tools([hit.tool for hit in matches.hits[:limit]]), {})

    def judge(self, _tool):
        return "allow"

    def size(self):
        return len(self._catalog)

    def servers(self):
        return self._catalog.servers

    async def settled(self):
        return None

    def demanded(self, _query):
        return []

    async def revived(self, names):
        self.named = list(names)
        return " ".join(f"functions.{each} is stale." for each in names)

    def asked(self, query, shown):
        self.noted.append((query, list(shown)))


def tool(name, *, server="shop", description="Sell a thing.", parameters=1, wide=10):
    properties = {f"p{n}_{'x' * wide}": {"type": "string", "description": "d" * wide} for n in range(parameters)}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return Tool(id=f"{server}.{name}", name=name, server=server, description=description, parameters=schema)


@pytest.mark.parametrize("detail", ["signature", "full"])
async def test_the_only_match_is_shown_however_large_it_is(detail):
    huge = tool("sell", parameters=500, wide=40, description="Sell a thing. " + "word " * 4000)
    answer = await find_tools.find_tools(Arguments(query="sell", detail=detail), Server([huge]))
    assert [each.id for each in answer.found.tools] == ["shop.sell"]
    assert "shop.sell(" in answer.text or "def sell(" in answer.text
    assert len(answer.text) <= (SIGNATURE_BUDGET if detail == "signature" else FULL_BUDGET) + 200


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60), st.text(max_size=300)), min_size=1, max_size=12),
    st.integers(1, 50),
)
def test_an_answer_never_outgrows_its_budget(shapes, limit):
    import anyio

    tools = [
        tool(f"sell_{n}", parameters=count, wide=wide, description=f"Sell. {text}")
        for n, (count, wide, text) in enumerate(shapes)
    ]
    arguments = Arguments(query="sell a thing", limit=limit)
    answer = anyio.run(lambda: find_tools.find_tools(arguments, Server(tools)))
    assert answer.found.tools
    assert find_tools.cost(answer.text) <= SIGNATURE_BUDGET + ALSO_BUDGET + 200


async def test_a_call_is_shorter_in_the_text_than_beside_it():
    long = tool("sell", parameters=7, wide=26)
    answer = await find_tools.find_tools(Arguments(query="sell"), Server([long]))
    line = next(each for each in answer.text.splitlines() if each.startswith("shop.sell("))
    assert len(line) <= find_tools.SHOWN_CALL < len(answer.found.tools[0].call) <= find_tools.STRUCTURED_CALL


async def test_what_does_not_fit_is_named():
    tools = [tool(f"sell_{n}", parameters=12, wide=20) for n in range(8)]
    answer = await find_tools.find_tools(Arguments(query="sell", limit=8), Server(tools))
    shown = [name for name in (each.id for each in tools) if f"{name}(" in answer.text]
    assert 1 <= len(shown) < 8
    assert answer.found.also
    assert set(answer.found.also).isdisjoint(shown)


async def test_an_unknown_server_is_said_and_everything_searched():
    answer = await find_tools.find_tools(Arguments(query="sell", server="shpo"), Server([tool("sell")]))
    assert answer.found.note == "There is no server 'shpo' (nearest: shop); searched all."
    assert len(answer.found.tools) == 1


async def test_a_request_and_what_was_shown_are_noted():
    server = Server([tool("sell")])
    await find_tools.find_tools(Arguments(query="sell it"), server)
    assert server.noted == [("sell it", ["shop.sell"])]


@pytest.mark.parametrize(
    ("tool_id", "form"),
    [
        ("github.create", "github.create"),
        ("time.now", "tools.time.now"),
        ("list.all", "tools.list.all"),
        ("tools.x", "tools.tools.x"),
        ("functions.f", "functions.f"),
    ],
)
def test_the_printed_form_is_the_one_that_works(tool_id, form):
    assert call_name(tool_id) == form


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("functions.spent", ["spent"]),
        ("functions.a, functions.b functions.a functions.c functions.d", ["a", "b", "c"]),
        ("functions.spent of Ada", []),
        ("functions", []),
        ("", []),
    ],
)
async def test_functions_are_looked_after_only_when_a_request_names_them_and_nothing_else(query, names):
    server = Server([tool("sell")])
    answer = await find_tools.find_tools(Arguments(query=query), server)
    assert server.named == names
    assert all(f"functions.{each} is stale." in answer.text for each in names)

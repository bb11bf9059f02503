"""Source is parsed by many threads at once: none of them hears of the others."""

import ast
import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from toolweft_catalog.parsing import parse

SOURCE = "\n".join(f"def f{n}(a, b=[{n}]):\n    return [each['x'](a) for each in b if each]" for n in range(60))


@pytest.fixture
def _restless():
    """Threads take turns in the middle of a tree: where Python code runs while memory is collected."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()

    def turn(_phase, _info):
        sum(range(50))

    sys.setswitchinterval(1e-5)
    gc.callbacks.append(turn)
    gc.set_threshold(20)
    yield
    gc.callbacks.remove(turn)
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_restless")
def test_many_threads_parse_at_once():
    with ThreadPoolExecutor(8) as threads:
        trees = list(threads.map(parse, [SOURCE] * 200))
    assert {ast.dump(each) for each in trees} == {ast.dump(ast.parse(SOURCE))}

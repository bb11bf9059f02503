"""Options that every part of the suite shares."""

import os
import signal

import pytest

# Before anything imports numpy or torch, and for the processes that tests start: several workers with as many threads
# as there are cores each wait for one another, and sums of another order make other last digits.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser):
    parser.addoption("--soak", type=int, default=10, metavar="N", help="how often a soak test repeats (default 10)")
    parser.addoption("--escape", action="store_true", help="every hostile program on every tier, not a share of them")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from spread import Spread

    return Spread(config, log)


def pytest_configure():
    """A shell starts what runs in the background with Ctrl-C ignored; every process of a test would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def soak_runs(request) -> int:
    return request.config.getoption("--soak")


@pytest.fixture
def soak_kills(soak_runs) -> int:
    """How often a server is killed: fifty times in the ten thousand runs of `make soak`."""
    return max(1, soak_runs // 200)


@pytest.fixture(scope="session")
def fuzz_examples() -> int:
    return int(os.environ.get("FUZZ_EXAMPLES", "200"))

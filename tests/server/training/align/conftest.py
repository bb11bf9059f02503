"""The tiny catalogue and models of `tiny_tools`, as fixtures."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import tiny_tools
from toolweft_server.training.align.conversations import memorisation


@pytest.fixture(scope="session")
def world():
    return tiny_tools.world_of()


@pytest.fixture
def make(world):
    return tiny_tools.make_for(world)


@pytest.fixture
def memory(world):
    """What memorisation makes of the tools."""
    return lambda spelled: memorisation(world.tools, spelled).conversations

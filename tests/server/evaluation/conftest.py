"""What every test of an evaluation starts from."""

import pytest

from request_folder import Axes, write


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "small")


@pytest.fixture
def axes():
    return Axes()

"""`toolweft purge` says what it deleted."""

import json
import os
import time

import pytest

from toolweft_catalog import cli
from toolweft_server.sandbox import packages


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache folder of package environments, with an old one and a young one in it."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "toolweft"))
    for name, days in (("old", 8), ("young", 6)):
        place = packages.default_folder() / name
        (place / "site").mkdir(parents=True)
        (place / "environment.json").write_text("{}", encoding="utf-8")
        os.utime(place / "environment.json", (time.time() - days * 86_400,) * 2)
    return packages.default_folder()


def test_package_environments_go_when_no_server_used_them_for_a_week(cache, capsys):
    assert cli.main(["purge", "--packages"]) == 0
    assert "deleted 1 package environments" in capsys.readouterr().out
    assert [each.name for each in cache.iterdir()] == ["young"]


def test_all_of_them_go_on_request(cache, capsys):
    assert cli.main(["purge", "--packages", "--all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["environments"] == 2
    assert list(cache.iterdir()) == []

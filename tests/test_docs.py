"""The documents are true: commands exist, links lead somewhere, snippets run."""

import ast
import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from toolweft_catalog import cli
from toolweft_server import config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def snippets(language):
    return [
        pytest.param(text, page.name, id=f"{page.name}-{number}")
        for page in PAGES
        for number, (found, _, text) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
        if found == language
    ]


def help_of(name: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    return out.getvalue()


@pytest.mark.parametrize("name", cli.SUMMARIES)
def test_every_command_is_documented_and_its_help_has_examples(name):
    assert f"`toolweft {name}" in (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert "examples:" in help_of(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_pages_name_exist(page):
    for name in re.findall(
        r"`(benchmarks/\w+\.py|tests/[\w/]+\.py|examples/\w+\.py)`", page.read_text(encoding="utf-8")
    ):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("text", [pytest.param(p.values[0], id=p.id) for p in snippets("json")])
def test_json_snippets_are_json(text):
    json.loads(text)


def test_the_configuration_page_shows_a_configuration_that_works():
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    shown = next(text for language, _, text in FENCE.findall(page) if language == "json")
    environ = {"GITHUB_TOKEN": "g" * 12, "REMOTE_TOKEN": "r" * 12, "PET_TOKEN": "p" * 12}
    loaded = config.parse(json.loads(shown), path=None, environ=environ)
    assert loaded.problems == ()
    assert set(loaded.servers) == {"github", "remote", "petstore", "mine"}


@pytest.mark.parametrize("text", [pytest.param(p.values[0], id=p.id) for p in snippets("python")])
def test_python_snippets_are_python(text):
    compile(text, "snippet", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


ELSEWHERE = {
    "README.md": "a program for execute_code, shown with a gap",
    "execute_code.md": "a program for execute_code: `tools` exists only there",
    "agent.md": "needs a model: run in tests/client/test_docs_of_the_client.py",
    "solve-server.md": "needs tools: run in tests/client/test_docs_of_the_client.py",
    "trace.md": "needs a trace: run in tests/client/test_docs_of_the_client.py",
}
"""Pages whose Python cannot run by itself, and why."""


@pytest.mark.parametrize(("text", "page"), [p for p in snippets("python") if p.values[1] not in ELSEWHERE])
def test_python_snippets_run_as_they_stand(text, page, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    assert done.returncode == 0, f"{page}: {done.stderr}"

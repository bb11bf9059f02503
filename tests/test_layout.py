"""The repository keeps the shape that the documents promise."""

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "toolweft_catalog": ROOT / "tools_catalog/toolweft_catalog",
    "toolweft_server": ROOT / "server/toolweft_server",
    "toolweft_client": ROOT / "client/toolweft_client",
}
TORCH_ALLOWED = re.compile(r"training/|index/generative\.py|model/local\.py")
MAX_LINES = 400


def sources():
    return [path for folder in PACKAGES.values() for path in sorted(folder.rglob("*.py"))]


def module_name(path):
    package = next(p for p, folder in PACKAGES.items() if folder in path.parents)
    parts = path.relative_to(PACKAGES[package]).with_suffix("").parts
    return ".".join([package, *(part for part in parts if part != "__init__")])


def test_importing_any_module_imports_no_torch():
    names = [module_name(path) for path in sources() if not TORCH_ALLOWED.search(path.as_posix())]
    names = [name for name in names if not name.endswith(("sandbox.runner", "sandbox.linux.zygote", "upstream.leash"))]
    program = (
        "import importlib, json, sys\n"
        f"[importlib.import_module(name) for name in {names!r}]\n"
        "print(json.dumps([m for m in ('torch', 'transformers') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", check=True)
    assert json.loads(done.stdout) == []


def test_the_handshake_path_imports_no_database_and_no_index():
    program = (
        "import sys, json\n"
        "import toolweft_server.commands.serve, toolweft_server.serving, toolweft_server.runtime\n"
        "import toolweft_server.stdio, toolweft_server.config, toolweft_server.store.sources\n"
        "heavy = ('sqlalchemy', 'numpy', 'onnxruntime', 'rich', 'openapi_pydantic', 'yaml')\n"
        "print(json.dumps([m for m in heavy if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", check=True)
    assert json.loads(done.stdout) == []


def test_modules_import_where_posix_modules_are_missing():
    blocked = ("resource", "fcntl", "pwd", "grp", "termios")
    names = [module_name(path) for path in sources() if not TORCH_ALLOWED.search(path.as_posix())]
    names = [name for name in names if ".sandbox.linux." not in name]  # started by path, and on Linux alone
    program = (
        "import sys, importlib\n"
        # What other libraries need of these is loaded before they are taken away from us.
        "import subprocess, asyncio, mcp, sqlalchemy, numpy, uvicorn, anyio, rich.console, platformdirs, tempfile\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        f"[importlib.import_module(name) for name in {names!r}]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_stays_within_what_a_reader_can_hold(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_says_what_it_is(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.name != "__init__.py" or len(tree.body) > 1:
        assert ast.get_docstring(tree)


def test_the_commands_in_the_overview_are_those_that_are_installed():
    from toolweft_catalog import cli

    installed = {p.name for p in metadata.distribution("toolweft").entry_points if p.group == cli.GROUP}
    assert installed | {"completion"} == set(cli.SUMMARIES)


def test_upstreams_know_the_client_side_of_mcp_only():
    for path in sorted((PACKAGES["toolweft_server"] / "upstream").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("mcp.server"), path.name


def test_an_import_contract_fires_when_it_is_broken(tmp_path):
    contracts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    broken = tmp_path / "client" / "toolweft_client"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("import toolweft_server\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(contracts[contracts.index("[tool.importlinter]") :], encoding="utf-8")
    lint = "import sys; sys.path[:0] = ['client']; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run(
        [sys.executable, "-c", lint], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    assert "client and server meet only over MCP; both speak the catalogue's words BROKEN" in done.stdout


def test_nothing_in_the_repository_names_a_machine_or_a_registry():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True)
    words = re.compile("/wo" + "rk/|pypi" + r"\.org|registry\.npm" + "js|/ro" + "ot/")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".txt", "") and path.is_file():
            assert not words.search(path.read_text(encoding="utf-8", errors="replace")), name

"""The self-check shows what the backend can do, and says plainly what it does not do."""

import subprocess
import sys

NOT_ISOLATED = {"isolated"}


async def test_every_check_passes_in_every_tier(backend):
    findings = await backend.self_check()
    assert [finding for finding in findings if not finding.ok and finding.check not in NOT_ISOLATED] == []


def test_modules_import_where_unix_modules_are_missing():
    code = (
        "import sys\nfor name in ('resource', 'fcntl', 'pwd', 'grp'): sys.modules[name] = None\n"
        "import toolweft_server.sandbox.pool, toolweft_server.sandbox.self_check\n"
        "import toolweft_server.sandbox.backends.local, toolweft_server.sandbox.inside.main\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_runner_uses_the_standard_library_alone():
    code = "import sys\nimport toolweft_server.sandbox.inside.main as m\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8"
    ).stdout.split()
    roots = {name.partition(".")[0] for name in loaded if not name.startswith("_")}
    assert roots - sys.stdlib_module_names <= {"toolweft_server", "distutils-precedence", "setuptools"}

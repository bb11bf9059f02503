"""`toolweft doctor sandbox` says what holds on this machine, and its exit code too."""

import json
from pathlib import Path

import pytest

from toolweft_catalog import cli
from toolweft_server.commands import sandbox_report
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Finding
from toolweft_server.sandbox.choose import ChosenSandbox
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.platforms import order
from toolweft_server.sandbox.tiers import TIERS

HELD = Finding("reads no file of yours", ok=True, area="files")
OPEN = Finding("it starts", ok=False, detail="unshare: \x1b[31mrefused", area="start")


class Tier:
    """A tier whose checks find what they are told to."""

    def __init__(self, name, findings):
        self.name, self._findings = name, findings
        self.checks = 0

    async def open(self, limits):
        raise NotImplementedError

    async def self_check(self):
        self.checks += 1
        return self._findings

    async def aclose(self):
        pass


@pytest.fixture
def chosen(tmp_path):
    """A choice among tiers that find what the keywords say; the tiers by name beside it."""

    def choose(**findings):
        made = {name: Tier(name, found) for name, found in findings.items()}
        return ChosenSandbox(list(made), lambda name, _: made[name], named=len(made) == 1, cache=tmp_path), made

    return choose


async def test_the_report_names_the_tier_in_use_why_and_what_the_stronger_ones_lack(chosen):
    sandbox, _ = chosen(namespaces=[OPEN], landlock=[HELD])
    report = await sandbox_report.of(sandbox, named=False, fresh=False)
    assert (report["ok"], report["backend"]) == (True, "landlock")
    text = "\n".join(sandbox_report.lines(report))
    assert "sandbox: landlock, Landlock and seccomp" in text
    assert "why: the strongest tier that passed its checks here" in text
    assert "FAIL namespaces: it starts: unshare: \\x1b[31mrefused\n    → Allow unprivileged user namespaces" in text
    assert "it does not stop:\n  - Probing" in text
    assert "1 of 1 checks of landlock passed\nfiles:\n  ok   reads no file of yours" in text


async def test_what_was_found_since_the_boot_is_shown_again_and_fresh_checks_anew(chosen):
    sandbox, made = chosen(landlock=[HELD])
    assert not (await sandbox_report.of(sandbox, named=False, fresh=False))["cached"]
    again = await sandbox_report.of(sandbox, named=False, fresh=False)
    assert again["cached"]
    assert "--fresh checks again" in "\n".join(sandbox_report.lines(again))
    assert made["landlock"].checks == 1
    assert not (await sandbox_report.of(sandbox, named=False, fresh=True))["cached"]
    assert made["landlock"].checks == 2


async def test_when_no_tier_holds_the_report_says_that_nothing_runs(chosen):
    sandbox, _ = chosen(namespaces=[OPEN], landlock=[HELD, OPEN])
    report = await sandbox_report.of(sandbox, named=False, fresh=False)
    assert (report["ok"], report["backend"], report["stops"]) == (False, None, [])
    text = "\n".join(sandbox_report.lines(report))
    assert "sandbox: none\nwhy: no tier passed its checks here, so no program runs" in text
    assert "1 of 2 checks of landlock passed" in text


async def test_what_a_person_has_mended_counts_at_once(chosen):
    sandbox, made = chosen(namespaces=[OPEN], landlock=[OPEN])
    with pytest.raises(SandboxError, match="it starts"):
        await sandbox.open(Limits())
    made["landlock"]._findings = [HELD]
    assert (await sandbox_report.of(sandbox, named=False, fresh=False))["backend"] == "landlock"


async def test_packages_that_cannot_be_installed_are_the_reason(tmp_path):
    sandbox = ChosenSandbox(["landlock"], Tier, named=True, packages=["./x"], cache=tmp_path)
    report = await sandbox_report.of(sandbox, named=False, fresh=True)
    assert not report["ok"]
    assert "'./x' is no requirement" in "\n".join(sandbox_report.lines(report))


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_tier_that_a_platform_offers_is_described(platform):
    for name in order(platform):
        assert TIERS[name].stops
        assert TIERS[name].leaves
        assert TIERS[name].remedy


def test_the_document_says_what_the_table_says():
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    for tier in TIERS.values():
        assert f"| `{tier.name}` | {tier.summary} |" in page
        assert [each for each in tier.leaves if each not in page] == []


def test_the_command_fails_for_the_backend_that_does_not_isolate_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
    path = tmp_path / "toolweft.json"
    path.write_text(json.dumps({"sandbox": {"backend": "unsafe-process"}}), encoding="utf-8")
    assert cli.main(["doctor", "sandbox", "--config", str(path)]) == 1
    shown = capsys.readouterr()
    assert "sandbox: unsafe-process, a child process with your own rights\nwhy: the configuration names it" in shown.out
    assert "FAIL isolated" in shown.out
    assert "checking unsafe-process" in shown.err
    assert cli.main(["doctor", "sandbox", "--json", "--config", str(path)]) == 1
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert (report["backend"], report["ok"], report["cached"]) == ("unsafe-process", False, True)
    assert shown.err == ""

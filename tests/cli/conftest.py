"""Runs the command line in an empty folder without AWS, and a small snapshot for it to audit."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditor.cli import run_main
from auditor.facts import Gap, Reason, TableNames, TableSettings, Tags
from auditor.inventory import Caller, Inventory, Scope, save
from auditor.resources import Account, Region, Table

ACCOUNT = Account("111122223333")
#: One of each end: everything good, a failure, something unknown.
GOOD, BAD, DARK = (Region(ACCOUNT, name) for name in ("eu-central-1", "eu-west-1", "us-east-1"))
RULE = ("--rule", "table-deletion-protection")


@dataclass(frozen=True)
class Outcome:
    """What a command gave: exit code, both streams, and the files that are new in its folder."""

    code: int
    out: str
    err: str
    written: tuple[str, ...]

    @property
    def last(self) -> str:
        """The last line on stderr."""
        return self.err.splitlines()[-1]


Command = Callable[..., Outcome]


@pytest.fixture
def ddbaudit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``ddbaudit("run", "--quiet", DDBAUDIT_FAIL_ON="low")`` in an empty folder, with no AWS settings."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DDBAUDIT_")) or name in ("SOURCE_DATE_EPOCH", "COLUMNS", "NO_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(tmp_path)

    def files() -> set[str]:
        return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if "__pycache__" not in path.parts}

    def run(*arguments: str, **environment: str) -> Outcome:
        before = files()
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            code = run_main(arguments)
        out, err = capsys.readouterr()
        return Outcome(code, out, err, tuple(sorted(files() - before)))

    return run


@pytest.fixture
def snapshot(tmp_path: Path) -> str:
    """Write ``s.json.gz`` into the command's folder and return its name."""
    made = Inventory(
        Caller(ACCOUNT.id, f"arn:aws:sts::{ACCOUNT.id}:assumed-role/auditor/me"),
        (Scope(ACCOUNT, "shop", (GOOD, BAD, DARK)),),
    )
    for region, name, protected in ((GOOD, "orders", True), (BAD, "carts", False), (DARK, "lost", None)):
        table = Table(region, name)
        made.put(region, TableNames((table,)))
        made.put(table, Tags({"env": "prod"}))
        if protected is None:
            made.put_gap(table, TableSettings, Gap(Reason.ACCESS_DENIED, "Denied.", "dynamodb:DescribeTable"))
        else:
            made.put(table, TableSettings("ACTIVE", deletion_protection=protected))
    save(made, tmp_path / "s.json.gz", "1")
    return "s.json.gz"


def assert_refused(outcome: Outcome, *words: str) -> None:
    """Assert one clear message, exit code 2, and that nothing was written."""
    assert outcome.code == 2, outcome
    assert outcome.last == "ddbaudit: exit 2"
    assert outcome.err.startswith("ddbaudit: ")
    assert "Traceback" not in outcome.err
    assert "internal error" not in outcome.err
    assert 3 <= len(outcome.err.splitlines()) <= 6, outcome.err
    for word in words:
        assert word in outcome.err, outcome.err
    assert outcome.out == ""
    assert outcome.written == ()

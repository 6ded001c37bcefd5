"""Disks that are full or read-only: nothing is half-written, nothing is lost in silence, and the exit code says so."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor import engine
from auditor.cli import audit
from auditor.snapshot import read
from tests.cli.conftest import RULE, Command, assert_refused

RUN = ("run", "--from", "s.json.gz", *RULE)
FINISHED = "The audit was finished (1 finding at or above high, 1 unknown); "


NEEDS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def fill(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the disk be full where a file of that name is written: what is written to it goes to /dev/full."""
    usual = tempfile.mkstemp

    def made(**options: Any) -> tuple[int, str]:
        handle, path = usual(**options)
        if options["prefix"] == f".{name}.":
            os.close(handle)
            handle = os.open("/dev/full", os.O_WRONLY)
        return handle, path

    monkeypatch.setattr(tempfile, "mkstemp", made)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen between the checks that a command begins with and the writing."""

    def arrange(happens: Callable[[], Any]) -> None:
        judged = engine.audit

        def audited(*arguments: Any, **options: Any) -> Any:
            report = judged(*arguments, **options)
            happens()
            return report

        monkeypatch.setattr(engine, "audit", audited)

    return arrange


def limited(kilobytes: int, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command where no file may grow beyond a size, as if the disk were full then."""
    return subprocess.run(  # noqa: S603 - our own command
        [
            "/bin/bash",
            "-c",
            f'ulimit -f {kilobytes} && exec "$0" "$@"',
            sys.executable,
            "-B",
            "-m",
            "auditor",
            *arguments,
        ],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("snapshot")
def test_a_disk_that_fills_up_while_reports_are_written_leaves_no_half_of_one(tmp_path: Path) -> None:
    """The page is larger than what the disk has left, the other report is not."""
    done = limited(64, *RUN, "--format", "html", "--format", "junit", "--output", "out", folder=tmp_path)
    assert done.returncode == 2
    assert "internal error" not in done.stderr
    assert done.stderr.startswith("ddbaudit: out/report.html: cannot be written: File too large.\n")
    assert f"{FINISHED}written: out/junit.xml." in done.stderr
    assert done.stderr.endswith("ddbaudit: exit 2\n")
    assert files(tmp_path) == {"s.json.gz", "out/junit.xml"}
    assert "Report  out/junit.xml" in done.stdout
    assert "report.html" not in done.stdout


@NEEDS_FULL
def test_a_disk_that_fills_up_while_a_snapshot_is_written_costs_no_report(
    ddbaudit: Command, tmp_path: Path, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot's disk is another one than the reports'."""
    fill(monkeypatch, "kept.json")
    outcome = ddbaudit(*RUN, "--format", "csv", "--save-snapshot", "kept.json")
    assert outcome.code == 2
    assert outcome.err.startswith("ddbaudit: kept.json: cannot be written: No space left on device.\n")
    assert f"{FINISHED}written: ddbaudit-report/findings.csv." in outcome.err
    assert outcome.last == "ddbaudit: exit 2"
    assert files(tmp_path) == {snapshot, "ddbaudit-report/findings.csv"}


@pytest.mark.usefixtures("snapshot")
def test_what_somebody_put_in_a_reports_place_costs_no_other_report(
    ddbaudit: Command, tmp_path: Path, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    meanwhile(lambda: (tmp_path / "ddbaudit-report" / "report.json" / "x").mkdir(parents=True))
    outcome = ddbaudit(*RUN, "--format", "json", "--format", "csv", "--quiet")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "ddbaudit: ddbaudit-report/report.json: cannot be written: Is a directory.",
        f"  Choose another place. {FINISHED}written: ddbaudit-report/findings.csv.",
        "ddbaudit: exit 2",
    ]
    assert files(tmp_path) == {"s.json.gz", "ddbaudit-report/findings.csv"}


@pytest.mark.usefixtures("snapshot")
def test_a_folder_that_becomes_read_only_during_the_audit(
    ddbaudit: Command, tmp_path: Path, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    """Nothing can be written any more: each file is named, and what the audit found is still told."""
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(lambda: patch.setattr(tempfile, "mkstemp", read_only))
        outcome = ddbaudit(*RUN, "--format", "json", "--format", "csv")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "ddbaudit: ddbaudit-report/report.json: cannot be written: Read-only file system.",
        "  ddbaudit-report/findings.csv: cannot be written: Read-only file system.",
        f"  Choose another place. {FINISHED}no report was written.",
        "ddbaudit: exit 2",
    ]
    assert outcome.out.startswith("FAILED  1 finding at or above high\n")
    assert files(tmp_path) == {"s.json.gz"}


def read_only(**_: Any) -> tuple[int, str]:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("option", ["--output", "--save-snapshot"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.usefixtures("snapshot")
def test_a_place_that_takes_nothing_is_found_out_before_the_audit(
    ddbaudit: Command, monkeypatch: pytest.MonkeyPatch, option: str, number: int
) -> None:
    usual = tempfile.TemporaryFile

    def refuse(*arguments: Any, **options: Any) -> Any:
        if Path(options["dir"]).name == "elsewhere":
            raise OSError(number, os.strerror(number))
        return usual(*arguments, **options)

    Path("elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(engine, "audit", None)
    assert_refused(ddbaudit(*RUN, option, "elsewhere/x"), "elsewhere", os.strerror(number), option)


@NEEDS_FULL
@pytest.mark.parametrize("arguments", [RUN, ("rules", "list"), ("--help",)], ids=" ".join)
@pytest.mark.usefixtures("snapshot")
def test_an_output_that_takes_nothing_is_no_defect(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "auditor", *arguments], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )  # fmt: skip
    assert done.stderr == (
        "ddbaudit: the output cannot be written: No space left on device.\n"
        "  Make room where it is sent to.\n"
        "ddbaudit: exit 2\n"
    )
    assert done.returncode == 2
    if arguments == RUN:
        assert {"ddbaudit-report/report.html", "ddbaudit-report/report.json"} <= files(tmp_path)


@NEEDS_FULL
def test_collecting_onto_a_full_disk_leaves_the_snapshot_that_was_there(
    ddbaudit: Command, tmp_path: Path, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (tmp_path / snapshot).read_bytes()
    monkeypatch.setattr(audit, "from_aws", lambda *_: read(tmp_path / snapshot))
    fill(monkeypatch, snapshot)
    outcome = ddbaudit("collect", "--output", snapshot)
    assert_refused(outcome, "s.json.gz: cannot be written: No space left on device.")
    assert (tmp_path / snapshot).read_bytes() == before
    assert files(tmp_path) == {snapshot}

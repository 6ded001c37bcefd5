"""``ddbaudit run --org`` as processes: workers, kills, interrupts, going on with what was cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.snapshot import SnapshotFile
from benchmarks import stub as stub_module
from tests.e2e.conftest import COMMAND

ACCOUNTS = 6
RULES = ("--rule", "table-*", "--rule", "kms-*", "--rule", "org-*")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An organisation on 127.0.0.1, slow enough to be struck in the middle."""
    home = tmp_path_factory.mktemp("home")
    (home / "aws").touch()
    command = [sys.executable, stub_module.__file__, "--tables", "10", "--latency-ms", "30"]
    command += ["--accounts", str(ACCOUNTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(process.stdout.readline())}",
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_CONFIG_FILE": str(home / "aws"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws"),
        }
        process.terminate()


def begun(environment: dict[str, str], folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "run", "--org", "--role-name", "audit", "--region", "eu-west-1", "--quiet", "--exit-zero"]
    return subprocess.Popen(  # noqa: S603
        [*command, *RULES, "--output", str(folder), *more],
        env=environment,
        cwd=environment["HOME"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def done(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def report(folder: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return {name: value for name, value in held.items() if name != "run"}


@pytest.fixture(scope="module")
def undisturbed(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of a single process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, err = done(begun(environment, folder, "--workers", "1"))
    assert (code, err.splitlines()[-1][:16]) == (0, "ddbaudit: exit 0"), err
    found = report(folder)
    assert len({one["account"] for one in found["resources"]}) == ACCOUNTS
    assert found["summary"]["byStatus"]["unknown"] == 0
    return found


def finished(path: Path) -> set[str]:
    """Return the accounts that a file holds so far."""
    held = SnapshotFile(path.with_name(f"copy-{path.name}"), "1")
    held.path.write_bytes(path.read_bytes())
    held.resume()
    return held.finished()


def until(path: Path, accounts: int) -> None:
    """Wait until a file holds so many accounts."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and len(finished(path)) >= accounts:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path.name} never held {accounts} accounts")


def test_several_processes_say_what_one_says(
    environment: dict[str, str], undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    code, err = done(begun(environment, tmp_path, "--workers", "3"))
    assert (code, err.count("\n")) == (0, 1), err
    assert report(tmp_path) == undisturbed


@pytest.mark.parametrize("name", ["snapshot.json", "snapshot.json.gz"])
def test_what_was_killed_is_gone_on_with_and_no_finished_account_repeated(
    environment: dict[str, str], undisturbed: dict[str, Any], tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    struck = begun(environment, tmp_path / "out", "--workers", "1", "--save-snapshot", str(path))
    until(path, 2)
    os.killpg(struck.pid, signal.SIGKILL)
    assert done(struck)[0] == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    with path.open("ab") as file:
        file.write(path.read_bytes()[-500:-100])  # and the next record was torn
    before = finished(path)
    assert 2 <= len(before) < ACCOUNTS
    # What is there can be audited, and says that it is not everything.
    partly = [*COMMAND, "run", "--from", str(path), *RULES, "--quiet", "--output", str(tmp_path / "partly")]
    outcome = subprocess.run(partly, env=environment, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert outcome.returncode == 130, outcome.stderr
    unknown = [one for one in report(tmp_path / "partly")["findings"] if one["status"] == "unknown"]
    assert {one["message"] for one in unknown} == {"The collection ended before this was read."}
    lengths = {key: len(opened(path).part(key)) for key in before}
    code, err = done(begun(environment, tmp_path / "out", "--workers", "1", "--resume", str(path)))
    assert (code, err.count("\n")) == (0, 1), err
    assert report(tmp_path / "out") == undisturbed
    assert {key: len(opened(path).part(key)) for key in before} == lengths
    # There is nothing left to do, and the file is a snapshot like any other.
    again = [
        *COMMAND,
        "run",
        "--from",
        str(path),
        *RULES,
        "--exit-zero",
        "--quiet",
        "--output",
        str(tmp_path / "again"),
    ]
    subprocess.run(again, env=environment, check=True, timeout=60, capture_output=True)  # noqa: S603
    assert report(tmp_path / "again") == undisturbed


def opened(path: Path) -> SnapshotFile:
    file = SnapshotFile(path, "1")
    file.resume()
    return file


def test_a_worker_that_is_killed_is_replaced(
    environment: dict[str, str], undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "snapshot.json"
    struck = begun(environment, tmp_path / "out", "--workers", "2", "--save-snapshot", str(path))
    until(path, 0)
    deadline, workers = time.monotonic() + 60, list[str]()
    while not workers and time.monotonic() < deadline:
        children = Path(f"/proc/{struck.pid}/task/{struck.pid}/children").read_text().split()
        workers = [one for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
    os.kill(int(workers[0]), signal.SIGKILL)
    code, err = done(struck)
    assert code == 0, err
    assert "a worker process ended (exit code -9)" in err
    assert report(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupt_leaves_a_partial_report_and_a_file_to_go_on_with(
    environment: dict[str, str], undisturbed: dict[str, Any], tmp_path: Path, workers: str
) -> None:
    path = tmp_path / "snapshot.json"
    struck = begun(environment, tmp_path / "out", "--workers", workers, "--save-snapshot", str(path))
    until(path, 1 if workers == "1" else 0)  # two processes have begun with all accounts at once
    os.killpg(struck.pid, signal.SIGINT)  # as a terminal does: to all processes
    code, err = done(struck)
    assert (code, err.splitlines()[-1]) == (130, "ddbaudit: exit 130: interrupted, the report is partial"), err
    partial = json.loads((tmp_path / "out" / "report.json").read_text())
    assert partial["run"]["complete"] is False
    unknown = {one["resource"].split(":")[4] for one in partial["findings"] if one["status"] == "unknown"}
    assert unknown
    told = {one["resource"].split(":")[4] for one in partial["findings"]}
    assert len(told) == ACCOUNTS  # nobody is missing
    code, err = done(begun(environment, tmp_path / "out", "--workers", workers, "--resume", str(path)))
    assert code == 0, err
    assert report(tmp_path / "out") == undisturbed


def test_a_file_of_another_run_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    struck = begun(environment, tmp_path / "out", "--workers", "1", "--save-snapshot", str(path))
    until(path, 1)
    os.killpg(struck.pid, signal.SIGKILL)
    done(struck)
    before = path.read_bytes()
    for more, words in (
        (["--region", "eu-central-1"], "was begun with another --region"),
        (["--account", stub_module.ACCOUNT], "was begun with another --account"),
        (["--source", "config"], "was begun with another --source"),
        (["--rule", "dax-*"], "was begun for other rules"),
        (["--save-snapshot", str(path)], "--resume and --save-snapshot exclude each other"),
    ):
        code, err = done(begun(environment, tmp_path / "out", "--resume", str(path), *more))
        assert code == 2, err
        assert words in err
        assert path.read_bytes() == before
    code, err = done(begun(environment, tmp_path / "out", "--resume", str(tmp_path / "none.json")))
    assert code == 2
    assert "none.json: cannot be read" in err

"""A snapshot holds all that an audit needs: its report equals the one of the run that it came from."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor.sources import demo
from tests.e2e.conftest import COMMAND, Run, Runner, Server, create_table, tagged, without_network

Serve = Callable[[], Server]

CONFIG = "allowed_regions: [eu-west-1]\n"
REGIONS = ("--region", "eu-west-1", "--region", "eu-central-1")


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(tmp_path_factory.mktemp("offline"), (*without_network(), *COMMAND))


@pytest.fixture(scope="module")
def direct(serve: Serve, ddbaudit: Runner) -> Run:
    """A run on a server that keeps its snapshot, and a collection, as ``run.json`` and ``collected.json.gz``."""
    server = serve()
    create_table(server, "orders", DeletionProtectionEnabled=True, Tags=tagged(env="prod", owner="\u202e</script>"))
    create_table(server, "orders", "eu-central-1", Tags=tagged(env="prod"))
    run = ddbaudit("run", *REGIONS, "--save-snapshot", "run.json", server=server, config=CONFIG)
    collected = ddbaudit("collect", *REGIONS, "--output", str(run.folder / "collected.json.gz"), server=server)
    assert collected.code == 0
    return run


@pytest.fixture(scope="module")
def example(ddbaudit: Runner) -> Run:
    run = ddbaudit("demo", "--save-snapshot", "plain.json")
    (run.folder / "packed.json.gz").write_bytes(gzip.compress((run.folder / "plain.json").read_bytes()))
    return run


def but_for_the_run(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key != "run"}


@pytest.mark.parametrize("name", ["run.json", "collected.json.gz"])
def test_an_audit_of_a_snapshot_equals_the_run_on_the_server(direct: Run, offline: Runner, name: str) -> None:
    again = offline("run", "--from", str(direct.folder / name), config=CONFIG)
    assert but_for_the_run(again.report) == but_for_the_run(direct.report)
    assert (again.code, again.stderr) == (direct.code, direct.stderr)
    ours, theirs = again.report["run"], direct.report["run"]
    assert ours["source"] == "snapshot"
    for key in ("complete", "caller", "scopes"):
        assert ours[key] == theirs[key]


@pytest.mark.parametrize("name", ["plain.json", "packed.json.gz"])
def test_an_audit_of_the_examples_snapshot_equals_the_demo(example: Run, offline: Runner, name: str) -> None:
    again = offline("run", "--from", str(example.folder / name), "--config", str(demo.CONFIG))
    assert len(example.report["findings"]) > 200
    assert but_for_the_run(again.report) == but_for_the_run(example.report)
    assert (again.code, again.stderr) == (example.code, example.stderr)


def test_one_region_of_a_snapshot_has_the_findings_of_that_region(direct: Run, offline: Runner) -> None:
    narrow = offline("run", "--from", str(direct.folder / "run.json"), "--region", "eu-central-1", config=CONFIG)
    # What no region holds, such as the account and its roles, belongs to every region's report.
    kept = {one["id"] for one in direct.report["resources"] if one["region"] in ("eu-central-1", "")}
    expected = [one for one in direct.report["findings"] if one["resource"] in kept]
    assert narrow.report["findings"] == expected != []
    assert {one["region"] for one in narrow.report["run"]["scopes"]} == {"eu-central-1"}
    assert {one["id"] for one in narrow.report["resources"]} <= kept


def test_a_region_that_a_snapshot_does_not_hold_is_refused_with_those_it_holds(direct: Run, offline: Runner) -> None:
    run = offline("run", "--from", str(direct.folder / "run.json"), "--region", "eu-west-3")
    assert run.code == 2
    assert "eu-west-3" in run.stderr
    assert "eu-central-1, eu-west-1" in run.stderr


@pytest.mark.parametrize(
    ("made_for", "asked"),
    [
        ("table-required-tags", ["table-pitr", "kms-key-usable", "network-vpc-endpoint", "network-subnet-path"]),
        ("table-deletion-protection", ["dax-vpc-placement", "dax-encryption-at-rest"]),
    ],
)
def test_more_rules_than_a_snapshot_was_made_for_are_unknown(
    serve: Serve, ddbaudit: Runner, made_for: str, asked: list[str]
) -> None:
    server = serve()
    made = ddbaudit("run", "--region", "eu-west-1", "--rule", made_for, "--save-snapshot", "few.json", server=server)
    for rule in asked:
        run = ddbaudit("run", "--from", str(made.folder / "few.json"), "--rule", rule)
        assert set(run.verdicts(rule).values()) == {"unknown"}
        assert {one["reason"] for one in run.report["findings"]} == {"partial_data"}
        assert run.code == 4


@pytest.mark.parametrize("data", [b"", b"{}", b"\x1f\x8b\x08truncated", b'{"schema": "urn:other"}', b"\xff\xfe"])
def test_what_is_no_snapshot_is_refused(ddbaudit: Runner, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "snapshot.json.gz"
    file.write_bytes(data)
    run = ddbaudit("run", "--from", str(file))
    assert run.code == 2
    assert str(file) in run.stderr
    assert "Traceback" not in run.stderr

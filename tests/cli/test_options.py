"""Where an option's value comes from: command line, environment, file, default, for each kind of option."""

from pathlib import Path
from typing import Any

import click
import pytest

from auditor.cli import audit
from auditor.cli.options import Settings
from auditor.config import Run
from auditor.errors import UsageError
from tests.cli.conftest import Command, assert_refused

#: name, key in the file, command line, environment, file, and the values of each in this order and the default.
TABLE: list[tuple[str, str, list[str], str, str, tuple[Any, Any, Any, Any]]] = [
    ("profile", "profile", ["--profile", "one"], "two", "three", ("one", "two", "three", None)),
    ("output", "output", ["--output", "one"], "two", "three", ("one", "two", "three", "ddbaudit-report")),
    ("snapshot", "from", ["--from", "one"], "two", "three", ("one", "two", "three", None)),
    ("save_snapshot", "save_snapshot", ["--save-snapshot", "one"], "two", "three", ("one", "two", "three", None)),
    ("resume", "resume", ["--resume", "one"], "two", "three", ("one", "two", "three", None)),
    ("severity", "severity", ["--severity", "high"], "medium", "low", ("high", "medium", "low", None)),
    ("fail_on", "fail_on", ["--fail-on", "low"], "medium", "none", ("low", "medium", "none", "high")),
    ("pace", "pace", ["--pace", "documented"], "adaptive", "off", ("documented", "adaptive", "off", "documented")),
    ("log_level", "log_level", ["--log-level", "error"], "info", "debug", ("error", "info", "debug", "warning")),
    ("baseline", "baseline", ["--baseline", "a.yaml"], "b.yaml", "c.yaml", ("a.yaml", "b.yaml", "c.yaml", None)),
    ("previous", "previous", ["--previous", "a.json"], "b.json", "c.json", ("a.json", "b.json", "c.json", None)),
    ("role_name", "role_name", ["--role-name", "a"], "b", "c", ("a", "b", "c", None)),
    ("external_id", "external_id", ["--external-id", "a"], "b", "c", ("a", "b", "c", None)),
    ("account", "account", ["--account", "a", "--account", "b"], "c d", "[e]", (("a", "b"), ("c", "d"), ("e",), ())),
    ("ou", "ou", ["--ou", "a", "--ou", "b"], "c d", "[e]", (("a", "b"), ("c", "d"), ("e",), ())),
    ("source", "source", ["--source", "live"], "config", "config", ("live", "config", "config", "live")),
    ("aggregator", "aggregator", ["--aggregator", "a"], "b", "c", ("a", "b", "c", None)),
    ("workers", "workers", ["--workers", "2"], "3", "4", (2, 3, 4, None)),
    (
        "region",
        "region",
        ["--region", "eu-west-1", "--region", "us-east-1"],
        "eu-west-2 us-west-2",
        "[eu-west-3, ca-central-1]",
        (("eu-west-1", "us-east-1"), ("eu-west-2", "us-west-2"), ("eu-west-3", "ca-central-1"), ()),
    ),
    (
        "rule",
        "rule",
        ["--rule", "table-pitr", "--rule", "kms-*"],
        "table-* kms-*",
        "['dax-*']",
        (("table-pitr", "kms-*"), ("table-*", "kms-*"), ("dax-*",), ()),
    ),
    (
        "skip",
        "skip",
        ["--skip", "table-pitr"],
        "kms-* dax-*",
        "['dax-*']",
        (("table-pitr",), ("kms-*", "dax-*"), ("dax-*",), ()),
    ),
    (
        "format",
        "format",
        ["--format", "html"],
        "json html",
        "[json]",
        (("html",), ("json", "html"), ("json",), ("html", "json")),
    ),
]
FLAGS = ["allow_incomplete", "exit_zero", "new_only", "org", "quiet", "no_color"]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Stop ``run`` once its options are settled, and keep them."""
    kept: list[Settings] = []

    def stop(settings: Settings) -> None:
        kept.append(settings)
        raise UsageError("stopped here")

    monkeypatch.setattr(audit, "check_writable", stop)
    return kept


@pytest.mark.parametrize(
    ("name", "key", "arguments", "variable", "text", "values"), TABLE, ids=[row[1] for row in TABLE]
)
def test_the_command_line_wins_then_the_environment_then_the_file(
    ddbaudit: Command,
    tmp_path: Path,
    settled: list[Settings],
    name: str,
    key: str,
    arguments: list[str],
    variable: str,
    text: str,
    values: tuple[Any, Any, Any, Any],
) -> None:
    environment = {f"DDBAUDIT_{key.upper()}": variable}
    file = tmp_path / "ddbaudit.yaml"
    ddbaudit("run")
    file.write_text(f"run: {{{key}: {text}}}")
    ddbaudit("run")
    ddbaudit("run", **environment)
    ddbaudit("run", *arguments, **environment)
    file.unlink()
    ddbaudit("run", **environment)
    option, from_environment, from_file, default = values
    expected = [default, from_file, from_environment, option, from_environment]
    assert [one[name] for one in settled] == expected


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_set_by_any_and_unset_by_the_environment_over_the_file(
    ddbaudit: Command, tmp_path: Path, settled: list[Settings], name: str
) -> None:
    variable, flag = f"DDBAUDIT_{name.upper()}", f"--{name.replace('_', '-')}"
    file = tmp_path / "ddbaudit.yaml"
    ddbaudit("run")
    ddbaudit("run", **{variable: "1"})
    file.write_text(f"run: {{{name}: true}}")
    ddbaudit("run")
    ddbaudit("run", **{variable: "0"})
    ddbaudit("run", flag, **{variable: "0"})
    file.write_text(f"run: {{{name}: false}}")
    ddbaudit("run")
    ddbaudit("run", **{variable: "1"})
    assert [one[name] for one in settled] == [False, True, True, False, True, False, True]


def test_null_and_an_empty_list_in_the_file_leave_the_default(
    ddbaudit: Command, tmp_path: Path, settled: list[Settings]
) -> None:
    ddbaudit("run")
    keys = [key for _, key, *_ in TABLE]
    empty = {key: "[]" if key in ("region", "rule", "skip", "format", "account", "ou") else "null" for key in keys}
    (tmp_path / "ddbaudit.yaml").write_text("run:\n" + "".join(f"  {key}: {text}\n" for key, text in empty.items()))
    ddbaudit("run")
    assert settled[0].options == settled[1].options


def test_every_option_of_run_may_stand_in_the_file_but_for_the_files_own() -> None:
    options = {
        option.opts[0].removeprefix("--").replace("-", "_")
        for option in audit.run.params
        if isinstance(option, click.Option)
    }
    assert set(Run.__struct_encode_fields__) == options - {"config", "help"}
    assert {key for _, key, *_ in TABLE} | set(FLAGS) | {"config", "rules_dir", "template"} == options - {"help"}


def test_the_defaults_that_the_file_shows_are_the_commands(ddbaudit: Command, settled: list[Settings]) -> None:
    ddbaudit("run")
    assert {name: getattr(Run(), name) for name in Run.__struct_fields__} == settled[0].options


def test_the_demo_has_every_option_of_run() -> None:
    assert [option.opts for option in audit.demo.params] == [option.opts for option in audit.run.params]


def test_packs_come_from_the_file_only_where_it_is_named(
    ddbaudit: Command, tmp_path: Path, settled: list[Settings]
) -> None:
    ddbaudit("rules", "new", "table-x", "--output", "pack")
    (tmp_path / "ddbaudit.yaml").write_text("run: {rules_dir: [pack/rules]}")
    assert_refused(ddbaudit("run"), "rules_dir")
    ddbaudit("run", "--config", "ddbaudit.yaml")
    ddbaudit("run", DDBAUDIT_CONFIG="ddbaudit.yaml")
    assert ["table-x" in one.rules for one in settled] == [True, True]


def test_an_empty_variable_counts_as_unset(ddbaudit: Command, settled: list[Settings]) -> None:
    ddbaudit("run", DDBAUDIT_FAIL_ON="", DDBAUDIT_REGION="", DDBAUDIT_FROM="", DDBAUDIT_QUIET="")
    assert (settled[0]["fail_on"], settled[0]["region"], settled[0]["snapshot"]) == ("high", (), None)
    assert settled[0]["quiet"] is False


def test_variables_that_are_no_options_mean_nothing(ddbaudit: Command, settled: list[Settings]) -> None:
    ddbaudit("run", DDBAUDIT_VERSION="1", DDBAUDIT_HELP="1", DDBAUDIT_RUN_FAIL_ON="low", DDBAUDIT_SNAPSHOT="x")
    assert (settled[0]["fail_on"], settled[0]["snapshot"]) == ("high", None)


def test_a_named_file_counts_instead_of_the_folders(ddbaudit: Command, tmp_path: Path, settled: list[Settings]) -> None:
    (tmp_path / "ddbaudit.yaml").write_text("run: {fail_on: low}\nallowed_regions: [eu-west-1]")
    (tmp_path / "other.yaml").write_text("run: {quiet: true}")
    ddbaudit("run", "--config", "other.yaml")
    assert (settled[0]["fail_on"], settled[0]["quiet"], settled[0].config.allowed_regions) == ("high", True, ())


def test_the_rules_of_the_file_are_configured_and_the_disabled_ones_left_out(
    ddbaudit: Command, tmp_path: Path, settled: list[Settings]
) -> None:
    (tmp_path / "ddbaudit.yaml").write_text(
        "rules: {table-pitr: {enabled: false}, kms-key-usable: {severity: low, expiry_days: 5}}"
    )
    ddbaudit("run", "--skip", "table-pitr")
    rule = settled[0].rules["kms-key-usable"]
    assert "table-pitr" not in settled[0].rules
    assert (rule.severity.label, rule.values) == ("low", {"expiry_days": 5})


def test_the_log_says_where_each_value_comes_from(ddbaudit: Command, tmp_path: Path, settled: list[Settings]) -> None:
    (tmp_path / "ddbaudit.yaml").write_text("run: {fail_on: low, log_level: debug}")
    outcome = ddbaudit("run", DDBAUDIT_PACE="off")
    assert len(settled) == 1
    assert "DEBUG auditor.cli.options: fail_on = 'low' (ddbaudit.yaml: run.fail_on)" in outcome.err
    assert "pace = 'off' (DDBAUDIT_PACE)" in outcome.err
    assert "DEBUG" not in ddbaudit("run", "--log-level", "info").err


def test_an_organisation_in_the_file_does_not_keep_a_snapshot_from_being_audited(
    ddbaudit: Command, tmp_path: Path, snapshot: str
) -> None:
    (tmp_path / "ddbaudit.yaml").write_text("run: {org: true, role_name: audit}\n")
    told = ddbaudit("run", "--from", snapshot, "--rule", "table-deletion-protection", "--quiet")
    assert told.code == 3, told.err
    assert_refused(ddbaudit("run", "--org", "--role-name", "x", "--from", snapshot), "exclude each other")


def test_aws_config_in_the_file_does_not_keep_a_snapshot_from_being_audited(
    ddbaudit: Command, tmp_path: Path, snapshot: str
) -> None:
    (tmp_path / "ddbaudit.yaml").write_text("run: {source: config, aggregator: org}\n")
    told = ddbaudit("run", "--from", snapshot, "--rule", "table-deletion-protection", "--quiet")
    assert told.code == 3, told.err
    assert_refused(ddbaudit("run", DDBAUDIT_SOURCE="live"), "--aggregator needs --source config", "run.aggregator")

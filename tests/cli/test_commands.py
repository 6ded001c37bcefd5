"""What each command does, and how it ends: exit codes, last lines, files."""

import gzip
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.httpsession
import jsonschema
import pytest
import yaml
from botocore.awsrequest import AWSResponse

from auditor import __version__, engine, packs
from auditor.cli import COMMANDS, audit
from auditor.cli.settings import config_schema
from auditor.config import Config, load
from auditor.render import report_schema
from tests.cli.conftest import RULE, Command, assert_refused

HELP = [[name] for name in COMMANDS] + [["rules", name] for name in ("list", "show", "new")]


def report(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return document


@pytest.mark.parametrize("command", [[], *HELP], ids=" ".join)
def test_help_is_shown(ddbaudit: Command, command: list[str]) -> None:
    outcome = ddbaudit(*command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(" ".join(["Usage: ddbaudit", *command]))


def test_help_and_version_load_nothing_heavy() -> None:
    code = f"""
import sys
from auditor.cli import run_main
for command in [[], *{HELP!r}]:
    assert run_main([*command, "--help"]) == 0
assert run_main(["--version"]) == 0
print(sorted({{"boto3", "botocore", "jinja2", "moto", "rich"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stderr == "[]\n"


def test_the_version(ddbaudit: Command) -> None:
    assert ddbaudit("--version").out == f"ddbaudit {__version__}\n"


@pytest.mark.parametrize("command", [[], ["rules"]], ids=["ddbaudit", "rules"])
def test_a_missing_command_shows_the_help_and_is_an_error(ddbaudit: Command, command: list[str]) -> None:
    outcome = ddbaudit(*command)
    assert outcome.code == 2
    assert outcome.err.startswith(" ".join(["Usage: ddbaudit", *command]))
    assert outcome.err.endswith("ddbaudit: a command is missing.\nddbaudit: exit 2\n")


@pytest.mark.parametrize(
    ("arguments", "code", "last"),
    [
        (["--region", "eu-central-1"], 0, "ddbaudit: exit 0: 0 findings at or above high, 0 unknown"),
        (["--region", "eu-west-1"], 3, "ddbaudit: exit 3: 1 finding at or above high, 0 unknown"),
        (["--region", "us-east-1"], 4, "ddbaudit: exit 4: 0 findings at or above high, 1 unknown"),
        ([], 3, "ddbaudit: exit 3: 1 finding at or above high, 1 unknown"),
        (["--fail-on", "critical"], 4, "ddbaudit: exit 4: 0 findings at or above critical, 1 unknown"),
        (["--fail-on", "none", "--region", "eu-west-1"], 0, "ddbaudit: exit 0: "),
        (["--fail-on", "none"], 4, "ddbaudit: exit 4: "),
        (["--allow-incomplete"], 3, "ddbaudit: exit 3: "),
        (["--allow-incomplete", "--region", "us-east-1"], 0, "ddbaudit: exit 0: 0 findings at or above high, 1 "),
        (["--exit-zero"], 0, "ddbaudit: exit 0: 1 finding at or above high, 1 unknown"),
        (["--exit-zero", "--region", "us-east-1"], 0, "ddbaudit: exit 0: 0 findings at or above high, 1 unknown"),
    ],
    ids=str,
)  # fmt: skip
def test_the_exit_code_and_the_last_line(
    ddbaudit: Command, tmp_path: Path, snapshot: str, arguments: list[str], code: int, last: str
) -> None:
    outcome = ddbaudit("run", "--from", snapshot, "--quiet", *RULE, *arguments)
    assert outcome.code == code
    assert outcome.last.startswith(last)
    assert outcome.err == outcome.last + "\n"
    assert outcome.out == ""
    assert outcome.written == ("ddbaudit-report", "ddbaudit-report/report.html", "ddbaudit-report/report.json")
    assert report(tmp_path / "ddbaudit-report")["summary"]["gate"]["exitCode"] == code


def test_the_summary_and_the_files(ddbaudit: Command, snapshot: str) -> None:
    outcome = ddbaudit("run", "--from", snapshot, *RULE, "--format", "json", "--output", "deep/er")
    assert outcome.written == ("deep", "deep/er", "deep/er/report.json")
    assert "table-deletion-protection" in outcome.out
    assert "Report  deep/er/report.json" in outcome.out
    assert outcome.err.count("\n") == 1


def test_reports_of_the_same_moment_are_the_same_bytes(ddbaudit: Command, tmp_path: Path, snapshot: str) -> None:
    for folder in ("one", "two"):
        ddbaudit("run", "--from", snapshot, "--output", folder, SOURCE_DATE_EPOCH="1700000000")
    for name in ("report.html", "report.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert report(tmp_path / "one")["run"]["startedAt"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize("name", ["again.json", "again.json.gz"])
def test_a_saved_snapshot_holds_what_was_read(ddbaudit: Command, tmp_path: Path, snapshot: str, name: str) -> None:
    ddbaudit("run", "--from", snapshot, "--save-snapshot", name, "--quiet")
    saved, read = (tmp_path / name).read_bytes(), gzip.decompress((tmp_path / snapshot).read_bytes())
    saved = gzip.decompress(saved) if name.endswith(".gz") else saved
    assert json.loads(saved) | {"tool": ""} == json.loads(read) | {"tool": ""}


class Body(io.BytesIO):
    """The body of a canned HTTP answer, as botocore reads it."""

    def stream(self, **_: object) -> list[bytes]:
        return [self.read()]


IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:sts::111122223333:assumed-role/auditor/me</Arn><UserId>AROA:me</UserId><Account>111122223333</Account>
</GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""


@pytest.fixture
def aws(ddbaudit: Command, monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """An account with one table whose settings are readable, and nothing else; returns the arguments to audit it."""

    def send(_: object, request: Any) -> AWSResponse:
        target = request.headers.get("X-Amz-Target", b"")
        operation = (target.decode() if isinstance(target, bytes) else target).partition(".")[2]
        answers = {
            "ListTables": {"TableNames": ["orders"]},
            "DescribeTable": {"Table": {"TableStatus": "ACTIVE", "DeletionProtectionEnabled": True}},
            "GetResources": {"ResourceTagMappingList": []},
            "ListTagsOfResource": {"Tags": []},
        }
        if "sts" in request.url:
            return AWSResponse(request.url, 200, {"Content-Type": "text/xml"}, Body(IDENTITY.encode()))
        status, answer = (200, answers[operation]) if operation in answers else (400, {"__type": "AccessDenied"})
        headers = {"Content-Type": "application/x-amz-json-1.0"}
        return AWSResponse(request.url, status, headers, Body(json.dumps(answer).encode()))

    del ddbaudit  # asked for so that its clean environment is there before the keys are
    monkeypatch.setattr(botocore.httpsession.URLLib3Session, "send", send)
    for name, value in (("ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("SECRET_ACCESS_KEY", "secret-of-the-test")):
        monkeypatch.setenv(f"AWS_{name}", value)
    return ("--region", "eu-west-1", "--pace", "off", *RULE)


def test_a_run_on_aws_audits_the_callers_account(ddbaudit: Command, tmp_path: Path, aws: Sequence[str]) -> None:
    outcome = ddbaudit("run", *aws, "--log-level", "debug")
    assert outcome.code == 0, outcome
    document = report(tmp_path / "ddbaudit-report")
    assert (document["run"]["source"], document["run"]["complete"]) == ("aws", True)
    assert document["run"]["caller"]["account"] == "111122223333"
    assert [finding["status"] for finding in document["findings"]] == ["pass"]
    written = "".join(path.read_text() for path in (tmp_path / "ddbaudit-report").iterdir())
    assert "secret-of-the-test" not in written + outcome.out + outcome.err


def test_collect_writes_a_snapshot_that_run_audits(ddbaudit: Command, tmp_path: Path, aws: Sequence[str]) -> None:
    (tmp_path / "ddbaudit.yaml").write_text("run: {output: reports}")
    collected = ddbaudit("collect", *aws, DDBAUDIT_OUTPUT="elsewhere")
    assert (collected.code, collected.last) == (0, "ddbaudit: exit 0")
    assert collected.written == ("ddbaudit-snapshot.json.gz",)
    assert collected.out.startswith("Snapshot: ddbaudit-snapshot.json.gz (")
    assert ddbaudit("run", "--from", "ddbaudit-snapshot.json.gz", *RULE, "--quiet").code == 0
    assert [finding["status"] for finding in report(tmp_path / "reports")["findings"]] == ["pass"]
    assert ddbaudit("collect", *aws, "--quiet", "--output", "new/s.json").out == ""
    assert (tmp_path / "new" / "s.json").read_bytes().startswith(b'{"schema"')


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the user press Ctrl-C once the first answer is there."""

    @contextmanager
    def bar(_: object) -> Iterator[Any]:
        def press(*_: object) -> None:
            raise KeyboardInterrupt

        yield press

    monkeypatch.setattr(audit, "progress_bar", bar)


@pytest.mark.usefixtures("interrupted")
def test_an_interrupt_leaves_a_partial_report(ddbaudit: Command, tmp_path: Path, aws: Sequence[str]) -> None:
    outcome = ddbaudit("run", *aws, "--exit-zero")
    assert (outcome.code, outcome.last) == (130, "ddbaudit: exit 130: interrupted, the report is partial")
    document = report(tmp_path / "ddbaudit-report")
    assert document["run"]["complete"] is False
    assert {finding["status"] for finding in document["findings"]} == {"unknown"}


@pytest.mark.usefixtures("interrupted")
def test_an_interrupt_leaves_a_partial_snapshot(ddbaudit: Command, tmp_path: Path, aws: Sequence[str]) -> None:
    outcome = ddbaudit("collect", *aws)
    assert (outcome.code, outcome.last) == (130, "ddbaudit: exit 130: interrupted, the snapshot is partial")
    assert json.loads(gzip.decompress((tmp_path / "ddbaudit-snapshot.json.gz").read_bytes()))["interrupted"] is True
    assert ddbaudit("run", "--from", "ddbaudit-snapshot.json.gz", "--quiet").code == 130


def test_an_interrupt_elsewhere_ends_without_a_report(
    ddbaudit: Command, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "audit", press)
    outcome = ddbaudit("run", "--from", snapshot)
    assert (outcome.code, outcome.err.split("\n")[-3:]) == (130, ["ddbaudit: interrupted.", "ddbaudit: exit 130", ""])
    assert outcome.written == ()


def test_an_internal_error_is_one_line_and_its_traceback_only_in_the_log(
    ddbaudit: Command, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines \x1b[31m")

    monkeypatch.setattr(engine, "audit", fail)
    quiet = ddbaudit("run", "--from", snapshot)
    assert quiet.code == 1
    first, hint, last = quiet.err.splitlines()
    assert first == "ddbaudit: internal error: RuntimeError: two lines \\x1b[31m"
    assert "DDBAUDIT_LOG_LEVEL=debug" in hint
    assert last == "ddbaudit: exit 1"
    for loud in (
        ddbaudit("run", "--from", snapshot, "--log-level", "debug"),
        ddbaudit("run", "--from", snapshot, DDBAUDIT_LOG_LEVEL="debug"),
    ):
        assert "Traceback (most recent call last):" in loud.err
        assert "\x1b" not in loud.err
        assert loud.last == "ddbaudit: exit 1"


def test_a_rule_that_ends_the_process_is_a_defect_and_no_silent_success(
    ddbaudit: Command, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: object, **__: object) -> None:
        sys.exit(0)

    monkeypatch.setattr(engine, "audit", leave)
    outcome = ddbaudit("run", "--from", snapshot)
    assert (outcome.code, outcome.last) == (1, "ddbaudit: exit 1")
    assert "internal error: SystemExit: 0" in outcome.err


def test_a_message_in_the_log_starts_no_command_of_its_own(ddbaudit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_and_warn(_: object) -> packs.Rules:
        logging.getLogger("auditor.sources").warning("%s", "odd\n::error::owned\x1b[2J")
        return packs.built_in()

    monkeypatch.setattr(packs, "load", load_and_warn)
    lines = ddbaudit("rules", "list").err.splitlines()
    assert lines[0].endswith("WARNING auditor.sources: odd")
    assert lines[1:] == [" ::error::owned\\x1b[2J"]
    assert ddbaudit("rules", "list", DDBAUDIT_LOG_LEVEL="error").err == ""


@pytest.mark.parametrize("command", [["rules", "list"], ["run", "--from", "s.json.gz"], ["rules"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_error_to_tell_of(tmp_path: Path, snapshot: str, command: list[str]) -> None:
    assert snapshot == "s.json.gz"
    reader, writer = os.pipe()
    os.close(reader)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DDBAUDIT_")}
    stderr = writer if command == ["rules"] else subprocess.PIPE  # what is missing is told on stderr
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "auditor", *command],
        stdout=writer, stderr=stderr, cwd=tmp_path, env=clean, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 141
    assert not done.stderr


def test_the_entry_points_return_the_exit_code(tmp_path: Path) -> None:
    for command in ([sys.executable, "-m", "auditor"], [str(Path(sys.executable).with_name("ddbaudit"))]):
        done = subprocess.run([*command, "schema", "x"], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == "ddbaudit: exit 2"


def test_rules_list_has_a_line_for_each_rule(ddbaudit: Command) -> None:
    lines = ddbaudit("rules", "list", COLUMNS="300").out.splitlines()
    assert [line.split()[0] for line in lines] == list(packs.built_in())
    for line, rule in zip(lines, packs.built_in().values(), strict=True):
        assert line.split()[1:4] == [rule.severity.label, rule.side.value, ",".join(rule.practices)]
        assert line.endswith(f"  {rule.title}")


def test_rules_list_cuts_titles_to_the_terminal_and_keeps_the_selection(ddbaudit: Command) -> None:
    lines = ddbaudit("rules", "list", "--rule", "table-*", "--skip", "table-pitr", COLUMNS="80").out.splitlines()
    assert {line.split()[0] for line in lines} == {
        rule_id for rule_id in packs.built_in() if rule_id.startswith("table-") and rule_id != "table-pitr"
    }
    assert max(map(len, lines)) <= 80
    severe = ddbaudit("rules", "list", "--severity", "high").out.splitlines()
    assert {line.split()[1] for line in severe} == {"high", "critical"}


@pytest.mark.parametrize("rule_id", packs.built_in())
def test_rules_show_renders_every_rule(ddbaudit: Command, rule_id: str) -> None:
    outcome = ddbaudit("rules", "show", rule_id)
    rule = packs.built_in()[rule_id]
    assert (outcome.code, outcome.err) == (0, "")
    assert rule_id in outcome.out
    assert rule.title in outcome.out
    assert "{{" not in outcome.out
    for setting in rule.settings:
        assert setting.name in outcome.out


def test_permissions_prints_json_for_the_selection(ddbaudit: Command) -> None:
    outcome = ddbaudit("permissions", "--rule", "table-pitr")
    allowed = {
        action
        for statement in json.loads(outcome.out)["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
    }
    assert "dynamodb:DescribeContinuousBackups" in allowed
    assert not any(action.startswith(("kms:", "dax:")) for action in allowed)


@pytest.mark.parametrize(("items", "sampled"), [(0, False), (25, True)])
def test_permissions_let_items_be_read_where_the_configuration_turns_sampling_on(
    ddbaudit: Command, tmp_path: Path, items: int, sampled: bool
) -> None:
    tmp_path.joinpath("ddbaudit.yaml").write_text(f"sampling: {{items_per_table: {items}}}", encoding="utf-8")
    statements = json.loads(ddbaudit("permissions").out)["Statement"]
    allowing = [action for one in statements if one["Effect"] == "Allow" for action in one["Action"]]
    denying = [action for one in statements if one["Effect"] == "Deny" for action in one["Action"]]
    assert ("dynamodb:Scan" in allowing, "dynamodb:Scan" in denying) == (sampled, not sampled)
    assert ("DecryptThroughDynamoDB" in {one["Sid"] for one in statements}) is sampled


def uncommented(text: str) -> str:
    """Take ``# `` from every line of a written file but for its head."""
    head, _, rest = text.partition("\n\n")
    assert all(line.startswith("# ") for line in head.splitlines())
    return "\n".join(line.removeprefix("# ") for line in rest.splitlines())


def test_init_writes_a_file_that_changes_nothing_commented_or_not(ddbaudit: Command, tmp_path: Path) -> None:
    assert ddbaudit("init").written == ("ddbaudit.yaml",)
    path = tmp_path / "ddbaudit.yaml"
    assert load(path)[0] == Config()
    plain = ddbaudit("rules", "list").out
    path.write_text(uncommented(path.read_text()))
    config, root = load(path)
    for name in Config.__struct_fields__:
        if name != "rules":
            assert getattr(config, name) == getattr(Config(), name), name
    for rule_id, rule in packs.configure(packs.built_in(), config, root, path).items():
        assert rule.values == {setting.name: setting.default for setting in rule.settings}
        assert rule.severity is packs.built_in()[rule_id].severity
    assert set(config.rules) == set(packs.built_in())
    assert ddbaudit("rules", "list", "--config", "ddbaudit.yaml").out == plain


def test_init_shows_every_key(ddbaudit: Command, tmp_path: Path) -> None:
    ddbaudit("init", "--output", "all.yaml")
    document = yaml.safe_load(uncommented((tmp_path / "all.yaml").read_text()))
    assert list(document) == list(Config.__struct_encode_fields__)
    for name in Config.__struct_fields__:
        value = getattr(Config(), name)
        if hasattr(value, "__struct_encode_fields__"):
            assert tuple(document[name]) == value.__struct_encode_fields__


def test_init_replaces_a_file_only_by_force(ddbaudit: Command, tmp_path: Path) -> None:
    (tmp_path / "ddbaudit.yaml").write_text("mine")
    assert_refused(ddbaudit("init"), "ddbaudit.yaml", "--force")
    assert (tmp_path / "ddbaudit.yaml").read_text() == "mine"
    assert ddbaudit("init", "--force").code == 0
    assert load(tmp_path / "ddbaudit.yaml")[0] == Config()


def test_the_schema_of_the_file_takes_what_init_writes_and_no_other_keys(ddbaudit: Command, tmp_path: Path) -> None:
    schema = json.loads(ddbaudit("schema", "config").out)
    assert schema == json.loads(json.dumps(config_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    ddbaudit("init")
    validator.validate(yaml.safe_load(uncommented((tmp_path / "ddbaudit.yaml").read_text())))
    validator.validate({"run": {"from": "x", "pace": "off"}, "required_tags": ["owner", {"env": "prod"}]})
    refused: tuple[dict[str, Any], ...] = (
        {"regions": []},
        {"run": {"fail-on": "low"}},
        {"run": {"snapshot": "x"}},
        {"run": {"output": ""}},
        {"run": {"workers": 0}},
        {"accounts": {"trusted": ["1"]}},
        {"rules": {"table-pitr": {"min_days": 1}}},
        {"rules": {"table-pitr": {"severity": "hgh"}}},
    )
    for wrong in refused:
        assert list(validator.iter_errors(wrong)), wrong


def test_the_schema_of_the_report_takes_a_report(ddbaudit: Command, tmp_path: Path, snapshot: str) -> None:
    schema = json.loads(ddbaudit("schema", "report").out)
    assert schema == report_schema()
    ddbaudit("run", "--from", snapshot, "--quiet")
    jsonschema.Draft202012Validator(schema).validate(report(tmp_path / "ddbaudit-report"))


def test_a_new_rule_passes_its_test_and_the_demo_judges_as_its_snapshot_does(ddbaudit: Command, tmp_path: Path) -> None:
    written = ddbaudit("rules", "new", "table-name-prefix", "--output", "my pack")
    rule, test = (
        "my pack/rules/table/table_name_prefix.py",
        "my pack/tests/rules/table/test_table_name_prefix.py",
    )
    assert {rule, test} <= set(written.written)
    assert "--rules-dir 'my pack/rules' --rule table-name-prefix" in written.out
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    pack = ("--rules-dir", "my pack/rules")
    # What the environment says for `run` is not meant for the example.
    shown = ddbaudit("demo", *pack, "--save-snapshot", "s.json", DDBAUDIT_PROFILE="audit", DDBAUDIT_FROM="none")
    assert shown.code == 3
    planted = report(tmp_path / "ddbaudit-report")
    jsonschema.Draft202012Validator(report_schema()).validate(planted)
    assert planted["run"]["source"] == "demo"
    assert any(finding["rule"] == "table-name-prefix" for finding in planted["findings"])
    settings = Path(sys.modules["auditor.sources.demo"].CONFIG)
    assert ddbaudit("run", "--from", "s.json", *pack, "--config", str(settings), "--output", "again").code == 3
    assert report(tmp_path / "again")["findings"] == planted["findings"]


def test_in_the_checkout_a_new_rule_needs_no_pack(
    ddbaudit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "bundled", lambda name: tmp_path / name)
    assert ddbaudit("rules", "new", "table-x").out.endswith("Try it: ddbaudit demo --rule table-x\n")

"""Whatever is wrong with what a user gives: exit 2, one message that says what and where, nothing written."""

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import botocore.httpsession
import pytest
from botocore.awsrequest import AWSResponse

from auditor import packs
from tests.cli.conftest import RULE, Command, assert_refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runn"], ['"runn"', 'Did you mean "run"?', "ddbaudit --help"]),
        (["run", "extra"], ["extra", "ddbaudit run --help"]),
        (["run", "--bogus"], ["--bogus"]),
        (["run", "--region", "eu-wst-1"], ['"eu-wst-1" is not an AWS region', "eu-west-1"]),
        (["demo", "--region", "eu-wst-1"], ['"eu-wst-1" is not an AWS region', "eu-west-1"]),
        (["collect", "--region", "eu-wst-1"], ['"eu-wst-1" is not an AWS region', "eu-west-1"]),
        (["run", "--rule", "table-pitrr"], ['no rule matches "table-pitrr"', '"table-pitr"?', "rules list"]),
        (["run", "--rule", "zzz-*"], ['no rule matches "zzz-*"']),
        (["run", "--skip", "zzz-*"], ['no rule matches "zzz-*"']),
        (["run", "--rule", "table-pitr", "--skip", "table-*"], ["no rule is left", "--skip"]),
        (["run", "--format", "htm"], ["--format", "htm", "html", "json"]),
        (["run", "--fail-on", "nonsense"], ["--fail-on", "nonsense", "critical"]),
        (["run", "--severity", "none"], ["--severity", "none", "critical"]),
        (["run", "--workers", "0"], ["--workers", "0"]),
        (["run", "--workers", "two"], ["--workers", "two"]),
        (["run", "--pace", "fast"], ["--pace", "fast", "documented"]),
        (["run", "--log-level", "loud"], ["--log-level", "loud", "debug"]),
        (["run", "--from", "none.json"], ["none.json: cannot be read", "ddbaudit collect"]),
        (["run", "--config", "none.yaml"], ["none.yaml: cannot be read: No such file", "--config"]),
        (["run", "--config", "."], [".: cannot be read: Is a directory"]),
        (["run", "--rules-dir", "none"], ["none: no such folder", "--rules-dir"]),
        (["demo", "--profile", "audit"], ["--profile has no meaning", "ddbaudit run"]),
        (["demo", "--from", "x"], ["--from has no meaning", "ddbaudit run"]),
        (["demo", "--source", "config"], ["--source has no meaning", "ddbaudit run"]),
        (["demo", "--aggregator", "x"], ["--aggregator has no meaning", "ddbaudit run"]),
        (["run", "--aggregator", "x"], ["--aggregator needs --source config", "Add --source config"]),
        (["collect", "--aggregator", "x"], ["--aggregator needs --source config"]),
        (["permissions", "--aggregator", "x"], ["--aggregator needs --source config"]),
        (["run", "--source", "live", "--aggregator", "x"], ["--aggregator needs --source config"]),
        (["run", "--source", "config", "--aggregator", "a b"], ['"a b" is no name of an aggregator', "not an ARN"]),
        (["run", "--source", "config", "--from", "s.json"], ["--source config and --from exclude each other"]),
        (["rules", "shw"], ["shw", "show"]),
        (["rules", "show"], ["RULE"]),
        (["rules", "show", "table-pitrr"], ['no rule "table-pitrr"', '"table-pitr"?', "rules list"]),
        (["rules", "list", "--severity", "worst"], ["worst", "critical"]),
        (["rules", "new", "Foo"], ['"Foo" is no rule id', "table-name-prefix"]),
        (["rules", "new", "table-pitr"], ['already a rule "table-pitr"', "rules show"]),
        (["permissions", "--rule", "nope"], ['no rule matches "nope"']),
        (["schema"], ["report", "config"]),
        (["schema", "reprt"], ["reprt", "report"]),
        *(
            (["run", flag, ""], [flag, "empty"])
            for flag in ("--profile", "--region", "--rule", "--skip", "--rules-dir", "--config", "--output", "--from")
        ),
        (["run", "--save-snapshot", ""], ["--save-snapshot", "empty"]),
        (["collect", "--output", ""], ["--output", "empty"]),
        (["init", "--output", ""], ["--output", "empty"]),
        (["rules", "new", "table-x", "--output", ""], ["--output", "empty"]),
    ],
    ids=" ".join,
)
def test_a_bad_argument_is_refused(ddbaudit: Command, arguments: list[str], words: list[str]) -> None:
    assert_refused(ddbaudit(*arguments), *words)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DDBAUDIT_FAIL_ON", "nonsense", ["nonsense", "(DDBAUDIT_FAIL_ON)"]),
        ("DDBAUDIT_WORKERS", "x", ["'x'", "(DDBAUDIT_WORKERS)"]),
        ("DDBAUDIT_QUIET", "maybe", ["maybe", "(DDBAUDIT_QUIET)"]),
        ("DDBAUDIT_FORMAT", "html pdf", ["pdf", "(DDBAUDIT_FORMAT)"]),
        ("DDBAUDIT_RULE", "table-* zzz", ['"zzz"', "(DDBAUDIT_RULE)"]),
        ("DDBAUDIT_REGION", "mars", ['"mars"', "(DDBAUDIT_REGION)"]),
        ("DDBAUDIT_RULES_DIR", "none", ["none: no such folder", "(DDBAUDIT_RULES_DIR)"]),
        ("DDBAUDIT_OUTPUT", "/proc/x", ["/proc/x", "(DDBAUDIT_OUTPUT)"]),
        ("SOURCE_DATE_EPOCH", "yesterday", ["SOURCE_DATE_EPOCH", "'yesterday'", "Unset"]),
        ("SOURCE_DATE_EPOCH", "9" * 30, ["SOURCE_DATE_EPOCH"]),
    ],
)
def test_a_bad_variable_is_refused_by_its_name(
    ddbaudit: Command, snapshot: str, variable: str, value: str, words: list[str]
) -> None:
    assert_refused(ddbaudit("run", "--from", snapshot, **{variable: value}), *words)


@pytest.mark.parametrize("command", ["run", "collect"])
def test_a_bad_epoch_is_told_before_credentials_are_looked_for(ddbaudit: Command, command: str) -> None:
    assert_refused(ddbaudit(command, SOURCE_DATE_EPOCH="x"), "SOURCE_DATE_EPOCH")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[a, b]", ["f.yaml:1:1: expected keys and values, found a list"]),
        (b"just words", ["f.yaml:1:1: expected keys and values"]),
        (b"run:\n  fail-on: low\n", ['f.yaml:2:3: run: unknown key "fail-on". Did you mean "fail_on"?']),
        (b"run: {region: [mars]}", ['"mars"', "f.yaml: run.region"]),
        (b"run: {rule: [zzz]}", ['no rule matches "zzz"', "f.yaml: run.rule"]),
        (b"run: {output: /proc/x}", ["/proc/x", "f.yaml: run.output"]),
        (b"run: {rules_dir: [none]}", ["none: no such folder", "f.yaml: run.rules_dir"]),
        (b'run: {output: ""}', ["f.yaml:1:15: run.output: expected a text that is not empty"]),
        (b"rules: {table-pitr: {enabled: false}}\nrun: {rule: [table-pitr]}", ['"table-pitr"', "enabled: false"]),
        (b"rules: {table-pitrr: {}}", ['f.yaml:1:9: unknown rule "table-pitrr". Did you mean "table-pitr"?']),
        (b"\xff\xfe", ["f.yaml:1: not UTF-8"]),
    ],
)
def test_a_bad_file_is_refused_with_line_and_column(
    ddbaudit: Command, tmp_path: Path, text: bytes, words: list[str]
) -> None:
    (tmp_path / "f.yaml").write_bytes(text)
    assert_refused(ddbaudit("run", "--config", "f.yaml"), *words)


def test_the_file_in_the_folder_is_checked_by_every_command_that_reads_it(ddbaudit: Command, tmp_path: Path) -> None:
    (tmp_path / "ddbaudit.yaml").write_text("regions: [eu-west-1]")
    for command in (["run"], ["collect"], ["rules", "list"], ["permissions"]):
        assert_refused(ddbaudit(*command), 'ddbaudit.yaml:1:1: unknown key "regions"')


def test_code_that_the_file_in_the_folder_names_is_not_run(ddbaudit: Command, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "table_x.py").write_text("raise RuntimeError('this code ran')")
    (tmp_path / "ddbaudit.yaml").write_text("run: {rules_dir: [pack]}")
    assert_refused(ddbaudit("rules", "list"), "run.rules_dir names code", "--config ddbaudit.yaml")
    assert_refused(ddbaudit("rules", "list", "--config", "ddbaudit.yaml"), "pack/table_x.py:1", "this code ran")


def _document(snapshot: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gzip.decompress(Path(snapshot).read_bytes()))
    return document


DAMAGES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "empty": (lambda _: b"", "snapshot"),
    "not JSON": (lambda _: b"hello", "not a ddbaudit snapshot"),
    "a report": (lambda _: b'{"schemaVersion": "1.0", "findings": []}', "not a ddbaudit snapshot"),
    "truncated": (lambda name: Path(name).read_bytes()[:-40], "cannot be read"),
    "newer": (lambda name: json.dumps(_document(name) | {"schema": "x:snapshot-2"}).encode(), "x:snapshot-2"),
    "unknown fact": (lambda name: json.dumps(_document(name) | {"facts": {"Weather": []}}).encode(), "Weather"),
    "malformed ARN": (
        lambda name: json.dumps(_document(name) | {"known": [["AWS::DynamoDB::Table", "arn:aws:x"]]}).encode(),
        "arn:aws:x",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_snapshot_is_refused(ddbaudit: Command, tmp_path: Path, snapshot: str, damage: str) -> None:
    make, word = DAMAGES[damage]
    (tmp_path / "bad.gz").write_bytes(make(str(tmp_path / snapshot)))
    assert_refused(ddbaudit("run", "--from", "bad.gz"), "bad.gz", word, "ddbaudit collect")


def test_a_region_that_a_snapshot_lacks_is_refused_with_those_it_holds(ddbaudit: Command, snapshot: str) -> None:
    outcome = ddbaudit("run", "--from", snapshot, "--region", "eu-west-1", "--region", "eu-west-2")
    assert_refused(outcome, '"eu-west-2"', "It holds eu-central-1, eu-west-1, us-east-1")


def test_a_snapshot_and_a_profile_exclude_each_other_unless_one_is_a_default(ddbaudit: Command, snapshot: str) -> None:
    assert_refused(ddbaudit("run", "--from", snapshot, "--profile", "audit"), "--from and --profile")
    assert_refused(
        ddbaudit("run", "--profile", "audit", DDBAUDIT_FROM=snapshot), "--from and --profile", "DDBAUDIT_FROM"
    )
    assert ddbaudit("run", "--from", snapshot, "--quiet", DDBAUDIT_PROFILE="audit").code == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "file"], ["file: cannot be written to", "--output"]),
        (["--output", "file/deep/er"], ["file/deep/er: cannot be written to: file is no folder", "--output"]),
        (["--output", "/proc/none"], ["/proc/none: cannot be written to", "--output"]),
        (["--save-snapshot", "file/s.json"], ["file: cannot be written to", "--save-snapshot"]),
        (["--save-snapshot", "."], [".: is a folder", "--save-snapshot"]),
    ],
)
def test_what_cannot_be_written_is_found_out_before_the_audit(
    ddbaudit: Command, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    # The snapshot does not exist: only a check that comes before it is read tells of the folder.
    assert_refused(ddbaudit("run", "--from", "none", *arguments), *words)


@pytest.mark.parametrize(
    "arguments",
    [
        ["collect", "--output", "file/s.json"],
        ["init", "--output", "file/x.yaml"],
        ["init", "--output", "."],
        ["rules", "new", "table-x", "--output", "file"],
    ],
    ids=" ".join,
)
def test_other_commands_refuse_places_that_cannot_be_written(
    ddbaudit: Command, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(ddbaudit(*arguments), arguments[-1].split("/")[0])


def test_rules_new_writes_no_rule_where_its_test_cannot_be_written(ddbaudit: Command, tmp_path: Path) -> None:
    (tmp_path / "tests").write_text("")
    assert_refused(ddbaudit("rules", "new", "table-x"), "tests is no folder")


def test_a_second_rule_or_file_is_not_written_over_the_first(ddbaudit: Command) -> None:
    for command, path in ((("init",), "ddbaudit.yaml"), (("rules", "new", "table-x"), "rules/table/table_x.py")):
        assert ddbaudit(*command).code == 0
        assert_refused(ddbaudit(*command), f"{path}: there is already such a file")


def test_a_failing_pack_is_told_through_the_command_line(ddbaudit: Command, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "table_x.py").write_text("import sys\nsys.exit(0)\n")
    assert_refused(ddbaudit("rules", "list", "--rules-dir", "pack"), "pack/table_x.py:2: SystemExit")


def test_an_installed_pack_that_fails_is_named(ddbaudit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "acme", "acme_rules"

        def load(self) -> None:
            raise ImportError("no module named acme")

    monkeypatch.setattr(packs, "entry_points", lambda group: [Point()] if group == "ddbaudit.rules" else [])
    assert_refused(ddbaudit("rules", "list"), "'acme' (acme_rules)", "no module named acme", "remove that package")


def test_the_demo_without_moto_says_what_to_install(ddbaudit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import auditor.sources

    for name in [name for name in sys.modules if name.startswith("auditor.sources.demo")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(auditor.sources, "demo", raising=False)
    monkeypatch.setitem(sys.modules, "moto", None)
    assert_refused(ddbaudit("demo"), "needs moto", "pip install '.[demo]'")


PROFILES = """\
[profile audit]
sso_start_url = https://ddbaudit-tests.example/start
sso_region = eu-west-1
sso_account_id = 111122223333
sso_role_name = Auditor
region = eu-west-1
[profile base]
aws_access_key_id = AKIAIOSFODNN7EXAMPLE
aws_secret_access_key = example
[profile mfa]
role_arn = arn:aws:iam::111122223333:role/auditor
source_profile = base
mfa_serial = arn:aws:iam::111122223333:mfa/me
"""
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}


class Body(io.BytesIO):
    """The body of a canned HTTP answer, as botocore reads it."""

    def stream(self, **_: object) -> list[bytes]:
        return [self.read()]


def refuse(code: str, message: str) -> Callable[..., AWSResponse]:
    text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f"{text}<RequestId>1</RequestId></ErrorResponse>"
    return lambda _, request: AWSResponse(request.url, 403, {"Content-Type": "text/xml"}, Body(body.encode()))


def unreachable(_: object, request: Any) -> AWSResponse:
    raise botocore.exceptions.EndpointConnectionError(endpoint_url=request.url)


def nothing_is_sent(*_: object) -> AWSResponse:
    raise AssertionError("no credentials, and yet a request")


@pytest.mark.parametrize(
    ("profile", "environment", "answer", "words"),
    [
        (None, {}, nothing_is_sent, ["no usable AWS credentials", "aws configure", "ddbaudit demo"]),
        ("audti", {}, nothing_is_sent, ['"audti"', "audit, base, mfa", "aws configure --profile audti"]),
        ("audit", {}, nothing_is_sent, ["SSO", "aws sso login --profile audit"]),
        (
            None,
            KEYS,
            refuse("ExpiredToken", "The security token included in the request is expired"),
            ["aws sso login"],
        ),
        (None, KEYS, refuse("InvalidClientTokenId", "The token is invalid."), ["aws sts get-caller-identity"]),
        (None, KEYS, refuse("AccessDenied", "MultiFactorAuthentication is required"), ["aws sts get-session-token"]),
        (None, KEYS, unreachable, ["sts", "AWS_ENDPOINT_URL"]),
    ],
    ids=["none", "unknown profile", "sso", "expired", "invalid", "mfa", "unreachable"],
)
@pytest.mark.parametrize("command", ["run", "collect"])
def test_credentials_that_do_not_work_come_with_the_command_that_helps(
    ddbaudit: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    profile: str | None,
    environment: dict[str, str],
    answer: Callable[..., AWSResponse],
    words: list[str],
    command: str,
) -> None:
    (tmp_path / "aws").write_text(PROFILES)
    monkeypatch.setattr(botocore.httpsession.URLLib3Session, "send", answer)
    monkeypatch.setattr("time.sleep", lambda _: None)
    flags = ["--profile", profile] if profile else []
    assert_refused(ddbaudit(command, *flags, AWS_CONFIG_FILE=str(tmp_path / "aws"), **environment), *words)


def test_a_profile_that_asks_for_an_mfa_code_says_so_where_nobody_can_type_one(tmp_path: Path) -> None:
    (tmp_path / "aws").write_text(PROFILES)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DDBAUDIT_"))}
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "auditor", "run", "--profile", "mfa", *RULE],
        env=clean | {"AWS_CONFIG_FILE": str(tmp_path / "aws"), "AWS_SHARED_CREDENTIALS_FILE": os.devnull},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # no terminal to fall back to
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "aws sts get-session-token" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "ddbaudit: exit 2"

"""``ddbaudit run`` as a process, against moto as a server: verdicts, files, exit codes, faults, signals."""

from __future__ import annotations

import base64
import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from werkzeug.wrappers import Response

from auditor.facts.base import IAM_ACTIONS
from auditor.render import report_schema
from auditor.sources.aws.session import declared_operations
from tests.e2e.conftest import (
    COMMAND,
    OTHER,
    Call,
    Fault,
    Run,
    Runner,
    Server,
    create_table,
    environment,
    error,
    hang_up,
    tagged,
)
from tests.page import read

Serve = Callable[[], Server]

CONFIG = """
allowed_regions: [eu-west-1]
required_tags: [owner, env: prod|staging|dev]
production: {untagged_is: non-production}
"""

NASTY = "..-__-.."
HOSTILE = {
    "script": "</script><script>alert(1)</script>",
    "ansi": "\x1b[31mred\x1b]0;title\x07",
    "bidi": "abc\u202edef\u2066",
    "workflow": "::error::owned",
    "line": "first\n::error::second",
    "template": "{{7*7}} {% raw %} ${jndi:x}",
    "quotes": "\"'&<b>`",
    "nul": "\x00\x07\x7f\x85",
    "emoji": "\U0001f980 \U0001f468\u200d\U0001f469",
    "long": "x" * 256,
    "<img src=x onerror=alert(1)>": "",
}

#: rule -> name and region -> status (and severity of what fails).
EXPECTED = {
    "table-deletion-protection": {
        "orders eu-west-1": "pass",
        "sessions eu-west-1": "fail high",
        "scratch eu-west-1": "not_applicable",
        f"{NASTY} eu-west-1": "not_applicable",
        "ledger eu-central-1": "pass",
    },
    "table-pitr": {
        "orders eu-west-1": "pass",
        "sessions eu-west-1": "fail high",
        "scratch eu-west-1": "fail medium",
        f"{NASTY} eu-west-1": "fail medium",
        "ledger eu-central-1": "fail medium",
    },
    "table-required-tags": {
        "orders eu-west-1": "pass",
        "sessions eu-west-1": "fail low",
        "scratch eu-west-1": "pass",
        f"{NASTY} eu-west-1": "fail medium",
        "ledger eu-central-1": "pass",
    },
    "table-encryption-key": {
        "orders eu-west-1": "pass",
        "sessions eu-west-1": "fail medium",
        "scratch eu-west-1": "pass",
        f"{NASTY} eu-west-1": "fail low",
        "ledger eu-central-1": "fail medium",
    },
    "residency-table-region": {
        "orders eu-west-1": "pass",
        "sessions eu-west-1": "pass",
        "scratch eu-west-1": "pass",
        f"{NASTY} eu-west-1": "pass",
        "ledger eu-central-1": "fail high",
    },
}


@pytest.fixture(scope="module")
def server(serve: Serve) -> Server:
    server = serve()
    key = server.client("kms").create_key()["KeyMetadata"]["Arn"]
    create_table(
        server,
        "orders",
        DeletionProtectionEnabled=True,
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
        Tags=tagged(owner="checkout", env="prod", data_classification="pii"),
    )
    create_table(server, "sessions", Tags=tagged(env="PROD"))
    create_table(server, "scratch", Tags=tagged(owner="web", env="dev", data_classification="internal"))
    create_table(server, NASTY, Tags=tagged(**HOSTILE))
    create_table(
        server,
        "ledger",
        "eu-central-1",
        DeletionProtectionEnabled=True,
        Tags=tagged(owner="finance", env="prod", data_classification="internal"),
    )
    for name, region, days in (("orders", "eu-west-1", 35), ("ledger", "eu-central-1", 7)):
        server.client("dynamodb", region).update_continuous_backups(
            TableName=name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": days},
        )
    server.calls.clear()
    return server


@pytest.fixture(scope="module")
def audited(server: Server, ddbaudit: Runner) -> Run:
    return ddbaudit("run", "--region", "eu-west-1", "--region", "eu-central-1", server=server, config=CONFIG)


def last_line(run: Run) -> str:
    return run.stderr.splitlines()[-1]


@pytest.mark.parametrize("rule", EXPECTED)
def test_planted_tables_have_exactly_their_verdicts(audited: Run, rule: str) -> None:
    named = {one["id"]: f"{one['name']} {one['region']}" for one in audited.report["resources"]}
    found = {
        named[one["resource"]]: one["status"] + (f" {one['severity']}" if one["status"] == "fail" else "")
        for one in audited.report["findings"]
        if one["rule"] == rule
    }
    assert found == EXPECTED[rule]


def test_the_report_keeps_its_schema_and_what_moto_lacks_is_unknown(audited: Run) -> None:
    report = audited.report
    jsonschema.validate(report, report_schema(), format_checker=jsonschema.FormatChecker())
    lacking = {f"{one['service']}:{one['operation']}" for one in report["errors"]}
    assert "dynamodb:ListGlobalTables" in lacking
    unknown = [one for one in report["findings"] if one["status"] == "unknown"]
    # What tables hold, nobody has said here, and sampling is off.
    unsaid = [one for one in unknown if one["reason"] == "partial_data" and one["missingPermission"] is None]
    assert {one["rule"] for one in unsaid} <= {"data-sensitive-storage"}
    others = [one for one in unknown if one not in unsaid]
    lacking = {IAM_ACTIONS.get(one, one) for one in lacking}
    assert {one["missingPermission"] for one in others} <= lacking
    assert {one["reason"] for one in others} <= {"transient", "unsupported"}
    assert report["run"]["complete"] is False


def test_the_exit_code_and_the_last_line_say_the_same_as_the_report(audited: Run) -> None:
    findings = audited.report["findings"]
    counted = sum(one["status"] == "fail" and one["severity"] in ("high", "critical") for one in findings)
    unknown = sum(one["status"] == "unknown" for one in findings)
    assert audited.code == 3
    assert last_line(audited) == f"ddbaudit: exit 3: {counted} findings at or above high, {unknown} unknown"


def test_a_pipe_gets_no_progress_and_no_escape(audited: Run) -> None:
    assert audited.stderr.count("\n") == 1
    assert "\x1b" not in audited.stdout + audited.stderr
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", audited.stdout + audited.stderr)
    assert not [line for line in audited.stdout.splitlines() if line.lstrip().startswith("::")]


def test_hostile_tags_stand_in_the_reports_and_do_nothing(audited: Run) -> None:
    (table,) = [one for one in audited.report["resources"] if one["name"] == NASTY]
    assert table["tags"] == HOSTILE
    root = read(audited.page)
    # The findings as data and the one script of the page: a tag opens no other.
    assert [one.attributes.get("type") for one in root.all("script")] == ["application/gzip", None]
    assert not root.all("img")
    assert not root.all("b")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", audited.page)
    assert "\n::" not in audited.page
    held = gzip.decompress(base64.b64decode(root.one("script", id="data").text)).decode()
    for shown in ("</script><script>alert(1)</script>", r"\u001b[31mred", "{{7*7}}", r"abc\u202edef", "x" * 256):
        assert shown in held


def test_a_run_only_describes_lists_and_gets_and_only_what_is_declared(audited: Run, server: Server) -> None:
    called = {one.replace("monitoring:", "cloudwatch:").replace("tagging:", "tag:") for one in server.operations}
    assert "dynamodb:DescribeTable" in called
    # AWS makes the credential report on request and keeps it for four hours; making it changes nothing else.
    reads = called - {"iam:GenerateCredentialReport"}
    assert not [one for one in reads if not re.match(r"[a-z0-9-]+:(Describe|List|Get|Head)[A-Z]", one)]
    assert called <= declared_operations()
    assert {call.region for call in server.calls} <= {"eu-west-1", "eu-central-1", "us-east-1"}


def test_an_account_without_tables_is_complete_and_says_so(serve: Serve, ddbaudit: Runner) -> None:
    server = serve()
    role = server.client("sts").assume_role(RoleArn=f"arn:aws:iam::{OTHER}:role/auditor", RoleSessionName="audit")
    keys = role["Credentials"]
    # The account is in no organisation and its root has no MFA, which are failures of their own; moto's server has no
    # Cognito in one region.
    skipped = ("org-membership", "iam-root-usage", "iam-cognito-unauthenticated")
    left_out = [one for rule_id in skipped for one in ("--skip", rule_id)]
    run = ddbaudit(
        "run",
        *left_out,
        server=server,
        env={
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        },
    )
    report = run.report
    assert (run.code, last_line(run)) == (0, "ddbaudit: exit 0: 0 findings at or above high, 0 unknown")
    assert report["run"]["complete"] is True
    assert report["summary"]["score"] is None
    regions = {one["region"] for one in report["run"]["scopes"]}
    assert {"eu-west-1", "us-east-1", "sa-east-1"} <= regions
    assert {one["account"] for one in report["run"]["scopes"]} == {OTHER}
    assert {one["status"] for one in report["findings"]} == {"not_applicable"}
    assert re.search(r"\b(no|0) (DynamoDB )?tables?\b", read(run.page).text, re.IGNORECASE)
    assert "0 tables" in run.stdout


LEGAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
NAMES = {LEGAL, "...", "---", "___", "-.-", ".git", "a.b-c_D9", "Case", "case", "x" * 255, "con", "000"}


def test_hundreds_of_tables_with_any_legal_name_are_all_there_and_one_rule_makes_only_its_calls(
    serve: Serve, ddbaudit: Runner
) -> None:
    server = serve()
    names = NAMES | {f"table-{number:03}" for number in range(300 - len(NAMES))}
    for name in names:
        create_table(server, name, "ap-northeast-1", DeletionProtectionEnabled=name != "case")
    server.calls.clear()
    run = ddbaudit("run", "--region", "ap-northeast-1", "--rule", "table-deletion-protection", server=server)
    assert {one["name"] for one in run.report["resources"]} == names
    verdicts = run.verdicts("table-deletion-protection")
    assert Counter(verdicts.values())["pass"] == 299
    assert verdicts["Case ap-northeast-1"] == "pass" != verdicts["case ap-northeast-1"]
    counted = Counter(call.operation for call in server.calls)
    counted.pop("ec2:DescribeRegions", None)
    assert counted == {
        "sts:GetCallerIdentity": 1,
        "dynamodb:ListTables": 3,
        "dynamodb:DescribeTable": 300,
        "tagging:GetResources": 1,
    }  # fmt: skip
    assert "300 tables" in run.stdout


# Faults


BRIEF = (
    "-c",
    "from auditor.sources.aws import scheduler; scheduler.THROTTLE_WAITS = (0.1,); "
    "from auditor.__main__ import main; main()",
)


@pytest.fixture(scope="module")
def disturbed(serve: Serve, ddbaudit: Runner, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Runs on servers that fail one operation each, all at the same time; throttled calls are given up sooner."""
    faults = {
        "throttled": ("dynamodb:DescribeTable", error("ThrottlingException")),
        "closed": ("dynamodb:DescribeContinuousBackups", hang_up),
        "denied": ("dynamodb:DescribeContinuousBackups", error("AccessDeniedException")),
    }
    create_table(serve(), "orders", "eu-west-3", DeletionProtectionEnabled=True)
    hasty = Runner(tmp_path_factory.mktemp("disturbed"), (sys.executable, *BRIEF))
    started = {}
    for name, (operation, fault) in faults.items():
        server = serve()
        server.faults[operation] = fault
        rules = [argument for rule in sorted(EXPECTED) for argument in ("--rule", rule)]
        started[name] = hasty.start("run", "--region", "eu-west-3", "--fail-on", "none", *rules, server=server)
    return {name: one.finish() for name, one in started.items()}


@pytest.mark.parametrize(
    ("fault", "reason", "action", "turned"),
    [
        (
            "throttled",
            "throttled",
            "dynamodb:DescribeTable",
            {"table-deletion-protection", "table-encryption-key", "table-pitr"},
        ),
        ("closed", "transient", "dynamodb:DescribeContinuousBackups", {"table-pitr"}),
        ("denied", "access_denied", "dynamodb:DescribeContinuousBackups", {"table-pitr"}),
    ],
)
def test_an_operation_that_fails_costs_the_verdicts_that_need_it_and_no_others(
    disturbed: dict[str, Run], fault: str, reason: str, action: str, turned: set[str]
) -> None:
    run = disturbed[fault]
    unknown = {one["rule"]: one for one in run.report["findings"] if one["status"] == "unknown"}
    assert set(unknown) == turned
    assert {one["reason"] for one in unknown.values()} == {reason}
    assert {one["missingPermission"] for one in unknown.values()} == {action}
    assert {one["rule"] for one in run.report["findings"]} == set(EXPECTED)
    assert run.code == 4
    assert last_line(run) == f"ddbaudit: exit 4: 0 findings at or above none, {len(turned)} unknown"
    assert "Traceback" not in run.stderr
    assert action in run.stdout


def test_wrong_credentials_end_the_run_before_it_begins(serve: Serve, ddbaudit: Runner) -> None:
    server = serve()
    text = (
        "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>no</Message></Error>"
        "</ErrorResponse>"
    )
    server.faults["sts:GetCallerIdentity"] = lambda _call, _environ: Response(text, 403, content_type="text/xml")
    run = ddbaudit("run", "--region", "eu-west-1", server=server)
    assert run.code == 2
    assert "InvalidClientTokenId" in run.stderr
    assert last_line(run) == "ddbaudit: exit 2"
    assert server.operations == {"sts:GetCallerIdentity"}
    assert not list(run.folder.rglob("report.*"))


class Expiring(dict[str, Fault]):
    """Faults of all operations, from a number of calls on."""

    def __init__(self, calls: int, fault: Fault) -> None:
        super().__init__()
        self.left, self.fault = calls, fault

    def get(self, operation: str, default: Any = None) -> Any:
        del operation, default
        self.left -= 1
        return self.fault if self.left < 0 else None


@pytest.mark.parametrize(
    ("code", "near", "far"),
    [
        ("ExpiredTokenException", "ca-central-1", "sa-east-1"),
        ("UnrecognizedClientException", "ap-southeast-1", "ap-southeast-2"),
    ],
)
def test_credentials_that_end_in_the_middle_of_a_run_cost_verdicts_and_make_none(
    serve: Serve, ddbaudit: Runner, code: str, near: str, far: str
) -> None:
    server = serve()
    for number in range(12):
        create_table(server, f"t{number:02}", near, DeletionProtectionEnabled=True)
    create_table(server, "elsewhere", far, DeletionProtectionEnabled=True)
    server.calls.clear()
    server.faults = Expiring(8, error(code, 403, "The security token included in the request is no longer good."))
    rule, regions = ("--rule", "table-deletion-protection"), ("--region", near, "--region", far)
    run = ddbaudit("run", *regions, *rule, "--save-snapshot", "kept.json", server=server)
    assert run.code == 4
    assert re.fullmatch(r"ddbaudit: exit 4: 0 findings at or above high, \d+ unknown", last_line(run))
    assert "Traceback" not in run.stderr
    verdicts = run.verdicts("table-deletion-protection")
    # A region whose tables were not listed any more has a verdict of its own; none is missing.
    assert {name.split()[-1] for name in verdicts} == {near, far}
    assert len(verdicts) == 13
    assert set(verdicts.values()) == {"pass", "unknown"}
    assert run.report["run"]["complete"] is False
    kept = ddbaudit("run", "--from", str(run.folder / "kept.json"), *rule)
    assert kept.code == 4
    assert kept.verdicts("table-deletion-protection") == verdicts


# Signals, pipes and terminals


@pytest.fixture
def silent(serve: Serve) -> Iterator[tuple[Server, threading.Event]]:
    """Yield a server that never answers what is asked about one of two tables, and an event: it was asked."""
    server = serve()
    other, asked, over = threading.Event(), threading.Event(), threading.Event()

    def hang(call: Call, _environ: Any) -> Response | None:
        if '"answered"' in call.body:
            other.set()
        if '"silent"' in call.body:
            other.wait(60)  # what is not even begun when the interrupt comes is never asked
            asked.set()
            over.wait(300)
        return None

    server.faults["dynamodb:DescribeTable"] = hang
    existing = server.client("dynamodb", "eu-west-2").list_tables()["TableNames"]
    for name in {"answered", "silent"} - set(existing):
        create_table(server, name, "eu-west-2", DeletionProtectionEnabled=True)
    yield server, asked
    over.set()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_an_interrupt_leaves_a_partial_report_though_a_call_hangs(
    silent: tuple[Server, threading.Event], ddbaudit: Runner, how: signal.Signals
) -> None:
    server, asked = silent
    started = ddbaudit.start("run", "--region", "eu-west-2", "--rule", "table-deletion-protection", server=server)
    assert asked.wait(60)
    started.process.send_signal(how)
    # The call that hangs is given up only after minutes: its four attempts have thirty seconds each.
    stdout, stderr = started.process.communicate(timeout=60)
    run = Run(started.process.returncode, stdout, stderr, started.folder, started.output)
    assert run.code == 130
    assert run.stderr == "ddbaudit: exit 130: interrupted, the report is partial\n"
    report = run.report
    jsonschema.validate(report, report_schema())
    assert report["run"]["complete"] is False
    verdicts = run.verdicts("table-deletion-protection")
    assert verdicts["silent eu-west-2"] == "unknown"
    assert verdicts["answered eu-west-2"] == "pass"
    assert {one["reason"] for one in report["findings"] if one["status"] == "unknown"} == {"partial_data"}
    assert all("interrupted" in one["message"] for one in report["findings"] if one["status"] == "unknown")


def test_a_reader_that_goes_away_is_no_error(server: Server, ddbaudit: Runner, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "run", "--region", "eu-west-1", "--rule", "table-deletion-protection"],
        cwd=tmp_path,
        env=environment(tmp_path, server.url),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )
    os.close(writer)
    assert (run.returncode, run.stderr) == (141, "")
    assert json.loads((tmp_path / "ddbaudit-report/report.json").read_text())["findings"]


def on_a_terminal(server: Server, folder: Path, *options: str) -> tuple[int, str]:
    """Run with stderr on a terminal; return the exit code and what the terminal was sent."""
    master, slave = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "run", "--region", "eu-west-1", "--rule", "table-*", *options],
        cwd=folder,
        env=environment(folder, server.url, TERM="xterm-256color", COLUMNS="100"),
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    sent = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not part:
            break
        sent += part
    os.close(master)
    return process.wait(timeout=60), sent.decode()


def test_a_terminal_sees_a_bar_that_is_gone_at_the_end(server: Server, tmp_path: Path) -> None:
    code, sent = on_a_terminal(server, tmp_path)
    assert code == 3
    assert re.search(r"Reading.*\d+/\d+.*calls", sent)
    before, _, last = sent.rpartition("\x1b[2K")
    assert "Reading" in before
    assert re.fullmatch(r"(\x1b\[\?25h)?ddbaudit: exit 3: .*", last.strip())
    assert sent.count("\x1b[?25l") == sent.count("\x1b[?25h")


def test_quiet_shows_no_bar(server: Server, tmp_path: Path) -> None:
    code, sent = on_a_terminal(server, tmp_path, "--quiet")
    assert code == 3
    assert re.fullmatch(r"ddbaudit: exit 3: .*", sent.strip())

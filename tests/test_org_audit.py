"""The audit of an organisation by AWS Step Functions: the state machine, on moto's interpreter, with the handler."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import cfnlint.api
import moto
import pytest
from botocore.exceptions import ClientError
from moto.awslambda.models import LambdaFunction

from auditor import org_audit, packs
from auditor.cli import run_main
from auditor.config_rule.template import as_yaml, audit_role, organisation_audit, state_machine
from auditor.errors import UsageError
from auditor.org_audit import ShareFailed, Step
from auditor.sources.aws import fleet
from auditor.sources.aws.organisation import Door
from tests.test_scheduled import keys, read

REGION, SECOND = "eu-west-1", "eu-central-1"
ROLE = "ddbaudit"
ASKED = {"rules": "table-deletion-protection kms-key-rotation", "regions": f"{REGION} {SECOND}"}
ENVIRONMENT = {"DDBAUDIT_BUCKET": "reports", "DDBAUDIT_PREFIX": "audits", "DDBAUDIT_ROLE": ROLE}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An organisation with two members, tables in each, in two regions."""
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    with moto.mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        boto3.client("s3").create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": REGION})
        organizations = boto3.client("organizations")
        organizations.create_organization(FeatureSet="ALL")
        accounts = {"management": "123456789012"}
        for name in ("shop", "lab"):
            status = organizations.create_account(AccountName=name, Email=f"{name}@example.org")["CreateAccountStatus"]
            accounts[name] = status["AccountId"]
        yield accounts


def inside(account: str) -> boto3.Session:
    arn = f"arn:aws:iam::{account}:role/{ROLE}"
    keys_of = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="maker")["Credentials"]
    return boto3.Session(keys_of["AccessKeyId"], keys_of["SecretAccessKey"], keys_of["SessionToken"])


def table(session: Any, name: str, region: str, *, protected: bool, **settings: Any) -> None:
    session.client("dynamodb", region_name=region).create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=protected,
        Tags=[{"Key": "env", "Value": "prod"}],
        **settings,
    )


@pytest.fixture
def execute(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, Any], Counter[str]]]:
    """Return what runs the state machine, with the real handler behind its functions."""
    steps: Counter[str] = Counter()

    def invoke(self: LambdaFunction, event: Any) -> tuple[str, bool, str]:
        given = json.loads(event) if isinstance(event, str) else event
        steps[given["step"]] += 1
        try:
            told = Step(given, ENVIRONMENT, boto3.Session).do()
        except Exception as error:  # noqa: BLE001 - what Lambda does with it
            return json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}), True, ""
        return json.dumps(told), False, ""

    monkeypatch.setattr(LambdaFunction, "_invoke_lambda", invoke)
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = boto3.client("iam").create_role(RoleName="functions", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    arns = [
        boto3.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="auditor.org_audit.handler",
            Role=role,
            Code={"ZipFile": b"not run: the handler is called in this process"},
        )["FunctionArn"]
        for name in ("ddbaudit", "ddbaudit-merge")
    ]
    definition = json.dumps(state_machine(arns[0], arns[1], "reports", "audits")).replace("${AWS::Partition}", "aws")
    definition = definition.replace('"IntervalSeconds": 15', '"IntervalSeconds": 1')  # nobody waits for a test
    # moto's parser takes decimals only; nothing depends on it, since a failed share is caught.
    definition = definition.replace('"ToleratedFailurePercentage": 100', '"ToleratedFailurePercentage": 99.9')
    machine = boto3.client("stepfunctions").create_state_machine(name="ddbaudit", definition=definition, roleArn=role)[
        "stateMachineArn"
    ]

    def run(asked: dict[str, str] = ASKED) -> tuple[dict[str, Any], Counter[str]]:
        steps.clear()
        client = boto3.client("stepfunctions")
        started = client.start_execution(stateMachineArn=machine, name="run-1", input=json.dumps(asked))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            told = client.describe_execution(executionArn=started["executionArn"])
            if told["status"] != "RUNNING":
                assert told["status"] == "SUCCEEDED", told
                return json.loads(told["output"]), steps
            time.sleep(0.1)
        raise AssertionError("the state machine did not end")

    return run


def test_the_state_machine_audits_every_account_and_region(
    aws: dict[str, str], execute: Callable[..., tuple[dict[str, Any], Counter[str]]]
) -> None:
    table(boto3.Session(), "own", REGION, protected=True)
    kms = inside(aws["lab"]).client("kms", region_name=SECOND)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.enable_key_rotation(KeyId=key)
    encryption = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    table(inside(aws["shop"]), "orders", SECOND, protected=False, SSESpecification=encryption)
    table(inside(aws["lab"]), "trial", REGION, protected=True)
    told, steps = execute()
    assert told["exitCode"] == 3
    # Three accounts, two regions each; then the shop's key is asked of the account that owns it.
    assert steps == {"plan": 1, "work": 3 * 3 + 1, "follow": 2, "merge": 1}
    report = read("audits/latest/report.json")
    statuses = {
        (one["rule"], one["resource"].rpartition("/")[2]): one["status"]
        for one in report["findings"]
        if "table/" in one["resource"] or "key/" in one["resource"]
    }
    assert statuses == {
        ("table-deletion-protection", "own"): "pass",
        ("table-deletion-protection", "orders"): "fail",
        ("table-deletion-protection", "trial"): "pass",
        ("kms-key-rotation", key.rpartition("/")[2]): "pass",
    }
    assert {(one["account"], one["region"]) for one in report["run"]["scopes"]} == {
        (account, region) for account in aws.values() for region in (REGION, SECOND)
    }
    # The snapshot in the bucket gives the same report again.
    kept = next(one for one in keys() if one.endswith("/snapshot.json.gz"))
    assert kept == "audits/runs/run-1/snapshot.json.gz"


def test_a_share_that_fails_is_tried_again_and_then_unknown(
    aws: dict[str, str],
    execute: Callable[..., tuple[dict[str, Any], Counter[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table(inside(aws["shop"]), "orders", REGION, protected=True)
    table(inside(aws["shop"]), "carts", SECOND, protected=True)
    usual = fleet.work

    def broken(job: Any, door: Any, task: Any, stop: Any) -> Any:
        if task.share.key == f"{aws['shop']}/{REGION}":
            raise MemoryError("as if the function had been ended")
        return usual(job, door, task, stop)

    monkeypatch.setattr(org_audit, "work", broken)
    told, steps = execute(ASKED | {"rules": "table-deletion-protection"})
    assert told["exitCode"] == 4
    assert steps["work"] == 3 * 3 + 3  # three more attempts
    report = read("audits/latest/report.json")
    (doubt,) = [one for one in report["findings"] if one["status"] == "unknown"]
    assert doubt["resource"] == f"arn:aws:dynamodb:{REGION}:{aws['shop']}:*"
    assert doubt["message"] == "The collection ended before this was read."
    assert [one["status"] for one in report["findings"] if one["resource"].endswith("table/carts")] == ["pass"]
    assert report["run"]["complete"] is False


def test_an_account_that_cannot_be_entered_is_unknown_and_says_why(
    aws: dict[str, str],
    execute: Callable[..., tuple[dict[str, Any], Counter[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table(inside(aws["shop"]), "orders", REGION, protected=True)
    usual = Door.open

    def refuse(self: Door, share: Any) -> Any:
        if share.account == aws["lab"]:
            raise self._refused(share, ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole"))
        return usual(self, share)

    monkeypatch.setattr(Door, "open", refuse)
    told, steps = execute(ASKED | {"rules": "table-deletion-protection"})
    assert told["exitCode"] == 4
    assert steps["work"] == 3 + 3 + 1
    report = read("audits/latest/report.json")
    (doubt,) = [one for one in report["findings"] if one["status"] == "unknown"]
    assert (doubt["reason"], doubt["missingPermission"]) == ("access_denied", "sts:AssumeRole")
    assert f"arn:aws:iam::{aws['lab']}:role/{ROLE}" in doubt["message"]


def test_a_share_is_ended_before_the_functions_time_is_over(aws: dict[str, str]) -> None:
    table(boto3.Session(), "own", REGION, protected=True)

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 1000

    def step(name: str, **more: Any) -> dict[str, Any]:
        event = {"step": name, "run": "r", "asked": ASKED, "turn": 0, **more}
        return Step(event, ENVIRONMENT, boto3.Session, Context()).do()

    items = read(step("plan")["items"])
    mine = next(
        one for one in items if one["share"].get("only") == "regions" and one["share"]["account"] == "123456789012"
    )
    assert step("work", item=mine)["interrupted"] is True
    assert step("merge")["exitCode"] == 4
    assert read("audits/latest/report.json")["run"]["complete"] is False


def test_what_can_pass_is_raised_so_that_it_is_tried_again(
    aws: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {"step": "plan", "run": "r", "asked": ASKED}
    item = read(Step(event, ENVIRONMENT, boto3.Session).do()["items"])[0]

    def refuse(self: Door, share: Any) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Door, "open", refuse)
    with pytest.raises(ShareFailed):
        Step(event | {"step": "work", "item": item}, ENVIRONMENT, boto3.Session).do()
    assert any("/parts/" in one for one in keys())  # its record says why


@pytest.mark.parametrize(
    ("event", "environment", "words"),
    [
        ({"step": "plan"}, ENVIRONMENT, "names no run"),
        ({"step": "dance", "run": "r"}, ENVIRONMENT, 'step is "dance"'),
        ({"step": "plan", "run": "r"}, {"DDBAUDIT_BUCKET": "reports"}, "DDBAUDIT_ROLE is not set"),
        ({"step": "plan", "run": "r"}, {}, "DDBAUDIT_BUCKET is not set"),
        ({"step": "plan", "run": "r", "asked": {"rule": "x"}}, ENVIRONMENT, 'unknown key "rule"'),
    ],
)
def test_a_bad_event_or_environment_is_told(
    aws: dict[str, str], event: dict[str, Any], environment: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Step(event, environment, boto3.Session).do()


def test_the_templates_are_sound_and_the_definition_is_the_one_that_was_run(capsys: pytest.CaptureFixture[str]) -> None:
    rules = packs.built_in()
    for made in (organisation_audit(rules, {"rules": "table-*"}), audit_role(rules)):
        problems = [one for one in cfnlint.api.lint_all(as_yaml(made)) if one.rule.id[0] in "EW"]
        assert [str(one) for one in problems if one.rule.id != "W3037"] == []  # whose list lacks young actions
    held = organisation_audit(rules, {})["Resources"]["StateMachine"]["Properties"]["DefinitionString"]["Fn::Sub"]
    assert json.loads(held) == state_machine()
    assert run_main(["org-audit", "template", "--rule", "table-*"]) == 0
    printed = capsys.readouterr().out
    assert "auditor.org_audit.handler" in printed
    assert '{"rules": "table-*"}' in printed
    assert run_main(["org-audit", "template", "--kind", "role", "--rule", "table-pitr"]) == 0
    assert "dynamodb:DescribeContinuousBackups" in capsys.readouterr().out

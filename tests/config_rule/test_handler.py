"""The function behind an AWS Config rule: every kind of event, on moto and a stand-in for AWS Config."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest
from botocore.exceptions import ClientError

from auditor import config_rule, packs
from auditor.config_rule import Evaluation, Undecided, compliance_of, evaluate
from auditor.config_rule.delivery import Delivery, DeliveryError
from auditor.config_rule.event import read_event
from auditor.config_rule.live import about_tables, is_narrow
from auditor.config_rule.selection import select
from auditor.errors import UsageError
from auditor.rule_api import Rule, Severity, Status
from auditor.sources.aws.config_items import read_item
from tests.config_rule import stand_in
from tests.config_rule.stand_in import (
    ACCOUNT,
    REGION,
    Config,
    Session,
    api_shape,
    changed,
    oversized,
    scheduled,
    table_item,
)
from tests.reports import ACCEPTED, finding

TABLE = "AWS::DynamoDB::Table"
ONE = {"rules": "table-deletion-protection"}
TWO = {"rules": "table-deletion-protection,table-pitr"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Delivery, "sleep", staticmethod(lambda seconds: None), raising=False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with moto.mock_aws():
        yield boto3.client("dynamodb", region_name=REGION)


@pytest.fixture
def config() -> Config:
    return Config()


@pytest.fixture
def run(config: Config, tmp_path: Path) -> Callable[..., list[Evaluation]]:
    def call(event: dict[str, Any]) -> list[Evaluation]:
        return evaluate(event, Session(config), settings=tmp_path / "ddbaudit.yaml")

    return call


Run = Callable[[dict[str, Any]], list[Evaluation]]


def table(aws: Any, name: str, *, protected: bool = False) -> None:
    aws.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=protected,
        Tags=[{"Key": "env", "Value": "prod"}],
    )


def test_a_changed_table_is_judged_by_its_state(aws: Any, config: Config, run: Run) -> None:
    table(aws, "good", protected=True)
    table(aws, "bad")
    run(changed(table_item("good"), parameters=ONE))
    run(changed(table_item("bad"), parameters=ONE))
    assert config.compliance() == {(TABLE, "good"): "COMPLIANT", (TABLE, "bad"): "NON_COMPLIANT"}
    told = config.results[TABLE, "bad"]
    assert told["Annotation"] == "FAIL table-deletion-protection. Deletion protection is off."
    assert told["OrderingTimestamp"] == datetime(2026, 8, 22, 9, 59, 19, 450000, UTC)
    assert "Annotation" not in config.results[TABLE, "good"]


def test_what_the_item_tells_is_not_asked_again(aws: Any, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    table(aws, "orders", protected=True)
    session, asked = Session(config), []

    def made(**credentials: str) -> Any:
        one = session(**credentials)
        one.events.register("before-call", lambda model, **_: asked.append(model.name))
        return one

    after = {"configurationItemCaptureTime": "2999-01-01T00:00:00.000Z"}
    evaluate(changed(table_item("orders", **after), parameters=TWO), made)
    assert sorted(asked) == ["DescribeTable", "GetCallerIdentity"]
    assert config.compliance() == {(TABLE, "orders"): "NON_COMPLIANT"}
    silent = table_item("orders", **after, supplementaryConfiguration={})
    recovery = {"pointInTimeRecoveryStatus": "ENABLED"}
    backups = {"ContinuousBackupsDescription": {"pointInTimeRecoveryDescription": recovery}}
    no_window = table_item("orders", **after, supplementaryConfiguration=backups)
    before = table_item("orders", configurationItemCaptureTime="2020-01-01T00:00:00.000Z")  # of a namesake
    for item in (silent, no_window, before):
        asked.clear()
        evaluate(changed(item, parameters=TWO), made)
        assert "DescribeContinuousBackups" in asked


@pytest.mark.parametrize("status", ["ResourceDeleted", "ResourceDeletedNotRecorded", "ResourceNotRecorded"])
def test_what_is_deleted_does_not_apply(config: Config, run: Run, status: str) -> None:
    item = table_item("gone", configurationItemStatus=status, configuration=None, supplementaryConfiguration={})
    run(changed(item, parameters=ONE))
    run(oversized(item | {"resourceId": "large"}, parameters=ONE))
    assert config.compliance() == {(TABLE, "gone"): "NOT_APPLICABLE", (TABLE, "large"): "NOT_APPLICABLE"}


def test_what_left_the_scope_is_excluded_or_of_no_known_type_does_not_apply(config: Config, run: Run) -> None:
    run(changed(table_item("left"), parameters=ONE, eventLeftScope=True))
    run(changed(table_item("scratch-1"), parameters=ONE | {"excludeTables": "tmp-*, scratch-*"}))
    run(changed(table_item("q", resourceType="AWS::SQS::Queue"), parameters=ONE))
    assert set(config.compliance().values()) == {"NOT_APPLICABLE"}
    assert len(config.results) == 3


def test_a_table_that_vanished_meanwhile_does_not_apply(aws: Any, config: Config, run: Run) -> None:
    run(changed(table_item("gone"), parameters=ONE))
    assert config.compliance() == {(TABLE, "gone"): "NOT_APPLICABLE"}


def test_an_item_that_is_too_large_is_fetched(aws: Any, config: Config, run: Run) -> None:
    table(aws, "orders")
    config.items[TABLE, "orders"] = api_shape(table_item("orders"))
    run(oversized(table_item("orders"), parameters=ONE))
    assert config.compliance() == {(TABLE, "orders"): "NON_COMPLIANT"}
    with pytest.raises(DeliveryError, match="no item of AWS::DynamoDB::Table other"):
        run(oversized(table_item("other"), parameters=ONE))


def test_both_shapes_of_an_item_are_the_same() -> None:
    item = table_item("orders")
    assert read_item(item) == read_item(api_shape(item))
    only = table_item("orders", tags={})
    assert read_item(only).tags == {"env": "prod"}


def test_the_clock_judges_everything_and_clears_what_is_gone(aws: Any, config: Config, run: Run) -> None:
    table(aws, "good", protected=True)
    table(aws, "bad")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for key in ((TABLE, "gone"), ("AWS::DAX::Cluster", "good")):
        config.results[key] = Evaluation(*key, "NON_COMPLIANT", "old", moment).parameters()
    run(scheduled(parameters=ONE))
    assert config.compliance() == {
        (TABLE, "good"): "COMPLIANT",
        (TABLE, "bad"): "NON_COMPLIANT",
        (TABLE, "gone"): "NOT_APPLICABLE",
        ("AWS::DAX::Cluster", "good"): "NOT_APPLICABLE",  # the table of that name is another resource
    }


@pytest.mark.parametrize(("number", "calls"), [(0, [0]), (1, [1]), (100, [100]), (101, [100, 1])])
def test_results_go_a_hundred_at_a_time(aws: Any, config: Config, run: Run, number: int, calls: list[int]) -> None:
    for place in range(number):
        table(aws, f"t{place:03}")
    run(scheduled(parameters=ONE))
    assert [len(one) for one in config.calls] == calls


def test_what_is_not_taken_is_told_again_and_only_that(aws: Any, config: Config, run: Run) -> None:
    table(aws, "a")
    table(aws, "b")
    config.refused[TABLE, "b"] = 2
    run(scheduled(parameters=ONE))
    assert [[one["ComplianceResourceId"] for one in call] for call in config.calls] == [["a", "b"], ["b"], ["b"]]
    config.refused[TABLE, "b"] = 99
    with pytest.raises(DeliveryError, match=r"did not take 1 results: AWS::DynamoDB::Table b"):
        run(scheduled(parameters=ONE))


def test_a_token_that_has_expired_fails_and_a_rule_that_is_gone_does_not(aws: Any, config: Config, run: Run) -> None:
    table(aws, "a")
    config.error = "InvalidResultTokenException"
    with pytest.raises(DeliveryError, match="InvalidResultToken"):
        run(scheduled(parameters=ONE))
    config.error = "NoSuchConfigRuleException"
    run(scheduled(parameters=ONE))
    assert config.results == {}


def deny(operation: str) -> Callable[..., Any]:
    def refuse(model: Any, **_: Any) -> None:
        if model.name == operation:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, operation)

    return refuse


@pytest.mark.parametrize("event", [changed(table_item("a"), parameters=ONE), scheduled(parameters=ONE)])
def test_what_cannot_be_known_is_told_to_nobody_and_fails_at_the_end(
    aws: Any, config: Config, event: dict[str, Any]
) -> None:
    table(aws, "a")
    session = Session(config)
    earlier = Evaluation(TABLE, "a", "NON_COMPLIANT", "", datetime(2026, 1, 1, tzinfo=UTC)).parameters()
    config.results[TABLE, "a"] = earlier

    def made(**credentials: str) -> Any:
        one = session(**credentials)
        one.events.register("before-call", deny("DescribeTable"))
        return one

    with pytest.raises(Undecided, match=r"1 resources could not be evaluated.*dynamodb:DescribeTable"):
        evaluate(event, made)
    assert config.results == {(TABLE, "a"): earlier}  # neither green nor cleared


def test_a_rule_that_raises_is_a_doubt_and_spoils_nothing_else(
    aws: Any, config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(aws, "a")
    usual = Rule.judge

    def broken(self: Rule, resource: Any, arguments: Any) -> Any:
        if self.id == "table-pitr":
            raise KeyError("x")
        return usual(self, resource, arguments)

    monkeypatch.setattr(Rule, "judge", broken)
    run(changed(table_item("a"), TWO))  # the other rule fails, and that is known
    assert config.results[TABLE, "a"]["Annotation"].startswith("FAIL table-deletion-protection; unknown table-pitr.")
    with pytest.raises(Undecided, match="The rule itself failed: KeyError"):
        run(changed(table_item("a"), {"rules": "table-pitr"}))


def test_a_failed_listing_clears_nothing(aws: Any, config: Config) -> None:
    session = Session(config)
    config.results[TABLE, "a"] = Evaluation(TABLE, "a", "COMPLIANT", "", datetime(2026, 1, 1, tzinfo=UTC)).parameters()

    def made(**credentials: str) -> Any:
        one = session(**credentials)
        one.events.register("before-call", deny("ListTables"))
        return one

    with pytest.raises(Undecided, match="dynamodb:ListTables"):
        evaluate(scheduled(parameters=ONE), made)
    assert config.compliance() == {(TABLE, "a"): "COMPLIANT"}


@pytest.mark.parametrize("rule", [one for one in packs.built_in() if is_narrow(packs.built_in()[one])
                                  and one in about_tables(packs.built_in())])  # fmt: skip
def test_a_change_gives_the_verdict_that_the_clock_gives(aws: Any, config: Config, run: Run, rule: str) -> None:
    table(aws, "all-off")
    table(aws, "all-on", protected=True)
    aws.update_continuous_backups(
        TableName="all-on",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 9},
    )
    aws.tag_resource(
        ResourceArn=stand_in.arn("all-on"),
        Tags=[{"Key": key, "Value": "x"} for key in ("owner", "data-classification", "cost-center", "application")],
    )
    run(scheduled(parameters={"rules": rule}))
    by_clock = config.results
    config.results = {}
    for name in ("all-off", "all-on"):
        tags = {one["Key"]: one["Value"] for one in aws.list_tags_of_resource(ResourceArn=stand_in.arn(name))["Tags"]}
        described = aws.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        status = described["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
        held = {
            "continuousBackupsStatus": "ENABLED",
            "pointInTimeRecoveryDescription": {"pointInTimeRecoveryStatus": status},
        }
        run(changed(table_item(name, tags=tags, supplementaryConfiguration={"ContinuousBackupsDescription": held}),
                    {"rules": rule}))  # fmt: skip
    assert {key: one["ComplianceType"] for key, one in by_clock.items()} == config.compliance()
    notes = {key: one.get("Annotation") for key, one in by_clock.items()}
    assert notes == {key: one.get("Annotation") for key, one in config.results.items()}


def test_a_rule_that_looks_further_sees_the_whole_region(aws: Any, config: Config, run: Run) -> None:
    table(aws, "orders")
    table(aws, "other")
    wide = "residency-table-region,table-deletion-protection"
    run(changed(table_item("orders"), parameters={"rules": wide}))
    assert set(config.compliance()) == {(TABLE, "orders")}
    assert config.compliance()[TABLE, "orders"] == "NON_COMPLIANT"


def test_a_role_is_known_by_its_unique_id(aws: Any, config: Config, run: Run) -> None:
    iam = boto3.client("iam", region_name=REGION)
    role = iam.create_role(
        RoleName="app",
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
            }
        ),
    )["Role"]
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="app", PolicyName="all", PolicyDocument=json.dumps(allow))
    table(aws, "orders")
    run(scheduled(parameters={"rules": "iam-role-trust"}))
    by_clock = config.compliance()
    assert by_clock["AWS::IAM::Role", role["RoleId"]] == "NON_COMPLIANT"
    item = table_item(
        "app", resourceType="AWS::IAM::Role", resourceId=role["RoleId"], ARN=role["Arn"], awsRegion="global"
    )
    config.results.clear()
    run(changed(item, parameters={"rules": "iam-role-trust"}))
    assert config.compliance() == {("AWS::IAM::Role", role["RoleId"]): "NON_COMPLIANT"}


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        ("AWS::KMS::Key", "kms-key-rotation"),
        ("AWS::IAM::User", "iam-user-dynamodb-access"),
        ("AWS::EC2::VPCEndpoint", "network-endpoint-policy"),
        ("AWS::CloudTrail::Trail", "trail-management-logging"),
    ],
)
def test_a_change_of_anything_else_gives_what_the_clock_gives(
    aws: Any, config: Config, run: Run, kind: str, rules: str
) -> None:
    key = boto3.client("kms").create_key()["KeyMetadata"]
    aws.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key["Arn"]},
    )
    iam = boto3.client("iam")
    user = iam.create_user(UserName="ann")["User"]
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=json.dumps(allow))
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    endpoint = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.dynamodb")["VpcEndpoint"]
    boto3.client("s3").create_bucket(Bucket="trails", CreateBucketConfiguration={"LocationConstraint": REGION})
    trail = boto3.client("cloudtrail").create_trail(Name="all", S3BucketName="trails", IsMultiRegionTrail=True)
    here = f"{REGION}:{ACCOUNT}"
    name, arn = {
        "AWS::KMS::Key": (key["KeyId"], key["Arn"]),
        "AWS::IAM::User": (user["UserId"], user["Arn"]),
        "AWS::EC2::VPCEndpoint": (
            endpoint["VpcEndpointId"],
            f"arn:aws:ec2:{here}:vpc-endpoint/{endpoint['VpcEndpointId']}",
        ),
        "AWS::CloudTrail::Trail": (trail["Name"], trail["TrailARN"]),
    }[kind]
    run(scheduled(parameters={"rules": rules}))
    by_clock = config.compliance().get((kind, name), "NOT_APPLICABLE")
    config.results.clear()
    run(changed(table_item("x", resourceType=kind, resourceId=name, ARN=arn), {"rules": rules}))
    assert config.compliance() == {(kind, name): by_clock}
    if kind != "AWS::CloudTrail::Trail":  # what is said of trails stands with the account
        assert by_clock in ("COMPLIANT", "NON_COMPLIANT")


def test_another_accounts_role_is_taken_by_its_name(aws: Any, config: Config) -> None:
    table(aws, "orders", protected=True)
    session = Session(config)
    evaluate(changed(table_item("orders"), parameters=ONE | {"executionRoleName": "ddbaudit/reader"}), session)
    assert session.credentials[0] == {}
    assert [bool(one.get("aws_session_token")) for one in session.credentials[1:]] == [True, True]


def test_a_trial_is_told_as_one(aws: Any, config: Config, run: Run) -> None:
    table(aws, "orders")
    run(changed(table_item("orders"), parameters=ONE, resultToken="TESTMODE"))
    assert (config.tests, config.results) == (1, {})


def test_moto_takes_the_evaluations_too(aws: Any, tmp_path: Path) -> None:
    table(aws, "orders")
    told = evaluate(changed(table_item("orders"), parameters=ONE, resultToken="TESTMODE"), boto3.Session)
    assert [one.compliance for one in told] == ["NON_COMPLIANT"]


def test_settings_and_acceptances_of_the_package_count(aws: Any, config: Config, run: Run, tmp_path: Path) -> None:
    table(aws, "orders")
    (tmp_path / "ddbaudit.yaml").write_text("baseline: accepted.yaml\n")
    today = datetime.now(UTC).date()
    (tmp_path / "accepted.yaml").write_text(
        "version: 1\naccept:\n"
        f"- {{rule: table-*, resource: '*orders', reason: Rebuilt nightly, by: me, until: {today}}}\n"
    )
    late = scheduled(parameters=ONE)
    late["invokingEvent"] = late["invokingEvent"].replace("2026-08-22T10", f"{today}T10")
    run(late)
    assert config.results[TABLE, "orders"]["ComplianceType"] == "NOT_APPLICABLE"
    assert config.results[TABLE, "orders"]["Annotation"] == f"accepted until {today}: Rebuilt nightly"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"rule": "x"}, 'unknown parameter "rule". Did you mean "rules"'),
        ({"rules": "tabel-pitr"}, 'no rule matches "tabel-pitr"'),
        ({"severity": "hihg"}, "none of critical"),
        ({"table-pitr.window": "1"}, "unknown setting"),
        ({"tabel-pitr.severity": '"low"'}, 'no rule "tabel-pitr"'),
        ({"table-deletion-protection.require_for": "all"}, "is not JSON"),
        ({"table-deletion-protection.require_for": '"nobody"'}, "require_for"),
        ({"executionRoleName": "arn:aws:iam::1:role/x"}, "no name of a role"),
    ],
)
def test_a_bad_parameter_fails_loudly(config: Config, run: Run, parameters: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(changed(table_item("orders"), parameters=parameters))
    assert words in caught.value.message
    assert config.calls == []


def test_parameters_of_rules_count(tmp_path: Path) -> None:
    chosen = select(
        {"rules": "table-*", "skip": "table-pitr", "table-deletion-protection.require_for": '"all"',
         "table-deletion-protection.severity": '"low"'},
        tmp_path / "none.yaml",
    )  # fmt: skip
    assert "table-pitr" not in chosen.rules
    rule = chosen.rules["table-deletion-protection"]
    assert rule.severity is Severity.LOW
    assert select({}, tmp_path / "none.yaml").rules.keys() == packs.built_in().keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"configRuleArn": ""}, "configRuleArn"),
        ({"invokingEvent": "{"}, '"invokingEvent" of the event is not a JSON object'),
        ({"ruleParameters": "[]"}, "ruleParameters"),
        ({"resultToken": ""}, "resultToken"),
        ({"invokingEvent": json.dumps({"messageType": "ConfigurationSnapshotDeliveryCompleted"})}, "Snapshot"),
        (
            {"invokingEvent": json.dumps({"messageType": "ConfigurationItemChangeNotification"})},
            "no configuration item",
        ),
        ({"invokingEvent": json.dumps({"messageType": "ScheduledNotification"})}, "a time that is none"),
    ],
)
def test_what_is_no_event_is_refused(change: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_event(scheduled() | change)
    assert words in caught.value.message


def test_missing_parameters_are_none_and_other_partitions_are_known() -> None:
    event = scheduled(configRuleArn=f"arn:aws-cn:config:cn-north-1:{ACCOUNT}:config-rule/x")
    asked = read_event(event)
    assert (asked.parameters, asked.account.partition, asked.region.name) == ({}, "aws-cn", "cn-north-1")


def test_the_worst_counts() -> None:
    fail, passed = finding(), finding("table-pitr", status=Status.PASS)
    doubt = finding("table-required-tags", status=Status.UNKNOWN, reason="throttled", message="Throttled.")
    mild = finding(severity=Severity.LOW, acceptance=ACCEPTED)
    assert compliance_of([passed, fail, doubt])[0] == "NON_COMPLIANT"
    assert compliance_of([passed, fail, doubt])[1].startswith(
        "FAIL table-deletion-protection; unknown table-required-tags."
    )
    assert compliance_of([passed, doubt])[0] is None
    assert compliance_of([passed, mild])[0] == "NOT_APPLICABLE"
    assert compliance_of([passed]) == ("COMPLIANT", "")
    assert compliance_of([finding(status=Status.NOT_APPLICABLE, message="No.")]) == ("NOT_APPLICABLE", "No.")
    assert compliance_of([])[0] == "NOT_APPLICABLE"


@pytest.mark.parametrize("text", ["x" * 500, "ü\x00\u202e\n::error" * 60])
def test_annotations_are_short_printable_ascii(text: str) -> None:
    annotation = compliance_of([finding(message=text)])[1]
    assert len(annotation) <= config_rule.MOST_ANNOTATION
    assert annotation.isascii()
    assert annotation.isprintable()
    assert annotation.endswith("[truncated]")


def test_the_delivering_client_can_do_nothing_else(aws: Any, config: Config) -> None:
    delivery = Delivery.of(read_event(scheduled()), boto3.Session, "")
    with pytest.raises(UsageError, match="config:DeleteConfigRule"):
        delivery.client.delete_config_rule(ConfigRuleName="x")
    with pytest.raises(Exception, match="refused to call config:PutEvaluations"):
        delivery.access.client("config", REGION).put_evaluations(ResultToken="x")


def test_the_handler_starts_light() -> None:
    code = (
        "import sys; import auditor.config_rule as made; assert callable(made.handler); "
        "print([one for one in ('click', 'jinja2', 'rich', 'moto') if one in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert told.stdout.strip() == "[]"

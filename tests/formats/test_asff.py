"""findings.asff.json: what Security Hub's BatchImportFindings takes, within its limits."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from auditor.formats import asff
from auditor.inventory import Scope
from auditor.report import Report
from auditor.resources import (
    Account,
    Alarm,
    Bucket,
    DaxCluster,
    EventRule,
    Function,
    Group,
    IdentityPool,
    Instance,
    Key,
    KinesisStream,
    LogGroup,
    Region,
    Resource,
    Role,
    Stream,
    Subnet,
    Table,
    Topic,
    Trail,
    User,
    Vpc,
    VpcEndpoint,
)
from auditor.rule_api import Severity, Status
from tests import reports
from tests.formats import exports
from tests.reports import BANK, BANK_IRELAND, FOREIGN_KEY, FRANKFURT, HOSTILE, IRELAND, ORDERS, SHOP, finding, made

SAMPLES: list[Callable[[], Report]] = [
    *(reports.mixed, reports.compared, reports.hostile, reports.empty),
    *(exports.demo, exports.long),
]
every_sample = pytest.mark.parametrize("sample", SAMPLES)

SHAPE = (
    botocore.session.get_session()
    .get_service_model("securityhub")
    .operation_model("BatchImportFindings")
    .input_shape.members["Findings"]
    .member
)


def findings(report: Report) -> list[dict[str, Any]]:
    return list(json.loads(asff.render(report)))


def made_of(resource: Resource = ORDERS, **more: Any) -> dict[str, Any]:
    (one,) = findings(made([finding(resource=resource, **more)]))
    return one


def by_rule(report: Report) -> dict[str, dict[str, Any]]:
    return {one["GeneratorId"].removeprefix("ddbaudit/"): one for one in findings(report)}


@every_sample
def test_botocore_takes_every_finding(sample: Callable[[], Report]) -> None:
    for one in findings(sample()):
        assert ParamValidator().validate(one, SHAPE).generate_report() == ""


def values(value: Any, shape: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Return every value with the service model's shape for it; a member that the model lacks is an error."""
    yield path, value, shape
    if shape.type_name == "structure":
        for key, one in value.items():
            yield from values(one, shape.members[key], f"{path}.{key}")
    elif shape.type_name == "list":
        for one in value:
            yield from values(one, shape.member, f"{path}[]")
    elif shape.type_name == "map":
        for key, one in value.items():
            yield from values(key, shape.key, f"{path}(key)")
            yield from values(one, shape.value, f"{path}(value)")


#: Most code units of texts and most entries of lists and maps, as the service model's documentation has them.
LIMITS = {
    ".Id": 512,
    ".ProductArn": 2048,
    ".ProductName": 128,
    ".CompanyName": 128,
    ".GeneratorId": 512,
    ".AwsAccountId": 12,
    ".Title": 256,
    ".Description": 1024,
    ".FindingProviderFields.Severity.Original": 64,
    ".FindingProviderFields.Types": 50,
    ".Remediation.Recommendation.Text": 512,
    ".ProductFields": 50,
    ".ProductFields(key)": 128,
    ".ProductFields(value)": 2048,
    ".Resources": 32,
    ".Resources[].Type": 256,
    ".Resources[].Region": 16,
    ".Resources[].Tags": 50,
    ".Resources[].Tags(key)": 128,
    ".Resources[].Tags(value)": 256,
    ".Resources[].Details.Other": 50,
    ".Resources[].Details.Other(key)": 128,
    ".Resources[].Details.Other(value)": 1024,
    ".Compliance.RelatedRequirements": 32,
    ".Compliance.StatusReasons[].Description": 512,
    ".Note.Text": 512,
}


@every_sample
def test_no_limit_is_passed_and_no_text_is_blank(sample: Callable[[], Report]) -> None:
    for one in findings(sample()):
        assert len(json.dumps(one)) <= 60_000
        for path, value, shape in values(one, SHAPE):
            size = len(value.encode("utf-16-le")) // 2 if isinstance(value, str) else len(value) if isinstance(
                value, dict | list
            ) else 0  # fmt: skip
            assert size <= LIMITS.get(path, size), path
            if isinstance(value, str):
                assert value.strip(), f"{path} is blank, which the service refuses"
                assert not shape.enum or value in shape.enum, path
        assert len(one["AwsAccountId"]) == 12
        assert len(one["Resources"]) == 1


def test_any_hundred_findings_fit_a_batch() -> None:
    longest = max(len(json.dumps(one)) for one in findings(exports.long()))
    assert 40_000 < longest <= asff.MOST_BYTES  # the sample gets near to the limit
    assert 100 * asff.MOST_BYTES <= 6_000_000


@every_sample
def test_nothing_that_an_account_chooses_acts(sample: Callable[[], Report]) -> None:
    exports.check_safe(asff.render(sample()))


def test_hostile_texts_are_still_told() -> None:
    start = exports.shown(HOSTILE)
    for one in findings(reports.hostile()):
        assert one["Description"].startswith(start)
        (resource,) = one["Resources"]
        assert start in resource["Id"]
        assert [key for key in resource["Details"]["Other"] if key.startswith(start)]


def test_the_golden_file() -> None:
    exports.compare_with_golden("findings.asff.json", asff.render(reports.compared()))


def test_the_example_organisation_is_told_whole() -> None:
    report = exports.demo()
    expected = [one for one in report.findings if one.status is not Status.NOT_APPLICABLE]
    expected.sort(key=lambda one: one.sort_key)
    written = findings(report)
    assert [one["ProductFields"]["ddbaudit/FindingId"] for one in written] == [one.id for one in expected]
    assert len({one["Id"] for one in written}) == len(written) > 500
    assert {one["AwsAccountId"] for one in written} == {scope.account.id for scope in report.scopes}


@pytest.mark.parametrize(
    ("status", "compliance", "label"),
    [
        (Status.FAIL, "FAILED", "CRITICAL"),
        (Status.UNKNOWN, "NOT_AVAILABLE", "CRITICAL"),
        (Status.PASS, "PASSED", "INFORMATIONAL"),
    ],
)
def test_statuses(status: Status, compliance: str, label: str) -> None:
    one = made_of(status=status, severity=Severity.CRITICAL)
    assert one["Compliance"]["Status"] == compliance
    assert one["FindingProviderFields"]["Severity"] == {"Label": label, "Original": "critical"}
    assert one["RecordState"] == "ACTIVE"
    assert "Workflow" not in one
    # Providers set these through FindingProviderFields only; AWS's ids would make a finding look like AWS's own.
    assert not {"Severity", "Types", "Region"} & set(one)
    assert "SecurityControlId" not in one["Compliance"]


def test_what_does_not_apply_is_left_out() -> None:
    assert asff.render(made([finding(status=Status.NOT_APPLICABLE)])) == "[]\n"


@pytest.mark.parametrize("severity", Severity)
def test_severities(severity: Severity) -> None:
    assert made_of(severity=severity)["FindingProviderFields"]["Severity"]["Label"] == severity.label.upper()


def test_an_accepted_finding_stays_failed_and_is_suppressed_with_a_note() -> None:
    one = made_of(acceptance=reports.ACCEPTED)
    assert one["Compliance"]["Status"] == "FAILED"
    assert one["Workflow"] == {"Status": "SUPPRESSED"}
    assert one["Note"] == {
        "Text": "Accepted until 2026-06-30 by data-platform (SEC-123): Rebuilt every night from S3.",
        "UpdatedBy": "data-platform",
        "UpdatedAt": "2026-01-31T12:00:07Z",
    }
    assert one["ProductFields"]["ddbaudit/AcceptedUntil"] == "2026-06-30"
    assert one["ProductFields"]["ddbaudit/AcceptanceTicket"] == "SEC-123"


def test_an_expired_acceptance_suppresses_nothing() -> None:
    one = made_of(acceptance=reports.EXPIRED)
    assert not {"Workflow", "Note"} & set(one)
    assert one["ProductFields"]["ddbaudit/AcceptanceExpired"] == "2025-12-31"


def test_a_doubt_gives_its_reason() -> None:
    one = by_rule(reports.mixed())["table-encryption-key"]
    assert one["Compliance"]["StatusReasons"] == [
        {"ReasonCode": "ACCESS_DENIED", "Description": "Permission missing: kms:DescribeKey"}
    ]
    assert one["ProductFields"]["ddbaudit/MissingPermission"] == "kms:DescribeKey"
    assert one["ProductFields"]["ddbaudit/RunComplete"] == "false"


def test_times_and_first_observation() -> None:
    one = made_of(state="new")
    times = {key: value for key, value in one.items() if key.endswith("At")}
    assert times == dict.fromkeys(
        ("CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt"), "2026-01-31T12:00:07Z"
    )
    assert "FirstObservedAt" not in made_of(state="unchanged")


def test_the_id_is_the_same_in_every_run_and_region() -> None:
    role = Role(SHOP, "x")
    first = made_of(role)
    (second,) = findings(made([finding(resource=role)], scopes=(Scope(SHOP, "", (IRELAND,)),)))
    assert first["Id"] == second["Id"] == f"ddbaudit/table-deletion-protection/{finding(resource=role).id}"
    assert first["ProductArn"] != second["ProductArn"]
    assert made_of(role, sub_key="a")["Id"] != first["Id"]


@pytest.mark.parametrize(
    ("resource", "kind", "details"),
    [
        (ORDERS, "AwsDynamoDbTable", {"TableName": "orders"}),
        (Stream(ORDERS, "2026-01-31T09:30:00.000"), "Other", None),
        (DaxCluster(IRELAND, "c"), "Other", None),
        (Key(IRELAND, "k"), "AwsKmsKey", {"AWSAccountId": SHOP.id, "KeyId": "k"}),
        (Vpc(IRELAND, "vpc-1"), "AwsEc2Vpc", None),
        (
            Subnet(IRELAND, "subnet-1"),
            "AwsEc2Subnet",
            {"SubnetId": "subnet-1", "SubnetArn": "arn:aws:ec2:eu-west-1:111122223333:subnet/subnet-1"},
        ),
        (VpcEndpoint(IRELAND, "vpce-1"), "Other", None),
        (IdentityPool(IRELAND, "eu-west-1:0"), "Other", None),
        (
            Trail(IRELAND, "t"),
            "AwsCloudTrailTrail",
            {"Name": "t", "TrailArn": "arn:aws:cloudtrail:eu-west-1:111122223333:trail/t", "HomeRegion": "eu-west-1"},
        ),
        (LogGroup(IRELAND, "l"), "Other", None),
        (
            Alarm(IRELAND, "a"),
            "AwsCloudWatchAlarm",
            {"AlarmName": "a", "AlarmArn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:a"},
        ),
        (EventRule(IRELAND, "r"), "Other", None),
        (Topic(IRELAND, "t"), "AwsSnsTopic", {"TopicName": "t"}),
        (
            KinesisStream(IRELAND, "s"),
            "AwsKinesisStream",
            {"Name": "s", "Arn": "arn:aws:kinesis:eu-west-1:111122223333:stream/s"},
        ),
        (Instance(IRELAND, "i-1"), "AwsEc2Instance", None),
        (Function(IRELAND, "f"), "AwsLambdaFunction", {"FunctionName": "f"}),
        (Bucket(SHOP, "b"), "AwsS3Bucket", {"Name": "b"}),
        (User(SHOP, "team/ann"), "AwsIamUser", {"UserName": "ann", "Path": "/team/"}),
        (Group(SHOP, "ci"), "AwsIamGroup", {"GroupName": "ci", "Path": "/"}),
        (Role(SHOP, "service/api"), "AwsIamRole", {"RoleName": "api", "Path": "/service/"}),
        (FRANKFURT, "Other", None),
    ],
)
def test_kinds_of_resources(resource: Resource, kind: str, details: dict[str, Any] | None) -> None:
    one = made_of(resource)
    assert ParamValidator().validate(one, SHAPE).generate_report() == ""
    (told,) = one["Resources"]
    assert (told["Type"], told["Id"], told["Partition"]) == (kind, resource.arn, "aws")
    assert told.get("Details") == (None if details is None else {kind: details})


def test_an_account_is_named_as_security_hub_does() -> None:
    (told,) = made_of(SHOP)["Resources"]
    assert (told["Type"], told["Id"]) == ("AwsAccount", "AWS::::Account:111122223333")
    assert "Region" not in told


def test_settings_of_a_table_that_the_evidence_proves() -> None:
    evidence = {
        "DeletionProtectionEnabled": False,
        "SSEType": "KMS",
        "KMSMasterKeyArn": FOREIGN_KEY.arn,
        "BillingMode": "PROVISIONED",
        "TableStatus": None,
        "GlobalTableVersion": "",
        "LatestStreamArn": ["odd"],
    }
    (told,) = made_of(evidence=evidence)["Resources"]
    assert told["Details"]["AwsDynamoDbTable"] == {
        "TableName": "orders",
        "DeletionProtectionEnabled": False,
        "BillingModeSummary": {"BillingMode": "PROVISIONED"},
        "SseDescription": {"SseType": "KMS", "KmsMasterKeyArn": FOREIGN_KEY.arn},
    }
    assert told["Details"]["Other"] == {
        "DeletionProtectionEnabled": "false",
        "SSEType": "KMS",
        "KMSMasterKeyArn": FOREIGN_KEY.arn,
        "BillingMode": "PROVISIONED",
        "TableStatus": "null",
        "GlobalTableVersion": "(empty)",
        "LatestStreamArn": '["odd"]',
    }


def test_settings_of_a_key_that_the_evidence_proves() -> None:
    evidence = {"KeyState": "Enabled", "KeyManager": "CUSTOMER", "Origin": "AWS_KMS", "KeyRotationEnabled": True}
    (told,) = made_of(Key(IRELAND, "k"), evidence=evidence)["Resources"]
    details = told["Details"]["AwsKmsKey"]
    assert details["KeyRotationStatus"] is True
    assert (details["KeyState"], details["KeyManager"], details["Origin"]) == ("Enabled", "CUSTOMER", "AWS_KMS")


def test_empty_tag_values_are_taken() -> None:
    (one,) = findings(made([finding()], tags={ORDERS: {"env": "prod", "empty": ""}}))
    assert one["Resources"][0]["Tags"] == {"empty": "(empty)", "env": "prod"}


def test_controls_are_written_as_aws_does() -> None:
    requirements = by_rule(reports.mixed())["table-pitr"]["Compliance"]["RelatedRequirements"]
    assert {"AWS FSBP DynamoDB.2", "NIST.800-53.r5 CP-9"} <= set(requirements)
    rule = replace(
        next(one for one in reports.mixed().rules if one.id == "table-pitr"),
        controls={"PCI DSS 4.0.1": ("10.3.3",), "CIS AWS Foundations 7.0": tuple(f"1.{n}" for n in range(40))},
    )
    (one,) = findings(made([finding("table-pitr")], rules=[rule]))
    requirements = one["Compliance"]["RelatedRequirements"]
    assert requirements[:2] == ["PCI DSS v4.0.1/10.3.3", "CIS AWS Foundations Benchmark v7.0.0/1.0"]
    assert len(requirements) == 32
    assert requirements[-1] == "and 10 more … (cut)"


CHINA = Account("222233334444", "aws-cn")
ISO = Account("222233334444", "aws-iso")
ODD = Account("222233334444", "aws-new")
AMERICA = Region(SHOP, "us-east-1")


@pytest.mark.parametrize(
    ("resource", "scopes", "home"),
    [
        (ORDERS, (Scope(SHOP, "", (FRANKFURT, IRELAND)),), ("eu-west-1", SHOP)),
        # What is global: the partition's first region where it was audited, else the first that was.
        (Role(SHOP, "x"), (Scope(SHOP, "", (IRELAND, FRANKFURT)),), ("eu-central-1", SHOP)),
        (Role(SHOP, "x"), (Scope(SHOP, "", (FRANKFURT, AMERICA)),), ("us-east-1", SHOP)),
        (Bucket(BANK, "b"), (Scope(SHOP, "", (AMERICA,)), Scope(BANK, "", (BANK_IRELAND,))), ("eu-west-1", BANK)),
        (Role(CHINA, "x"), (Scope(CHINA, "", (Region(CHINA, "cn-north-1"),)),), ("cn-north-1", CHINA)),
        # What belongs to an account that was not audited: nobody there would import it.
        (FOREIGN_KEY, (Scope(BANK, "", ()), Scope(SHOP, "", (IRELAND,))), ("eu-west-1", SHOP)),
        (FOREIGN_KEY, (Scope(BANK, "", (BANK_IRELAND,)),), ("eu-west-1", BANK)),
        (Bucket(Account("999988887777"), "b"), (Scope(BANK, "", (BANK_IRELAND,)),), ("eu-west-1", BANK)),
        (Role(SHOP, "x"), (Scope(SHOP, "", ()),), ("us-east-1", SHOP)),
        (Role(SHOP, "x"), (), ("us-east-1", SHOP)),
    ],
)
def test_whose_security_hub_a_finding_is_for(
    resource: Resource, scopes: tuple[Scope, ...], home: tuple[str, Account]
) -> None:
    (one,) = findings(made([finding(resource=resource)], scopes=scopes))
    region, account = home
    assert one["AwsAccountId"] == account.id
    assert one["ProductArn"] == (
        f"arn:{account.partition}:securityhub:{region}:{account.id}:product/{account.id}/default"
    )
    assert one["Resources"][0]["Id"] == resource.arn


@pytest.mark.parametrize(
    ("account", "region", "partition"),
    [(CHINA, "cn-north-1", "aws-cn"), (ISO, "us-iso-east-1", "aws-us-iso"), (ODD, "new-east-1", None)],
)
def test_other_partitions(account: Account, region: str, partition: str | None) -> None:
    here = Region(account, region)
    (one,) = findings(made([finding(resource=Table(here, "t"))], scopes=(Scope(account, "", (here,)),)))
    assert one["Resources"][0].get("Partition") == partition
    assert one["ProductArn"].startswith(f"arn:{account.partition}:securityhub:{region}:")


def test_what_is_cut_says_so_in_the_finding_and_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    evidence = {"long": "x" * 1025, "just": "y" * 1024, **{f"key{place:03}": place for place in range(98)}}
    with caplog.at_level(logging.WARNING):
        written = findings(made([finding(evidence=evidence, message="é" * 2_000), finding("table-pitr")]))
    (one,) = [one for one in written if one["Id"].startswith("ddbaudit/table-deletion")]
    assert one["Description"] == "é" * 1017 + "… (cut)"
    other = one["Resources"][0]["Details"]["Other"]
    assert len(other) == 50
    assert other["long"] == "x" * 1017 + "… (cut)"
    assert other["just"] == "y" * 1024
    assert other["ddbaudit/LeftOut"] == "51 of the evidence's entries … (cut)"
    (record,) = caplog.records
    assert "in 1 of 2 findings" in record.getMessage()


def test_nothing_is_logged_where_nothing_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    asff.render(reports.mixed())
    assert caplog.records == []


def test_characters_are_not_torn_apart() -> None:
    for before in range(20):
        text = "a" * (1000 + before) + "\N{GRINNING FACE}e\N{COMBINING ACUTE ACCENT}" * 20
        cut = made_of(message=text)["Description"]
        assert len(cut.encode("utf-16-le")) // 2 <= 1024
        kept = cut.removesuffix("… (cut)")
        assert text.startswith(kept)
        assert not kept.endswith("e"), "the accent of the letter is gone"
        assert len(kept.encode("utf-16-le")) // 2 >= 1024 - len("… (cut)") - 3


def test_a_finding_that_is_too_big_loses_evidence_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    report = made(
        [finding(evidence={f"key{place}": "x" * 1000 for place in range(60)})],
        tags={ORDERS: {f"tag{place}": "y" * 100 for place in range(30)}},
    )
    (whole,) = findings(report)
    assert len(whole["Resources"][0]["Details"]["Other"]) == 50
    monkeypatch.setattr(asff, "MOST_BYTES", 30_000)
    (smaller,) = findings(report)
    assert 28_000 < len(json.dumps(smaller)) <= 30_000
    other = smaller["Resources"][0]["Details"]["Other"]
    kept = [key for key in other if key != "ddbaudit/LeftOut"]
    assert kept == [f"key{place}" for place in range(len(kept))]
    assert 10 < len(kept) < 30
    assert other["ddbaudit/LeftOut"] == f"{60 - len(kept)} of the evidence's entries … (cut)"
    assert len(smaller["Resources"][0]["Tags"]) == 30


def test_tags_go_before_the_evidence_where_they_take_a_third_of_the_place() -> None:
    evidence = {f"key{place}": "ü" * 1000 for place in range(10)}
    long = {f"tag{place}": "\N{GRINNING FACE}" * 120 for place in range(50)}
    (one,) = findings(made([finding(evidence=evidence)], tags={ORDERS: long}))
    (resource,) = one["Resources"]
    assert "Tags" not in resource
    assert one["ProductFields"]["ddbaudit/TagsLeftOut"] == "50 … (cut)"
    kept = [key for key in resource["Details"]["Other"] if key != "ddbaudit/LeftOut"]
    assert 7 < len(kept) < 10


def test_thirty_thousand_findings() -> None:
    assert asff.render(exports.many(30_000)).count('"SchemaVersion": "2018-10-08"') == 30_000

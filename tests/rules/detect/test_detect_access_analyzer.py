"""detect-access-analyzer: an active analyzer of external access, and no open finding on what tables rest on."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.analysis.access import account_access
from auditor.config import Config
from auditor.facts import (
    AccountAccess,
    Analyzer,
    AnalyzerFinding,
    AnalyzerFindings,
    Analyzers,
    CollectionTime,
    Gap,
    Identities,
    InlinePolicy,
    ManagedPolicy,
    Organization,
    Reason,
    RoleInfo,
    ServiceControlPolicies,
    TableNames,
    TableSettings,
)
from auditor.facts.base import VANISHED
from auditor.resources import Account, Key, Region, Role, Table
from tests.rules import ACCOUNT, KEY, REGION, TABLE, load

rule: Any = load("detect-access-analyzer")

OWN = "arn:aws:access-analyzer:eu-west-1:111122223333:analyzer/account"
ACTIVE = Analyzer(OWN, "ACCOUNT", "ACTIVE")
ORGANIZATION = Analyzer(OWN.replace("account", "org"), "ORGANIZATION", "ACTIVE")
UNUSED = Analyzer(OWN.replace("account", "unused"), "ACCOUNT_UNUSED_ACCESS", "ACTIVE")
INTERNAL = Analyzer(OWN.replace("account", "inside"), "ACCOUNT_INTERNAL_ACCESS", "ACTIVE")
UNREAD = Gap(Reason.ACCESS_DENIED, "Not allowed.", "access-analyzer:ListFindings")
NO_TABLES = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables")
NO_SETTINGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
NO_IDENTITIES = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetAccountAuthorizationDetails")
NO_BOUNDARY = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetPolicyVersion")
NO_GUARDRAILS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListParents")

NAMES = TableNames((TABLE,))
STREAM = f"{TABLE.arn}/stream/2026-01-15T08:00:00.000"
READER, OTHER, AUDITOR = (Role(ACCOUNT, name) for name in ("reader", "other", "auditor"))
CONFINED, ATTACHED = Role(ACCOUNT, "confined"), Role(ACCOUNT, "attached")
POLICY = f"arn:aws:iam::{ACCOUNT.id}:policy/tables"


def document(action: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


BOUNDARY = f"arn:aws:iam::{ACCOUNT.id}:policy/boundary"
IDENTITIES = Identities(
    roles=(
        RoleInfo(ATTACHED, "{}", attached=(POLICY,)),
        RoleInfo(AUDITOR, "{}", (InlinePolicy("reads", document("dynamodb:Describe*")),)),
        RoleInfo(CONFINED, "{}", (InlinePolicy("all", document("*")),), boundary=BOUNDARY),
        RoleInfo(OTHER, "{}", (InlinePolicy("queues", document("sqs:*")),)),
        RoleInfo(READER, "{}", (InlinePolicy("tables", document("dynamodb:GetItem")),)),
    ),
    policies={
        POLICY: ManagedPolicy(POLICY, "tables", NO_BOUNDARY),
        BOUNDARY: ManagedPolicy(BOUNDARY, "boundary", document("s3:*")),
    },
)
CALLER = f"arn:aws:sts::{ACCOUNT.id}:assumed-role/auditor/session"
ACCESS: AccountAccess = account_access(
    ACCOUNT,
    IDENTITIES,
    Organization(None),
    ServiceControlPolicies(()),
    NO_GUARDRAILS,
    CollectionTime(datetime(2026, 1, 31, tzinfo=UTC), CALLER),
    Config(),
)


def finding(resource: str, kind: str, **more: str) -> AnalyzerFinding:
    given = {"type": "ExternalAccess", "status": "ACTIVE"} | more
    return AnalyzerFinding("1", OWN, resource, kind, **given)


def judge(
    *findings: AnalyzerFinding,
    analyzers: tuple[Analyzer, ...] = (ACTIVE,),
    held: AnalyzerFindings | Gap | None = None,
    tables: TableNames | Gap = NAMES,
    settings: Any = None,
    access: AccountAccess | Gap = ACCESS,
    identities: Identities | Gap = IDENTITIES,
    **more: Any,
) -> Verdict:
    known = {TABLE: TableSettings("ACTIVE", key=KEY)} if settings is None else settings
    found = AnalyzerFindings(findings) if held is None else held
    verdict: Verdict = rule(REGION, Analyzers(analyzers), found, tables, known, access, identities, **more)
    return verdict


# The analyzer


@pytest.mark.parametrize(
    ("analyzers", "status"),
    [
        ((), Status.FAIL),
        ((ACTIVE,), Status.PASS),
        ((ORGANIZATION,), Status.PASS),
        ((UNUSED, INTERNAL), Status.FAIL),
        ((UNUSED, ACTIVE), Status.PASS),
        ((Analyzer(OWN, "ACCOUNT", "FAILED"),), Status.FAIL),
        ((Analyzer(OWN, "ACCOUNT", "CREATING"), UNUSED), Status.FAIL),
        ((Analyzer(OWN, "ACCOUNT", "DISABLED"), ORGANIZATION), Status.PASS),
    ],
)
def test_an_analyzer_of_external_access_must_be_active(analyzers: Any, status: Status) -> None:
    verdict = judge(analyzers=analyzers)
    assert (verdict.status, verdict.severity) == (status, None)
    assert verdict.evidence["analyzers"] == [
        {"arn": one.arn, "type": one.type, "status": one.status} for one in analyzers
    ]


def test_an_analyzer_that_does_not_work_is_named_by_its_status() -> None:
    assert "FAILED" in judge(analyzers=(Analyzer(OWN, "ACCOUNT", "FAILED"), UNUSED)).message
    assert "no analyzer" in judge(analyzers=(UNUSED,)).message


def test_an_organisations_analyzer_elsewhere_can_be_attested() -> None:
    verdict = judge(analyzers=(), external_access_analyzer="organization")
    assert verdict.status is Status.PASS
    assert verdict.evidence["attested"] == "external_access_analyzer=organization"
    assert "attested" not in judge(external_access_analyzer="organization").evidence
    assert judge(finding(TABLE.arn, "AWS::DynamoDB::Table"), external_access_analyzer="organization").status is (
        Status.FAIL
    )


def test_where_aws_has_no_access_analyzer_nothing_is_asked() -> None:
    verdict = rule(
        REGION, Analyzers((), offered=False), AnalyzerFindings(), NO_TABLES, {}, NO_IDENTITIES, NO_IDENTITIES
    )  # fmt: skip
    assert verdict.status is Status.NOT_APPLICABLE


# Its findings


@pytest.mark.parametrize(
    ("resource", "kind", "status"),
    [
        (TABLE.arn, "AWS::DynamoDB::Table", Status.FAIL),
        (STREAM, "AWS::DynamoDB::Stream", Status.FAIL),
        (KEY.arn, "AWS::KMS::Key", Status.FAIL),
        (READER.arn, "AWS::IAM::Role", Status.FAIL),
        # A table that was made since the listing is one of the region too.
        (Table(REGION, "new").arn, "AWS::DynamoDB::Table", Status.FAIL),
        (Key(REGION, "5678").arn, "AWS::KMS::Key", Status.PASS),
        (OTHER.arn, "AWS::IAM::Role", Status.PASS),
        # Its boundary takes its grants away.
        (CONFINED.arn, "AWS::IAM::Role", Status.PASS),
        (AUDITOR.arn, "AWS::IAM::Role", Status.PASS),
        (Role(ACCOUNT, "gone").arn, "AWS::IAM::Role", Status.PASS),
        ("arn:aws:s3:::exports", "AWS::S3::Bucket", Status.PASS),
        # What an organisation's analyzer sees of other accounts.
        (Table(Region(Account("444455556666"), "eu-west-1"), "orders").arn, "AWS::DynamoDB::Table", Status.PASS),
        (Role(Account("444455556666"), "reader").arn, "AWS::IAM::Role", Status.PASS),
        ("arn:aws:kms:us-east-1:111122223333:key/1", "AWS::KMS::Key", Status.PASS),
        ("", "AWS::DynamoDB::Table", Status.UNKNOWN),
        ("hostile", "AWS::IAM::Role", Status.UNKNOWN),
        ("", "AWS::KMS::Key", Status.UNKNOWN),
    ],
)
def test_findings_count_where_tables_rest_on_their_resource(resource: str, kind: str, status: Status) -> None:
    verdict = judge(finding(resource, kind))
    assert verdict.status is status
    assert verdict.severity is (Severity.HIGH if status is Status.FAIL else None)


def test_the_keys_of_other_accounts_that_tables_use_count() -> None:
    foreign = Key(Region(Account("444455556666"), "eu-west-1"), "1")
    settings = {TABLE: TableSettings("ACTIVE", key=foreign)}
    assert judge(finding(foreign.arn, "AWS::KMS::Key"), settings=settings).status is Status.FAIL


@pytest.mark.parametrize(
    "more", [{"status": "ARCHIVED"}, {"status": "RESOLVED"}, {"type": "UnusedIAMRole"}, {"type": "InternalAccess"}]
)
def test_archived_findings_and_those_of_another_kind_do_not_count(more: dict[str, str]) -> None:
    assert judge(finding(TABLE.arn, "AWS::DynamoDB::Table", **more)).status is Status.PASS


def test_the_region_has_one_failure_with_all_findings_in_the_evidence() -> None:
    verdict = judge(
        finding(TABLE.arn, "AWS::DynamoDB::Table"),
        finding(TABLE.arn, "AWS::DynamoDB::Table"),
        finding(KEY.arn, "AWS::KMS::Key"),
        *(finding(Table(REGION, f"t{number}").arn, "AWS::DynamoDB::Table") for number in range(30)),
    )
    assert verdict.message == f"Access Analyzer reports access from outside to {TABLE.arn} and 31 more."
    assert (verdict.evidence["activeFindings"], len(verdict.evidence["findings"])) == (33, 20)
    assert verdict.evidence["findings"][2] == {
        "id": "1",
        "resource": KEY.arn,
        "resourceType": "AWS::KMS::Key",
        "findingType": "ExternalAccess",
    }
    assert (verdict.about, verdict.sub_key) == (None, None)


# What is not known


def test_findings_that_cannot_be_read_are_unknown() -> None:
    for held in (UNREAD, AnalyzerFindings((), {OWN: UNREAD})):
        verdict = judge(held=held)
        assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "access-analyzer:ListFindings")
    read = AnalyzerFindings((finding(TABLE.arn, "AWS::DynamoDB::Table"),), {OWN: UNREAD})
    assert judge(held=read).status is Status.FAIL
    # Without an active analyzer there is none to be read.
    assert judge(held=UNREAD, analyzers=(UNUSED,)).status is Status.FAIL
    assert judge(held=UNREAD, analyzers=(), external_access_analyzer="organization").status is Status.PASS


@pytest.mark.parametrize(
    ("more", "action"),
    [
        ({"tables": NO_TABLES}, "dynamodb:ListTables"),
        ({"settings": {TABLE: NO_SETTINGS}}, "dynamodb:DescribeTable"),
        ({"settings": {}}, None),
    ],
)
def test_a_key_that_may_be_a_tables_is_unknown(more: dict[str, Any], action: str | None) -> None:
    verdict = judge(finding(KEY.arn, "AWS::KMS::Key"), **more)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, action)
    assert judge(**more).status is Status.PASS
    assert judge(finding(TABLE.arn, "AWS::DynamoDB::Table"), **more).status is Status.FAIL


def test_tables_that_were_deleted_meanwhile_use_no_key() -> None:
    assert judge(finding(KEY.arn, "AWS::KMS::Key"), settings={TABLE: VANISHED}).status is Status.PASS


def test_a_role_whose_policies_are_not_known_is_unknown() -> None:
    verdict = judge(finding(READER.arn, "AWS::IAM::Role"), access=NO_IDENTITIES, identities=NO_IDENTITIES)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetAccountAuthorizationDetails")
    verdict = judge(finding(ATTACHED.arn, "AWS::IAM::Role"))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetPolicyVersion")
    assert judge(access=NO_IDENTITIES, identities=NO_IDENTITIES).status is Status.PASS


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_resources_of_other_partitions(partition: str, region: str) -> None:
    here = Region(Account(ACCOUNT.id, partition), region)
    table = Table(here, "orders")
    found = AnalyzerFindings((finding(table.arn, "AWS::DynamoDB::Table"),))
    names, none = TableNames((table,)), NO_IDENTITIES
    assert rule(here, Analyzers((ACTIVE,)), found, names, {}, none, none).status is Status.FAIL
    assert rule(REGION, Analyzers((ACTIVE,)), found, names, {}, none, none).status is Status.PASS


def test_the_base_severity_is_medium() -> None:
    assert rule.rule.severity is Severity.MEDIUM

"""detect-config-rules: managed rules found by identifier, looking at everything, and what they find."""

from dataclasses import replace
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import (
    ConfigCompliance,
    ConfigRule,
    ConfigRules,
    DaxClusterNames,
    Gap,
    NetworkInterface,
    NetworkInterfaces,
    Reason,
    SecurityStandards,
    TableNames,
    VpcInfo,
    Vpcs,
)
from auditor.resources import Account, Region, Subnet, Vpc
from tests.rules import CLUSTER, REGION, SUBNET, TABLE, VPC, load

rule: Any = load("detect-config-rules")

REQUIRED = (
    "DYNAMODB_PITR_ENABLED",
    "DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED",
    "DYNAMODB_TABLE_ENCRYPTED_KMS",
    "DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN",
)
DAX, ENDPOINT = ("DAX_ENCRYPTION_ENABLED", "DAX_TLS_ENDPOINT_ENCRYPTION"), "SERVICE_VPC_ENDPOINT_ENABLED"
OFF = SecurityStandards({})
WORKLOAD = NetworkInterface("eni-1", SUBNET, VPC.name, "interface", "in-use", instance_id="i-1")
BALANCER = replace(WORKLOAD, id="eni-2", type="network_load_balancer")
OWN_VPC = Vpcs((VpcInfo(VPC, default=False),))
NONE: Any = NetworkInterfaces(())


def gap(action: str) -> Gap:
    return Gap(Reason.ACCESS_DENIED, "Not allowed.", action)


NO_RULES, NO_COMPLIANCE = gap("config:DescribeConfigRules"), gap("config:DescribeComplianceByConfigRule")
NO_STANDARDS, NO_CLUSTERS = gap("securityhub:GetEnabledStandards"), gap("dax:DescribeClusters")
NO_INTERFACES, NO_VPCS = gap("ec2:DescribeNetworkInterfaces"), gap("ec2:DescribeVpcs")
NO_TABLES = gap("dynamodb:ListTables")


def managed(identifier: str, **more: Any) -> ConfigRule:
    return ConfigRule(**({"name": identifier.lower(), "state": "ACTIVE", "owner": "AWS"} | more), identifier=identifier)


def fsbp(status: str = "READY", partition: str = "aws", region: str = "eu-west-1") -> SecurityStandards:
    name = "standards/aws-foundational-security-best-practices/v/1.0.0"
    return SecurityStandards({f"arn:{partition}:securityhub:{region}::{name}": status})


ALL = tuple(managed(one) for one in REQUIRED)
FACTS = {
    "compliance": ConfigCompliance({one.name: "COMPLIANT" for one in ALL}),
    "standards": OFF,
    "tables": TableNames((TABLE,)),
    "clusters": DaxClusterNames(()),
    "interfaces": NONE,
    "vpcs": OWN_VPC,
}


def judge(*rules: ConfigRule, held: Any = None, settings: Any = None, **facts: Any) -> list[Verdict]:
    given = FACTS | facts
    return list(rule(REGION, ConfigRules(rules) if held is None else held, *given.values(), **(settings or {})))


def first(*rules: ConfigRule, **more: Any) -> Verdict:
    return judge(*rules, **more)[0]


def without(identifier: str, *others: ConfigRule) -> tuple[ConfigRule, ...]:
    return (*(one for one in ALL if one.identifier != identifier), *others)


# Which are deployed


def test_all_required_rules_pass_and_one_that_is_missing_fails_by_name() -> None:
    assert [(one.status, one.sub_key) for one in judge(*ALL)] == [(Status.PASS, None), (Status.PASS, "compliance")]
    verdict = first(*ALL[1:])
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert verdict.evidence["missing"] == ["DYNAMODB_PITR_ENABLED"]
    assert verdict.message == "DYNAMODB_PITR_ENABLED is not deployed for all resources."
    verdicts = judge()
    assert [one.status for one in verdicts] == [Status.FAIL]
    assert verdicts[0].evidence["missing"] == list(REQUIRED)
    assert rule.rule.severity is Severity.MEDIUM


PITR = REQUIRED[0]


@pytest.mark.parametrize(
    ("one", "status"),
    [
        # Security Hub and conformance packs name theirs as they like.
        (
            managed(
                PITR, name="securityhub-dynamodb-pitr-enabled-1a2b3c4d", created_by="securityhub.amazonaws.com"
            ),
            Status.PASS,
        ),
        (managed("dynamodb_pitr_enabled"), Status.PASS),
        (managed(PITR, state="EVALUATING"), Status.PASS),
        (managed(PITR, state="DELETING_RESULTS"), Status.PASS),
        (managed(PITR, state="DELETING"), Status.FAIL),
        (managed(PITR, state=""), Status.FAIL),
        (managed(PITR, modes=("DETECTIVE", "PROACTIVE")), Status.PASS),
        (managed(PITR, modes=("PROACTIVE",)), Status.FAIL),
        (managed(PITR, resource_types=("AWS::DynamoDB::Table",)), Status.PASS),
        (managed(PITR, resource_types=("AWS::S3::Bucket",)), Status.FAIL),
        (managed(PITR, resource_types=("AWS::DynamoDB::Table",), resource_id="orders"), Status.FAIL),
        (managed(PITR, tag="audited"), Status.FAIL),
        # A rule that bears the name of another, and a custom one that claims the identifier.
        (managed("S3_BUCKET_VERSIONING_ENABLED", name=PITR.lower()), Status.FAIL),
        (managed(PITR, owner="CUSTOM_LAMBDA"), Status.FAIL),
    ],
)  # fmt: skip
def test_a_rule_counts_by_identifier_state_and_scope(one: ConfigRule, status: Status) -> None:
    assert first(*without(PITR, one)).status is status
    # One that does not count never spoils one that does.
    assert first(*ALL, one).status is Status.PASS


def test_a_rule_that_does_not_count_is_shown_with_the_reason() -> None:
    verdict = first(*without(PITR, managed(PITR, tag="audited")))
    assert verdict.evidence["notCounted"] == [
        {
            "ConfigRuleName": PITR.lower(),
            "SourceIdentifier": PITR,
            "Owner": "AWS",
            "ConfigRuleState": "ACTIVE",
            "CreatedBy": None,
            "flaw": "Its scope is resources with the tag audited.",
        }
    ]
    assert "notCounted" not in first(*ALL).evidence


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"resourceTags": '{"backup":"yes"}'}, Status.FAIL),
        ({"resourceId": "orders"}, Status.FAIL),
        ({"resourceId": "", "backupVaultLockCheck": "True"}, Status.PASS),
    ],
)
def test_parameters_narrow_the_rule_about_backup_plans(parameters: dict[str, str], status: Status) -> None:
    assert first(*ALL[:3], managed(REQUIRED[3], parameters=parameters)).status is status


def test_settings_choose_rules_and_accept_custom_ones() -> None:
    assert first(managed("X"), settings={"required_config_rules": ("x",)}).status is Status.PASS
    assert judge(settings={"required_config_rules": ()})[0].status is Status.NOT_APPLICABLE
    custom = ConfigRule("our-pitr", "ACTIVE", "CUSTOM_POLICY")
    accepted = {"accept_custom_rules": {PITR: ("our-pitr",)}}
    assert first(*without(PITR, custom)).status is Status.FAIL
    assert first(*without(PITR, custom), settings=accepted).status is Status.PASS
    assert first(*without(PITR, replace(custom, state="DELETING")), settings=accepted).status is Status.FAIL
    assert first(*without(PITR, replace(custom, name="other")), settings=accepted).status is Status.FAIL
    other = {"accept_custom_rules": {REQUIRED[1]: ("our-pitr",)}}
    assert first(*without(PITR, custom), settings=other).status is Status.FAIL
    assert {one.name: one.default for one in rule.rule.settings} == {
        "required_config_rules": REQUIRED,
        "accept_custom_rules": {},
    }


# Security Hub


@pytest.mark.parametrize(
    ("standards", "status"),
    [
        (fsbp(), Status.PASS),
        (fsbp(partition="aws-cn", region="cn-north-1"), Status.PASS),
        (fsbp(partition="aws-us-gov", region="us-gov-west-1"), Status.PASS),
        (fsbp("INCOMPLETE"), Status.FAIL),
        (fsbp("PENDING"), Status.FAIL),
        (OFF, Status.FAIL),
        (SecurityStandards({"arn:aws:securityhub:eu-west-1::standards/pci-dss/v/3.2.1": "READY"}), Status.FAIL),
        (NO_STANDARDS, Status.UNKNOWN),
    ],
)
def test_rules_that_security_hub_hides_count_where_its_standard_is_ready(standards: Any, status: Status) -> None:
    rest = tuple(managed(one) for one in REQUIRED[2:])
    verdict = first(*rest, standards=standards)
    assert verdict.status is status
    if status is Status.PASS:
        assert verdict.evidence["securityHub"] == list(REQUIRED[:2])
    if status is Status.UNKNOWN:
        assert verdict.missing_permission == "securityhub:GetEnabledStandards"


@pytest.mark.parametrize("identifier", REQUIRED[2:])
def test_the_standard_does_not_have_every_rule(identifier: str) -> None:
    for standards in (fsbp(), NO_STANDARDS):
        verdict = first(*without(identifier), standards=standards)
        assert (verdict.status, verdict.evidence["missing"]) == (Status.FAIL, [identifier])


# What the region has


@pytest.mark.parametrize("identifier", DAX)
def test_clusters_need_their_own_rules(identifier: str) -> None:
    clusters = DaxClusterNames((CLUSTER,))
    both = tuple(managed(one) for one in DAX)
    assert first(*ALL, *both, clusters=clusters).status is Status.PASS
    one = tuple(rule for rule in both if rule.identifier != identifier)
    assert first(*ALL, *one, clusters=clusters).evidence["missing"] == [identifier]
    assert first(*ALL, *one, clusters=clusters, standards=fsbp()).status is Status.PASS
    # DAX has no resource type in Config: no scope leaves it out.
    scoped = tuple(replace(rule, resource_types=("AWS::S3::Bucket",)) for rule in both)
    assert first(*ALL, *scoped, clusters=clusters).status is Status.PASS


def test_whether_there_are_clusters_matters_where_their_rules_are_missing() -> None:
    verdict = first(*ALL, clusters=NO_CLUSTERS)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dax:DescribeClusters")
    assert first(*ALL, *(managed(one) for one in DAX), clusters=NO_CLUSTERS).status is Status.PASS
    assert first(*ALL[1:], clusters=NO_CLUSTERS).status is Status.FAIL


INTERFACES = NetworkInterfaces((WORKLOAD,))


@pytest.mark.parametrize(
    ("interfaces", "vpcs", "status"),
    [
        (INTERFACES, OWN_VPC, Status.FAIL),
        (NetworkInterfaces((BALANCER,)), OWN_VPC, Status.PASS),
        (NetworkInterfaces((replace(WORKLOAD, status="available"),)), OWN_VPC, Status.PASS),
        # A VPC that another account shares is watched by that account's rules.
        (
            INTERFACES,
            Vpcs((VpcInfo(Vpc(Region(Account("444455556666"), "eu-west-1"), VPC.name), default=False),)),
            Status.PASS,
        ),
        (NO_INTERFACES, OWN_VPC, Status.UNKNOWN),
        (INTERFACES, NO_VPCS, Status.UNKNOWN),
        (NONE, NO_VPCS, Status.PASS),
    ],
)
def test_workloads_need_the_rule_about_endpoints(interfaces: Any, vpcs: Any, status: Status) -> None:
    verdict = first(*ALL, interfaces=interfaces, vpcs=vpcs)
    assert verdict.status is status
    if status is Status.FAIL:
        assert verdict.evidence["missing"] == [ENDPOINT]
    if status is Status.UNKNOWN:
        assert verdict.missing_permission in ("ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs")
    served = managed(ENDPOINT, parameters={"serviceName": "dynamodb"})
    assert first(*ALL, served, interfaces=interfaces, vpcs=vpcs).status is Status.PASS


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"serviceName": "dynamodb"}, Status.PASS),
        ({"serviceName": "DynamoDB"}, Status.PASS),
        ({"serviceName": "s3"}, Status.FAIL),
        ({}, Status.FAIL),
    ],
)
def test_the_rule_about_endpoints_must_look_for_dynamodb(parameters: dict[str, str], status: Status) -> None:
    one = managed(ENDPOINT, parameters=parameters)
    assert first(*ALL, one, interfaces=INTERFACES).status is status


def test_interfaces_in_another_accounts_subnet_of_the_own_vpc_are_workloads_too() -> None:
    shared = replace(WORKLOAD, subnet=Subnet(Region(Account("444455556666"), "eu-west-1"), "subnet-2"))
    assert first(*ALL, interfaces=NetworkInterfaces((shared,))).status is Status.FAIL


# What is not known


def test_without_the_rules_nothing_is_known_of_them() -> None:
    verdicts = judge(held=NO_RULES)
    assert [(one.status, one.missing_permission) for one in verdicts] == [
        (Status.UNKNOWN, "config:DescribeConfigRules")
    ]
    only_hub = {"required_config_rules": (PITR,)}
    assert judge(held=NO_RULES, standards=fsbp(), settings=only_hub)[0].status is Status.PASS


# What they find


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ({}, Status.PASS),
        ({PITR.lower(): "NON_COMPLIANT"}, Status.FAIL),
        ({PITR.lower(): "NON_COMPLIANT", REQUIRED[1].lower(): "INSUFFICIENT_DATA"}, Status.FAIL),
        ({PITR.lower(): "INSUFFICIENT_DATA"}, Status.UNKNOWN),
        ({PITR.lower(): None}, Status.UNKNOWN),
        ({PITR.lower(): "NOT_APPLICABLE"}, Status.PASS),
        ({"s3-versioning": "NON_COMPLIANT"}, Status.PASS),
    ],
)
def test_what_the_required_rules_find_is_a_finding_of_its_own(found: dict[str, Any], status: Status) -> None:
    held = {one.name: "COMPLIANT" for one in ALL} | found
    compliance = ConfigCompliance({name: kind for name, kind in held.items() if kind})
    deployed, verdict = judge(*ALL, managed("S3_BUCKET_VERSIONING", name="s3-versioning"), compliance=compliance)
    assert deployed.status is Status.PASS
    assert (verdict.sub_key, verdict.status) == ("compliance", status)
    assert verdict.severity is (Severity.LOW if status is Status.FAIL else None)
    if status is not Status.PASS:
        assert PITR.lower() in verdict.message
    if status is Status.UNKNOWN:
        assert verdict.reason == "partial_data"


def test_where_there_is_no_table_its_rules_have_nothing_to_evaluate() -> None:
    nothing = ConfigCompliance({one.name: "INSUFFICIENT_DATA" for one in ALL})
    assert judge(*ALL, compliance=nothing, tables=TableNames(()))[1].status is Status.PASS
    verdict = judge(*ALL, compliance=nothing, tables=NO_TABLES)[1]
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTables")
    both = tuple(managed(one) for one in DAX)
    held = ConfigCompliance({one.name: "INSUFFICIENT_DATA" for one in (*ALL, *both)})
    clusters = DaxClusterNames((CLUSTER,))
    verdict = judge(*ALL, *both, compliance=held, tables=TableNames(()), clusters=clusters)[1]
    assert (verdict.status, verdict.message) == (
        Status.UNKNOWN,
        "AWS Config has no results yet of dax_encryption_enabled, dax_tls_endpoint_encryption.",
    )


def test_results_that_cannot_be_read_are_unknown_beside_what_is_deployed() -> None:
    deployed, verdict = judge(*ALL, compliance=NO_COMPLIANCE)
    assert deployed.status is Status.PASS
    assert (verdict.status, verdict.sub_key) == (Status.UNKNOWN, "compliance")
    assert verdict.missing_permission == "config:DescribeComplianceByConfigRule"

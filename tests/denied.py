"""Every operation that a run makes fails in turn: what the tests of each kind of failure share.

Each verdict stays as it was or turns ``unknown`` and names the IAM action; the rules that cannot decide
without the operation do turn; no resource that another call names leaves the report.
"""

from __future__ import annotations

import functools
from collections.abc import Container, Iterable

import botocore.exceptions

from auditor import engine, packs
from auditor.config import Config, load
from auditor.engine import Judgement, judge
from auditor.facts import TableSettings
from auditor.facts.base import IAM_ACTIONS
from auditor.inventory import Caller, Inventory
from auditor.packs import Rules
from auditor.report import Finding
from auditor.resources import Account, Alarm, Bucket, LogGroup, Region, Resource, Role, account_of, region_of
from auditor.rule_api import Status
from auditor.sources import demo
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access
from tests.replay import Fault, Recording, operation_of

#: The organisation's regions, and one that it does not use.
REGIONS = [*demo.REGIONS, "eu-north-1"]

# fmt: off
#: Rules whose verdicts hang on the same things.
ALARMS = {
    "alarm-control-weakening", "alarm-data-exfiltration", "alarm-delivery", "alarm-kms-key-tampering",
    "alarm-table-deletion", "alarm-unauthorized-calls",
}
TRAILS = {"data-two-sided-protection", "residency-region-baseline", "trail-data-events", "trail-management-logging"}
GUARDRAILS = {"org-protect-guardrails", "org-region-lock", "org-restrict-table-creation"}
DATA = {"data-client-side-encryption", "data-sensitive-storage", "data-two-sided-protection"}
DAX = {"dax-encryption-at-rest", "dax-encryption-in-transit", "dax-multi-az", "dax-security-group", "dax-vpc-placement"}
DAX_ROLES = {"dax-role-read-only", "dax-role-scope"}
DETECT = {"detect-access-analyzer", "detect-config-recorder", "detect-config-rules", "detect-guardduty"}
EXPORTS = {"export-destination", "export-encryption", "residency-classification-region"}
WAYS = {"iam-workload-roles", "network-subnet-path", "network-vpc-endpoint"}
KEYS = {"kms-key-policy", "kms-key-rotation", "kms-key-usable"}
POLICIES = {"table-resource-policy-cross-account", "table-resource-policy-public"}
SETTINGS = {"table-deletion-protection", "table-encryption-key", "table-pitr", "table-replica-parity"}
COPIES = {"residency-replica-region", "table-backup-recent", "table-capacity-scaling", "table-change-data-capture"}
IDENTITIES = {
    "iam-cognito-unauthenticated", "iam-destructive-actions", "iam-fgac", "iam-full-access-policies",
    "iam-inline-policies", "iam-role-trust", "iam-user-dynamodb-access", "iam-user-limit",
    "iam-wildcard-permissions",
}

#: For every operation, the rules some of whose verdicts on the example organisation hang on it. None hangs on the
#: operations that are left out: another call replaces them, or no verdict of the example depends on them.
TURNED: dict[str, set[str]] = {
    "accessanalyzer:ListAnalyzers": {"detect-access-analyzer", "residency-region-baseline"},
    "accessanalyzer:ListFindingsV2": {"detect-access-analyzer", "residency-region-baseline"},
    "application-autoscaling:DescribeScalableTargets": {"table-capacity-scaling"},
    "backup:ListProtectedResources": {"residency-classification-region", "table-backup-recent"},
    "cloudtrail:DescribeTrails": {*ALARMS, *TRAILS},
    "cloudtrail:GetEventSelectors": {*ALARMS, *TRAILS},
    "cloudtrail:GetTrailStatus": {*ALARMS, *TRAILS},
    "cloudwatch:DescribeAlarms": ALARMS,
    "cloudwatch:GetAlarmMuteRule": {
        "alarm-delivery", "alarm-kms-key-tampering", "alarm-table-deletion", "alarm-unauthorized-calls",
    },
    "cloudwatch:ListAlarmMuteRules": {
        "alarm-delivery", "alarm-kms-key-tampering", "alarm-table-deletion", "alarm-unauthorized-calls",
    },
    "cognito-identity:DescribeIdentityPool": {"iam-cognito-unauthenticated"},
    "cognito-identity:GetIdentityPoolRoles": {"iam-cognito-unauthenticated"},
    "cognito-identity:ListIdentityPools": {"iam-cognito-unauthenticated"},
    "config:DescribeComplianceByConfigRule": {"detect-config-rules"},
    "config:DescribeConfigRules": {"detect-config-rules"},
    "config:DescribeConfigurationRecorderStatus": {"detect-config-recorder", "residency-region-baseline"},
    "config:DescribeConfigurationRecorders": {"detect-config-recorder", "residency-region-baseline"},
    "config:DescribeDeliveryChannels": {"detect-config-recorder", "residency-region-baseline"},
    "dax:DescribeClusters": {
        *ALARMS, *DAX, *DAX_ROLES, *DETECT, *WAYS, "network-endpoint-policy", "network-hybrid-connectivity",
        "network-interface-endpoint", "residency-region-baseline", "residency-table-region",
        "table-required-tags", "trail-management-logging",
    },
    "dax:DescribeSubnetGroups": {"dax-vpc-placement"},
    "dax:ListTags": {"dax-multi-az", "table-required-tags"},
    "directconnect:DescribeVirtualInterfaces": {"network-hybrid-connectivity"},
    "dynamodb:DescribeContinuousBackups": {"table-pitr", "table-replica-parity"},
    "dynamodb:DescribeExport": EXPORTS,
    "dynamodb:DescribeKinesisStreamingDestination": {"residency-classification-region", "table-change-data-capture"},
    "dynamodb:DescribeTable": {
        *COPIES, *DATA, *KEYS, *POLICIES, *SETTINGS, "alarm-kms-key-tampering", "dax-role-read-only",
        "detect-access-analyzer", "export-encryption", "iam-user-dynamodb-access", "network-vpce-enforced",
        "residency-classification-region", "residency-region-baseline",
    },
    "dynamodb:GetResourcePolicy": {
        *POLICIES, "dax-role-read-only", "iam-cognito-unauthenticated", "iam-destructive-actions", "iam-fgac",
        "iam-user-dynamodb-access", "network-vpce-enforced",
    },
    "dynamodb:ListBackups": {"table-backup-recent"},
    "dynamodb:ListBulkOperations": {"export-destination", "residency-classification-region"},
    "dynamodb:ListExports": EXPORTS,
    "dynamodb:ListGlobalTables": {"residency-replica-region", "table-replica-parity"},
    "dynamodb:ListTables": {
        *ALARMS, *COPIES, *DAX_ROLES, *DETECT, *KEYS, *POLICIES, *SETTINGS, *TRAILS, *WAYS,
        "data-client-side-encryption", "data-sensitive-storage", "iam-destructive-actions",
        "iam-user-dynamodb-access", "network-endpoint-policy", "network-hybrid-connectivity",
        "network-interface-endpoint", "network-vpce-enforced", "org-membership",
        "residency-classification-region", "residency-table-region", "table-required-tags",
    },
    "dynamodb:Scan": DATA,
    "ec2:DescribeAvailabilityZones": {"dax-multi-az"},
    "ec2:DescribeInstances": {"iam-workload-roles"},
    "ec2:DescribeNatGateways": WAYS,
    "ec2:DescribeNetworkInterfaces": {*WAYS, "data-two-sided-protection", "detect-config-rules"},
    "ec2:DescribeRouteTables": {*WAYS, "dax-vpc-placement"},
    "ec2:DescribeSecurityGroups": {"dax-security-group", "network-hybrid-connectivity", "network-interface-endpoint"},
    "ec2:DescribeSubnets": {*WAYS, "data-two-sided-protection"},
    "ec2:DescribeTransitGatewayAttachments": {"network-hybrid-connectivity"},
    "ec2:DescribeVpcAttribute": {"network-vpc-endpoint"},
    "ec2:DescribeVpcBlockPublicAccessOptions": WAYS,
    "ec2:DescribeVpcEndpoints": {
        *WAYS, "network-endpoint-policy", "network-hybrid-connectivity", "network-interface-endpoint",
        "network-vpce-enforced",
    },
    "ec2:DescribeVpcs": {"dax-security-group", "dax-vpc-placement", "detect-config-rules", "network-vpc-endpoint"},
    "ec2:DescribeVpnConnections": {"network-hybrid-connectivity"},
    "ec2:DescribeVpnGateways": {"network-hybrid-connectivity"},
    "events:ListRules": ALARMS,
    "events:ListTargetsByRule": {"alarm-control-weakening", "alarm-data-exfiltration", "alarm-delivery"},
    "guardduty:GetDetector": {"detect-guardduty", "residency-region-baseline"},
    "guardduty:ListDetectors": {"detect-guardduty", "residency-region-baseline"},
    "iam:GetAccountAuthorizationDetails": {
        *DAX_ROLES, *IDENTITIES, "data-two-sided-protection", "detect-access-analyzer", "iam-workload-roles",
        "kms-key-policy", "org-deny-table-deletion",
    },
    "iam:GetAccountSummary": {"iam-root-usage"},
    "iam:GetCredentialReport": {"iam-root-usage"},
    "iam:ListOrganizationsFeatures": {"iam-root-usage"},
    "kinesis:DescribeStreamSummary": {"table-change-data-capture"},
    "kms:DescribeKey": {
        *KEYS, "alarm-control-weakening", "alarm-delivery", "alarm-kms-key-tampering", "alarm-table-deletion",
        "alarm-unauthorized-calls", "data-two-sided-protection",
    },
    "kms:GetKeyPolicy": {
        "alarm-control-weakening", "alarm-delivery", "alarm-kms-key-tampering", "alarm-table-deletion",
        "alarm-unauthorized-calls", "kms-key-policy",
    },
    "kms:GetKeyRotationStatus": {"kms-key-rotation"},
    "kms:ListGrants": {"kms-key-policy"},
    "lambda:ListEventSourceMappings": {"table-change-data-capture"},
    "lambda:ListFunctions": {"iam-workload-roles"},
    "logs:DescribeMetricFilters": ALARMS,
    "organizations:DescribeOrganization": {
        *GUARDRAILS, "iam-fgac", "iam-root-usage", "iam-user-dynamodb-access", "org-deny-table-deletion",
        "org-membership",
    },
    "organizations:DescribePolicy": {*GUARDRAILS, "org-deny-table-deletion"},
    "organizations:ListAccounts": {
        "export-destination", "iam-role-trust", "kms-key-policy", "table-change-data-capture",
        "table-resource-policy-cross-account",
    },
    "organizations:ListParents": {*GUARDRAILS, "org-deny-table-deletion"},
    "organizations:ListPoliciesForTarget": {*GUARDRAILS, "org-deny-table-deletion"},
    "organizations:ListRoots": {"org-membership"},
    "route53:ListHostedZonesByVPC": {"network-interface-endpoint"},
    "s3:GetBucketEncryption": {"export-encryption"},
    "s3:GetBucketPolicyStatus": {"export-destination"},
    "s3:HeadBucket": {"export-destination", "residency-classification-region"},
    "securityhub:GetEnabledStandards": {"detect-config-rules"},
    "sns:GetTopicAttributes": ALARMS,
    "sns:ListSubscriptionsByTopic": {
        "alarm-control-weakening", "alarm-delivery", "alarm-kms-key-tampering", "alarm-table-deletion",
        "alarm-unauthorized-calls",
    },
}

#: The same for operations that fail together with what would replace them.
TOGETHER: dict[tuple[str, ...], set[str]] = {
    ("tag:GetResources", "dynamodb:ListTagsOfResource"): {
        *DATA, *SETTINGS, "export-encryption", "iam-destructive-actions", "network-vpce-enforced",
        "org-deny-table-deletion", "residency-classification-region", "table-backup-recent",
        "table-required-tags", "trail-data-events",
    },
    ("kms:DescribeKey", "kms:ListAliases"): {
        *KEYS, "alarm-control-weakening", "alarm-delivery", "alarm-kms-key-tampering", "alarm-table-deletion",
        "alarm-unauthorized-calls", "data-two-sided-protection", "export-encryption", "table-encryption-key",
        "table-replica-parity",
    },
    ("ec2:DescribeRegions", "account:ListRegions"): {*GUARDRAILS, "residency-table-region"},
    ("ec2:DescribeManagedPrefixLists", "ec2:DescribePrefixLists"): WAYS,
}
# fmt: on


@functools.cache
def recording() -> Recording:
    """Record a whole run on the example organisation, replacements included."""
    with demo.organisation() as accounts:
        made = Recording(Caller(accounts[0].id, "arn"), sampling=config().sampling)
        for account in accounts:
            made.record(account.id, account.name, account.session)
        wanted = engine.wanted(rules().values())
        refused: set[str] = set()

        def fail(model: object, **_: object) -> None:
            if operation_of(model) in refused:
                raise botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "x")

        for account in accounts:
            account.session.events.register_first("before-call", fail)
        # The further passes are for the answers of what is asked only when something else is denied.
        for refused_now in (set(), {pair[0] for pair in TOGETHER}, {"dynamodb:ListTables", "dax:DescribeClusters"}):
            refused.clear()
            refused.update(refused_now)
            accesses = [Access(Account(one.id), one.name, one.session, Pacer("off"), attempts=1) for one in accounts]
            collect(accesses, made.caller, REGIONS, wanted, waits=(), sampling=made.sampling)
    return made


@functools.cache
def rules() -> Rules:
    return packs.built_in()


@functools.cache
def config() -> Config:
    return load(demo.CONFIG)[0]


@functools.cache
def inventory() -> Inventory:
    return recording().collect(rules(), regions=REGIONS)


@functools.cache
def undisturbed() -> Judgement:
    return judge(inventory(), rules(), config())


def namers(resource: Resource) -> set[Resource | None]:
    """Return what leads to a resource: its region, its account, the tables that name it, and what leads to these."""
    tables = {
        table
        for table, settings in inventory().facts[TableSettings].items()
        if isinstance(settings, TableSettings) and resource in settings.names()
    }
    account = account_of(resource)
    # A DAX cluster names its role and an export its bucket; where these are not known their region says so.
    where = inventory().of_kind(Region)
    regions = {one for one in where if isinstance(resource, Role) and account_of(one) == account}
    regions |= {one for one in where if isinstance(resource, Bucket)}
    # An alarm stands in the region of its log group, which says what is not known of alarms.
    near: list[Resource] = inventory().of_kind(LogGroup)
    groups = {one for one in near if isinstance(resource, Alarm) and region_of(one) == region_of(resource)}
    further = {one for table in tables for one in (region_of(table), account_of(table))}
    return {region_of(resource), account, *tables, *further, *regions, *groups}


def disturbed(operations: Iterable[str], fault: str | Exception) -> Judgement:
    failing: Fault = lambda one: fault if one in operations else None  # noqa: E731
    return judge(recording().collect(rules(), failing, REGIONS), rules(), config())


def by_key(findings: Iterable[Finding]) -> dict[tuple[str, str, str | None], Finding]:
    return {(one.rule, one.resource.arn, one.sub_key): one for one in findings}


def operations() -> list[str]:
    return sorted(set(recording().models) - {"sts:GetCallerIdentity"})


def turned(operations: tuple[str, ...], fault: str | Exception) -> set[str]:
    """Return the rules whose verdicts change when some operations fail; none may change but to unknown."""
    return changes(disturbed(operations, fault), {IAM_ACTIONS.get(one, one) for one in operations})


def changes(judgement: Judgement, permissions: Container[str | None]) -> set[str]:
    """Return the rules whose verdicts are not the undisturbed ones, all of them unknown with a reason.

    Args:
        judgement: Of a disturbed run.
        permissions: What a verdict that changed may name as missing.
    """
    before, after = by_key(undisturbed().findings), by_key(judgement.findings)
    changed = set()
    for key, finding in before.items():
        now = after.get(key)
        if now is None:
            # It left with what names it: then the rule says so there.
            said = {one.resource for one in after.values() if one.rule == finding.rule and one.status is Status.UNKNOWN}
            assert said & namers(finding.resource), f"{key} disappeared"
            changed.add(finding.rule)
        elif now.status is not finding.status:
            assert now.status is Status.UNKNOWN, f"{key}: {finding.status} became {now.status}: {now}"
            assert now.missing_permission in permissions, f"{key}: {now}"
            changed.add(finding.rule)
    for key, now in after.items():
        if key not in before:
            assert now.status is Status.UNKNOWN, f"{key} is new and {now.status}"
            assert now.missing_permission in permissions, f"{key}: {now}"
            changed.add(now.rule)
    return changed

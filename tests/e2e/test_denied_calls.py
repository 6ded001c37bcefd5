"""The denied-call matrix: every operation that a run makes fails in turn, in three ways.

Each verdict stays as it was or turns ``unknown`` and names the IAM action; the rules that cannot decide
without the operation do turn; no resource that another call names leaves the report.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import botocore.exceptions
import pytest

from auditor import engine, packs
from auditor.config import Config, load
from auditor.engine import Judgement, judge
from auditor.facts import TableSettings
from auditor.inventory import Caller, Inventory
from auditor.packs import Rules
from auditor.report import Finding
from auditor.resources import Account, Region, Resource, Role, account_of, region_of
from auditor.rule_api import Status
from auditor.sources import demo
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access
from tests.replay import Fault, Recording, operation_of

#: The organisation's regions, and one that it does not use.
REGIONS = [*demo.REGIONS, "eu-north-1"]

NETWORK = {"network-subnet-path", "network-vpc-endpoint"}
DAX = {"dax-encryption-at-rest", "dax-encryption-in-transit", "dax-vpc-placement"}
KEYS = {"kms-key-rotation", "kms-key-usable"}
#: These say of a region without tables and clusters that they do not apply to it.
REGIONAL = {"detect-config-recorder", "trail-management-logging"}
SETTINGS = {
    *KEYS, "residency-replica-region", "table-deletion-protection", "table-encryption-key", "table-pitr",
    "table-replica-parity",
}  # fmt: skip
EITHER_LISTING = {*NETWORK, *REGIONAL, "residency-table-region", "table-required-tags"}

#: These prove guardrails by the SCPs on the account's path.
GUARDRAILS = {"org-protect-guardrails", "org-region-lock", "org-restrict-table-creation"}
#: These ask what users and roles may do.
IDENTITIES = {
    "dax-role-read-only", "dax-role-scope", "iam-cognito-unauthenticated", "iam-destructive-actions", "iam-fgac",
    "iam-full-access-policies", "iam-inline-policies", "iam-role-trust", "iam-user-dynamodb-access", "iam-user-limit",
    "iam-wildcard-permissions",
}  # fmt: skip
POLICIES = {"table-resource-policy-cross-account", "table-resource-policy-public"}

# fmt: off
#: For every operation, the rules some of whose verdicts on the example organisation hang on it. None hangs on those
#: that another one replaces, nor on these; aliases tell AWS's key from a customer's only where DescribeKey fails too.
TURNED: dict[str, set[str]] = {
    "cloudtrail:DescribeTrails": {"trail-management-logging"},
    "cloudtrail:GetEventSelectors": {"trail-management-logging"},
    "cloudtrail:GetTrailStatus": {"trail-management-logging"},
    "config:DescribeConfigurationRecorderStatus": {"detect-config-recorder"},
    "config:DescribeConfigurationRecorders": {"detect-config-recorder"},
    "config:DescribeDeliveryChannels": {"detect-config-recorder"},
    "dax:DescribeClusters": {
        *DAX, *EITHER_LISTING, "dax-role-read-only", "dax-role-scope", "network-endpoint-policy",
        "network-vpce-enforced", "org-protect-guardrails", "table-resource-policy-cross-account",
    },
    "dax:DescribeSubnetGroups": {"dax-vpc-placement"},
    "dax:ListTags": {"table-required-tags"},
    "dynamodb:DescribeContinuousBackups": {"table-pitr", "table-replica-parity"},
    "dynamodb:DescribeTable": {
        *SETTINGS, *POLICIES, "dax-role-read-only", "iam-user-dynamodb-access", "kms-key-policy",
        "network-vpce-enforced",
    },
    "dynamodb:ListGlobalTables": {"residency-replica-region", "table-replica-parity"},
    "dynamodb:ListTables": {
        *SETTINGS, *EITHER_LISTING, *POLICIES, "dax-role-read-only", "dax-role-scope", "dax-vpc-placement",
        "iam-destructive-actions", "iam-user-dynamodb-access", "kms-key-policy", "network-endpoint-policy",
        "network-vpce-enforced", "org-membership", "org-protect-guardrails",
    },
    "ec2:DescribeNatGateways": NETWORK,
    "ec2:DescribeNetworkInterfaces": NETWORK,
    "ec2:DescribeRouteTables": {*NETWORK, "dax-vpc-placement"},
    "ec2:DescribeSubnets": NETWORK,
    "ec2:DescribeVpcAttribute": {"network-vpc-endpoint"},
    "ec2:DescribeVpcBlockPublicAccessOptions": NETWORK,
    "ec2:DescribeVpcEndpoints": {*NETWORK, "network-endpoint-policy", "network-vpce-enforced"},
    "ec2:DescribeVpcs": {"network-vpc-endpoint", "dax-vpc-placement"},
    "kms:DescribeKey": {*KEYS, "kms-key-policy"},
    "kms:GetKeyRotationStatus": {"kms-key-rotation"},
    "cognito-identity:DescribeIdentityPool": {"iam-cognito-unauthenticated"},
    "cognito-identity:GetIdentityPoolRoles": {"iam-cognito-unauthenticated"},
    "cognito-identity:ListIdentityPools": {"iam-cognito-unauthenticated"},
    "dynamodb:GetResourcePolicy": {
        *POLICIES, "dax-role-read-only", "iam-cognito-unauthenticated", "iam-destructive-actions", "iam-fgac",
        "iam-user-dynamodb-access", "network-vpce-enforced",
    },
    "iam:GetAccountAuthorizationDetails": {*IDENTITIES, "kms-key-policy", "org-deny-table-deletion"},
    "kms:GetKeyPolicy": {"kms-key-policy"},
    "kms:ListGrants": {"kms-key-policy"},
    "organizations:DescribeOrganization": {
        *GUARDRAILS, "iam-fgac", "iam-user-dynamodb-access", "org-deny-table-deletion", "org-membership",
    },
    "organizations:DescribePolicy": {*GUARDRAILS, "org-deny-table-deletion"},
    "organizations:ListAccounts": {"iam-role-trust", "kms-key-policy", "table-resource-policy-cross-account"},
    "organizations:ListParents": {*GUARDRAILS, "org-deny-table-deletion"},
    "organizations:ListPoliciesForTarget": {*GUARDRAILS, "org-deny-table-deletion"},
    "organizations:ListRoots": {"org-membership"},
}

TAGS = {
    "table-deletion-protection",
    "table-encryption-key",
    "table-pitr",
    "table-replica-parity",
    "table-required-tags",
}

#: The same for operations that fail together with what would replace them.
TOGETHER: dict[tuple[str, ...], set[str]] = {
    ("tag:GetResources", "dynamodb:ListTagsOfResource"): {
        *TAGS, "iam-destructive-actions", "network-vpce-enforced", "org-deny-table-deletion",
    },
    ("kms:DescribeKey", "kms:ListAliases"): {*KEYS, "kms-key-policy", "table-encryption-key", "table-replica-parity"},
    ("ec2:DescribeRegions", "account:ListRegions"): {*GUARDRAILS, "residency-table-region"},
    ("ec2:DescribeManagedPrefixLists", "ec2:DescribePrefixLists"): NETWORK,
}

# fmt: on

FAULTS: dict[str, str | Exception] = {
    "denied": "AccessDeniedException",
    "throttled without end": "ThrottlingException",
    "unreachable": botocore.exceptions.EndpointConnectionError(endpoint_url="https://nowhere"),
}


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
    """Return what leads to a resource: its region, its account, and the tables that name it."""
    tables = {
        table
        for table, settings in inventory().facts[TableSettings].items()
        if isinstance(settings, TableSettings) and resource in settings.names()
    }
    account = account_of(resource)
    # A DAX cluster names its role; where clusters are not known their region says so.
    regions = {one for one in inventory().of_kind(Region) if isinstance(resource, Role) and account_of(one) == account}
    return {region_of(resource), account, *tables, *regions}


def disturbed(operations: Iterable[str], fault: str | Exception) -> Judgement:
    failing: Fault = lambda one: fault if one in operations else None  # noqa: E731
    return judge(recording().collect(rules(), failing, REGIONS), rules(), config())


def by_key(findings: Iterable[Finding]) -> dict[tuple[str, str, str | None], Finding]:
    return {(one.rule, one.resource.arn, one.sub_key): one for one in findings}


def operations() -> list[str]:
    return sorted(recording().operations - {"sts:GetCallerIdentity"})


def test_the_undisturbed_replay_equals_the_planted_organisation() -> None:
    statuses = {one.status for one in undisturbed().findings}
    assert statuses == set(Status)
    assert len(undisturbed().findings) > 200


def turned(operations: tuple[str, ...], fault: str | Exception) -> set[str]:
    """Return the rules whose verdicts change when some operations fail; none may change but to unknown."""
    before, after = by_key(undisturbed().findings), by_key(disturbed(operations, fault).findings)
    changed = set()
    for key, finding in before.items():
        now = after.get(key)
        if now is None:
            # It left with what names it: then the rule says so there.
            said = {one.resource for one in after.values() if one.rule == finding.rule and one.status is Status.UNKNOWN}
            assert said & namers(finding.resource), f"{key} disappeared"
            changed.add(finding.rule)
        elif now.status is not finding.status:
            assert now.status is Status.UNKNOWN, f"{key}: {finding.status} became {now.status}"
            assert now.missing_permission in operations, f"{key}: {now}"
            changed.add(finding.rule)
    for key, now in after.items():
        if key not in before:
            assert now.status is Status.UNKNOWN, f"{key} is new and {now.status}"
            assert now.missing_permission in operations, f"{key}: {now}"
            changed.add(now.rule)
    return changed


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("operation", operations())
def test_a_failing_operation_turns_verdicts_unknown_and_nothing_else(operation: str, how: str) -> None:
    assert turned((operation,), FAULTS[how]) == TURNED.get(operation, set())


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("pair", TOGETHER, ids="+".join)
def test_an_operation_that_fails_with_its_replacement_turns_verdicts_unknown(pair: tuple[str, ...], how: str) -> None:
    assert turned(pair, FAULTS[how]) == TOGETHER[pair]

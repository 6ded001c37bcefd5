"""The organisation of an account, and the SCPs and RCPs on the path from its root down to the account."""

from __future__ import annotations

from collections.abc import Iterator

from auditor.facts import (
    ControlLevel,
    ControlPolicy,
    Organization,
    OrganizationAccounts,
    OrganizationRoot,
    ResourceControlPolicies,
    ServiceControlPolicies,
)
from auditor.resources import Account
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing

#: The account is in no organisation.
NONE = ("AWSOrganizationsNotInUseException",)

#: The policy type is not enabled in the root, or not available to a consolidated-billing organisation.
OFF = ("PolicyTypeNotEnabledException", "PolicyTypeNotAvailableForOrganizationException")


@collects(Organization, about=Account)
def organization(aws: Aws, account: Account) -> Yield:
    """Yield the organisation."""
    answer = aws.call("organizations:DescribeOrganization", absent=NONE)
    if answer is None:
        yield account, Organization(None)
        return
    found = answer["Organization"]
    yield (
        account,
        Organization(found.get("Id"), found.get("FeatureSet", "").upper(), found.get("MasterAccountId")),
    )


@collects(OrganizationRoot, about=Account)
def organization_root(aws: Aws, account: Account) -> Yield:
    """Yield the root and the policy types that are enabled in it."""
    try:
        roots = [root for page in aws.pages("organizations:ListRoots") for root in page.get("Roots", [])]
    except Missing as missing:
        if missing.code not in NONE:
            raise
        roots = []
    if not roots:
        yield account, OrganizationRoot(None, {})
        return
    types = {one["Type"].upper(): one.get("Status", "").upper() for one in roots[0].get("PolicyTypes", [])}
    yield account, OrganizationRoot(roots[0]["Id"], types)


@collects(OrganizationAccounts, about=Account)
def organization_accounts(aws: Aws, account: Account) -> Yield:
    """Yield the organisation's accounts."""
    accounts: dict[str, str] = {}
    try:
        for page in aws.pages("organizations:ListAccounts"):
            accounts |= {one["Id"]: one.get("Name", "") for one in page.get("Accounts", [])}
    except Missing as missing:
        if missing.code not in NONE:
            raise
    yield account, OrganizationAccounts(dict(sorted(accounts.items())))


@collects(ServiceControlPolicies, about=Account, lane="organizations:ListPoliciesForTarget")
def service_control_policies(aws: Aws, account: Account) -> Yield:
    """Yield the SCPs on the account's path."""
    yield account, ServiceControlPolicies(_levels(aws, account, "SERVICE_CONTROL_POLICY"))


@collects(ResourceControlPolicies, about=Account, lane="organizations:ListPoliciesForTarget")
def resource_control_policies(aws: Aws, account: Account) -> Yield:
    """Yield the RCPs on the account's path."""
    yield account, ResourceControlPolicies(_levels(aws, account, "RESOURCE_CONTROL_POLICY"))


def _levels(aws: Aws, account: Account, kind: str) -> tuple[ControlLevel, ...]:
    """Return the policies of a type attached to the root, each organisational unit and the account, in this order."""
    documents: dict[str, str] = {}
    try:
        targets = reversed([account.id, *_parents(aws, account.id)])
        levels = [ControlLevel(target, tuple(_attached(aws, target, kind, documents))) for target in targets]
    except Missing as missing:
        if missing.code in (*NONE, *OFF):
            return ()
        raise
    return tuple(levels) if any(level.policies for level in levels) else ()


def _parents(aws: Aws, child: str) -> Iterator[str]:
    """Yield the organisational units above a target, and at last the root."""
    while True:
        parents = [
            parent
            for page in aws.pages("organizations:ListParents", ChildId=child)
            for parent in page.get("Parents", [])
        ]
        if not parents:
            # Without its root the path is not known, and a Deny up there would be lost.
            raise ValueError(f"AWS names no parent of {child}")
        child = parents[0]["Id"]
        yield child
        if parents[0].get("Type", "").upper() == "ROOT":
            return


def _attached(aws: Aws, target: str, kind: str, documents: dict[str, str]) -> list[ControlPolicy]:
    found = [
        entry
        for page in aws.pages("organizations:ListPoliciesForTarget", TargetId=target, Filter=kind)
        for entry in page.get("Policies", [])
    ]
    for entry in found:
        if entry["Id"] not in documents:
            answer = aws.call("organizations:DescribePolicy", PolicyId=entry["Id"])
            documents[entry["Id"]] = answer["Policy"]["Content"]
    policies = [
        ControlPolicy(one["Id"], one.get("Name", one["Id"]), bool(one.get("AwsManaged")), documents[one["Id"]])
        for one in found
    ]
    return sorted(policies, key=lambda one: one.id)

"""The organisation, and the policies on the path from its root down to an account."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from auditor.facts import (
    ControlLevel,
    ControlPolicy,
    Gap,
    Organization,
    OrganizationAccounts,
    OrganizationRoot,
    Reason,
    ResourceControlPolicies,
    ServiceControlPolicies,
)
from auditor.inventory import dumps, loads
from auditor.resources import Account
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer

HOME = "us-east-1"
NO_ORGANISATION = "AWSOrganizationsNotInUseException"
DESCRIBE, ROOTS, ACCOUNTS, PARENTS, ATTACHED, POLICY = (
    f"organizations:{name}"
    for name in (
        *("DescribeOrganization", "ListRoots", "ListAccounts", "ListParents", "ListPoliciesForTarget"),
        "DescribePolicy",
    )
)
Controls = type[ServiceControlPolicies] | type[ResourceControlPolicies]
BOTH = pytest.mark.parametrize("fact", [ServiceControlPolicies, ResourceControlPolicies])
DENY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "dynamodb:DeleteTable", "Resource": "*"}]}
FULL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def of_account(gather_facts: Gather, fact: type) -> Any:
    inventory = gather_facts(Account, fact)
    assert loads(dumps(inventory, "1")).facts == inventory.facts
    return inventory.facts[fact][ACCOUNT]


def test_an_account_without_an_organisation_says_so_everywhere(gather_facts: Gather, access: Access) -> None:
    for operation in (DESCRIBE, ROOTS, ACCOUNTS, PARENTS, ATTACHED):
        answer(access, operation, NO_ORGANISATION, region=HOME)
    facts = (Organization, OrganizationRoot, OrganizationAccounts, ServiceControlPolicies, ResourceControlPolicies)
    inventory = gather_facts(Account, *facts)
    assert {fact: inventory.facts[fact][ACCOUNT] for fact in facts} == {
        Organization: Organization(None),
        OrganizationRoot: OrganizationRoot(None, {}),
        OrganizationAccounts: OrganizationAccounts({}),
        ServiceControlPolicies: ServiceControlPolicies(()),
        ResourceControlPolicies: ResourceControlPolicies(()),
    }
    assert inventory.errors == []


@pytest.mark.parametrize(
    ("operation", "fact"), [(DESCRIBE, Organization), (ROOTS, OrganizationRoot), (ACCOUNTS, OrganizationAccounts)]
)
def test_what_is_denied_is_a_gap_and_not_an_account_without_an_organisation(
    gather_facts: Gather, access: Access, operation: str, fact: type
) -> None:
    answer(access, operation, "AccessDeniedException", region=HOME)
    gap = of_account(gather_facts, fact)
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, operation)


def test_the_organisation_its_root_and_its_accounts(gather_facts: Gather, access: Access) -> None:
    client = boto3.client("organizations", region_name=HOME)
    made = client.create_organization(FeatureSet="ALL")["Organization"]
    root = client.list_roots()["Roots"][0]["Id"]
    client.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    other = client.create_account(AccountName="shop", Email="shop@example.com")["CreateAccountStatus"]["AccountId"]
    assert of_account(gather_facts, Organization) == Organization(made["Id"], "ALL", ACCOUNT.id)
    found = of_account(gather_facts, OrganizationRoot)
    assert (found.id, found.policy_types["SERVICE_CONTROL_POLICY"]) == (root, "ENABLED")
    accounts = of_account(gather_facts, OrganizationAccounts).accounts
    assert (set(accounts), accounts[other]) == ({ACCOUNT.id, other}, "shop")


def test_accounts_over_two_pages(gather_facts: Gather, access: Access) -> None:
    pages = [
        {"Accounts": [{"Id": "444455556666", "Name": "shop"}], "NextToken": "next"},
        {"Accounts": [{"Id": "111122223333", "Name": "games"}]},
    ]
    answer(access, ACCOUNTS, *pages, region=HOME)
    found = of_account(gather_facts, OrganizationAccounts)
    assert found == OrganizationAccounts({"111122223333": "games", "444455556666": "shop"})


def test_half_of_the_accounts_is_no_list_of_accounts(gather_facts: Gather, access: Access) -> None:
    first = {"Accounts": [{"Id": "444455556666", "Name": "shop"}], "NextToken": "next"}
    answer(access, ACCOUNTS, first, "TooManyRequestsException", region=HOME)
    gap = of_account(gather_facts, OrganizationAccounts)
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.THROTTLED, ACCOUNTS)


# The policies on the path


def test_three_levels_from_the_root_down_to_the_account(gather_facts: Gather, access: Access) -> None:
    client = boto3.client("organizations", region_name=HOME)
    client.create_organization(FeatureSet="ALL")
    root = client.list_roots()["Roots"][0]["Id"]
    client.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    unit = client.create_organizational_unit(ParentId=root, Name="production")["OrganizationalUnit"]["Id"]
    client.move_account(AccountId=ACCOUNT.id, SourceParentId=root, DestinationParentId=unit)
    named = {"Name": "keep", "Description": "keep", "Type": "SERVICE_CONTROL_POLICY", "Content": json.dumps(DENY)}
    own = client.create_policy(**named)["Policy"]["PolicySummary"]["Id"]
    for target in (unit, ACCOUNT.id):
        client.attach_policy(PolicyId=own, TargetId=target)

    levels = of_account(gather_facts, ServiceControlPolicies).levels
    assert [level.target for level in levels] == [root, unit, ACCOUNT.id]
    assert [{one.name for one in level.policies} for level in levels] == [
        {"FullAWSAccess"},
        {"FullAWSAccess", "keep"},
        {"FullAWSAccess", "keep"},
    ]
    held = {one.name: one for level in levels for one in level.policies}
    assert (held["keep"].id, held["keep"].aws_managed, json.loads(held["keep"].document)) == (own, False, DENY)
    assert held["FullAWSAccess"].aws_managed
    assert json.loads(held["FullAWSAccess"].document)["Statement"][0]["Effect"] == "Allow"


def summary(name: str, kind: str) -> dict[str, Any]:
    aws = name.endswith("FullAWSAccess")
    return {"Id": f"p-{name}", "Name": name, "Type": kind, "AwsManaged": aws}


@pytest.fixture
def path(access: Access) -> list[dict[str, Any]]:
    """The account stands in a unit of a unit of the root; returns the requests for policies."""
    above = {
        ACCOUNT.id: {"Id": "ou-abcd-22222222", "Type": "ORGANIZATIONAL_UNIT"},
        "ou-abcd-22222222": {"Id": "ou-abcd-11111111", "Type": "ORGANIZATIONAL_UNIT"},
        "ou-abcd-11111111": {"Id": "r-abcd", "Type": "ROOT"},
    }
    answer(access, PARENTS, lambda request: {"Parents": [above[request["ChildId"]]]}, region=HOME)

    def described(request: Mapping[str, Any]) -> dict[str, Any]:
        kind = "SERVICE_CONTROL_POLICY"
        document = FULL if request["PolicyId"].endswith("FullAWSAccess") else DENY
        named = summary(request["PolicyId"].removeprefix("p-"), kind)
        return {"Policy": {"PolicySummary": named, "Content": json.dumps(document)}}

    return answer(access, POLICY, described, region=HOME)


@BOTH
def test_each_policy_is_described_once_however_often_it_is_attached(
    gather_facts: Gather, access: Access, path: list[dict[str, Any]], fact: Controls
) -> None:
    kind = "SERVICE_CONTROL_POLICY" if fact is ServiceControlPolicies else "RESOURCE_CONTROL_POLICY"

    def attached(request: Mapping[str, Any]) -> dict[str, Any]:
        assert request["Filter"] == kind
        first = [summary("FullAWSAccess", kind)]
        if request["TargetId"].startswith("ou-") and "NextToken" not in request:
            return {"Policies": first, "NextToken": "next"}
        return {"Policies": [summary("deny", kind)] if "NextToken" in request else first}

    answer(access, ATTACHED, attached, region=HOME)
    full = ControlPolicy("p-FullAWSAccess", "FullAWSAccess", True, json.dumps(FULL))
    deny = ControlPolicy("p-deny", "deny", False, json.dumps(DENY))
    assert of_account(gather_facts, fact).levels == (
        ControlLevel("r-abcd", (full,)),
        ControlLevel("ou-abcd-11111111", (full, deny)),
        ControlLevel("ou-abcd-22222222", (full, deny)),
        ControlLevel(ACCOUNT.id, (full,)),
    )
    assert sorted(request["PolicyId"] for request in path) == ["p-FullAWSAccess", "p-deny"]


@BOTH
@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    "off",
    [
        "PolicyTypeNotEnabledException",
        "PolicyTypeNotAvailableForOrganizationException",
        NO_ORGANISATION,
        {"Policies": []},
    ],
    ids=str,
)
def test_where_the_type_is_off_there_are_no_policies(
    gather_facts: Gather, access: Access, fact: Controls, off: Any
) -> None:
    answer(access, ATTACHED, off, region=HOME)
    assert of_account(gather_facts, fact) == fact(())


@BOTH
@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("denied", [ATTACHED, POLICY, PARENTS])
def test_a_path_that_cannot_be_read_is_a_gap_and_never_a_path_without_policies(
    gather_facts: Gather, access: Access, fact: Controls, denied: str
) -> None:
    if denied != ATTACHED:
        answer(access, ATTACHED, {"Policies": [summary("deny", "SERVICE_CONTROL_POLICY")]}, region=HOME)
    refuse(access, denied)
    gap = of_account(gather_facts, fact)
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, denied)


@pytest.mark.usefixtures("path")
def test_one_level_that_is_denied_makes_the_whole_path_unknown(gather_facts: Gather, access: Access) -> None:
    kind = "SERVICE_CONTROL_POLICY"

    def attached(request: Mapping[str, Any]) -> Any:
        return "AccessDeniedException" if request["TargetId"] == "r-abcd" else {"Policies": [summary("deny", kind)]}

    answer(access, ATTACHED, attached, region=HOME)
    gap = of_account(gather_facts, ServiceControlPolicies)
    assert isinstance(gap, Gap)
    assert gap.action == ATTACHED


def refuse(access: Access, operation: str) -> None:
    """Deny an operation, whatever answers it."""
    client = access.client("organizations", HOME)
    name = f"before-call.organizations.{operation.partition(':')[2]}"
    error = {"Error": {"Code": "AccessDeniedException", "Message": "no"}, "ResponseMetadata": {}}
    client.meta.events.register_first(name, lambda **_: (SimpleNamespace(status_code=400), error))

"""org-membership: an organisation with service control policies, and no tables where these do not bind."""

from typing import Any

import pytest

from auditor import Status, Verdict
from auditor.facts import Gap, Organization, OrganizationRoot, Reason, TableNames
from auditor.resources import Account, Region, Table
from tests.rules import ACCOUNT, REGION, TABLE, load

judge = load("org-membership")

MEMBER = Organization("o-exampleorgid", "ALL", "999900001111")
MANAGEMENT = Organization("o-exampleorgid", "ALL", ACCOUNT.id)
ENABLED = OrganizationRoot("r-abcd", {"SERVICE_CONTROL_POLICY": "ENABLED", "TAG_POLICY": "ENABLED"})
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListRoots")
UNLISTED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables")
HELD = {REGION: TableNames((TABLE,))}


def ask(
    organization: Organization | Gap = MEMBER,
    root: OrganizationRoot | Gap = ENABLED,
    listings: Any = None,
    **settings: Any,
) -> Verdict:
    verdict: Verdict = judge(ACCOUNT, organization, root, HELD if listings is None else listings, **settings)
    return verdict


def test_a_member_of_an_organisation_with_policies_passes_with_its_tables() -> None:
    verdict = ask()
    assert verdict.status is Status.PASS
    assert verdict.evidence["PolicyTypes"]["SERVICE_CONTROL_POLICY"] == "ENABLED"


@pytest.mark.parametrize(
    ("organization", "root", "said"),
    [
        (Organization(None), OrganizationRoot(None, {}), "in no organisation"),
        (Organization(None), DENIED, "in no organisation"),
        (Organization("o-a", "CONSOLIDATED_BILLING", "999900001111"), ENABLED, "CONSOLIDATED_BILLING"),
        (Organization("o-a", "CONSOLIDATED_BILLING", "999900001111"), DENIED, "CONSOLIDATED_BILLING"),
        (MEMBER, OrganizationRoot("r-abcd", {}), "not enabled"),
        (MEMBER, OrganizationRoot("r-abcd", {"SERVICE_CONTROL_POLICY": "PENDING_DISABLE"}), "PENDING_DISABLE"),
        (MEMBER, OrganizationRoot("r-abcd", {"RESOURCE_CONTROL_POLICY": "ENABLED"}), "not enabled"),
    ],
)
def test_without_policies_it_fails(organization: Organization, root: Any, said: str) -> None:
    verdict = ask(organization, root)
    assert verdict.status is Status.FAIL
    assert said in verdict.message


def test_a_denied_call_is_unknown_and_names_the_action() -> None:
    verdict = ask(root=DENIED)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "organizations:ListRoots")
    assert verdict.evidence["FeatureSet"] == "ALL"
    gap = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:DescribeOrganization")
    assert ask(gap).missing_permission == "organizations:DescribeOrganization"


def test_tables_in_the_management_account_fail_and_are_listed() -> None:
    for root in (ENABLED, DENIED):
        verdict = ask(MANAGEMENT, root)
        assert verdict.status is Status.FAIL
        assert verdict.evidence["tables"] == [TABLE.arn]


def test_the_landing_zones_tables_are_exempt_by_name_and_other_accounts_do_not_count() -> None:
    other = Region(Account("444455556666"), "eu-west-1")
    listings = {REGION: TableNames((Table(REGION, "aft-request"),)), other: TableNames((Table(other, "orders"),))}
    assert ask(MANAGEMENT, listings=listings, exempt_tables=("aft-*",)).status is Status.PASS
    assert ask(MANAGEMENT, listings=listings).evidence["tables"] == [Table(REGION, "aft-request").arn]


def test_a_region_of_the_management_account_that_cannot_be_listed_is_unknown_unless_a_table_is_found() -> None:
    elsewhere = Region(ACCOUNT, "us-east-1")
    assert ask(MANAGEMENT, listings={elsewhere: UNLISTED}).missing_permission == "dynamodb:ListTables"
    assert ask(MANAGEMENT, listings={elsewhere: UNLISTED, **HELD}).status is Status.FAIL
    assert ask(MEMBER, listings={elsewhere: UNLISTED}).status is Status.PASS


def test_a_declared_standalone_account_is_not_applicable() -> None:
    assert ask(Organization(None), standalone_account=True).status is Status.NOT_APPLICABLE

"""org-deny-table-deletion: the account's path is evaluated on the real production tables."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config
from auditor.facts import (
    Environment,
    Gap,
    Guardrails,
    Identities,
    Organization,
    Reason,
    TableNames,
    TableSettings,
    Tags,
)
from auditor.resources import Account, Region, Table
from tests.guardrails import IAM_DENIED, SCPS_DENIED, deny, except_role, made, path, role
from tests.rules import ACCOUNT, REGION, TABLE, load

judge = load("org-deny-table-deletion")

BOTH = ["dynamodb:DeleteTable", "dynamodb:DeleteBackup"]
PRODUCTION, OTHER = Environment(True, "tag env=prod"), Environment(False, "tag env=dev")
UNTAGGED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
UNLISTED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables")
PROTECTED = TableSettings("ACTIVE", deletion_protection=True)


def ask(
    guardrails: Guardrails,
    environments: Any = None,
    *,
    settings: Any = None,
    tags: Any = None,
    listings: Any = None,
    config: Config | None = None,
    **options: Any,
) -> Verdict:
    held = {TABLE: PRODUCTION} if environments is None else environments
    verdict: Verdict = judge(
        ACCOUNT,
        guardrails,
        held,
        settings or dict.fromkeys(held, PROTECTED),
        tags or dict.fromkeys(held, Tags({"env": "prod"})),
        listings or {REGION: TableNames(tuple(held))},
        config or Config(),
        **options,
    )
    return verdict


def test_a_denial_for_all_but_break_glass_passes_and_names_statement_and_exempt() -> None:
    identities = Identities(roles=(role("BreakGlass"), role("app")))
    verdict = ask(made(deny(BOTH, sid="KeepTables", condition=except_role("BreakGlass")), identities=identities))
    assert verdict.status is Status.PASS
    assert verdict.evidence["deniedBy"] == ["statement KeepTables of policy SCP guard-0 at r-abcd"]
    assert verdict.evidence["exemptPrincipals"] == ["arn:aws:iam::111122223333:role/BreakGlass"]
    assert verdict.evidence["alsoDenied"] == {
        "dynamodb:DeleteTableReplica": False,
        "dynamodb:UpdateTable": False,
        "backup:DeleteRecoveryPoint": False,
    }


@pytest.mark.parametrize(
    "document",
    [
        deny("dynamodb:DeleteTable"),
        deny("dynamodb:DeleteBackup"),
        deny("glue:DeleteTable"),
        deny(BOTH, resource="arn:aws:dynamodb:*:*:table/invoices*"),
        deny(BOTH, condition={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}),
        deny(BOTH, condition={"Bool": {"aws:MultiFactorAuthPresent": "false"}}),
    ],
)
def test_what_does_not_deny_both_for_every_table_fails(document: Any) -> None:
    assert ask(made(document)).status is Status.FAIL


def test_without_policies_it_fails_and_says_so() -> None:
    verdict = ask(made(scps=path()))
    assert verdict.status is Status.FAIL
    assert "no service control policies enabled" in verdict.message
    assert verdict.evidence["policies"] == []


def test_an_allow_list_denies_what_it_leaves_out() -> None:
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["dynamodb:Get*"], "Resource": "*"}]}
    assert ask(made(scps=path([allow], [allow], bare=True))).status is Status.PASS


def test_one_table_that_is_not_covered_fails() -> None:
    second = Table(REGION, "invoices")
    guard = deny(BOTH, resource="arn:aws:dynamodb:*:*:table/orders*")
    held = {TABLE: PRODUCTION, second: PRODUCTION}
    verdict = ask(made(guard), held, settings={TABLE: TableSettings("ACTIVE"), second: PROTECTED})
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert all("invoices" in one["resource"] for one in verdict.evidence["notDenied"])
    assert ask(made(guard), {TABLE: PRODUCTION, second: OTHER}).status is Status.PASS


@pytest.mark.parametrize(
    ("settings", "severity"),
    [(PROTECTED, None), (TableSettings("ACTIVE"), Severity.HIGH), (UNTAGGED, Severity.HIGH)],
)
def test_it_is_high_unless_deletion_protection_is_known_to_be_on(settings: Any, severity: Severity | None) -> None:
    assert ask(made(), settings={TABLE: settings}).severity is severity


@pytest.mark.parametrize(("abac", "status"), [(True, Status.PASS), (False, Status.FAIL), ("unknown", Status.UNKNOWN)])
def test_a_denial_by_tag_hangs_on_abac(abac: Any, status: Status) -> None:
    config = Config(abac_enabled=abac)
    by_tag = {"StringEquals": {"aws:ResourceTag/env": "prod"}}
    guardrails = made(deny("dynamodb:DeleteTable", condition=by_tag), deny("dynamodb:DeleteBackup"), config=config)
    verdict = ask(guardrails, config=config)
    assert verdict.status is status
    if status is Status.UNKNOWN:
        assert verdict.reason == "undecidable"
        assert "ABAC" in verdict.message
    if abac is True:
        assert ask(guardrails, tags={TABLE: UNTAGGED}, config=config).status is Status.UNKNOWN
        assert ask(guardrails, tags={TABLE: Tags({})}, config=config).status is Status.FAIL


def test_too_many_exempt_principals_fail() -> None:
    identities = Identities(roles=tuple(role(f"team-{number}") for number in range(3)))
    guardrails = made(deny(BOTH, condition=except_role("team-*")), identities=identities)
    assert ask(guardrails, config=Config(max_exempt_principals=3)).status is Status.PASS
    verdict = ask(guardrails, config=Config(max_exempt_principals=2))
    assert verdict.status is Status.FAIL
    assert len(verdict.evidence["exemptPrincipals"]) == 3


def test_unreadable_identities_matter_only_where_there_are_exemptions() -> None:
    assert ask(made(deny(BOTH), identities=IAM_DENIED)).status is Status.PASS
    verdict = ask(made(deny(BOTH, condition=except_role("BreakGlass")), identities=IAM_DENIED))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetAccountAuthorizationDetails")
    assert ask(made(identities=IAM_DENIED)).status is Status.FAIL


def test_a_malformed_policy_is_undecidable() -> None:
    for text in ("{", "[]", '{"Statement": {"Effect": "Maybe"}}', '{"Version": "2012-10-17", "Statement": [null]}'):
        verdict = ask(made(text))
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "undecidable")


def test_denied_policies_are_unknown_and_name_the_action() -> None:
    verdict = ask(made(scps=SCPS_DENIED))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "organizations:ListParents")


@pytest.mark.parametrize("organization", [Organization(None), Organization("o-a", "ALL", ACCOUNT.id)])
def test_where_policies_do_not_bind_it_is_not_applicable(organization: Organization) -> None:
    assert ask(made(organization=organization)).status is Status.NOT_APPLICABLE


def test_without_production_tables_it_is_not_applicable() -> None:
    foreign = Table(Region(Account("444455556666"), "eu-west-1"), "orders")
    for held in ({}, {TABLE: OTHER}, {foreign: PRODUCTION}):
        assert ask(made(), held).status is Status.NOT_APPLICABLE
        assert ask(made(scps=SCPS_DENIED), held).status is Status.NOT_APPLICABLE


def test_a_table_whose_environment_is_unknown_matters_only_where_it_could_be_deleted() -> None:
    assert ask(made(deny(BOTH)), {TABLE: UNTAGGED}).status is Status.PASS
    verdict = ask(made(), {TABLE: UNTAGGED})
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTagsOfResource")
    assert ask(made(), {TABLE: PRODUCTION, Table(REGION, "x"): UNTAGGED}).status is Status.FAIL


def test_a_region_that_cannot_be_listed_must_be_locked() -> None:
    locked = Region(ACCOUNT, "us-east-1")
    listings = {REGION: TableNames((TABLE,)), locked: UNLISTED}
    here = "arn:aws:dynamodb:eu-west-1:*:*"
    lock = deny("dynamodb:*", condition={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}})
    verdict = ask(made(deny(BOTH, resource=here), lock), listings=listings)
    assert verdict.status is Status.PASS
    assert verdict.evidence["notListed"] == ["us-east-1"]
    verdict = ask(made(deny(BOTH, resource=here)), listings=listings)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTables")


def test_further_actions_can_be_demanded() -> None:
    assert ask(made(deny(BOTH)), deny_actions=("DeleteTable", "dynamodb:DeleteTableReplica")).status is Status.FAIL
    both = made(deny([*BOTH, "dynamodb:DeleteTableReplica", "backup:DeleteRecoveryPoint"]))
    demanded = ("DeleteTable", "DeleteTableReplica", "backup:DeleteRecoveryPoint")
    assert ask(both, deny_actions=demanded).status is Status.PASS

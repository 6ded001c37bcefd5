"""org-restrict-table-creation: who may create a table without tags."""

from typing import Any

import pytest

from auditor import Status, Verdict
from auditor.config import Config
from auditor.facts import EnabledRegions, Gap, Guardrails, Identities, Organization, Reason, RegionStatus, TableNames
from auditor.resources import Region
from tests.guardrails import SCPS_DENIED, deny, except_role, made, path, role
from tests.rules import ACCOUNT, REGION, load

judge = load("org-restrict-table-creation")

ENABLED = EnabledRegions((RegionStatus("eu-west-1", False), RegionStatus("us-east-1", False)))
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "account:ListRegions")
UNTAGGED = {"Null": {"aws:RequestTag/owner": "true"}}


def ask(guardrails: Guardrails, enabled: Any = ENABLED, config: Config | None = None, **settings: Any) -> Verdict:
    listings = {REGION: TableNames(()), Region(ACCOUNT, "us-east-1"): TableNames(())}
    verdict: Verdict = judge(ACCOUNT, guardrails, enabled, listings, config or Config(), **settings)
    return verdict


def test_creation_with_tags_only_passes_and_the_enforced_tag_is_named() -> None:
    verdict = ask(made(deny(["dynamodb:CreateTable", "dynamodb:ImportTable"], condition=UNTAGGED)))
    assert verdict.status is Status.PASS
    assert verdict.evidence["enforcedTags"] == ["owner"]
    assert verdict.evidence["unrestrictedPaths"] == [
        "dynamodb:RestoreTableFromBackup",
        "dynamodb:RestoreTableToPointInTime",
        "dynamodb:RestoreTableFromAwsBackup",
    ]


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (deny("dynamodb:CreateTable"), Status.PASS),
        (deny("dynamodb:CreateTable", condition=except_role("Deployer")), Status.PASS),
        (deny("dynamodb:CreateTable", condition={"Null": {"aws:TagKeys": "true"}}), Status.PASS),
        (deny("dynamodb:CreateTable", condition={"StringNotLike": {"aws:RequestTag/owner": "team-*"}}), Status.PASS),
        (deny("dynamodb:CreateTable", condition={"StringNotLikeIfExists": {"aws:RequestTag/a": "x"}}), Status.PASS),
        (deny("dynamodb:CreateTable", condition={"StringEquals": {"aws:RequestTag/env": "dev"}}), Status.FAIL),
        (deny("dynamodb:CreateTable", condition={"Null": {"aws:RequestTag/owner": "false"}}), Status.FAIL),
        (deny("dynamodb:CreateTable", condition={"Null": {"aws:ResourceTag/owner": "false"}}), Status.FAIL),
        (deny("dynamodb:UpdateTable"), Status.FAIL),
        (deny("dynamodb:CreateTable", resource="arn:aws:dynamodb:eu-west-1:*:table/*"), Status.FAIL),
        ("not json", Status.UNKNOWN),
    ],
)
def test_what_restricts(document: Any, status: Status) -> None:
    verdict = ask(made(document))
    assert verdict.status is status
    if status is Status.FAIL:
        assert "CreateTable without tags" in verdict.message


def test_it_is_asked_in_allowed_regions_only() -> None:
    guard = made(deny("dynamodb:CreateTable", resource="arn:aws:dynamodb:eu-west-1:*:table/*"))
    assert ask(guard, config=Config(allowed_regions=("eu-*",))).status is Status.PASS
    assert ask(guard, config=Config(allowed_regions=("ap-*",))).status is Status.NOT_APPLICABLE


def test_the_creators_do_not_count_as_exempt() -> None:
    roles = (*(role(f"deploy-{number}") for number in range(4)), role("ops/infra"), role("app"))
    guard = except_role("deploy-*", "ops/infra")
    guardrails = made(deny("dynamodb:CreateTable", condition=guard), identities=Identities(roles=roles))
    few = Config(max_exempt_principals=0, pipeline_roles=("deploy-*",))
    verdict = ask(guardrails, config=few, table_creator_roles=("role/ops/*",))
    assert verdict.status is Status.PASS
    assert len(verdict.evidence["creators"]) == 5
    assert ask(guardrails, config=few).status is Status.FAIL


def test_without_the_regions_only_a_failure_is_certain() -> None:
    verdict = ask(made(deny("dynamodb:CreateTable")), DENIED)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "account:ListRegions")
    assert ask(made(), DENIED).status is Status.FAIL


def test_what_it_does_not_apply_to_and_what_is_denied() -> None:
    assert ask(made(), restrict_creation=False).status is Status.NOT_APPLICABLE
    for organization in (Organization(None), Organization("o-a", "ALL", ACCOUNT.id)):
        assert ask(made(organization=organization)).status is Status.NOT_APPLICABLE
    assert ask(made(scps=path())).status is Status.FAIL
    assert ask(made(scps=SCPS_DENIED)).missing_permission == "organizations:ListParents"

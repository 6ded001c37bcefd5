"""org-protect-guardrails: what turns off trails, recorders and detectors is denied."""

from typing import Any

import pytest

from auditor import Status, Verdict
from auditor.config import Config
from auditor.facts import (
    EnabledRegions,
    Gap,
    Guardrails,
    Identities,
    ManagementLogging,
    Organization,
    Reason,
    RegionStatus,
    TrailInfo,
    TrailVerdict,
)
from auditor.resources import Account, Region, Trail
from tests.guardrails import IAM_DENIED, SCPS_DENIED, deny, except_role, made, path, role
from tests.rules import ACCOUNT, REGION, load

judge = load("org-protect-guardrails")

OTHERS = [
    "config:StopConfigurationRecorder",
    "config:DeleteConfigurationRecorder",
    "guardduty:DeleteDetector",
    "organizations:LeaveOrganization",
]
ALL = ["cloudtrail:StopLogging", "cloudtrail:DeleteTrail", *OTHERS]
ENABLED = EnabledRegions((RegionStatus("eu-west-1", False), RegionStatus("us-east-1", False)))
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cloudtrail:DescribeTrails")


def trail(name: str = "audit", *, owner: Account = ACCOUNT, records: bool | None = True) -> TrailVerdict:
    info = TrailInfo(Trail(Region(owner, "eu-west-1"), name), True, True, owner != ACCOUNT, None, "bucket", None)
    return TrailVerdict(info, records)


OWN, ORGANIZATIONS = trail(), trail("org", owner=Account("999900001111"))


def ask(
    guardrails: Guardrails, *trails: TrailVerdict, logging: Any = None, enabled: Any = ENABLED, **settings: Any
) -> Verdict:
    held = {REGION: ManagementLogging(trails)} if logging is None else logging
    verdict: Verdict = judge(ACCOUNT, guardrails, enabled, held, settings.pop("config", Config()), **settings)
    return verdict


def test_all_denied_passes_and_optional_ones_are_reported() -> None:
    for trails in ((), (OWN,)):
        verdict = ask(made(deny(ALL)), *trails)
        assert verdict.status is Status.PASS
        assert verdict.evidence["optionalDenied"] == {
            "dynamodb:UpdateContinuousBackups": False,
            "kms:ScheduleKeyDeletion": False,
        }
    more = made(deny([*ALL, "kms:ScheduleKeyDeletion"]))
    assert ask(more).evidence["optionalDenied"]["kms:ScheduleKeyDeletion"] is True


@pytest.mark.parametrize("left_out", ALL)
def test_one_that_is_not_denied_fails_and_is_named(left_out: str) -> None:
    verdict = ask(made(deny([one for one in ALL if one != left_out])), OWN)
    assert verdict.status is Status.FAIL
    assert verdict.evidence["actionsNotDenied"] == [left_out]
    assert left_out in verdict.message


def test_optional_actions_are_a_setting() -> None:
    assert ask(made(deny(ALL)), optional_actions=()).status is Status.FAIL
    every = made(deny([*ALL, "kms:ScheduleKeyDeletion", "dynamodb:UpdateContinuousBackups"]))
    assert ask(every, optional_actions=()).status is Status.PASS


def test_every_enabled_region_counts_and_leaving_is_asked_once_in_the_global_region() -> None:
    regional = deny(ALL, condition={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}})
    verdict = ask(made(regional, deny("organizations:LeaveOrganization")), OWN)
    assert verdict.status is Status.FAIL
    assert all(one["aws:RequestedRegion"] == "us-east-1" for one in verdict.evidence["notDenied"])
    one_region = EnabledRegions((RegionStatus("eu-west-1", False),))
    assert ask(made(regional, deny("organizations:*")), OWN, enabled=one_region).status is Status.PASS
    assert ask(made(regional), OWN, enabled=one_region).evidence["actionsNotDenied"] == OTHERS[-1:]


def test_a_policy_that_protects_the_real_trail_by_name_counts() -> None:
    by_name = deny("cloudtrail:*", resource="arn:aws:cloudtrail:*:*:trail/aws-controltower-*")
    guardrails = made(by_name, deny(OTHERS))
    assert ask(guardrails, trail("aws-controltower-BaselineCloudTrail")).status is Status.PASS
    assert ask(guardrails, OWN).status is Status.FAIL
    assert ask(guardrails).status is Status.FAIL


@pytest.mark.parametrize(
    ("trails", "status"),
    [
        ((ORGANIZATIONS,), Status.PASS),
        ((trail("org", owner=Account("999900001111"), records=None),), Status.PASS),
        ((trail("org", owner=Account("999900001111"), records=False),), Status.FAIL),
        ((ORGANIZATIONS, OWN), Status.FAIL),
        ((ORGANIZATIONS, trail(records=False)), Status.PASS),
        ((), Status.FAIL),
    ],
)
def test_an_organisations_trail_cannot_be_stopped_from_here(trails: Any, status: Status) -> None:
    assert ask(made(deny(OTHERS)), *trails).status is status


def test_unread_trails_matter_only_where_cloudtrail_is_not_denied() -> None:
    verdict = ask(made(deny(OTHERS)), logging={REGION: DENIED})
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "cloudtrail:DescribeTrails")
    assert ask(made(deny(ALL)), logging={REGION: DENIED}).status is Status.PASS
    assert ask(made(), logging={REGION: DENIED}).status is Status.FAIL


def test_exempt_principals_are_counted_and_named() -> None:
    identities = Identities(roles=(role("AWSControlTowerExecution"), role("app")))
    guard = deny(ALL, condition=except_role("AWSControlTowerExecution"))
    verdict = ask(made(guard, identities=identities), OWN)
    assert verdict.status is Status.PASS
    assert verdict.evidence["exemptPrincipals"] == ["arn:aws:iam::111122223333:role/AWSControlTowerExecution"]
    assert ask(made(guard, identities=identities), config=Config(max_exempt_principals=0)).status is Status.FAIL
    assert ask(made(guard, identities=IAM_DENIED)).status is Status.UNKNOWN


def test_what_it_does_not_apply_to_and_what_is_not_known() -> None:
    for organization in (Organization(None), Organization("o-a", "ALL", ACCOUNT.id)):
        assert ask(made(organization=organization)).status is Status.NOT_APPLICABLE
    assert ask(made(scps=path())).status is Status.FAIL
    assert ask(made(scps=SCPS_DENIED)).missing_permission == "organizations:ListParents"
    assert ask(made("[")).status is Status.UNKNOWN
    no_regions = Gap(Reason.ACCESS_DENIED, "Not allowed.", "account:ListRegions")
    assert ask(made(deny(ALL)), enabled=no_regions).missing_permission == "account:ListRegions"


def test_other_partitions() -> None:
    account = Account("111122223333", "aws-cn")
    enabled = EnabledRegions((RegionStatus("cn-north-1", False),))
    leave = deny(
        "organizations:LeaveOrganization", condition={"StringEquals": {"aws:RequestedRegion": "cn-northwest-1"}}
    )
    guardrails = made(deny(ALL[:-1], resource="arn:aws-cn:*:cn-north-1:*:*"), leave, account=account)
    assert judge(account, guardrails, enabled, {}, Config()).status is Status.PASS

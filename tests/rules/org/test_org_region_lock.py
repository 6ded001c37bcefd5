"""org-region-lock: what is denied in regions that are not allowed, replicas included."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config, ResidencyRule
from auditor.facts import EnabledRegions, Gap, Guardrails, Identities, Organization, Reason, RegionStatus, TableNames
from auditor.resources import Account, Region
from tests.guardrails import SCPS_DENIED, deny, except_role, made, path, role
from tests.rules import ACCOUNT, REGION, load

judge = load("org-region-lock")

ENABLED = EnabledRegions(tuple(RegionStatus(name, False) for name in ("eu-central-1", "eu-west-1", "us-east-1")))
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "account:ListRegions")
EU = Config(allowed_regions=("eu-*",))
OUTSIDE = {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}
LOCK = deny(["dynamodb:*", "dax:*"], condition=OUTSIDE, sid="RegionLock")
REPLICA_LOCK = deny(
    "dynamodb:CreateTableReplica",
    resource="",
    NotResource=["arn:aws:dynamodb:eu-west-1:*:table/*", "arn:aws:dynamodb:eu-central-1:*:table/*"],
)


def ask(guardrails: Guardrails, enabled: Any = ENABLED, config: Config = EU, **settings: Any) -> Verdict:
    listings = {REGION: TableNames(()), Region(ACCOUNT, "us-east-1"): TableNames(())}
    verdict: Verdict = judge(ACCOUNT, guardrails, enabled, listings, config, **settings)
    return verdict


@pytest.mark.parametrize(
    ("documents", "status"),
    [
        ((LOCK, REPLICA_LOCK), Status.PASS),
        ((LOCK,), Status.FAIL),
        ((REPLICA_LOCK,), Status.FAIL),
        ((deny("dynamodb:*", condition=OUTSIDE), REPLICA_LOCK), Status.FAIL),
        ((deny("s3:*", condition=OUTSIDE), REPLICA_LOCK), Status.FAIL),
        ((deny("", NotAction=["iam:*", "sts:*"], condition=OUTSIDE), REPLICA_LOCK), Status.PASS),
        ((deny("", NotAction=["iam:*", "dynamodb:*"], condition=OUTSIDE), REPLICA_LOCK), Status.FAIL),
        ((deny(["dynamodb:*", "dax:*"], resource=["arn:aws:*:us-east-1:*:*"]),), Status.PASS),
        (("{}",), Status.UNKNOWN),
    ],
)
def test_table_cluster_and_replica_must_be_denied(documents: Any, status: Status) -> None:
    assert ask(made(*documents)).status is status


def test_the_back_door_is_a_failure_unless_it_is_let_be() -> None:
    verdict = ask(made(LOCK))
    assert verdict.status is Status.FAIL
    assert "CreateTableReplica on arn:aws:dynamodb:us-east-1:" in verdict.message
    assert "sent to eu-central-1" in verdict.message
    lenient = ask(made(LOCK), strict_replica_lock=False)
    assert lenient.status is Status.PASS
    assert len(lenient.evidence["replicaBackDoor"]) == 2
    assert "replicaBackDoor" not in ask(made(LOCK, REPLICA_LOCK), strict_replica_lock=False).evidence


def test_declared_residency_makes_it_high() -> None:
    config = Config(allowed_regions=("eu-*",), residency_rules=(ResidencyRule({"data-residency": "eu"}, ("eu-*",)),))
    assert (ask(made()).severity, ask(made(), config=config).severity) == (None, Severity.HIGH)


def test_control_towers_execution_role_is_exempt() -> None:
    identities = Identities(roles=(role("AWSControlTowerExecution"), role("app")))
    lock = deny("", NotAction="iam:*", condition={**OUTSIDE, **except_role("AWSControlTowerExecution")})
    replica = {**REPLICA_LOCK["Statement"][0], "Condition": except_role("AWSControlTowerExecution")}
    guardrails = made(lock, {"Version": "2012-10-17", "Statement": [replica]}, identities=identities)
    verdict = ask(guardrails)
    assert verdict.status is Status.PASS
    assert verdict.evidence["exemptPrincipals"] == ["arn:aws:iam::111122223333:role/AWSControlTowerExecution"]
    none = Config(allowed_regions=("eu-*",), max_exempt_principals=0)
    assert ask(guardrails, config=none).status is Status.FAIL


def test_regions_that_are_not_enabled_need_no_lock() -> None:
    only = EnabledRegions((RegionStatus("eu-west-1", False),))
    assert ask(made(), only).status is Status.PASS


def test_without_the_regions_only_a_failure_is_certain() -> None:
    assert ask(made(LOCK, REPLICA_LOCK), DENIED).missing_permission == "account:ListRegions"
    assert ask(made(), DENIED).status is Status.FAIL
    every = Config(allowed_regions=("eu-*", "us-*"))
    assert ask(made(), DENIED, every).status is Status.UNKNOWN


def test_what_it_does_not_apply_to_and_what_is_denied() -> None:
    verdict = ask(made(scps=SCPS_DENIED), config=Config())
    assert (verdict.status, verdict.reason) == (Status.NOT_APPLICABLE, "not_declared")
    for organization in (Organization(None), Organization("o-a", "ALL", ACCOUNT.id)):
        assert ask(made(organization=organization)).status is Status.NOT_APPLICABLE
    assert ask(made(scps=path())).status is Status.FAIL
    assert ask(made(scps=SCPS_DENIED)).missing_permission == "organizations:ListParents"


def test_other_partitions() -> None:
    account = Account("111122223333", "aws-cn")
    enabled = EnabledRegions((RegionStatus("cn-north-1", False), RegionStatus("cn-northwest-1", False)))
    config = Config(allowed_regions=("cn-north-1",))
    outside = {"StringNotEquals": {"aws:RequestedRegion": "cn-north-1"}}
    replica = deny("dynamodb:CreateTableReplica", resource="", NotResource="arn:aws-cn:dynamodb:cn-north-1:*:table/*")
    guardrails = made(deny(["dynamodb:*", "dax:*"], condition=outside), replica, account=account)
    assert judge(account, guardrails, enabled, {}, config).status is Status.PASS

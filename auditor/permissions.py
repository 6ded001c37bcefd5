"""The least IAM policy that lets the auditor collect what some rules need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from auditor import engine
from auditor.facts import PointInTimeRecovery
from auditor.facts.base import IAM_ACTIONS, RAW, FactInfo
from auditor.resources import Resource, Table
from auditor.rule_api import Rule

#: IAM actions of the calls that find the audited regions. sts:GetCallerIdentity needs no permission.
SETUP = ("ec2:DescribeRegions", "account:ListRegions")

#: IAM actions of the calls that find the accounts of an organisation.
ORGANISATION = (
    "organizations:ListAccounts",
    "organizations:ListAccountsForParent",
    "organizations:ListOrganizationalUnitsForParent",
    "organizations:ListPolicies",
    "organizations:ListTargetsForPolicy",
)

#: IAM actions of asking AWS Config what it recorded (``--source config``): in every region, or an aggregator.
RECORDED = ("config:DescribeConfigurationRecorderStatus", "config:DescribeConfigurationRecorders")
QUERY, AGGREGATE_QUERY = "config:SelectResourceConfig", "config:SelectAggregateResourceConfig"

#: Statement ids by IAM prefix.
SIDS = {
    "dynamodb": "DynamoDB",
    "dax": "Dax",
    "kms": "Keys",
    "ec2": "Network",
    "cloudtrail": "Trails",
    "tag": "Tags",
    "iam": "Identities",
    "organizations": "Organization",
    "cognito-identity": "IdentityPools",
    "access-analyzer": "AccessAnalyzer",
    "application-autoscaling": "AutoScaling",
    "backup": "Backups",
    "cloudwatch": "Alarms",
    "config": "Config",
    "directconnect": "DirectConnect",
    "events": "EventRules",
    "guardduty": "GuardDuty",
    "kinesis": "KinesisStreams",
    "lambda": "Functions",
    "logs": "MetricFilters",
    "pipes": "Pipes",
    "route53": "PrivateZones",
    "s3": "ExportBuckets",
    "securityhub": "SecurityHub",
    "sns": "Topics",
}

#: Actions that read or change items. The auditor never needs them; the policy denies them for good.
ITEM_ACTIONS = [
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:GetRecords",
    "dynamodb:PartiQL*",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "dynamodb:SearchVectors",
    "dynamodb:StartBulkPutItems",
    "dynamodb:UpdateItem",
]


#: What item sampling takes, in a statement of its own: reading through DynamoDB what a KMS key encrypts.
DECRYPTION: dict[str, Any] = {
    "Sid": "DecryptThroughDynamoDB",
    "Effect": "Allow",
    "Action": "kms:Decrypt",
    "Resource": "*",
    "Condition": {"StringLike": {"kms:ViaService": "dynamodb.*.amazonaws.com*"}},
}


def operations(rules: Iterable[Rule], *, sampling: bool = True) -> list[str]:
    """Return the API operations that the facts of some rules take, sorted, as ``service:Operation``.

    Args:
        rules: The rules.
        sampling: Items may be sampled: the operations that this takes count too.
    """
    pairs: set[tuple[type, type[Resource]]] = engine.wanted(rules)
    infos: list[tuple[FactInfo, type[Resource]]] = [(RAW[fact_type], kind) for fact_type, kind in pairs]
    return sorted({one for info, kind in infos if sampling or not info.opt_in for one in info.operations_for(kind)})


def actions(rules: Iterable[Rule], *, sampling: bool = False) -> list[str]:
    """Return the IAM actions behind :func:`operations`, those of the set-up included, sorted."""
    return sorted({*SETUP, *(IAM_ACTIONS.get(one, one) for one in operations(rules, sampling=sampling))})


def policy(
    rules: Iterable[Rule],
    *,
    sampling: bool = False,
    role_name: str = "",
    source: Literal["live", "config"] = "live",
    aggregator: bool = False,
) -> dict[str, Any]:
    """Return an IAM policy document: one statement a service, and a Deny on items.

    Args:
        rules: The rules that the auditor is to answer.
        sampling: It may read items: only then dynamodb:Scan is allowed, and left out of the Deny.
        role_name: It may find the accounts of the organisation, and take the role of this name in each.
        source: Where facts come from: AWS Config may be asked for what it recorded.
        aggregator: An aggregator of AWS Config is asked, instead of AWS Config in every region.
    """
    rules = list(rules)
    by_service: dict[str, list[str]] = {}
    needed = actions(rules, sampling=sampling)
    if role_name:
        needed = sorted({*needed, *ORGANISATION})
    if source == "config" and (PointInTimeRecovery, Table) in engine.wanted(rules):
        needed = sorted({*needed, *RECORDED, AGGREGATE_QUERY if aggregator else QUERY})
    for action in needed:
        by_service.setdefault(action.partition(":")[0], []).append(action)
    statements: list[dict[str, Any]] = [
        {"Sid": f"Read{SIDS.get(service, service.title())}", "Effect": "Allow", "Action": names, "Resource": "*"}
        for service, names in sorted(by_service.items())
    ]
    if role_name:
        entry = {"Sid": "EnterAccounts", "Effect": "Allow", "Action": ["sts:AssumeRole"]}
        statements.append(entry | {"Resource": f"arn:*:iam::*:role/{role_name}"})
    if "dynamodb:Scan" in needed:
        statements.append(DECRYPTION)
    never = [action for action in ITEM_ACTIONS if action not in needed]
    statements.append({"Sid": "NeverTouchItems", "Effect": "Deny", "Action": never, "Resource": "*"})
    return {"Version": "2012-10-17", "Statement": statements}

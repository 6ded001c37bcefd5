"""The least IAM policy that lets the auditor collect what some rules need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from auditor import engine
from auditor.facts.base import RAW, FactInfo
from auditor.resources import Resource
from auditor.rule_api import Rule

#: IAM actions of the calls that find the audited regions. sts:GetCallerIdentity needs no permission.
SETUP = ("ec2:DescribeRegions", "account:ListRegions")

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


def operations(rules: Iterable[Rule]) -> list[str]:
    """Return the API operations that the facts of some rules take, sorted, as ``service:Operation``."""
    pairs: set[tuple[type, type[Resource]]] = engine.wanted(rules)
    infos: list[tuple[FactInfo, type[Resource]]] = [(RAW[fact_type], kind) for fact_type, kind in pairs]
    return sorted({operation for info, kind in infos for operation in info.operations_for(kind)})


def actions(rules: Iterable[Rule]) -> list[str]:
    """Return the IAM actions behind :func:`operations`, those of the set-up included, sorted."""
    return sorted({*SETUP, *operations(rules)})


def policy(rules: Iterable[Rule]) -> dict[str, Any]:
    """Return an IAM policy document: one statement a service, and a Deny on items."""
    by_service: dict[str, list[str]] = {}
    for action in actions(rules):
        by_service.setdefault(action.partition(":")[0], []).append(action)
    statements = [
        {"Sid": f"Read{SIDS.get(service, service.title())}", "Effect": "Allow", "Action": names, "Resource": "*"}
        for service, names in sorted(by_service.items())
    ]
    statements.append({"Sid": "NeverTouchItems", "Effect": "Deny", "Action": ITEM_ACTIONS, "Resource": "*"})
    return {"Version": "2012-10-17", "Statement": statements}

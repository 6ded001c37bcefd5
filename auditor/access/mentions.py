"""What a policy on a resource says before anybody tries it: whom it names, and whether AWS calls it public.

Source: DynamoDB Developer Guide, "Blocking public access to your resources with resource-based policies".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from auditor.access.conditions import Operator, parse_operator
from auditor.access.patterns import SEGMENTS
from auditor.access.policy import Statement, read

#: The keys that make a statement non-public for AWS when they are fixed (DynamoDB Developer Guide, "Blocking public
#: access to your resources with resource-based policies").
PINS = frozenset(
    f"aws:{name}".lower()
    for name in (
        *("PrincipalAccount", "PrincipalArn", "PrincipalOrgID", "PrincipalOrgPaths", "SourceAccount", "SourceArn"),
        *("SourceVpc", "SourceVpce", "UserId", "PrincipalServiceName", "PrincipalServiceNamesList"),
        *("PrincipalIsAWSService", "Ec2InstanceSourceVpc", "SourceOrgID", "SourceOrgPaths"),
    )
)


@dataclass(frozen=True)
class Mentions:
    """The constants by which a policy lets somebody in: in Allow statements, and as exceptions of Deny statements.

    Attributes:
        accounts: Account numbers of principals and of conditions on principals.
        organizations: Ids of organisations in conditions on principals.
        networks: Ids of VPCs and VPC endpoints in conditions.
        services: Service principals.
        source_accounts: Account numbers in ``aws:SourceAccount`` and ``aws:SourceArn``.
        source_organizations: Ids of organisations in ``aws:SourceOrgID`` and ``aws:SourceOrgPaths``.
        source_arns: ARNs in ``aws:SourceArn`` that name no account, such as a bucket's.
        providers: Identity providers.
        deleted: Unique ids that stand where a principal was deleted.
    """

    accounts: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    source_accounts: tuple[str, ...] = ()
    source_organizations: tuple[str, ...] = ()
    source_arns: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


_MENTIONED_IN = {
    "aws:principalaccount": "accounts",
    "kms:calleraccount": "accounts",
    "aws:principalarn": "accounts",
    "aws:principalorgid": "organizations",
    "aws:principalorgpaths": "organizations",
    "aws:sourcevpce": "networks",
    "aws:sourcevpc": "networks",
    "aws:ec2instancesourcevpc": "networks",
    "aws:principalservicename": "services",
    "aws:principalservicenameslist": "services",
    "aws:sourceaccount": "source_accounts",
    "aws:sourcearn": "source_accounts",
    "aws:sourceorgid": "source_organizations",
    "aws:sourceorgpaths": "source_organizations",
}


def mentions(document: Any) -> Mentions:
    """Return whom a policy names to let them in.

    Args:
        document: The policy, as :func:`auditor.access.read` takes it.
    """
    found: dict[str, dict[str, None]] = {}

    def add(kind: str, value: str) -> None:
        if value and "*" not in value and "?" not in value and "${" not in value:
            found.setdefault(kind, {})[value] = None

    for statement in read(document, trust=True).statements:
        for kind, value in () if statement.not_principal is statement.allow else statement.principals or ():
            if kind == "AWS":
                number = account_in(value)
                add("accounts" if number else "deleted", number or value)
            elif kind in ("Service", "Federated"):
                add("services" if kind == "Service" else "providers", value)
        for condition in statement.conditions:
            kind = _MENTIONED_IN.get(condition.key, "")
            operator = parse_operator(condition.operator)
            if not kind or operator is None or operator.negated is statement.allow:
                continue
            for value in condition.values:
                if condition.key in ("aws:principalarn", "aws:sourcearn"):
                    number = account_in(value)
                    add(kind, number)
                    if condition.key == "aws:sourcearn" and not number:
                        add("source_arns", value)
                else:
                    add(kind, value.partition("/")[0] if condition.key.endswith("orgpaths") else value)
    return Mentions(**{kind: tuple(values) for kind, values in found.items()})


def account_in(value: str) -> str:
    """Return the account number that a principal or ARN names, or an empty text."""
    segments = value.split(":", SEGMENTS - 1)
    number = segments[4] if len(segments) == SEGMENTS else value
    return number if number.isdigit() and len(number) == 12 else ""


def public_by_aws(document: Any) -> tuple[Statement, ...]:
    """Return the statements that are public by AWS's own definition, each looked at by itself.

    A statement is non-public when its principals have no wildcard, or when one of :data:`PINS` limits it with fixed
    values. An organisation's path is fixed when the organisation's id is.

    Args:
        document: The policy; one that cannot be read has no statements.
    """
    return tuple(
        statement
        for statement in read(document).statements
        if statement.allow
        and statement.principals is not None
        and (statement.not_principal or any("*" in value for _, value in statement.principals))
        and not any(
            _pins(parse_operator(condition.operator), condition.key, condition.values)
            for condition in statement.conditions
        )
    )


def _pins(operator: Operator | None, key: str, values: tuple[str, ...]) -> bool:
    if operator is None or key not in PINS or not values:
        return False
    if operator.negated or operator.if_exists or operator.quantifier == "all":
        return False
    if key == "aws:principalisawsservice":
        return operator.comparison == "Bool" and all(value.lower() == "true" for value in values)
    if operator.comparison not in ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnLike"):
        return False
    fixed = [value.partition("/")[0] if key.endswith("orgpaths") else value for value in values]
    return not any(sign in value for value in fixed for sign in ("*", "?", "${"))

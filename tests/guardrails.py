"""Guardrails for tests: an account's path with service control policies, as they are derived from facts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from auditor.analysis.access import account_access
from auditor.analysis.guardrails import guardrails
from auditor.config import Config
from auditor.facts import (
    CollectionTime,
    ControlLevel,
    ControlPolicy,
    Gap,
    Guardrails,
    Identities,
    Organization,
    Reason,
    ResourceControlPolicies,
    RoleInfo,
    ServiceControlPolicies,
    UserInfo,
)
from auditor.resources import Account, Role, User

ACCOUNT = Account("111122223333")
MEMBER = Organization("o-exampleorgid", "ALL", "999900001111")
TIME = CollectionTime(datetime(2026, 1, 31, 12, tzinfo=UTC))
SCPS_DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListParents")
IAM_DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetAccountAuthorizationDetails")

FULL_ACCESS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def deny(
    actions: Any, *, sid: str = "Guard", resource: Any = "*", condition: Any = None, **more: Any
) -> dict[str, Any]:
    """Return a policy of one statement that denies."""
    statement = {"Sid": sid, "Effect": "Deny", "Action": actions, "Resource": resource, **more}
    if condition is not None:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [{key: value for key, value in statement.items() if value != ""}]}


def except_role(*names: str, partition: str = "aws") -> dict[str, Any]:
    """Return the usual condition of an exemption."""
    return {"ArnNotLike": {"aws:PrincipalArn": [f"arn:{partition}:iam::*:role/{name}" for name in names]}}


def path(*levels: Iterable[Any], bare: bool = False) -> ServiceControlPolicies:
    """Return levels of SCPs, root first, the account last; FullAWSAccess is attached to each unless ``bare``."""
    targets = ["r-abcd", *(f"ou-abcd-{number}" for number in range(1, len(levels) - 1)), ACCOUNT.id][: len(levels)]
    found = []
    for target, documents in zip(targets, levels, strict=True):
        policies = [] if bare else [ControlPolicy("p-FullAWSAccess", "FullAWSAccess", True, json.dumps(FULL_ACCESS))]
        policies += [
            ControlPolicy(f"p-{number}", f"guard-{number}", False, one if isinstance(one, str) else json.dumps(one))
            for number, one in enumerate(documents)
        ]
        found.append(ControlLevel(target, tuple(policies)))
    return ServiceControlPolicies(tuple(found))


def role(
    name: str, account: Account = ACCOUNT, *, trust: str = TRUST, tags: Mapping[str, str] | None = None
) -> RoleInfo:
    """Return a role without permissions."""
    return RoleInfo(Role(account, name), trust, tags=tags or {})


def made(
    *documents: Any,
    scps: ServiceControlPolicies | Gap | None = None,
    organization: Organization = MEMBER,
    identities: Identities | Gap | None = None,
    config: Config | None = None,
    account: Account = ACCOUNT,
) -> Guardrails:
    """Return the guardrails of an account with policies at the root, or with other levels.

    Args:
        documents: Policies at the root.
        scps: The levels instead.
        organization: The organisation.
        identities: The account's; None: one role and one user.
        config: The configuration.
        account: The account.
    """
    config = config or Config()
    known = Identities(roles=(role("app", account),), users=(UserInfo(User(account, "ann")),))
    identities = known if identities is None else identities
    levels = path(documents, (), ()) if scps is None else scps
    access = (
        identities
        if isinstance(identities, Gap)
        else account_access(account, identities, organization, levels, ResourceControlPolicies(()), TIME, config)
    )
    found: Guardrails = guardrails(account, organization, levels, access, TIME, config)
    return found

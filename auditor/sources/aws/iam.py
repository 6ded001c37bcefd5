"""Identities of an account: users, groups, roles, their policies, and the credential report."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from auditor.facts import (
    AccessKey,
    CredentialReport,
    Credentials,
    Gap,
    GroupInfo,
    Identities,
    InlinePolicy,
    ManagedPolicy,
    Reason,
    RoleInfo,
    UserInfo,
)
from auditor.resources import Account, Group, Role, User
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing, utc

#: Seconds between the questions whether the credential report is ready; making one takes a few seconds.
REPORT_WAITS = (1.0, 2.0, 3.0, 4.0, 5.0)


@collects(Identities, about=Account)
def identities(aws: Aws, account: Account) -> Yield:
    """Yield all users, groups and roles, and the managed policies that they use."""
    users: list[UserInfo] = []
    groups: list[GroupInfo] = []
    roles: list[RoleInfo] = []
    policies: dict[str, ManagedPolicy] = {}
    for page in aws.pages("iam:GetAccountAuthorizationDetails"):
        users += [_user(entry) for entry in page.get("UserDetailList", [])]
        groups += [_group(entry) for entry in page.get("GroupDetailList", [])]
        roles += [_role(entry) for entry in page.get("RoleDetailList", [])]
        for entry in page.get("Policies", []):
            policies[entry["Arn"]] = _managed(entry)
    for arn in sorted(_used(users, groups, roles) - policies.keys()):
        policies[arn] = _fetched(aws, arn)
    yield (
        account,
        Identities(
            tuple(sorted(users, key=lambda one: one.user.arn)),
            tuple(sorted(groups, key=lambda one: one.group.arn)),
            tuple(sorted(roles, key=lambda one: one.role.arn)),
            dict(sorted(policies.items())),
        ),
    )


def _text(document: Any) -> str:
    """Return a document as text: boto3 decodes what is JSON and leaves everything else as it came."""
    return document if isinstance(document, str) else json.dumps(document)


def _inline(entries: Iterable[Mapping[str, Any]] | None) -> tuple[InlinePolicy, ...]:
    found = [InlinePolicy(one["PolicyName"], _text(one["PolicyDocument"])) for one in entries or []]
    return tuple(sorted(found, key=lambda one: one.name))


def _attached(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(one["PolicyArn"] for one in entry.get("AttachedManagedPolicies") or []))


def _boundary(entry: Mapping[str, Any]) -> str | None:
    arn: str | None = (entry.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    return arn


def _tags(entry: Mapping[str, Any]) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in entry.get("Tags") or []}


def _user(entry: Mapping[str, Any]) -> UserInfo:
    return UserInfo(
        User.from_arn(entry["Arn"]),
        _inline(entry.get("UserPolicyList")),
        _attached(entry),
        tuple(sorted(entry.get("GroupList") or [])),
        _boundary(entry),
        _tags(entry),
    )


def _group(entry: Mapping[str, Any]) -> GroupInfo:
    return GroupInfo(Group.from_arn(entry["Arn"]), _inline(entry.get("GroupPolicyList")), _attached(entry))


def _role(entry: Mapping[str, Any]) -> RoleInfo:
    used = entry.get("RoleLastUsed") or {}
    return RoleInfo(
        Role.from_arn(entry["Arn"]),
        _text(entry.get("AssumeRolePolicyDocument", "")),
        _inline(entry.get("RolePolicyList")),
        _attached(entry),
        _boundary(entry),
        _tags(entry),
        utc(used.get("LastUsedDate")),
        used.get("Region"),
    )


def _managed(entry: Mapping[str, Any]) -> ManagedPolicy:
    name = entry["Arn"].rpartition("/")[2]
    version = next((one for one in entry.get("PolicyVersionList") or [] if one.get("IsDefaultVersion")), None)
    if version is None or version.get("Document") is None:
        gap = Gap(
            Reason.PARTIAL_DATA,
            f"AWS did not return the default version of {entry['Arn']}.",
            "iam:GetAccountAuthorizationDetails",
        )
        return ManagedPolicy(entry["Arn"], name, gap)
    return ManagedPolicy(entry["Arn"], name, _text(version["Document"]))


def _used(users: Iterable[UserInfo], groups: Iterable[GroupInfo], roles: Iterable[RoleInfo]) -> set[str]:
    owners: list[UserInfo | GroupInfo | RoleInfo] = [*users, *groups, *roles]
    limited: list[UserInfo | RoleInfo] = [*users, *roles]
    return {arn for one in owners for arn in one.attached} | {one.boundary for one in limited if one.boundary}


def _fetched(aws: Aws, arn: str) -> ManagedPolicy:
    """Ask for a policy that the listing left out; only its own text is unknown when that fails."""
    name = arn.rpartition("/")[2]
    try:
        policy = aws.call("iam:GetPolicy", PolicyArn=arn)["Policy"]
        answer = aws.call("iam:GetPolicyVersion", PolicyArn=arn, VersionId=policy["DefaultVersionId"])
    except Missing as missing:
        return ManagedPolicy(arn, name, missing.gap)
    return ManagedPolicy(arn, name, _text(answer["PolicyVersion"]["Document"]))


@collects(CredentialReport, about=Account, lane="iam:GenerateCredentialReport")
def credential_report(aws: Aws, account: Account) -> Yield:
    """Yield the credential report, which AWS makes on request and keeps for four hours."""
    for wait in (*REPORT_WAITS, None):
        if aws.call("iam:GenerateCredentialReport").get("State") == "COMPLETE":
            break
        if wait is None:
            gap = Gap(
                Reason.TRANSIENT, "AWS did not finish the credential report in time.", "iam:GenerateCredentialReport"
            )
            raise Missing(gap, "ReportInProgress", "iam:GenerateCredentialReport", gap.detail)
        time.sleep(wait)
    answer = aws.call("iam:GetCredentialReport")
    content = answer["Content"]
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    rows = {row["arn"]: _credentials(row) for row in csv.DictReader(io.StringIO(text)) if row.get("arn")}
    yield account, CredentialReport(dict(sorted(rows.items())), utc(answer.get("GeneratedTime")))


def _credentials(row: Mapping[str, str]) -> Credentials:
    keys = []
    for number in ("1", "2"):
        active = row.get(f"access_key_{number}_active", "").lower() == "true"
        rotated = _moment(row.get(f"access_key_{number}_last_rotated"))
        if not active and rotated is None:
            continue  # there is no such key
        service = row.get(f"access_key_{number}_last_used_service", "")
        keys.append(
            AccessKey(
                active,
                rotated,
                _moment(row.get(f"access_key_{number}_last_used_date")),
                service if service not in NOTHING else None,
            )
        )
    password = row.get("password_enabled", "").lower()
    return Credentials(
        {"true": True, "false": False}.get(password),
        row.get("mfa_active", "").lower() == "true",
        tuple(keys),
        _moment(row.get("password_last_used")),
    )


#: What the report writes where there is nothing to tell (IAM User Guide, "Getting credential reports").
NOTHING = ("", "N/A", "no_information", "not_supported")


def _moment(text: str | None) -> datetime | None:
    if not text or text in NOTHING:
        return None
    try:
        return utc(datetime.fromisoformat(text))
    except ValueError:
        return None

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
    AccountSummary,
    CredentialReport,
    Credentials,
    Gap,
    GroupInfo,
    Identities,
    InlinePolicy,
    ManagedPolicy,
    Reason,
    RoleInfo,
    RootManagement,
    UserInfo,
)
from auditor.resources import Account, Group, Role, User
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing, utc

#: Seconds between the questions whether the credential report is ready; making one takes a few seconds.
REPORT_WAITS = (1.0, 2.0, 3.0, 4.0, 5.0)

#: What AWS answers to whoever asks for the report too early (IAM API Reference, GetCredentialReport).
IN_PROGRESS = "ReportInProgress"


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
    first: Missing | None = None
    untold = {arn for arn, one in policies.items() if isinstance(one.document, Gap)}
    for arn in sorted((_used(users, groups, roles) - policies.keys()) | untold):
        try:
            policies[arn] = _fetched(aws, arn)
        except Missing as missing:
            # Only this policy's text is unknown; the failure itself is reported, and tried again where that helps.
            policies[arn] = ManagedPolicy(arn, arn.rpartition("/")[2], missing.gap)
            first = first or missing
    yield (
        account,
        Identities(
            tuple(sorted(users, key=lambda one: one.user.arn)),
            tuple(sorted(groups, key=lambda one: one.group.arn)),
            tuple(sorted(roles, key=lambda one: one.role.arn)),
            dict(sorted(policies.items())),
        ),
    )
    if first is not None:
        raise first


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
        str(entry.get("UserId") or ""),
    )


def _group(entry: Mapping[str, Any]) -> GroupInfo:
    return GroupInfo(
        Group.from_arn(entry["Arn"]),
        _inline(entry.get("GroupPolicyList")),
        _attached(entry),
        str(entry.get("GroupId") or ""),
    )


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
        tuple(sorted(one["Arn"] for one in entry.get("InstanceProfileList") or [])),
        str(entry.get("RoleId") or ""),
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
    """Ask for a policy whose text the listing left out.

    Raises:
        Missing: it cannot be had.
    """
    policy = aws.call("iam:GetPolicy", PolicyArn=arn)["Policy"]
    answer = aws.call("iam:GetPolicyVersion", PolicyArn=arn, VersionId=policy["DefaultVersionId"])
    return ManagedPolicy(arn, arn.rpartition("/")[2], _text(answer["PolicyVersion"]["Document"]))


@collects(CredentialReport, about=Account, lane="iam:GenerateCredentialReport")
def credential_report(aws: Aws, account: Account) -> Yield:
    """Yield the credential report, which AWS makes on request and keeps for four hours.

    Where the auditor cannot have one made, one that somebody else had made lately may still be there.
    """
    refused: Missing | None = None
    try:
        _make_report(aws)
    except Missing as missing:
        if missing.code == IN_PROGRESS:
            raise  # the one that is there is being replaced
        refused = missing
    try:
        answer = aws.call("iam:GetCredentialReport")
    except Missing as missing:
        raise refused or missing from None
    content = answer["Content"]
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    rows = {row["arn"]: _credentials(row) for row in csv.DictReader(io.StringIO(text))}
    yield account, CredentialReport(dict(sorted(rows.items())), utc(answer.get("GeneratedTime")))


def _make_report(aws: Aws) -> None:
    for wait in (*REPORT_WAITS, None):
        if aws.call("iam:GenerateCredentialReport").get("State") == "COMPLETE":
            return
        if wait is not None:
            time.sleep(wait)
    gap = Gap(Reason.TRANSIENT, "AWS did not finish the credential report in time.", "iam:GenerateCredentialReport")
    raise Missing(gap, IN_PROGRESS, "iam:GenerateCredentialReport", gap.detail)


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
    return Credentials(
        {"true": True, "false": False}.get(row["password_enabled"].lower()),
        {"true": True, "false": False}[row["mfa_active"].lower()],
        tuple(keys),
        _moment(row.get("password_last_used")),
        _moment(row.get("user_creation_time")),
    )


#: What the report writes where there is nothing to tell (IAM User Guide, "Getting credential reports").
NOTHING = ("", "N/A", "no_information", "not_supported")


def _moment(text: str | None) -> datetime | None:
    return None if not text or text in NOTHING else utc(datetime.fromisoformat(text))


@collects(AccountSummary, about=Account)
def account_summary(aws: Aws, account: Account) -> Yield:
    """Yield what the account's summary says of the root user."""
    counts = aws.call("iam:GetAccountSummary").get("SummaryMap") or {}
    mfa, password = counts.get("AccountMFAEnabled"), counts.get("AccountPasswordPresent")
    yield (
        account,
        AccountSummary(
            counts.get("AccountAccessKeysPresent"),
            None if mfa is None else mfa != 0,
            None if password is None else password != 0,
        ),
    )


#: The organisation manages no root users, and cannot: there is none, it has not all features, or it does not trust IAM.
NOT_MANAGED = ("OrganizationNotFound", "OrganizationNotInAllFeaturesMode", "ServiceAccessNotEnabled")

#: AWS answers neither a member account nor whoever may ask in one.
NOT_OURS = "AccountNotManagementOrDelegatedAdministrator"


@collects(RootManagement, about=Account)
def root_management(aws: Aws, account: Account) -> Yield:
    """Yield which features for the root users of member accounts the organisation has turned on."""
    try:
        answer = aws.call("iam:ListOrganizationsFeatures")
    except Missing as missing:
        # IAM's exceptions stand on the wire with and without the word.
        code = missing.code.removesuffix("Exception")
        if code != NOT_OURS and code not in NOT_MANAGED:
            raise
        yield account, RootManagement(None if code == NOT_OURS else ())
        return
    yield account, RootManagement(tuple(sorted(answer.get("EnabledFeatures") or [])))

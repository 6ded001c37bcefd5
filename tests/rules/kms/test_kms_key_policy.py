"""kms-key-policy: strangers, administrators and grants of the keys of tables."""

import json
import sys
from typing import Any

import pytest

from auditor import Severity, Status
from auditor.access import Named, read
from auditor.analysis.access import account_access
from auditor.config import Config
from auditor.facts import (
    ControlLevel,
    ControlPolicy,
    Gap,
    Grant,
    Identities,
    InlinePolicy,
    KeyGrants,
    KeyPolicy,
    KeySettings,
    KeyUse,
    ManagedPolicy,
    Organization,
    Reason,
    ResourceControlPolicies,
    RoleInfo,
    ServiceControlPolicies,
    TableSettings,
    Trust,
    UserInfo,
)
from auditor.resources import Account, Key, Region, Role, Table, User
from tests.rules import ACCOUNT, KEY, TABLE, load

judge = load("kms-key-policy")

ORG = "o-acme12345"
MEMBER, FRIEND, STRANGER = "222233334444", "333344445555", "444455556666"
TRUST = Trust(ACCOUNT.id, frozenset({FRIEND}), ORG, {ACCOUNT.id: "orders", MEMBER: "shop"})
NO_LIST = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListAccounts")
BLIND = Trust(ACCOUNT.id, frozenset({FRIEND}), ORG, {}, NO_LIST)
NO_POLICY = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:GetKeyPolicy")
NO_GRANTS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:ListGrants")
NO_KEY = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:DescribeKey")
NO_IAM = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetAccountAuthorizationDetails")
NO_TIME = Gap(Reason.PARTIAL_DATA, "Not known.")
CUSTOMER = KeySettings("Enabled")
SERVICE_GRANT = Grant("dynamodb.eu-west-1.amazonaws.com", ("Decrypt", "CreateGrant"), {}, "g-1")


DYNAMODBS = KeyGrants((SERVICE_GRANT,))


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(principal: Any, action: Any = "kms:*", condition: Any = None, **more: Any) -> dict[str, Any]:
    named = principal if isinstance(principal, dict) or principal == "*" else {"AWS": principal}
    statement = {"Effect": "Allow", "Principal": named, "Action": action, "Resource": "*", **more}
    return statement | ({"Condition": condition} if condition else {})


ROOT = allow(ACCOUNT.arn, Sid="Enable IAM User Permissions")
ADMIN = document({"Effect": "Allow", "Action": "*", "Resource": "*"})


def admins(number: int, text: str = ADMIN, prefix: str = "admin") -> list[RoleInfo]:
    return [
        RoleInfo(Role(ACCOUNT, f"{prefix}-{one}"), document(allow("ec2.amazonaws.com")), (InlinePolicy("all", text),))
        for one in range(number)
    ]


def access_of(
    *roles: RoleInfo,
    users: tuple[UserInfo, ...] = (),
    policies: Any = None,
    scps: Any = None,
    rcps: Any = NO_LIST,
) -> Any:
    return account_access(
        ACCOUNT,
        Identities(users=users, roles=roles, policies=policies or {}),
        Organization(ORG, "ALL", "999988887777"),
        scps or ServiceControlPolicies(()),
        rcps,
        NO_TIME,
        Config(),
    )


def verdict(
    *statements: dict[str, Any],
    key: Key = KEY,
    table: Table = TABLE,
    settings: KeySettings | Gap = CUSTOMER,
    policy: KeyPolicy | Gap | None = None,
    grants: KeyGrants | Gap = DYNAMODBS,
    trust: Any = TRUST,
    access: Any = None,
    config: Config | None = None,
    **options: Any,
) -> Any:
    return judge(
        key,
        KeyUse(((table, TableSettings("ACTIVE", sse_type="KMS", key=key)),)),
        settings,
        policy or KeyPolicy(document(*statements)),
        grants,
        {table.account: trust},
        {key.account: access or access_of()},
        config or Config(),
        **options,
    )


def outcome(*statements: dict[str, Any], **more: Any) -> tuple[Status, Severity | None]:
    found = verdict(*statements, **more)
    return found.status, found.severity


PASS, CRITICAL = (Status.PASS, None), (Status.FAIL, None)
HIGH, MEDIUM, UNKNOWN = (Status.FAIL, Severity.HIGH), (Status.FAIL, Severity.MEDIUM), (Status.UNKNOWN, None)


def test_the_default_policy_passes() -> None:
    found = verdict(ROOT)
    assert (found.status, found.evidence["serviceGrants"]) == (Status.PASS, ["dynamodb.eu-west-1.amazonaws.com"])
    assert found.evidence["publicByAWS"] == []


def test_keys_that_aws_manages_are_not_judged() -> None:
    settings = KeySettings("Enabled", manager="AWS")
    assert verdict(allow("*"), settings=settings).status is Status.NOT_APPLICABLE
    assert verdict(ROOT, settings=KeySettings("NotFound")).status is Status.NOT_APPLICABLE


def test_a_public_key_is_critical_and_the_statement_is_named() -> None:
    found = verdict(ROOT, allow("*", "kms:Decrypt", Sid="Open"))
    assert (found.status, found.severity) == CRITICAL
    assert "statement Open" in found.message
    assert found.evidence["statements"] == [{"policy": "key policy", "sid": "Open", "index": 1}]
    assert found.evidence["untrusted"] == {"anybody with an AWS account": ["kms:Decrypt"]}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringEquals": {"kms:CallerAccount": ACCOUNT.id}}, PASS),
        ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT.id}}, PASS),
        ({"StringEquals": {"aws:PrincipalOrgID": ORG}}, PASS),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": ORG}}, CRITICAL),
        ({"StringEquals": {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com"}}, CRITICAL),
        ({"StringEquals": {"kms:EncryptionContext:aws:dynamodb:tableName": "orders"}}, CRITICAL),
        ({"StringEquals": {"aws:ResourceAccount": ACCOUNT.id}}, CRITICAL),
        ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, HIGH),
        ({"StringEquals": {"kms:CallerAccount": STRANGER}}, HIGH),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-other12345"}}, HIGH),
        ({"StringLooksLike": {"aws:PrincipalOrgID": ORG}}, UNKNOWN),
        ({"StringEquals": {"aws:SourceVpce": "vpce-0a1b2c3d"}}, UNKNOWN),
    ],
)
def test_conditions_on_a_wildcard(condition: dict[str, Any], expected: tuple[Status, Severity | None]) -> None:
    assert outcome(ROOT, allow("*", "kms:Decrypt", condition)) == expected


def test_looking_at_a_key_opens_nothing() -> None:
    assert outcome(ROOT, allow("*", ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:List*"])) == PASS


@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:PutKeyPolicy"])
def test_untrusted_accounts(action: str) -> None:
    for account in (STRANGER, f"arn:aws:iam::{STRANGER}:root", f"arn:aws:iam::{STRANGER}:role/x"):
        assert outcome(ROOT, allow(account, action)) == HIGH
    assert outcome(ROOT, allow([FRIEND, MEMBER], action)) == PASS
    assert outcome(ROOT, allow(MEMBER, action), allow_same_org=False) == HIGH


def test_membership_that_cannot_be_read_is_unknown() -> None:
    found = verdict(ROOT, allow(STRANGER, "kms:Decrypt"), trust=BLIND)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "organizations:ListAccounts")


def test_denials_count() -> None:
    outside = {"StringNotEquals": {"aws:PrincipalOrgID": ORG}}
    denial = {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": outside}
    assert outcome(ROOT, allow("*", "kms:Decrypt"), denial) == PASS


def foreign(account: str) -> Key:
    return Key(Region(Account(account), "eu-west-1"), "9999abcd-12ab-34cd-56ef-1234567890ab")


def test_keys_of_other_accounts() -> None:
    found = verdict(key=foreign(STRANGER), policy=NO_POLICY, grants=NO_GRANTS, settings=NO_KEY, access=NO_IAM)
    assert (found.status, found.severity) == HIGH
    assert found.evidence["keyAccount"] == STRANGER
    trusted = verdict(key=foreign(FRIEND), policy=NO_POLICY, grants=NO_GRANTS, settings=NO_KEY, access=NO_IAM)
    assert (trusted.status, trusted.missing_permission) == (Status.UNKNOWN, "kms:GetKeyPolicy")
    doubtful = verdict(
        key=foreign(STRANGER), policy=NO_POLICY, grants=NO_GRANTS, settings=NO_KEY, access=NO_IAM, trust=BLIND
    )
    assert doubtful.status is Status.UNKNOWN


def test_too_many_who_may_delete_the_key() -> None:
    assert outcome(ROOT, access=access_of(*admins(5))) == PASS
    found = verdict(ROOT, access=access_of(*admins(6)))
    assert (found.status, found.severity) == MEDIUM
    assert found.evidence["mayDelete"] == [f"role/admin-{one}" for one in range(6)]
    assert outcome(ROOT, access=access_of(*admins(6)), max_key_admins=6) == PASS
    # Without the delegation to IAM only the key policy counts.
    own = allow(f"arn:aws:iam::{ACCOUNT.id}:role/admin-0")
    assert outcome(own, access=access_of(*admins(6))) == PASS


def test_users_count_and_disabling_is_as_bad() -> None:
    text = document({"Effect": "Allow", "Action": "kms:DisableKey", "Resource": "*"})
    users = tuple(UserInfo(User(ACCOUNT, f"u{one}"), (InlinePolicy("off", text),)) for one in range(3))
    assert outcome(ROOT, access=access_of(*admins(3, text), users=users)) == MEDIUM
    readers = document({"Effect": "Allow", "Action": ["kms:Decrypt", "kms:Describe*"], "Resource": "*"})
    assert outcome(ROOT, access=access_of(*admins(9, readers))) == PASS


def test_administrators_roles_are_listed_and_not_counted() -> None:
    config = Config(admin_roles=("admin-*",), pipeline_roles=("deploy-*",))
    roles = (*admins(6), *admins(3, prefix="deploy"))
    found = verdict(ROOT, access=access_of(*roles), config=config)
    assert found.status is Status.PASS
    assert len(found.evidence["exempt"]) == 9


def test_conditional_rights_count() -> None:
    mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    text = document({"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Condition": mfa})
    assert outcome(ROOT, access=access_of(*admins(6, text))) == MEDIUM


def test_policies_that_cannot_be_read_leave_the_number_open() -> None:
    assert outcome(ROOT, access=access_of(*admins(6, "{"))) == UNKNOWN
    assert outcome(ROOT, access=access_of(*admins(3), *admins(2, "{", "odd"))) == PASS
    arn = f"arn:aws:iam::{ACCOUNT.id}:policy/lost"
    lost = ManagedPolicy(arn, "lost", Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetPolicyVersion"))
    roles = [RoleInfo(Role(ACCOUNT, f"r{one}"), document(), attached=(arn,)) for one in range(6)]
    assert outcome(ROOT, access=access_of(*roles, policies={arn: lost})) == UNKNOWN


def test_a_guardrail_lowers_the_severity() -> None:
    text = document({"Effect": "Deny", "Action": ["kms:ScheduleKeyDeletion", "kms:DisableKey"], "Resource": "*"})
    full = ControlPolicy("p-0", "FullAWSAccess", True, ADMIN)
    scps = ServiceControlPolicies((ControlLevel("r-ab12", (full, ControlPolicy("p-1", "keys", False, text))),))
    found = verdict(ROOT, access=access_of(*admins(6), scps=scps))
    assert (found.status, found.severity) == (Status.FAIL, Severity.LOW)
    assert found.evidence["blockedBy"]
    outside = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ORG}}
    rcp = document({"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": outside})
    rcps = ResourceControlPolicies((ControlLevel("r-ab12", (ControlPolicy("p-2", "perimeter", False, rcp),)),))
    found = verdict(ROOT, allow("*", "kms:Decrypt"), access=access_of(rcps=rcps))
    assert (found.status, found.severity) == HIGH
    assert found.evidence["blockedBy"] == ["rcp: statement 0 of policy RCP perimeter at r-ab12"]


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (Grant("dynamodb.eu-west-1.amazonaws.com", ("Decrypt",), {}, "g"), PASS),
        (Grant(f"arn:aws:iam::{ACCOUNT.id}:role/app", ("Decrypt",), {}, "g"), PASS),
        (Grant(f"arn:aws:iam::{FRIEND}:role/app", ("Decrypt",), {}, "g"), PASS),
        (Grant(f"arn:aws:iam::{STRANGER}:role/app", ("Decrypt",), {}, "g"), HIGH),
        (Grant(f"arn:aws:sts::{STRANGER}:assumed-role/app/s", ("CreateGrant",), {"a": "b"}, "g"), HIGH),
        (Grant(f"arn:aws:iam::{STRANGER}:role/app", ("DescribeKey", "RetireGrant"), {}, "g"), PASS),
    ],
)
def test_grants(grant: Grant, expected: tuple[Status, Severity | None]) -> None:
    assert outcome(ROOT, grants=KeyGrants((SERVICE_GRANT, grant))) == expected


def test_a_grant_for_an_account_that_may_be_a_member_is_unknown() -> None:
    grants = KeyGrants((Grant(f"arn:aws:iam::{STRANGER}:role/app", ("Decrypt",), {}, "g"),))
    assert outcome(ROOT, grants=grants, trust=BLIND) == UNKNOWN


@pytest.mark.parametrize(
    ("more", "permission"),
    [
        ({"policy": NO_POLICY}, "kms:GetKeyPolicy"),
        ({"grants": NO_GRANTS}, "kms:ListGrants"),
        ({"settings": NO_KEY}, "kms:DescribeKey"),
        ({"access": NO_IAM}, "iam:GetAccountAuthorizationDetails"),
        ({"trust": NO_LIST}, "organizations:ListAccounts"),
    ],
)
def test_what_is_missing_is_unknown_unless_something_fails(more: dict[str, Any], permission: str) -> None:
    found = verdict(ROOT, **more)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, permission)
    grants = KeyGrants((Grant(f"arn:aws:iam::{STRANGER}:role/app", ("Decrypt",), {}, "g"),))
    if "policy" in more or "access" in more:
        assert outcome(ROOT, **({"grants": grants} | more)) == HIGH


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}']
)
def test_a_malformed_policy_is_unknown(text: str) -> None:
    found = verdict(policy=KeyPolicy(text))
    assert (found.status, found.reason) == (Status.UNKNOWN, "undecidable")


def test_china() -> None:
    account = Account(ACCOUNT.id, "aws-cn")
    region = Region(account, "cn-north-1")
    key, table = Key(region, KEY.name), Table(region, "orders")
    arn = f"arn:aws-cn:iam::{STRANGER}:role/x"
    root = allow(account.arn)
    assert outcome(root, allow(arn, "kms:Decrypt"), key=key, table=table) == HIGH
    via = {"StringEquals": {"kms:ViaService": "dynamodb.cn-north-1.amazonaws.com.cn"}}
    assert outcome(root, allow("*", "kms:Decrypt", via), key=key, table=table) == CRITICAL


def test_what_fails_is_no_key_of_aws() -> None:
    assert outcome(ROOT, allow("*", "kms:Decrypt"), settings=NO_KEY) == CRITICAL
    assert verdict(ROOT, settings=NO_KEY).missing_permission == "kms:DescribeKey"


@pytest.mark.parametrize(("grantee", "expected"), [(STRANGER, HIGH), (FRIEND, PASS), (ACCOUNT.id, PASS)])
def test_a_grant_to_an_account_by_its_number(grantee: str, expected: Any) -> None:
    assert outcome(ROOT, grants=KeyGrants((Grant(grantee, ("Decrypt",), {}, "g"),))) == expected


def test_a_key_that_no_table_uses_has_no_finding() -> None:
    judged = judge(KEY, KeyUse(()), CUSTOMER, KeyPolicy(document(allow("*"))), DYNAMODBS, {}, {}, Config())
    assert judged is None


def test_those_who_need_not_be_decided_may_delete_nothing() -> None:
    module = sys.modules[judge.__module__]
    role = f"arn:aws:iam::{ACCOUNT.id}:role/admin-0"
    own = [
        {"Effect": effect, verb: action, "Resource": "*"}
        for effect in ("Allow", "Deny")
        for verb in ("Action", "NotAction")
        for action in ("kms:Disable*", "kms:ScheduleKeyDeletion", "KMS:*", "*", "dynamodb:*", "kms:Decrypt")
    ]
    named = [ACCOUNT.arn, ACCOUNT.id, role, "*", {"Service": "dynamodb.amazonaws.com"}, {"AWS": [ACCOUNT.id, role]}]
    keys: list[tuple[dict[str, Any], ...]] = [
        (allow(one, action),) for one in named for action in ("kms:*", "kms:DisableKey", "kms:Decrypt")
    ]
    keys += [
        (ROOT, {"Effect": "Allow", "NotPrincipal": {"AWS": STRANGER}, "Action": "kms:*", "Resource": "*"}),
        (ROOT, {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*"}),
    ]
    left_out = decided = 0
    for statements in keys:
        policy = read(Named("key policy", document(*statements)))
        for statement in own:
            access = access_of(*admins(1, document(statement)))
            (principal,) = access.judged
            allowed = [access.own(principal, one, KEY.arn, policy=policy).allowed for one in module.DELETING]
            if module._delegates(policy) and not module._speaks_of_deleting(principal):
                assert not any(allowed), (statements, statement)
                left_out += 1
            else:
                decided += any(allowed)
    assert left_out > 50
    assert decided > 50

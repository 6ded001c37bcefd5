"""Users, groups, roles, their policies and the credential report, as IAM answers."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import boto3
import pytest

from auditor.facts import (
    AccessKey,
    AccountSummary,
    CredentialReport,
    Credentials,
    Gap,
    Identities,
    InlinePolicy,
    Reason,
    RootManagement,
)
from auditor.inventory import dumps, loads
from auditor.resources import Account, Group, Role, User
from auditor.sources.aws import iam
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer

HOME = "us-east-1"
DETAILS, GENERATE = "iam:GetAccountAuthorizationDetails", "iam:GenerateCredentialReport"
ANN = "arn:aws:iam::123456789012:user/ann"
BOUNDARY = "arn:aws:iam::123456789012:policy/limits/developers"
CREATED = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def document(*actions: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust(service: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def sent(value: dict[str, Any]) -> str:
    """Return a document as IAM sends it."""
    return quote(json.dumps(value), safe="")


def user(name: str, **members: Any) -> dict[str, Any]:
    return {
        "Path": "/",
        "UserName": name,
        "UserId": f"AIDA{name.upper():X<16}",
        "Arn": f"arn:aws:iam::123456789012:user/{name}",
        "CreateDate": CREATED,
    } | members


def page(marker: str | None = None, **members: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    return nothing | members | {"IsTruncated": marker is not None} | ({"Marker": marker} if marker else {})


def listed(gather_facts: Gather) -> Identities:
    inventory = gather_facts(Role, Identities)
    found = inventory.facts[Identities][ACCOUNT]
    assert isinstance(found, Identities), found
    assert loads(dumps(inventory, "1")).facts == inventory.facts
    return found


def test_what_iam_holds_is_kept_with_its_documents_as_text(gather_facts: Gather) -> None:
    client = boto3.client("iam")
    reading, writing = document("dynamodb:GetItem"), document("dynamodb:PutItem")
    client.create_group(GroupName="readers", Path="/staff/")
    client.put_group_policy(GroupName="readers", PolicyName="read", PolicyDocument=json.dumps(reading))
    client.create_user(UserName="ann")
    client.add_user_to_group(GroupName="readers", UserName="ann")
    client.put_user_policy(UserName="ann", PolicyName="write", PolicyDocument=json.dumps(writing))
    made = client.create_policy(PolicyName="orders", Path="/app/", PolicyDocument=json.dumps(reading))
    policy = made["Policy"]["Arn"]
    client.create_policy_version(PolicyArn=policy, PolicyDocument=json.dumps(writing), SetAsDefault=True)
    client.create_policy_version(PolicyArn=policy, PolicyDocument=json.dumps(document("s3:*")), SetAsDefault=False)
    client.create_role(
        RoleName="api",
        Path="/service/",
        AssumeRolePolicyDocument=json.dumps(trust("lambda.amazonaws.com")),
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    client.attach_role_policy(RoleName="api", PolicyArn=policy)

    found = listed(gather_facts)
    (ann,) = found.users
    assert (ann.user, ann.groups) == (User(ACCOUNT, "ann"), ("readers",))
    assert [(one.name, json.loads(one.document)) for one in ann.inline] == [("write", writing)]
    (readers,) = found.groups
    assert readers.group == Group(ACCOUNT, "staff/readers")
    assert [(one.name, json.loads(one.document)) for one in readers.inline] == [("read", reading)]
    (api,) = found.roles
    assert (api.role, api.attached, api.tags) == (Role(ACCOUNT, "service/api"), (policy,), {"team": "shop"})
    assert json.loads(api.trust) == trust("lambda.amazonaws.com")
    held = found.policies[policy]
    assert held.name == "orders"
    assert isinstance(held.document, str)
    assert json.loads(held.document) == writing  # the default version, which is neither the first nor the last


def test_the_pages_of_the_listing_are_one(gather_facts: Gather, access: Access) -> None:
    asked = answer(
        access,
        DETAILS,
        page("2", UserDetailList=[user("bob"), user("ann")]),
        page(UserDetailList=[user("carl")]),
        region=HOME,
    )
    inventory = gather_facts(User, Identities)
    assert [one.user.name for one in inventory.facts[Identities][ACCOUNT].users] == ["ann", "bob", "carl"]
    assert [one.label for one in inventory.of_kind(User)] == ["ann", "bob", "carl"]
    assert [one.get("Marker") for one in asked] == [None, "2"]


def test_a_page_that_is_denied_makes_the_identities_unknown_not_fewer(gather_facts: Gather, access: Access) -> None:
    answer(access, DETAILS, page("2", UserDetailList=[user("ann")]), "AccessDenied", region=HOME)
    gap = gather_facts(User, Identities).facts[Identities][ACCOUNT]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, DETAILS)


def test_a_document_that_is_no_json_is_kept_as_it_came(gather_facts: Gather, access: Access) -> None:
    broken = "%7B%22Version%22%3A"
    inline = [{"PolicyName": "broken", "PolicyDocument": broken}]
    answer(access, DETAILS, page(UserDetailList=[user("ann", UserPolicyList=inline)]), region=HOME)
    (ann,) = listed(gather_facts).users
    assert ann.inline == (InlinePolicy("broken", broken),)


def test_a_managed_policy_without_its_default_version_is_asked_for(gather_facts: Gather, access: Access) -> None:
    version = {"VersionId": "v1", "IsDefaultVersion": False, "Document": sent(document("*"))}
    policies = [{"Arn": BOUNDARY, "PolicyName": "developers", "PolicyVersionList": [version]}]
    answer(access, DETAILS, page(Policies=policies), region=HOME)
    held = listed(gather_facts).policies[BOUNDARY]
    assert isinstance(held.document, Gap)
    assert held.document.action == "iam:GetPolicy"


@pytest.fixture
def bounded(access: Access) -> None:
    """Two users with the same boundary, which the listing leaves out."""
    boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": BOUNDARY}
    users = [user("ann", PermissionsBoundary=boundary), user("bob", PermissionsBoundary=boundary)]
    answer(access, DETAILS, page(UserDetailList=users), region=HOME)


@pytest.mark.usefixtures("bounded")
def test_a_boundary_that_the_listing_leaves_out_is_asked_for_once(gather_facts: Gather, access: Access) -> None:
    limits = document("dynamodb:*")
    policy = answer(
        access,
        "iam:GetPolicy",
        {"Policy": {"Arn": BOUNDARY, "PolicyName": "developers", "DefaultVersionId": "v3"}},
        region=HOME,
    )
    version = answer(
        access,
        "iam:GetPolicyVersion",
        {"PolicyVersion": {"VersionId": "v3", "IsDefaultVersion": True, "Document": sent(limits)}},
        region=HOME,
    )
    found = listed(gather_facts)
    assert [one.boundary for one in found.users] == [BOUNDARY, BOUNDARY]
    held = found.policies[BOUNDARY]
    assert isinstance(held.document, str)
    assert (held.name, json.loads(held.document)) == ("developers", limits)
    assert [one["PolicyArn"] for one in policy] == [BOUNDARY]
    assert [(one["PolicyArn"], one["VersionId"]) for one in version] == [(BOUNDARY, "v3")]


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("denied", ["iam:GetPolicy", "iam:GetPolicyVersion"])
def test_where_the_boundary_is_denied_only_its_document_is_unknown(
    gather_facts: Gather, access: Access, denied: str
) -> None:
    answer(access, denied, "AccessDenied", region=HOME)
    if denied != "iam:GetPolicy":
        policy = {"Arn": BOUNDARY, "PolicyName": "developers", "DefaultVersionId": "v3"}
        answer(access, "iam:GetPolicy", {"Policy": policy}, region=HOME)
    found = listed(gather_facts)
    assert len(found.users) == 2
    gap = found.policies[BOUNDARY].document
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, denied)


def test_when_and_where_a_role_was_last_used(gather_facts: Gather, access: Access) -> None:
    def role(name: str, **members: Any) -> dict[str, Any]:
        arn = f"arn:aws:iam::123456789012:role/{name}"
        named = {"Path": "/", "RoleName": name, "RoleId": f"AROA{name:x<16}", "Arn": arn, "CreateDate": CREATED}
        return named | {"AssumeRolePolicyDocument": sent(trust("dax.amazonaws.com"))} | members

    used = {"LastUsedDate": datetime(2026, 1, 31, 11, 30, tzinfo=UTC), "Region": "eu-west-1"}
    answer(
        access,
        DETAILS,
        page(RoleDetailList=[role("new", RoleLastUsed={}), role("old", RoleLastUsed=used)]),
        region=HOME,
    )
    new, old = listed(gather_facts).roles
    assert (new.last_used, new.last_used_region) == (None, None)
    assert (old.last_used, old.last_used_region) == (used["LastUsedDate"], "eu-west-1")


# The credential report

COLUMNS = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,"
    "mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    "access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,"
    "access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
MADE = "2025-03-04T05:06:07+00:00"
ROOT = "arn:aws:iam::123456789012:root"


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iam, "REPORT_WAITS", (0.0,) * 5)


def reported(gather_facts: Gather, access: Access, *rows: str) -> CredentialReport:
    content = {"Content": "\n".join((COLUMNS, *rows)).encode(), "ReportFormat": "text/csv", "GeneratedTime": CREATED}
    answer(access, GENERATE, {"State": "COMPLETE"}, region=HOME)
    answer(access, "iam:GetCredentialReport", content, region=HOME)
    found = gather_facts(Account, CredentialReport).facts[CredentialReport][ACCOUNT]
    assert isinstance(found, CredentialReport), found
    return found


def test_the_report_is_asked_for_until_it_is_ready(gather_facts: Gather, access: Access) -> None:
    boto3.client("iam").create_user(UserName="ann")
    states = [{"State": "STARTED"}, {"State": "INPROGRESS"}, {"State": "COMPLETE"}]
    asked = answer(access, GENERATE, *states, region=HOME)
    row = f"ann,{ANN},{MADE},false,N/A,N/A,N/A,false,false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
    ready = {"Content": f"{COLUMNS}\n{row}".encode(), "ReportFormat": "text/csv", "GeneratedTime": CREATED}
    answer(access, "iam:GetCredentialReport", ready, region=HOME)
    found = gather_facts(Account, CredentialReport).facts[CredentialReport][ACCOUNT]
    made = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert found == CredentialReport({ANN: Credentials(False, mfa=False, created=made)}, CREATED)
    assert len(asked) == 3


def test_on_moto_the_report_has_the_users_and_their_keys(gather_facts: Gather) -> None:
    client = boto3.client("iam")
    client.create_user(UserName="ann")
    client.create_access_key(UserName="ann")
    found = gather_facts(Account, CredentialReport).facts[CredentialReport][ACCOUNT]
    assert isinstance(found, CredentialReport)
    assert [key.active for key in found.rows[ANN].keys] == [True]
    assert found.rows[ANN].mfa is False


def test_a_report_that_is_never_ready_is_a_gap(gather_facts: Gather, access: Access) -> None:
    asked = answer(access, GENERATE, {"State": "INPROGRESS"}, region=HOME)
    inventory = gather_facts(Account, CredentialReport)
    gap = inventory.facts[CredentialReport][ACCOUNT]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.TRANSIENT, GENERATE)
    assert len(asked) == 6
    assert "iam:GetCredentialReport" not in access.calls


@pytest.mark.parametrize("code", ["AccessDenied", "Throttling", "InternalFailure"])
def test_a_report_that_cannot_be_made_may_be_there_already(gather_facts: Gather, access: Access, code: str) -> None:
    answer(access, GENERATE, code, region=HOME)
    row = f"ann,{ANN},{MADE},false,N/A,N/A,N/A,false" + ",false,N/A,N/A,N/A,N/A" * 2 + ",false,N/A" * 2
    ready = {"Content": f"{COLUMNS}\n{row}".encode(), "ReportFormat": "text/csv", "GeneratedTime": CREATED}
    answer(access, "iam:GetCredentialReport", ready, region=HOME)
    found = gather_facts(Account, CredentialReport).facts[CredentialReport][ACCOUNT]
    assert isinstance(found, CredentialReport)
    assert list(found.rows) == [ANN]


@pytest.mark.parametrize("denied", [GENERATE, "iam:GetCredentialReport"])
def test_a_report_that_is_denied_names_the_permission(gather_facts: Gather, access: Access, denied: str) -> None:
    answer(access, denied, "AccessDenied", region=HOME)
    if denied != GENERATE:
        answer(access, GENERATE, {"State": "COMPLETE"}, region=HOME)
    gap = gather_facts(Account, CredentialReport).facts[CredentialReport][ACCOUNT]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, denied)


def test_what_the_report_does_not_say_is_not_made_up(gather_facts: Gather, access: Access) -> None:
    rows = reported(
        gather_facts,
        access,
        f"<root_account>,{ROOT},{MADE},not_supported,no_information,not_supported,not_supported,true,"
        "false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A",
        f"ann,{ANN},{MADE},true,no_information,{MADE},N/A,false,"
        f"true,{MADE},N/A,N/A,N/A,false,{MADE},2026-01-02T03:04:00+00:00,eu-west-1,dynamodb,false,N/A,false,N/A",
    ).rows
    made, used = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    assert rows[ROOT] == Credentials(password=None, mfa=True, created=made)
    assert rows[ANN] == Credentials(
        password=True,
        mfa=False,
        keys=(AccessKey(True, made), AccessKey(False, made, used, "dynamodb")),
        created=made,
    )


def test_a_user_whose_name_has_a_comma_is_one_user(gather_facts: Gather, access: Access) -> None:
    arn = "arn:aws:iam::123456789012:user/a,b"
    rest = "false,N/A,N/A,N/A,true" + ",false,N/A,N/A,N/A,N/A" * 2 + ",false,N/A" * 2
    assert reported(gather_facts, access, f'"a,b","{arn}",{MADE},{rest}').rows.keys() == {arn}


def test_when_root_was_used(gather_facts: Gather, access: Access) -> None:
    used = "2026-05-06T07:08:09+00:00"
    row = (
        f"<root_account>,{ROOT},{MADE},not_supported,{used},not_supported,not_supported,false,"
        f"true,{MADE},2026-05-07T07:08:00+00:00,us-east-1,iam,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
    )
    found = reported(gather_facts, access, row).rows[ROOT]
    assert found.password_used == datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert [key.used for key in found.keys] == [datetime(2026, 5, 7, 7, 8, tzinfo=UTC)]
    assert found.created == datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)


# The root user

SUMMARY, FEATURES = "iam:GetAccountSummary", "iam:ListOrganizationsFeatures"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            {"AccountAccessKeysPresent": 0, "AccountMFAEnabled": 1, "AccountPasswordPresent": 0, "Users": 3},
            AccountSummary(root_keys=0, root_mfa=True, root_password=False),
        ),
        (
            {"AccountAccessKeysPresent": 2, "AccountMFAEnabled": 0, "AccountPasswordPresent": 1},
            AccountSummary(root_keys=2, root_mfa=False, root_password=True),
        ),
        # Older partitions do not tell about the password; what is not told is not zero.
        ({"AccountAccessKeysPresent": 1, "AccountMFAEnabled": 0}, AccountSummary(1, root_mfa=False)),
        ({}, AccountSummary()),
    ],
)
def test_what_the_summary_says_of_root(
    gather_facts: Gather, access: Access, counts: dict[str, int], expected: AccountSummary
) -> None:
    answer(access, SUMMARY, {"SummaryMap": counts}, region=HOME)
    inventory = gather_facts(Account, AccountSummary)
    assert inventory.facts[AccountSummary][ACCOUNT] == expected
    assert loads(dumps(inventory, "1")).facts == inventory.facts


@pytest.mark.parametrize("denied", [SUMMARY, FEATURES])
@pytest.mark.parametrize(("code", "reason"), [("AccessDenied", Reason.ACCESS_DENIED), ("Throttling", Reason.THROTTLED)])
def test_what_may_not_be_asked_about_root_is_unknown(
    gather_facts: Gather, access: Access, denied: str, code: str, reason: Reason
) -> None:
    answer(access, denied, code, region=HOME)
    fact = AccountSummary if denied == SUMMARY else RootManagement
    gap = gather_facts(Account, fact).facts[fact][ACCOUNT]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (reason, denied)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"OrganizationId": "o-example1234", "EnabledFeatures": ["RootSessions", "RootCredentialsManagement"]},
         ("RootCredentialsManagement", "RootSessions")),
        ({"OrganizationId": "o-example1234"}, ()),
        ("OrganizationNotFoundException", ()),
        ("OrganizationNotFound", ()),
        ("OrganizationNotInAllFeaturesModeException", ()),
        ("ServiceAccessNotEnabledException", ()),
        # Whoever asks from a member account learns nothing, and it is no failure.
        ("AccountNotManagementOrDelegatedAdministratorException", None),
    ],
)  # fmt: skip
def test_whether_the_organisation_manages_root(
    gather_facts: Gather, access: Access, given: Any, expected: tuple[str, ...] | None
) -> None:
    answer(access, FEATURES, given, region=HOME)
    inventory = gather_facts(Account, RootManagement)
    assert inventory.facts[RootManagement][ACCOUNT] == RootManagement(expected)
    assert inventory.errors == []
    assert loads(dumps(inventory, "1")).facts == inventory.facts


def test_the_instance_profiles_of_a_role(gather_facts: Gather) -> None:
    client = boto3.client("iam")
    client.create_role(RoleName="api", AssumeRolePolicyDocument=json.dumps(trust("ec2.amazonaws.com")))
    client.create_instance_profile(InstanceProfileName="api", Path="/app/")
    client.create_instance_profile(InstanceProfileName="empty")
    client.add_role_to_instance_profile(InstanceProfileName="api", RoleName="api")
    (role,) = listed(gather_facts).roles
    assert role.profiles == ("arn:aws:iam::123456789012:instance-profile/app/api",)

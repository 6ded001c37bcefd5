"""An organisation's accounts: which are found, how they are entered, and what is said of those that cannot be."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from auditor import engine, packs, snapshot
from auditor.cli import run_main
from auditor.config import Config
from auditor.errors import CredentialsError, UsageError
from auditor.facts import Gap, Organization, OrganizationAccounts, Reason, ServiceControlPolicies
from auditor.inventory import Caller, Inventory
from auditor.resources import Account, Resource, Table, account_of
from auditor.rule_api import Status
from auditor.snapshot import Share, SnapshotFile
from auditor.sources.aws.collect import collect
from auditor.sources.aws.fleet import Job, Threads, covered, gather
from auditor.sources.aws.organisation import Door, Member, closed, lay_out, members
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access, Aws
from tests.wire import Answer

ROLE = "audit/ddbaudit"
CALLER = Caller("123456789012", "me")
Accounts = dict[str, str]


@pytest.fixture
def maker(moto: None) -> boto3.Session:
    """What makes things; the auditing sessions only read."""
    return boto3.Session()


@pytest.fixture
def accounts(maker: boto3.Session) -> Accounts:
    """Make an organisation: the management account, two members in units, one of them below the other's."""
    client = maker.client("organizations")
    client.create_organization(FeatureSet="ALL")
    root = client.list_roots()["Roots"][0]["Id"]
    ids = {"management": "123456789012", "root": root}
    above = root
    for unit, name in (("shops", "shop"), ("labs", "lab")):
        made = client.create_organizational_unit(ParentId=above, Name=unit)["OrganizationalUnit"]["Id"]
        account = client.create_account(AccountName=name, Email=f"{name}@example.org")["CreateAccountStatus"]
        client.move_account(AccountId=account["AccountId"], SourceParentId=root, DestinationParentId=made)
        ids |= {unit: made, name: account["AccountId"]}
        above = made
    return ids


def names(found: list[Member]) -> set[str]:
    return {one.account.id for one in found}


def test_all_accounts_those_below_a_unit_and_those_that_are_named(access: Access, accounts: Accounts) -> None:
    everyone = {accounts[one] for one in ("management", "shop", "lab")}
    assert names(members(access)) == everyone
    assert names(members(access, units=[accounts["root"]])) == everyone
    assert names(members(access, units=[accounts["shops"]])) == {accounts["shop"], accounts["lab"]}
    assert names(members(access, units=[accounts["labs"]])) == {accounts["lab"]}
    both = members(access, units=[accounts["labs"]], accounts=[accounts["management"], accounts["lab"]])
    assert names(both) == {accounts["lab"], accounts["management"]}
    with pytest.raises(UsageError, match="no account 999988887777"):
        members(access, accounts=["999988887777"])


def test_who_may_not_read_the_organisation_is_told(session: boto3.Session, access: Access) -> None:
    with pytest.raises(CredentialsError, match="in no organisation"):
        members(access)

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListAccounts")

    session.events.register("before-call.organizations", refuse)
    with pytest.raises(CredentialsError, match="the organisation cannot be read") as caught:
        members(Access(access.account, "", session, access.pacer))
    assert "delegated administrator" in caught.value.hint


def refusing(monkeypatch: pytest.MonkeyPatch, account: str) -> None:
    """Make the role of an account refuse to be taken."""
    usual = Door.open

    def refuse(self: Door, share: Share) -> Access:
        if share.account == account:
            error = {"Error": {"Code": "AccessDenied", "Message": "Not allowed to assume."}}
            raise self._refused(share, ClientError(error, "AssumeRole"))
        return usual(self, share)

    monkeypatch.setattr(Door, "open", refuse)


Wanted = set[tuple[type, type[Resource]]]


def gathered(access: Access, wanted: Wanted, found: list[Member] | None = None) -> Inventory:
    """Collect the accounts of the organisation as the command does, into a file."""
    plan, base = lay_out(access, CALLER, members(access) if found is None else found, ROLE, wanted)
    door = Door(access.session, None, access.pacer)
    locked = closed(door, plan.shares)
    with tempfile.TemporaryDirectory() as folder:
        file = SnapshotFile(Path(folder, "snapshot.json"), "1")
        file.begin(base, plan)
        job = Job(
            CALLER, plan.wanted, "1", ("eu-west-1",), covered(one for one in plan.shares if one.account not in locked)
        )
        assert gather(job, plan, file, Threads(door))
        file.finish()
        return snapshot.read(file.path)


def table(session: boto3.Session, name: str, *, protected: bool) -> None:
    session.client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=protected,
        Tags=[{"Key": "env", "Value": "prod"}],
    )


def test_every_account_is_audited_with_its_own_credentials(
    maker: boto3.Session, access: Access, accounts: Accounts
) -> None:
    table(maker, "own", protected=True)
    for name in ("shop", "lab"):
        keys = maker.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{accounts[name]}:role/maker", RoleSessionName="maker"
        )["Credentials"]
        there = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        table(there, f"{name}-orders", protected=False)
    rules = packs.select(packs.built_in(), ["table-deletion-protection"])
    found = gathered(access, engine.wanted(rules.values()))
    assert [one.account.id for one in found.scopes] == sorted(accounts[one] for one in ("management", "shop", "lab"))
    told = {one.resource.label: one.status for one in engine.judge(found, rules, Config()).findings}
    assert told == {"own": Status.PASS, "shop-orders": Status.FAIL, "lab-orders": Status.FAIL}
    owners = {account_of(one).id for one in found.of_kind(Table)}
    assert owners == {accounts[one] for one in ("management", "shop", "lab")}


def test_an_account_that_cannot_be_entered_is_unknown_for_every_rule_and_ends_nothing(
    access: Access, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, accounts["lab"])
    rules = packs.select(packs.built_in(), ["table-deletion-protection", "iam-user-limit", "dax-multi-az"])
    wanted = engine.wanted(rules.values())
    found = gathered(access, wanted)
    doubts = [one for one in engine.judge(found, rules, Config()).findings if one.resource == Account(accounts["lab"])]
    assert {one.rule for one in doubts} == set(rules)
    for one in doubts:
        assert (one.status, one.reason, one.missing_permission) == (Status.UNKNOWN, "access_denied", "sts:AssumeRole")
        assert f"arn:aws:iam::{accounts['lab']}:role/{ROLE}" in one.message
    assert [(one.account, one.operation, one.code) for one in found.errors if one.account == accounts["lab"]] == [
        (accounts["lab"], "AssumeRole", "AccessDenied")
    ]
    assert any(scope.account.id == accounts["lab"] and not scope.regions for scope in found.scopes)


def test_an_account_that_something_else_than_aws_answers_for_cannot_be_entered(
    access: Access, accounts: Accounts
) -> None:
    page = Answer(200, b"<html><body>Log in</body></html>")

    def answer(request: Any, **_: Any) -> Any:
        return page.received(request.url) if accounts["lab"] in str(request.body) else None

    access.session.events.register_first("before-send.sts", answer)
    plan, _ = lay_out(access, CALLER, members(access), ROLE, set())
    refused = closed(Door(access.session, None, access.pacer), plan.shares)
    assert {number: (one.error.code, one.error.message) for number, one in refused.items()} == {
        accounts["lab"]: ("UnreadableAnswer", "the answer could not be read")
    }
    assert refused[accounts["lab"]].gap.reason is Reason.TRANSIENT


@pytest.mark.parametrize("state", ["SUSPENDED", "PENDING_CLOSURE"])
def test_a_suspended_account_is_listed_and_owes_nothing(access: Access, accounts: Accounts, state: str) -> None:
    own = Member(access.account, "management", "ACTIVE")
    rules = packs.select(packs.built_in(), ["table-deletion-protection"])
    found = gathered(access, engine.wanted(rules.values()), [own, Member(Account(accounts["lab"]), "lab", state)])
    assert [scope.account.id for scope in found.scopes] == [access.account.id]
    assert [(error.account, error.code) for error in found.errors] == [(accounts["lab"], state)]
    assert "is not audited" in found.errors[0].message


def test_organisation_facts_of_members_are_read_with_the_credentials_that_may(
    maker: boto3.Session, access: Access, accounts: Accounts
) -> None:
    client = maker.client("organizations")
    client.enable_policy_type(RootId=accounts["root"], PolicyType="SERVICE_CONTROL_POLICY")
    deny = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "dynamodb:DeleteTable", "Resource": "*"}],
    }
    policy = client.create_policy(
        Content=json.dumps(deny), Name="keep", Description="x", Type="SERVICE_CONTROL_POLICY"
    )["Policy"]["PolicySummary"]["Id"]
    client.attach_policy(PolicyId=policy, TargetId=accounts["shops"])
    asked: Counter[str] = Counter()
    access.session.events.register("before-call.organizations", lambda model, **_: asked.update([model.name]))
    wanted: Wanted = {(kind, Account) for kind in (ServiceControlPolicies, OrganizationAccounts, Organization)}
    found = gathered(access, wanted)
    levels = found.facts[ServiceControlPolicies][Account(accounts["lab"])]
    assert not isinstance(levels, Gap)
    assert "keep" in [one.name for level in levels.levels for one in level.policies]
    assert asked["DescribePolicy"] == asked["ListTargetsForPolicy"] == 2  # AWS's own and ours, not once an account
    assert asked["DescribeOrganization"] == 1
    # What one account's path says is what asking for that account says.
    own = collect([access], CALLER, ["eu-west-1"], wanted)
    for kind in (ServiceControlPolicies, OrganizationAccounts, Organization):
        assert found.facts[kind][access.account] == own.facts[kind][access.account]


def test_roles_are_taken_with_the_name_and_the_external_id_and_renewed(session: boto3.Session, moto: None) -> None:
    asked: list[dict[str, Any]] = []
    session.events.register("provide-client-params.sts.AssumeRole", lambda params, **_: asked.append(dict(params)))
    door = Door(session, "shared-secret", Pacer("off"))
    share = Share(account="999988887777", role=f"arn:aws:iam::999988887777:role/{ROLE}")
    entered = door.open(share)
    aws = Aws(entered, "eu-west-1")
    assert aws.call("sts:GetCallerIdentity")["Account"] == "999988887777"
    assert asked == [
        {
            "RoleArn": f"arn:aws:iam::999988887777:role/{ROLE}",
            "RoleSessionName": "ddbaudit",
            "ExternalId": "shared-secret",
        }
    ]
    # Another account's calls go through the same client and are signed for that account.
    other = door.open(Share(account="888877776666", role=f"arn:aws:iam::888877776666:role/{ROLE}"))
    assert Aws(other, "eu-west-1").call("sts:GetCallerIdentity")["Account"] == "888877776666"
    assert aws.call("sts:GetCallerIdentity")["Account"] == "999988887777"
    assert other.client("sts", "eu-west-1") is entered.client("sts", "eu-west-1")
    asked.clear()
    entered.credentials._refresh_using.__self__._cache.clear()
    entered.credentials._expiry_time = entered.credentials._time_fetcher()  # as if an hour had passed
    aws.call("sts:GetCallerIdentity")
    assert len(asked) == 1


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        code = run_main(arguments)
        return code, capsys.readouterr().err

    return run


def test_the_command_audits_the_organisation(
    maker: boto3.Session,
    accounts: Accounts,
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    table(maker, "own", protected=True)
    rule = ("--rule", "table-deletion-protection", "--region", "eu-west-1", "--pace", "off", "--quiet")
    code, said = command("run", "--org", "--role-name", ROLE, *rule)
    assert (code, said.splitlines()[-1]) == (0, "ddbaudit: exit 0: 0 findings at or above high, 0 unknown")
    report = json.loads((tmp_path / "ddbaudit-report/report.json").read_text())
    assert {one["accountName"] for one in report["run"]["scopes"]} >= {"shop", "lab"}
    refusing(monkeypatch, accounts["shop"])
    code, said = command("run", "--org", "--role-name", ROLE, "--account", accounts["shop"], *rule)
    assert (code, said.splitlines()[-1]) == (4, "ddbaudit: exit 4: 0 findings at or above high, 1 unknown")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--org"], "--org needs --role-name"),
        (["--role-name", "x"], "--role-name needs --org"),
        (["--ou", "r-abcd"], "--ou needs --org"),
        (["--external-id", "x"], "--external-id needs --org"),
        (["--org", "--role-name", "arn:aws:iam::1:role/x"], "no name of a role"),
        (["--org", "--role-name", "x", "--account", "12"], "no account number"),
        (["--org", "--role-name", "x", "--ou", "shops"], "no id of a unit"),
        (["--org", "--role-name", "x", "--from", "s.json"], "exclude each other"),
    ],
)
def test_options_that_do_not_fit_together(command: Callable[..., Any], arguments: list[str], words: str) -> None:
    for name in ("run", "collect"):
        if name == "collect" and "--from" in arguments:
            continue
        code, said = command(name, *arguments)
        assert code == 2
        assert words in said


def test_permissions_of_who_audits_an_organisation(
    command: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("permissions", "--org")[0] == 2
    code = run_main(["permissions", "--org", "--role-name", ROLE, "--rule", "table-pitr"])
    held = json.loads(capsys.readouterr().out)["Statement"]
    assert code == 0
    assert {"Sid": "EnterAccounts", "Effect": "Allow", "Action": ["sts:AssumeRole"],
            "Resource": f"arn:*:iam::*:role/{ROLE}"} in held  # fmt: skip
    assert "organizations:ListAccounts" in [one for statement in held for one in statement["Action"]]

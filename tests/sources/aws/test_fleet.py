"""Accounts collected one by one give what they give together; so do their regions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator

from auditor import engine, packs, snapshot
from auditor.config import Config, load
from auditor.engine import judge
from auditor.facts import (
    Gap,
    KeySettings,
    Organization,
    OrganizationAccounts,
    PointInTimeRecovery,
    Reason,
    ResourcePolicy,
    TableNames,
)
from auditor.inventory import Caller, Inventory
from auditor.resources import Account, Key, Region, Table, account_of
from auditor.rule_api import Status
from auditor.snapshot import Plan, Share, SnapshotFile, Wanted, names
from auditor.sources import demo
from auditor.sources.aws.collect import collect
from auditor.sources.aws.fleet import Job, Outcome, Task, Threads, covered, gather, work
from auditor.sources.aws.organisation import read_once
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access, ConfigSource

OFF = Pacer("off")


class Given:
    """Lets in with sessions that are there."""

    pacer = OFF

    def __init__(self, sessions: dict[str, boto3.Session]) -> None:
        self._sessions = sessions
        self.opened: list[Share] = []

    def open(self, share: Share) -> Access:
        self.opened.append(share)
        return Access(share.resource, share.name, self._sessions[share.account], OFF)


@pytest.fixture
def organisation() -> Iterator[dict[str, tuple[str, boto3.Session]]]:
    with demo.organisation() as accounts:
        yield {one.id: (one.name, one.session) for one in accounts}


def by_account(accounts: dict[str, Any]) -> list[Share]:
    return [Share(account=number, name=name) for number, (name, _) in accounts.items()]


def by_region(accounts: dict[str, Any]) -> list[Share]:
    regions = tuple(demo.REGIONS)
    shares = [Share(account=one, name=name, only="account", regions=regions) for one, (name, _) in accounts.items()]
    return shares + [
        Share(account=one, name=name, only="regions", regions=(region,))
        for one, (name, _) in accounts.items()
        for region in regions
    ]


def test_shares_give_the_verdicts_that_the_whole_gives(
    organisation: dict[str, tuple[str, boto3.Session]], tmp_path: Path
) -> None:
    rules, config = packs.built_in(), load(demo.CONFIG)[0]
    wanted = engine.wanted(rules.values())
    accesses = [Access(Account(one), name, session, OFF) for one, (name, session) in organisation.items()]
    caller = Caller(accesses[0].account.id, "arn")
    whole = collect(accesses, caller, list(demo.REGIONS), wanted, sampling=config.sampling)
    base = Inventory(caller, ())
    read_once(accesses[0], [one.account for one in accesses], {fact_type for fact_type, _ in wanted}, base)
    for shares in (by_account(organisation), by_region(organisation)):
        file = SnapshotFile(tmp_path / "snapshot.json", "1")
        plan = Plan(shares=tuple(shares), wanted=names(wanted))
        file.begin(base, plan)
        job = Job(caller, plan.wanted, "1", tuple(demo.REGIONS), covered(shares), config.sampling)
        told: list[tuple[int, int]] = []
        door = Given({one: session for one, (_, session) in organisation.items()})
        assert gather(job, plan, file, Threads(door), lambda *both, told=told: told.append(both))
        assert told[0] == (0, len(shares))
        assert told[-1] == (len(shares), len(shares))
        merged = snapshot.read(file.path)
        assert merged.scopes == whole.scopes
        assert merged.everything() == whole.everything()
        assert sorted(set(merged.errors)) == sorted(set(whole.errors))
        # Evidence has what moto makes up anew, such as the address of a cluster.
        said = [
            [(one.rule, one.resource, one.sub_key, one.status, one.severity, one.message, one.reason) for one in found]
            for found in (judge(merged, rules, config).findings, judge(whole, rules, config).findings)
        ]
        assert said[0] == said[1]


def make_table(session: boto3.Session, name: str, **settings: Any) -> str:
    made = session.client("dynamodb", region_name="eu-west-1").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        **settings,
    )
    return str(made["TableDescription"]["TableArn"])


@pytest.fixture
def two(moto: None) -> dict[str, boto3.Session]:
    """A shop, whose table is encrypted with a key of the security account and trusts the shop's sibling."""
    sessions = {}
    for number in ("111122223333", "222233334444"):
        role = f"arn:aws:iam::{number}:role/audit"
        keys = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="maker")["Credentials"]
        sessions[number] = boto3.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name="eu-west-1"
        )
    return sessions


def collected(door: Given, wanted: Wanted, path: Path, shares: list[Share], *known: object) -> Inventory:
    file = SnapshotFile(path, "1")
    plan = Plan(shares=tuple(shares), wanted=names(wanted))
    caller = Caller("111122223333", "arn")
    base = Inventory(caller, ())
    for share in shares:
        for value in known:
            base.put(share.resource, value)
    file.begin(base, plan)
    assert gather(Job(caller, plan.wanted, "1", ("eu-west-1",), covered(shares)), plan, file, Threads(door))
    file.finish()
    return snapshot.read(path)


def test_a_key_of_the_security_account_is_judged_with_what_that_account_says(
    two: dict[str, boto3.Session], tmp_path: Path
) -> None:
    shop, security = two
    kms = two[security].client("kms", region_name="eu-west-1")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.enable_key_rotation(KeyId=key)
    make_table(two[shop], "orders", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key})
    rules = packs.select(packs.built_in(), ["kms-key-*"])
    wanted = engine.wanted(rules.values())
    asked: list[str] = []

    def refuse(model: Any, **_: Any) -> None:
        asked.append(model.name)

    two[shop].events.register("before-call.kms", refuse)
    door = Given(two)
    shares = [Share(account=shop), Share(account=security)]
    found = collected(door, wanted, tmp_path / "s.json", shares)
    settings = found.facts[KeySettings][Key.from_arn(key)]
    assert not isinstance(settings, Gap)
    assert account_of(Key.from_arn(key)) == Account(security)
    told = {one.rule: one.status for one in judge(found, rules, Config()).findings if one.resource.arn == key}
    assert told["kms-key-rotation"] is told["kms-key-usable"] is Status.PASS
    # The user's own credentials were not asked about it.
    assert set(asked) <= {"ListAliases"}
    # Alone, without the security account's credentials, the shop asks itself.
    asked.clear()
    collected(Given(two), wanted, tmp_path / "t.json", [Share(account=shop)])
    assert "DescribeKey" in asked


def test_a_policy_that_trusts_a_sibling_is_told_from_one_that_trusts_a_stranger(
    two: dict[str, boto3.Session], tmp_path: Path
) -> None:
    shop, sibling = two
    for name, trusted in (("siblings", sibling), ("strangers", "999988887777")):
        arn = make_table(two[shop], name)
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{trusted}:root"},
            "Action": "dynamodb:GetItem",
            "Resource": arn,
        }
        two[shop].client("dynamodb", region_name="eu-west-1").put_resource_policy(
            ResourceArn=arn, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )
    rules = packs.select(packs.built_in(), ["table-resource-policy-cross-account"])
    wanted = engine.wanted(rules.values())
    shares = [Share(account=shop), Share(account=sibling)]
    members = OrganizationAccounts(dict.fromkeys(two, "name"))
    organisation = Organization("o-exampleorgid", "ALL", sibling)
    found = collected(Given(two), wanted, tmp_path / "s.json", shares, organisation, members)
    assert all(not isinstance(one, Gap) for one in found.facts[ResourcePolicy].values())
    told = {one.resource.label: one.status for one in judge(found, rules, Config()).findings}
    assert told == {"siblings": Status.PASS, "strangers": Status.FAIL}


def test_an_account_whose_collection_fails_is_unknown_and_is_tried_again(tmp_path: Path) -> None:
    class Broken:
        pacer = OFF

        def open(self, share: Share) -> Access:
            raise RuntimeError("a defect")

    rules = packs.select(packs.built_in(), ["table-deletion-protection"])
    wanted = engine.wanted(rules.values())
    share = Share(account="111122223333")
    plan = Plan(shares=(share,), wanted=names(wanted))
    file = SnapshotFile(tmp_path / "s.json", "1")
    file.begin(Inventory(Caller("111122223333", "arn"), ()), plan)
    job = Job(Caller("111122223333", "arn"), plan.wanted, "1", (), covered([share]))
    assert gather(job, plan, file, Threads(Broken()))
    assert file.finished() == set()
    (finding,) = judge(snapshot.read(file.path), rules, Config()).findings
    assert (finding.status, finding.reason) == (Status.UNKNOWN, Reason.TRANSIENT)
    assert "RuntimeError: a defect" in finding.message


def test_what_is_stopped_keeps_what_is_there(two: dict[str, boto3.Session], tmp_path: Path) -> None:
    class Stopped:
        def is_set(self) -> bool:
            return True

    shop = next(iter(two))
    make_table(two[shop], "orders")
    wanted: Wanted = {(TableNames, Region)}
    job = Job(Caller(shop, "arn"), names(wanted), "1", ("eu-west-1",), covered([Share(account=shop)]))
    outcome = work(job, Given(two), Task(Share(account=shop)), stop=Stopped())
    assert isinstance(outcome, Outcome)
    assert outcome.interrupted
    file = SnapshotFile(tmp_path / "s.json", "1")
    plan = Plan(shares=(Share(account=shop),), wanted=names(wanted))
    file.begin(Inventory(Caller(shop, "arn"), ()), plan)
    assert outcome.data is not None
    file.add(outcome.key, outcome.data, whole=False)
    assert snapshot.read(file.path).interrupted
    assert file.finished() == set()
    # Gone on with, it is whole.
    assert gather(job, plan, file, Threads(Given(two)))
    assert {one.label for one in snapshot.read(file.path).of_kind(Table)} == {"orders"}


def test_an_aggregator_of_aws_config_is_asked_as_who_audits_about_each_account(
    two: dict[str, boto3.Session], tmp_path: Path
) -> None:
    auditing, *_ = two
    asked: list[tuple[str, str]] = []
    recorder = {"name": "default", "recordingGroup": {"allSupported": True}}
    state = {"name": "default", "recording": True}
    backups = {"pointInTimeRecoveryDescription": {"pointInTimeRecoveryStatus": "ENABLED"}}

    def listen(owner: str, session: boto3.Session, tables: dict[str, str]) -> None:
        def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
            recording: dict[str, dict[str, Any]] = {
                "DescribeConfigurationRecorders": {"ConfigurationRecorders": [recorder]},
                "DescribeConfigurationRecorderStatus": {"ConfigurationRecordersStatus": [state]},
            }
            given = recording.get(model.name)
            if given is None:
                assert model.name == "SelectAggregateResourceConfig"
                about = next(one for one in two if one in json.loads(params["body"])["Expression"])
                asked.append((owner, about))
                row = {
                    "arn": tables[about],
                    "resourceType": "AWS::DynamoDB::Table",
                    "resourceId": "orders",
                    "configurationItemCaptureTime": "2999-01-01T00:00:00Z",
                    "configurationItemStatus": "OK",
                    "supplementaryConfiguration": {"ContinuousBackupsDescription": backups},
                }
                given = {"Results": [json.dumps(row)]}
            report = ParamValidator().validate(given, model.output_shape)
            assert not report.has_errors(), report.generate_report()
            return SimpleNamespace(status_code=200), given

        session.events.register_first("before-call.config-service", answer)

    tables = {owner: make_table(session, "orders") for owner, session in two.items()}
    for owner, session in two.items():
        listen(owner, session, tables)
    shares = [Share(account=one) for one in two]
    wanted = names(engine.wanted([packs.built_in()["table-pitr"]]))
    file, plan = SnapshotFile(tmp_path / "snapshot.json", "1"), Plan(shares=tuple(shares), wanted=wanted)
    caller = Caller(auditing, "arn")
    file.begin(Inventory(caller, ()), plan)
    job = Job(caller, wanted, "1", ("eu-west-1",), covered(shares), config=ConfigSource("org"))
    assert gather(job, plan, file, Threads(Given(two)))
    assert sorted(asked) == [(auditing, one) for one in sorted(two)]
    held = snapshot.read(file.path).facts[PointInTimeRecovery]
    assert {one.arn: value.recorded is not None for one, value in held.items()} == dict.fromkeys(tables.values(), True)

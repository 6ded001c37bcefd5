"""residency-replica-region: where copies of a table's items are, and whose they are."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import Severity, Status, Verdict
from auditor.config import Accounts, Config
from auditor.facts import Gap, LegacyGlobalTables, Reason, Replica, Sensitivity, TableSettings, Witness
from auditor.resources import Account, Region, Table
from tests.rules import ACCOUNT, TABLE, load

judge = load("residency-replica-region")

EUROPE = Config(allowed_regions=("eu-*",))
SENSITIVE = Sensitivity(sensitive=True, classified=True, source="data-classification=pii")
PLAIN = Sensitivity(sensitive=False, classified=True)
NO_TAGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
NO_LIST = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListGlobalTables")
NONE = LegacyGlobalTables({})
OTHER = "444455556666"


def at(region: str, status: str = "ACTIVE", account: str = ACCOUNT.id) -> Replica:
    return Replica(Table(Region(Account(account), region), "orders"), status)


def table(*replicas: Replica, witnesses: tuple[Witness, ...] = (), version: str | None = "2019.11.21") -> TableSettings:
    return TableSettings("ACTIVE", replicas=replicas, witnesses=witnesses, global_table_version=version)


def ask(
    settings: TableSettings,
    config: Config = EUROPE,
    legacy: LegacyGlobalTables | Gap = NONE,
    sensitivity: Sensitivity | Gap = PLAIN,
) -> Verdict | None:
    verdict = judge(TABLE, settings, legacy, sensitivity, config)
    assert verdict is None or isinstance(verdict, Verdict)
    return verdict


def judged(settings: TableSettings, config: Config = EUROPE, legacy: LegacyGlobalTables | Gap = NONE) -> Verdict:
    verdict = ask(settings, config, legacy)
    assert verdict is not None
    return verdict


def test_replicas_in_allowed_regions_pass_whether_or_not_the_own_region_is_listed() -> None:
    first, second = judged(table(at("eu-central-1"))), judged(table(at("eu-west-1"), at("eu-central-1")))
    assert first == second
    assert first.status is Status.PASS
    assert first.evidence["Replicas"] == {
        "arn:aws:dynamodb:eu-central-1:111122223333:table/orders": "eu-central-1",
        TABLE.arn: "eu-west-1",
    }


def test_a_replica_elsewhere_fails() -> None:
    verdict = judged(table(at("eu-central-1"), at("us-east-1")))
    assert verdict.status is Status.FAIL
    assert "us-east-1" in verdict.message
    assert "eu-central-1" not in verdict.message


def test_the_tables_own_region_counts_as_a_place_of_the_data() -> None:
    config = Config(allowed_regions=("eu-central-1",))
    for replicas in ((at("eu-central-1"),), (at("eu-central-1"), at("eu-west-1"))):
        assert judged(table(*replicas), config).status is Status.FAIL


@pytest.mark.parametrize("status", ["ACTIVE", "CREATING"])
def test_a_witness_elsewhere_fails_although_it_cannot_be_read(status: str) -> None:
    verdict = judged(table(at("eu-central-1"), witnesses=(Witness("us-east-1", status),)))
    assert verdict.status is Status.FAIL
    assert verdict.evidence["GlobalTableWitnesses"] == ["us-east-1"]


@pytest.mark.parametrize(
    ("sensitivity", "severity"), [(SENSITIVE, Severity.CRITICAL), (PLAIN, Severity.HIGH), (NO_TAGS, Severity.HIGH)]
)
def test_the_severity_follows_what_is_known_of_the_data(sensitivity: Sensitivity | Gap, severity: Severity) -> None:
    for replica in (at("us-east-1"), at("eu-central-1", account=OTHER)):
        verdict = ask(table(replica), sensitivity=sensitivity)
        assert verdict is not None
        assert (verdict.status, verdict.severity) == (Status.FAIL, severity)


def test_a_replica_in_an_account_that_is_not_trusted_fails_even_where_no_region_is_declared() -> None:
    foreign = at("eu-central-1", account=OTHER)
    for config in (EUROPE, Config()):
        verdict = judged(table(foreign), config)
        assert verdict.status is Status.FAIL
        assert verdict.evidence["foreign"] == [foreign.table.arn]
    trusting = Config(accounts=Accounts(trusted=(OTHER,)), allowed_regions=("eu-*",))
    assert judged(table(foreign), trusting).status is Status.PASS
    assert judged(table(at("us-east-1", account=OTHER)), trusting).status is Status.FAIL


def test_what_is_being_deleted_is_evidence_only() -> None:
    leaving = (at("us-east-1", "DELETING"), at("us-west-2", "DELETING", OTHER))
    witness = Witness("ap-east-1", "DELETING")
    verdict = judged(table(at("eu-central-1"), *leaving, witnesses=(witness,)))
    assert verdict.status is Status.PASS
    assert verdict.evidence["deleting"] == ["ap-east-1", "us-east-1", "us-west-2"]
    for config in (EUROPE, Config()):
        assert judged(table(*leaving), config).status is Status.NOT_APPLICABLE


def test_without_a_declaration_the_places_are_listed() -> None:
    verdict = judged(table(at("us-east-1")), Config())
    assert (verdict.status, verdict.reason) == (Status.NOT_APPLICABLE, "not_declared")
    assert "eu-west-1, us-east-1" in verdict.message


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"orders": ("eu-west-1", "us-east-1")}, Status.FAIL),
        ({"orders": ("eu-central-1", "eu-west-1")}, Status.PASS),
        ({"orders": ("eu-central-1", "us-east-1")}, None),
        ({"orders": ("eu-west-1",)}, None),
        ({"carts": ("eu-west-1", "us-east-1")}, None),
    ],
)
def test_a_legacy_global_table_is_known_from_its_list(
    members: Mapping[str, tuple[str, ...]], status: Status | None
) -> None:
    verdict = ask(table(version=None), legacy=LegacyGlobalTables(members))
    assert (None if verdict is None else verdict.status) is status
    if verdict is not None:
        assert verdict.evidence["ReplicationGroup"] == list(members["orders"])


@pytest.mark.parametrize(
    ("version", "status"), [(None, Status.UNKNOWN), ("2017.11.29", Status.UNKNOWN), ("2019.11.21", None)]
)
def test_an_unreadable_list_of_legacy_tables_matters_only_where_the_table_might_stand_in_it(
    version: str | None, status: Status | None
) -> None:
    for settings in (table(version=version), table(at("eu-west-1"), version=version)):
        verdict = ask(settings, legacy=NO_LIST)
        assert (None if verdict is None else verdict.status) is status
    assert judged(table(at("eu-central-1")), legacy=NO_LIST).status is Status.PASS
    assert judged(table(at("us-east-1")), legacy=NO_LIST).status is Status.FAIL


def test_a_table_that_is_not_global_has_no_finding() -> None:
    for settings in (table(version=None), table(at("eu-west-1"))):
        for config in (EUROPE, Config()):
            assert ask(settings, config) is None


@given(st.permutations([at("eu-central-1"), at("us-east-1"), at("eu-west-1"), at("us-west-2", "DELETING")]))
def test_the_order_of_replicas_does_not_matter(replicas: list[Replica]) -> None:
    assert judged(table(*replicas)) == judged(table(*sorted(replicas, key=lambda one: one.table.arn)))

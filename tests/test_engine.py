"""The engine: what is missing becomes unknown, nothing disappears, severity moves with context."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest

from auditor import Remediation, Severity, Side, Status, Verdict, failed, not_applicable, passed, rule
from auditor.config import Config, Sampling
from auditor.engine import Resolver, audit, judge, wanted
from auditor.facts import (
    CollectionTime,
    DaxClusterNames,
    Environment,
    Gap,
    ItemSample,
    KeySettings,
    Reason,
    RegionScope,
    Subnets,
    TableNames,
    TableSettings,
    Tags,
    VpcEndpoints,
)
from auditor.facts.base import VANISHED, SignatureError
from auditor.inventory import Caller, CallError, Inventory, Scope
from auditor.report import RunInfo, exit_line
from auditor.resources import Account, Bucket, Key, Region, Resource, Subnet, Table
from auditor.rule_api import Rule

ACCOUNT = Account("111122223333")
HERE, THERE = Region(ACCOUNT, "eu-west-1"), Region(ACCOUNT, "us-east-1")
ORDERS, CARTS = Table(HERE, "orders"), Table(HERE, "carts")
KEY = Key(HERE, "1234abcd-12ab-34cd-56ef-1234567890ab")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
RUN = RunInfo("id", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "aws", Caller("1", "arn"))

declare = rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["B"],
    remediation=Remediation("text", "aws dynamodb list-tables", "", ""),
    references=[],
)


@declare
def table_protected(table: Table, settings: TableSettings) -> Verdict:
    """Tables are protected.

    Why.
    """
    if settings.deletion_protection:
        return passed("on", DeletionProtectionEnabled=True)
    return failed("off", DeletionProtectionEnabled=False)


@declare
def key_known(key: Key, settings: KeySettings) -> Verdict:
    """Keys are known.

    Why.
    """
    return passed(settings.state)


@declare
def region_served(region: Region, endpoints: VpcEndpoints) -> Verdict:
    """Regions have endpoints.

    Why.
    """
    return passed("yes") if endpoints.endpoints else failed("no")


@declare
def subnet_seen(subnet: Subnet, subnets: Subnets | Gap) -> Verdict:
    """Subnets are seen.

    Why.
    """
    return passed("seen")


def loaded(*functions: Any) -> dict[str, Rule]:
    return {function.rule.id: function.rule for function in functions}


def inventory(*regions: Region, **facts: Any) -> Inventory:
    made = Inventory(Caller("111122223333", "arn"), (Scope(ACCOUNT, "shop", regions or (HERE,)),))
    made.put(ACCOUNT, RegionScope(regions or (HERE,), chosen=True))
    return made


def with_tables(made: Inventory, *tables: Table) -> Inventory:
    for region in made.scopes[0].regions:
        made.put(region, TableNames(tuple(table for table in tables if table.region == region)))
        made.put(region, DaxClusterNames(()))
    for table in tables:
        made.put(table, Tags({"env": "prod"}))
    return made


def statuses(made: Inventory, *functions: Any, config: Config | None = None) -> dict[str, str]:
    outcome = judge(made, loaded(*functions), config or Config())
    return {finding.resource.arn: finding.status.value for finding in outcome.findings}


def test_every_table_is_judged_by_its_own_settings() -> None:
    made = with_tables(inventory(), ORDERS, CARTS)
    made.put(ORDERS, TableSettings("ACTIVE", deletion_protection=True))
    made.put(CARTS, TableSettings("ACTIVE"))
    assert statuses(made, table_protected) == {ORDERS.arn: "pass", CARTS.arn: "fail"}


def test_one_denied_describe_spoils_that_table_only() -> None:
    made = with_tables(inventory(), ORDERS, CARTS)
    made.put_gap(ORDERS, TableSettings, DENIED)
    made.put(CARTS, TableSettings("ACTIVE", deletion_protection=True))
    outcome = judge(made, loaded(table_protected), Config())
    by_name = {finding.resource.label: finding for finding in outcome.findings}
    assert by_name["carts"].status is Status.PASS
    assert by_name["orders"].status is Status.UNKNOWN
    assert by_name["orders"].reason == "access_denied"
    assert by_name["orders"].missing_permission == "dynamodb:DescribeTable"
    assert outcome.whole
    assert any(one.status is Status.UNKNOWN for one in outcome.findings)


def test_a_denied_listing_is_one_unknown_on_the_region() -> None:
    made = inventory(HERE, THERE)
    made.put_gap(HERE, TableNames, Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables"))
    made.put(THERE, TableNames(()))
    assert statuses(made, table_protected) == {HERE.arn: "unknown"}


def test_a_denied_describe_leaves_the_table_as_unknown_for_rules_on_its_key() -> None:
    made = with_tables(inventory(), ORDERS, CARTS)
    made.put_gap(ORDERS, TableSettings, DENIED)
    made.put(CARTS, TableSettings("ACTIVE", key=KEY))
    made.put(KEY, KeySettings("Enabled"))
    assert statuses(made, key_known) == {ORDERS.arn: "unknown", KEY.arn: "pass"}


def test_unreadable_regions_are_one_unknown_on_the_account() -> None:
    made = Inventory(Caller("1", "arn"), (Scope(ACCOUNT, "", (HERE,)),))
    made.put_gap(ACCOUNT, RegionScope, Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeRegions"))
    made.put(HERE, TableNames((ORDERS,)))
    made.put(ORDERS, TableSettings("ACTIVE", deletion_protection=True))
    assert statuses(made, table_protected) == {ACCOUNT.arn: "unknown", ORDERS.arn: "pass"}


def test_rules_on_regions_do_not_apply_where_nothing_is_stored() -> None:
    made = with_tables(inventory(HERE, THERE), ORDERS)
    made.put(HERE, VpcEndpoints(()))
    assert statuses(made, region_served) == {HERE.arn: "fail", THERE.arn: "not_applicable"}


def test_whether_a_region_is_in_use_being_unknown_makes_its_rules_unknown() -> None:
    made = inventory()
    made.put_gap(HERE, TableNames, Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables"))
    made.put(HERE, DaxClusterNames(()))
    made.put(HERE, VpcEndpoints(()))
    assert statuses(made, region_served) == {HERE.arn: "unknown"}


def test_a_resource_of_a_region_whose_use_is_unknown_stays_in_the_report_as_unknown() -> None:
    made = inventory()
    made.put_gap(HERE, TableNames, Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables"))
    made.put(HERE, DaxClusterNames(()))
    subnet = Subnet(HERE, "subnet-1")
    made.learn([subnet])
    assert statuses(made, subnet_seen) == {HERE.arn: "unknown", subnet.arn: "unknown"}


def test_a_vanished_table_has_no_finding_and_the_run_stays_complete() -> None:
    made = with_tables(inventory(), ORDERS, CARTS)
    made.put(CARTS, TableSettings("ACTIVE", deletion_protection=True))
    made.vanished.add(ORDERS)
    made.errors.append(
        CallError("1", "eu-west-1", "dynamodb", "DescribeTable", "ResourceNotFoundException", "", "TableSettings")
    )
    outcome = judge(made, loaded(table_protected), Config())
    assert [finding.resource for finding in outcome.findings] == [CARTS]
    assert outcome.whole
    assert not any(one.status is Status.UNKNOWN for one in outcome.findings)
    assert outcome.errors[0][1] == ("table-protected",)


def test_a_replica_outside_the_audit_is_not_judged() -> None:
    made = with_tables(inventory(), ORDERS)
    made.put(ORDERS, TableSettings("ACTIVE", deletion_protection=True))
    made.put(Table(THERE, "orders"), TableSettings("ACTIVE"))
    assert statuses(made, table_protected) == {ORDERS.arn: "pass"}


def test_a_foreign_key_that_an_audited_table_uses_is_judged() -> None:
    foreign = Key(Region(Account("999988887777"), "eu-west-1"), KEY.name)
    made = with_tables(inventory(), ORDERS)
    made.put(ORDERS, TableSettings("ACTIVE", key=foreign))
    made.put(foreign, KeySettings("Enabled"))
    assert statuses(made, key_known) == {foreign.arn: "pass"}


def test_a_fact_that_was_never_collected_is_partial_data_not_a_pass() -> None:
    made = with_tables(inventory(), ORDERS)
    finding = judge(made, loaded(table_protected), Config()).findings[0]
    assert (finding.status, finding.reason) == (Status.UNKNOWN, "partial_data")
    assert "Collect it again" in finding.message


def test_items_that_nobody_read_are_called_so_by_what_kept_them_from_being_read() -> None:
    made = with_tables(inventory(), ORDERS)
    on = Config(sampling=Sampling(items_per_table=5))

    def detail(config: Config, table: Table = ORDERS) -> str:
        held = Resolver(made, config).get(ItemSample, table)
        assert (held.reason, held.action) == (Reason.PARTIAL_DATA, None)
        return str(held.detail)

    assert "sampling is off" in detail(Config())
    # It is on now, so it was off when the inventory, such as a snapshot, was made.
    assert "without item sampling" in detail(on)
    assert "not part of this audit" in detail(on, Table(THERE, "orders"))
    made.interrupted = True
    assert "interrupted" in detail(on)
    assert "sampling is off" in detail(Config())


def test_a_rule_that_raises_spoils_its_own_verdict_only() -> None:
    @declare
    def table_broken(table: Table, settings: TableSettings) -> Verdict:
        """Broken.

        Why.
        """
        raise ZeroDivisionError(table.name)

    made = with_tables(inventory(), ORDERS)
    made.put(ORDERS, TableSettings("ACTIVE", deletion_protection=True))
    outcome = judge(made, loaded(table_broken, table_protected), Config())
    by_rule = {finding.rule: finding for finding in outcome.findings}
    assert by_rule["table-broken"].reason == "rule_error"
    assert "ZeroDivisionError" in by_rule["table-broken"].message
    assert by_rule["table-protected"].status is Status.PASS


def test_one_call_may_give_several_findings_or_none() -> None:
    @declare
    def table_many(table: Table, settings: TableSettings) -> Iterable[Verdict]:
        """Many.

        Why.
        """
        yield failed("a", sub_key="a")
        yield failed("b", sub_key="b", about=table.region)

    @declare
    def table_silent(table: Table, settings: TableSettings) -> Verdict | None:
        """Silent.

        Why.
        """
        return None

    made = with_tables(inventory(), ORDERS)
    made.put(ORDERS, TableSettings("ACTIVE"))
    findings = judge(made, loaded(table_many, table_silent), Config()).findings
    assert {(finding.resource, finding.sub_key) for finding in findings} == {(ORDERS, "a"), (HERE, "b")}
    assert len({finding.id for finding in findings}) == 2


@pytest.mark.parametrize(
    ("tags", "severity"),
    [
        ({"env": "prod"}, Severity.HIGH),
        ({"env": "prod", "data-classification": "PII"}, Severity.CRITICAL),
        ({"env": "dev"}, Severity.MEDIUM),
        ({}, Severity.MEDIUM),
        ({"data-classification": "restricted"}, Severity.HIGH),
    ],
)
def test_severity_of_a_failure_moves_with_environment_and_sensitivity(
    tags: Mapping[str, str], severity: Severity
) -> None:
    made = with_tables(inventory(), ORDERS)
    made.put(ORDERS, Tags(tags))
    made.put(ORDERS, TableSettings("ACTIVE"))
    assert judge(made, loaded(table_protected), Config()).findings[0].severity is severity


def test_severity_stays_where_tags_are_unreadable_and_where_the_rule_sets_its_own() -> None:
    @declare
    def table_own(table: Table, settings: TableSettings) -> Verdict:
        """Own.

        Why.
        """
        return failed("off", severity=Severity.LOW)

    made = with_tables(inventory(), ORDERS)
    made.facts[Tags] = {ORDERS: DENIED}
    made.put(ORDERS, TableSettings("ACTIVE"))
    by_rule = {one.rule: one.severity for one in judge(made, loaded(table_own, table_protected), Config()).findings}
    assert by_rule == {"table-own": Severity.LOW, "table-protected": Severity.HIGH}


def test_a_gap_below_a_derived_fact_is_the_derived_fact() -> None:
    made = with_tables(inventory(), ORDERS)
    made.facts[Tags] = {ORDERS: DENIED}
    assert Resolver(made, Config()).get(Environment, ORDERS) == DENIED


def test_settings_reach_the_rule() -> None:
    @declare
    def table_named(table: Table, settings: TableSettings, *, prefix: Annotated[str, "Prefix."] = "") -> Verdict:
        """Named.

        Why.
        """
        return passed("yes") if table.name.startswith(prefix) else failed("no")

    made = with_tables(inventory(), ORDERS)
    made.put(ORDERS, TableSettings("ACTIVE"))
    chosen = loaded(table_named)
    assert judge(made, chosen, Config()).findings[0].status is Status.PASS
    stricter = {"table-named": chosen["table-named"].configured(Severity.LOW, {"prefix": "x-"})}
    finding = judge(made, stricter, Config()).findings[0]
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.LOW)


def test_only_what_a_rule_rests_on_is_wanted() -> None:
    names = {(fact.__name__, kind.__name__) for fact, kind in wanted(loaded(table_protected).values())}
    assert names == {
        ("TableNames", "Region"),
        ("TableSettings", "Table"),
        ("Tags", "Table"),
        ("RegionScope", "Account"),
    }
    names = {(fact.__name__, kind.__name__) for fact, kind in wanted(loaded(key_known).values())}
    assert ("Tags", "Table") not in names
    assert ("TableSettings", "Table") in names


@pytest.mark.parametrize(
    ("fail_on", "complete", "flags", "code"),
    [
        (Severity.HIGH, True, {}, 3),
        (Severity.CRITICAL, True, {}, 0),
        (None, True, {}, 0),
        (Severity.HIGH, False, {}, 3),
        (Severity.CRITICAL, False, {}, 4),
        (Severity.CRITICAL, False, {"allow_incomplete": True}, 0),
        (Severity.HIGH, False, {"allow_incomplete": True}, 3),
        (Severity.HIGH, False, {"exit_zero": True}, 0),
    ],
)
def test_the_gate(fail_on: Severity | None, complete: bool, flags: dict[str, bool], code: int) -> None:
    made = with_tables(inventory(), ORDERS, CARTS)
    made.put(ORDERS, TableSettings("ACTIVE"))
    if complete:
        made.put(CARTS, TableSettings("ACTIVE", deletion_protection=True))
    else:
        made.put_gap(CARTS, TableSettings, DENIED)
    report = audit(
        made,
        loaded(table_protected),
        Config(),
        RUN,
        version="1",
        fail_on=fail_on,
        allow_incomplete=flags.get("allow_incomplete", False),
        exit_zero=flags.get("exit_zero", False),
    )
    assert report.gate.exit_code == code
    assert report.complete is complete
    assert exit_line(report).startswith(f"ddbaudit: exit {code}: ")


def test_an_account_without_tables_is_complete_and_has_no_score() -> None:
    report = audit(with_tables(inventory()), loaded(table_protected), Config(), RUN, version="1")
    assert (report.gate.exit_code, report.complete, report.score, report.findings) == (0, True, None, ())


def test_an_inventory_without_any_account_is_incomplete() -> None:
    empty = Inventory(Caller("1", "arn"), ())
    assert audit(empty, loaded(table_protected), Config(), RUN, version="1").gate.exit_code == 4


def test_the_score_is_weighted_by_severity() -> None:
    made = with_tables(inventory(), ORDERS, CARTS)
    made.put(CARTS, Tags({"env": "prod", "data-classification": "pii"}))
    made.put(ORDERS, TableSettings("ACTIVE", deletion_protection=True))
    made.put(CARTS, TableSettings("ACTIVE"))
    report = audit(made, loaded(table_protected), Config(), RUN, version="1")
    assert report.score == round(100 * 5 / 15, 1)


def bad_signatures() -> Iterable[tuple[str, Any]]:
    def no_type(table: Table, settings) -> Verdict:  # type: ignore[no-untyped-def, empty-body]  # noqa: ANN001
        """T.

        W.
        """

    def no_fact(table: Table, settings: int) -> Verdict:
        """T.

        W.
        """
        return passed("")

    def no_resource(settings: TableSettings) -> Verdict:
        """T.

        W.
        """
        return passed("")

    def no_default(table: Table, settings: TableSettings, *, limit: Annotated[int, "x"]) -> Verdict:
        """T.

        W.
        """
        return passed("")

    def no_help(table: Table, settings: TableSettings, *, limit: int = 1) -> Verdict:
        """T.

        W.
        """
        return passed("")

    def bad_default(table: Table, settings: TableSettings, *, limit: Annotated[int, "x"] = "a") -> Verdict:  # type: ignore[assignment]
        """T.

        W.
        """
        return passed("")

    def no_page(table: Table, settings: TableSettings) -> Verdict:
        """Title only."""
        return passed("")

    def elsewhere(account: Account, settings: TableSettings) -> Verdict:
        """T.

        W.
        """
        return passed("")

    def stars(table: Table, *facts: TableSettings) -> Verdict:
        """T.

        W.
        """
        return not_applicable("")

    for function in (no_type, no_fact, no_resource, no_default, no_help, bad_default, no_page, elsewhere, stars):
        yield function.__name__, function


@pytest.mark.parametrize(("name", "function"), list(bad_signatures()))
def test_a_malformed_rule_is_refused_when_it_is_declared(name: str, function: Any) -> None:
    with pytest.raises(SignatureError, match=name):
        declare(function)


def test_collection_time_is_a_fact_like_any_other() -> None:
    made = inventory()
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    made.put(ACCOUNT, CollectionTime(moment))
    everywhere: list[Resource] = [HERE, ORDERS, KEY]
    assert all(Resolver(made, Config()).get(CollectionTime, one) == CollectionTime(moment) for one in everywhere)


def test_an_account_without_any_region_is_not_complete() -> None:
    made = Inventory(Caller("111122223333", "arn"), (Scope(ACCOUNT, "shop", ()),))
    assert not judge(made, loaded(table_protected), Config()).whole


def test_what_was_deleted_during_the_audit_is_told_from_what_is_not_part_of_it() -> None:
    gone = Table(HERE, "gone")
    made = with_tables(inventory(), gone)
    made.vanished.add(gone)
    assert Resolver(made, Config()).across(TableSettings, Table)[gone] is VANISHED


@declare
def account_exports(account: Account) -> Verdict:
    """Buckets are named.

    Why.
    """
    return failed("exported", about=Bucket(account, "exports"))


def test_what_several_accounts_name_stands_once_in_the_report() -> None:
    other = Account("222233334444")
    made = Inventory(Caller("111122223333", "arn"), (Scope(other, "b", (HERE,)), Scope(ACCOUNT, "a", (HERE,))))
    for account in (other, ACCOUNT):
        made.put(account, RegionScope((HERE,), chosen=True))
    outcome = judge(made, loaded(account_exports), Config())
    assert [one for one in outcome.resources if isinstance(one, Bucket)] == [Bucket(ACCOUNT, "exports")]

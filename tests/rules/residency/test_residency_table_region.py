"""residency-table-region: where tables and clusters are, and which opt-in regions are enabled."""

from auditor import Severity, Status, Verdict, engine, packs
from auditor.config import Config
from auditor.facts import (
    DaxClusterNames,
    EnabledRegions,
    Gap,
    Reason,
    RegionScope,
    RegionStatus,
    TableNames,
    Tags,
)
from auditor.inventory import Caller, Inventory, Scope
from auditor.resources import Account, DaxCluster, Region, Table
from tests.rules import ACCOUNT, CLUSTER, REGION, TABLE, load

judge = load("residency-table-region")

EUROPE = Config(allowed_regions=("eu-*",))
ENABLED = EnabledRegions(
    (RegionStatus("eu-west-1", opt_in=False), RegionStatus("me-south-1", opt_in=True), RegionStatus("us-east-1", False))
)
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeRegions")
AMERICA = Region(ACCOUNT, "us-east-1")


def ask(resource: Table | DaxCluster | Account, enabled: EnabledRegions | Gap, config: Config) -> list[Verdict]:
    return list(judge(resource, enabled, config))


def test_a_resource_in_an_allowed_region_passes_by_glob_or_name_even_where_regions_are_unreadable() -> None:
    for resource in (TABLE, CLUSTER):
        for config in (EUROPE, Config(allowed_regions=("eu-west-1",))):
            (verdict,) = ask(resource, DENIED, config)
            assert verdict.status is Status.PASS
            assert verdict.evidence == {"region": "eu-west-1", "allowed": list(config.allowed_regions)}


def test_a_resource_elsewhere_fails() -> None:
    for resource in (Table(AMERICA, "orders"), DaxCluster(AMERICA, "cache")):
        (verdict,) = ask(resource, ENABLED, EUROPE)
        assert (verdict.status, verdict.severity) == (Status.FAIL, None)
        assert verdict.evidence["region"] == "us-east-1"
    # A glob matches whole names only.
    assert ask(TABLE, ENABLED, Config(allowed_regions=("eu-west",)))[0].status is Status.FAIL


def test_without_a_declaration_each_resource_is_listed_with_its_region_and_the_account_says_nothing() -> None:
    (verdict,) = ask(TABLE, ENABLED, Config())
    assert (verdict.status, verdict.reason) == (Status.NOT_APPLICABLE, "not_declared")
    assert verdict.evidence == {"region": "eu-west-1"}
    assert ask(ACCOUNT, ENABLED, Config()) == []
    assert ask(ACCOUNT, DENIED, Config()) == []


def test_an_enabled_opt_in_region_that_is_not_allowed_is_a_low_failure_about_that_region() -> None:
    (verdict,) = ask(ACCOUNT, ENABLED, EUROPE)
    assert (verdict.status, verdict.severity, verdict.sub_key) == (Status.FAIL, Severity.LOW, "opt-in")
    assert verdict.about == Region(ACCOUNT, "me-south-1")
    assert verdict.evidence == {"OptInStatus": "opted-in"}
    assert ask(ACCOUNT, ENABLED, Config(allowed_regions=("eu-*", "me-south-1"))) == []


def test_unreadable_regions_are_unknown_on_the_account() -> None:
    (verdict,) = ask(ACCOUNT, DENIED, EUROPE)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeRegions")


def test_in_a_report_a_denied_listing_is_unknown_on_the_region_and_sensitive_data_elsewhere_is_critical() -> None:
    made = Inventory(Caller(ACCOUNT.id, "arn"), (Scope(ACCOUNT, "", (REGION, AMERICA)),))
    made.put(ACCOUNT, RegionScope((REGION, AMERICA), chosen=False))
    made.put(ACCOUNT, ENABLED)
    made.put_gap(REGION, TableNames, Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables"))
    orders, carts = Table(AMERICA, "orders"), Table(AMERICA, "carts")
    made.put(AMERICA, TableNames((carts, orders)))
    for region in (REGION, AMERICA):
        made.put(region, DaxClusterNames(()))
    made.put(orders, Tags({"env": "prod", "data-classification": "pii"}))
    made.put(carts, Tags({"env": "prod"}))
    rules = packs.select(packs.built_in(), ["residency-table-region"])
    found = {
        (one.resource.arn, one.sub_key): (one.status, one.severity)
        for one in engine.judge(made, rules, EUROPE).findings
    }
    assert found[orders.arn, None] == (Status.FAIL, Severity.CRITICAL)
    assert found[carts.arn, None] == (Status.FAIL, Severity.HIGH)
    assert found[REGION.arn, None][0] is Status.UNKNOWN
    assert found[Region(ACCOUNT, "me-south-1").arn, "opt-in"] == (Status.FAIL, Severity.LOW)
    assert len(found) == 4

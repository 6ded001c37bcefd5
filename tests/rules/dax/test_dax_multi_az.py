"""dax-multi-az: zones are counted, not nodes, and what may change by itself or is not known fails nobody."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import AvailabilityZones, DaxSettings, Environment, Gap, Reason
from tests.rules import CLUSTER, load

judge: Any = load("dax-multi-az")

MinAzs = type(judge.rule.settings[0].default)
PRODUCTION, STAGING = Environment(True, "tag env=prod"), Environment(False, "tag env=staging")
UNTAGGED = Environment(True, "not tagged", tagged=False)
NO_TAGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dax:ListTags")
NO_ZONES = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeAvailabilityZones")
THREE = AvailabilityZones(("eu-west-1a", "eu-west-1b", "eu-west-1c"))
TWO = AvailabilityZones(("us-west-1a", "us-west-1c"))


def cluster(zones: str, **more: Any) -> DaxSettings:
    """Return a cluster with a node in each of some zones; a dot is a node whose zone is not known yet."""
    nodes = tuple("" if letter == "." else f"eu-west-1{letter}" for letter in zones)
    states = tuple("creating" if letter == "." else "available" for letter in zones)
    given = {"total_nodes": len(nodes), "active_nodes": len(nodes), "node_zones": nodes, "node_states": states}
    return DaxSettings("available", **{**given, **more})


def ask(
    settings: DaxSettings,
    environment: Environment | Gap = PRODUCTION,
    zones: AvailabilityZones | Gap = THREE,
    **given: Any,
) -> Verdict:
    answer: Verdict = judge(CLUSTER, settings, environment, zones, **given)
    return answer


@pytest.mark.parametrize(
    ("zones", "environment", "status", "severity"),
    [
        ("abc", PRODUCTION, Status.PASS, None),
        ("abcab", PRODUCTION, Status.PASS, None),
        ("ab", PRODUCTION, Status.FAIL, Severity.MEDIUM),
        ("a", PRODUCTION, Status.FAIL, Severity.MEDIUM),
        ("ab", STAGING, Status.PASS, None),
        ("aa", STAGING, Status.FAIL, None),
        ("a", STAGING, Status.FAIL, None),
        ("ab", UNTAGGED, Status.FAIL, None),
    ],
)
def test_production_needs_three_zones_and_others_two(
    zones: str, environment: Environment, status: Status, severity: Severity | None
) -> None:
    verdict = ask(cluster(zones), environment)
    assert (verdict.status, verdict.severity) == (status, severity)


def test_three_nodes_in_one_zone_fail() -> None:
    verdict = ask(cluster("aaa"))
    assert verdict.status is Status.FAIL
    assert "1 Availability Zone," in verdict.message
    assert verdict.evidence["AvailabilityZones"] == ["eu-west-1a"]


@pytest.mark.parametrize(
    ("zones", "status"), [("abc", Status.PASS), ("ab", Status.UNKNOWN), ("aa", Status.FAIL), ("a", Status.FAIL)]
)
def test_where_the_environment_cannot_be_read_what_holds_for_both_is_judged(zones: str, status: Status) -> None:
    verdict = ask(cluster(zones), NO_TAGS)
    assert verdict.status is status
    assert verdict.missing_permission == ("dax:ListTags" if status is Status.UNKNOWN else None)


def test_in_a_region_with_two_zones_two_are_enough_and_one_is_not() -> None:
    assert ask(cluster("ac"), zones=TWO).status is Status.PASS
    assert ask(cluster("aa"), zones=TWO).status is Status.FAIL


def test_whether_a_region_has_more_than_two_zones_must_be_known_to_fail_a_cluster_in_two() -> None:
    verdict = ask(cluster("ab"), zones=NO_ZONES)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeAvailabilityZones")
    assert ask(cluster("ab"), zones=AvailabilityZones(())).reason == "partial_data"
    # Every region has two: one zone is too few anywhere, and three are enough whatever there is.
    assert ask(cluster("aaa"), zones=NO_ZONES).status is Status.FAIL
    assert ask(cluster("abc"), zones=NO_ZONES).status is Status.PASS
    assert ask(cluster("ab"), STAGING, NO_ZONES).status is Status.PASS


def test_a_node_that_is_being_replaced_makes_it_unknown_and_never_a_failure() -> None:
    states = ("available", "available", "rebooting")
    verdict = ask(cluster("abc", active_nodes=2, node_states=states))
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "transient")
    # Too few zones stay too few, whatever the nodes do.
    assert ask(cluster("aab", active_nodes=2, node_states=states)).status is Status.FAIL


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        (cluster("ab."), Status.UNKNOWN),
        (cluster("ab", total_nodes=3), Status.UNKNOWN),
        (cluster("aa."), Status.FAIL),
        (cluster("abc.", active_nodes=3), Status.UNKNOWN),
        (cluster("", total_nodes=3), Status.UNKNOWN),
        (cluster(""), Status.UNKNOWN),
    ],
)
def test_nodes_whose_zone_is_not_known_may_be_in_one_that_is_missing(settings: DaxSettings, status: Status) -> None:
    assert ask(settings).status is status


def test_without_active_nodes_the_states_of_the_nodes_tell() -> None:
    assert ask(cluster("abc", active_nodes=None)).status is Status.PASS
    for states in ((), ("available", "creating", "available")):
        verdict = ask(cluster("abc", active_nodes=None, node_states=states))
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "partial_data")


def test_a_single_node_outside_production_is_left_alone_where_one_zone_is_enough() -> None:
    relaxed = {"min_azs": MinAzs(default=1)}
    assert ask(cluster("a"), STAGING, **relaxed).status is Status.NOT_APPLICABLE
    assert ask(cluster("aa"), STAGING, **relaxed).status is Status.PASS
    assert ask(cluster("a"), PRODUCTION, **relaxed).status is Status.FAIL
    assert ask(cluster("a"), NO_TAGS, **relaxed).status is Status.UNKNOWN
    assert ask(cluster("ab"), PRODUCTION, min_azs=MinAzs(production=2)).status is Status.PASS


@pytest.mark.parametrize("status", ["creating", "deleting"])
def test_a_cluster_that_comes_or_goes_is_not_judged(status: str) -> None:
    assert ask(DaxSettings(status)).status is Status.NOT_APPLICABLE

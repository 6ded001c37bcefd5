"""table-required-tags: keys, values, case, and what a declared list asks for."""

from collections.abc import Mapping

import pytest

from auditor import Severity, Status
from auditor.config import Config
from auditor.facts import Gap, Reason, Tags
from tests.rules import CLUSTER, TABLE, load

judge = load("table-required-tags")

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dax:ListTags")
ALL = {"owner": "team-x", "env": "prod", "data-classification": "internal"}


def without(*keys: str) -> Tags:
    return Tags({key: value for key, value in ALL.items() if key not in keys})


def test_all_default_tags_pass_for_tables_and_clusters() -> None:
    for resource in (TABLE, CLUSTER):
        verdict = judge(resource, Tags(ALL), Config())
        assert verdict.status is Status.PASS
        assert verdict.evidence == {"Tags": ALL}


@pytest.mark.parametrize(
    ("missing", "severity"),
    [
        (["owner"], Severity.LOW),
        (["env"], Severity.MEDIUM),
        (["data-classification"], Severity.MEDIUM),
        (["owner", "env"], Severity.MEDIUM),
    ],
)
def test_a_missing_tag_fails_and_weighs_more_where_other_rules_decide_by_it(
    missing: list[str], severity: Severity
) -> None:
    verdict = judge(TABLE, without(*missing), Config())
    assert (verdict.status, verdict.severity) == (Status.FAIL, severity)
    assert (verdict.evidence["missing"], verdict.evidence["invalid"]) == (missing, [])


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value_counts_as_missing(value: str) -> None:
    assert judge(TABLE, Tags({**ALL, "owner": value}), Config()).evidence["missing"] == ["owner"]


def test_unreadable_tags_are_unknown_and_name_the_action() -> None:
    for config in (Config(), Config(required_tags=())):
        verdict = judge(CLUSTER, DENIED, config)
        assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dax:ListTags")


def test_a_regular_expression_must_match_the_whole_value() -> None:
    config = Config(required_tags=("env", {"owner": "team-[a-z]+"}))
    assert judge(TABLE, Tags(ALL), config).status is Status.PASS
    for value in ("team-x2", "my team-x", "TEAM-x"):
        verdict = judge(TABLE, Tags({**ALL, "owner": value}), config)
        assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
        assert (verdict.evidence["missing"], verdict.evidence["invalid"]) == ([], ["owner"])


@pytest.mark.parametrize(
    ("tags", "status"), [({}, Status.FAIL), ({"aws:x": "y"}, Status.FAIL), ({"team": "x"}, Status.NOT_APPLICABLE)]
)
def test_with_nothing_required_only_a_resource_without_any_tag_of_its_own_fails(
    tags: Mapping[str, str], status: Status
) -> None:
    verdict = judge(TABLE, Tags(tags), Config(required_tags=()))
    assert verdict.status is status
    assert verdict.reason == ("not_declared" if status is Status.NOT_APPLICABLE else None)


def test_keys_are_case_sensitive_unless_said_otherwise() -> None:
    tags = Tags({"Owner": "team-x", "ENV": "prod", "data-classification": "internal"})
    assert judge(TABLE, tags, Config()).evidence["missing"] == ["owner", "env"]
    assert judge(TABLE, tags, Config(), case_sensitive_keys=False).status is Status.PASS


def test_of_keys_that_differ_by_case_one_good_value_is_enough() -> None:
    config = Config(required_tags=({"Owner": "team-x"},))
    for tags in ({"owner": "team-x", "OWNER": ""}, {"owner": "nobody", "OWNER": "team-x"}):
        assert judge(TABLE, Tags(tags), config, case_sensitive_keys=False).status is Status.PASS


def test_ignored_prefixes_do_not_count() -> None:
    config = Config(required_tags=("aws:cloudformation:stack-name", "corp:owner"))
    tags = Tags({"aws:cloudformation:stack-name": "s", "corp:owner": "x"})
    assert judge(TABLE, tags, config).evidence["missing"] == ["aws:cloudformation:stack-name"]
    assert judge(TABLE, tags, config, ignore_prefixes=("corp:",)).evidence["missing"] == ["corp:owner"]
    assert judge(TABLE, tags, config, ignore_prefixes=()).status is Status.PASS

"""Environment, sensitivity and replication group, derived from tags, settings and listings."""

from collections.abc import Mapping

import pytest

from auditor.analysis.tables import environment, replication_group, sensitivity
from auditor.config import Config, Production, Sensitive
from auditor.facts import (
    Environment,
    Gap,
    LegacyGlobalTables,
    Reason,
    Replica,
    ReplicationGroup,
    TableSettings,
    Tags,
)
from auditor.resources import Account, Region, Table
from tests.rules import ACCOUNT, CLUSTER, TABLE

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
NO_LIST = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListGlobalTables")
EAST, WEST = (Table(Region(ACCOUNT, name), "orders") for name in ("us-east-1", "us-west-2"))
FOREIGN = Table(Region(Account("444455556666"), "us-east-1"), "orders")


def settings(*replicas: tuple[Table, str], version: str | None = None) -> TableSettings:
    listed = tuple(Replica(table, status) for table, status in replicas)
    return TableSettings("ACTIVE", replicas=listed, global_table_version=version)


def group(held: TableSettings, legacy: LegacyGlobalTables | Gap | None = None) -> ReplicationGroup | Gap:
    known = {TABLE: held, EAST: TableSettings("ACTIVE")}
    made = replication_group(TABLE, held, legacy or LegacyGlobalTables({}), known, {}, {}, {EAST: Tags({})})
    assert isinstance(made, ReplicationGroup | Gap)
    return made


def tables(made: ReplicationGroup | Gap) -> list[Table]:
    assert isinstance(made, ReplicationGroup)
    return [member.table for member in made.members]


@pytest.mark.parametrize(
    ("tags", "production", "source"),
    [
        ({"env": "prod"}, True, "tag env=prod"),
        ({"ENV": "Production"}, True, "tag env=Production"),
        ({"stage": "live"}, False, "tag stage=live"),
        ({"env": "dev"}, False, "tag env=dev"),
        ({"env": "dev", "environment": "prd"}, True, "tag environment=prd"),
        ({"Env": "dev", "env": "prod"}, True, "tag env=prod"),
        ({"env": "pre-prod"}, False, "tag env=pre-prod"),
        ({"env": ""}, True, "not tagged"),
        ({"owner": "prod"}, True, "not tagged"),
    ],
)
def test_tags_decide_the_environment_and_any_production_value_wins(
    tags: Mapping[str, str], production: bool, source: str
) -> None:
    for resource in (TABLE, CLUSTER):
        expected = Environment(production, source, tagged=source != "not tagged")
        assert environment(resource, Config(), Tags(tags)) == expected


def test_after_tags_come_names_then_accounts_then_the_default() -> None:
    def of(tags: Mapping[str, str], **production: object) -> Environment | Gap:
        made = environment(TABLE, Config(production=Production(**production)), Tags(tags))  # type: ignore[arg-type]
        assert isinstance(made, Environment | Gap)
        return made

    both = {"name_patterns": ("ord*",), "accounts": (ACCOUNT.id,), "untagged_is": "non-production"}
    assert of({"env": "dev"}, **both) == Environment(False, "tag env=dev")
    assert of({}, **both) == Environment(True, "name pattern")
    assert of({}, **{**both, "name_patterns": ("x*",)}) == Environment(True, "account")
    assert of({}, untagged_is="non-production") == Environment(False, "not tagged", tagged=False)


def test_unreadable_tags_leave_the_environment_unknown_unless_no_tag_decides() -> None:
    named = Production(name_patterns=("*",))
    assert environment(TABLE, Config(production=named), DENIED) == DENIED
    untagged = Production(tags={}, name_patterns=("*",))
    assert environment(TABLE, Config(production=untagged), DENIED) == Environment(True, "name pattern")


@pytest.mark.parametrize(
    ("tags", "sensitive", "classified", "source"),
    [
        ({"data-classification": "pii"}, True, True, "data-classification=pii"),
        ({"Data-Classification": "PII"}, True, True, "data-classification=PII"),
        ({"data-classification": "public", "confidentiality": "HIGH"}, True, True, "confidentiality=HIGH"),
        ({"data-classification": "public"}, False, True, "data-classification=public"),
        ({"data-classification": " "}, False, False, ""),
        ({}, False, False, ""),
    ],
)
def test_sensitivity_is_what_a_classification_tag_says(
    tags: Mapping[str, str], sensitive: bool, classified: bool, source: str
) -> None:
    made = sensitivity(TABLE, Config(), Tags(tags))
    assert (made.sensitive, made.classified, made.source) == (sensitive, classified, source)


def test_the_tags_that_mean_sensitive_are_configured() -> None:
    config = Config(sensitive=Sensitive(tags={"tier": ("Gold",)}))
    assert sensitivity(TABLE, config, Tags({"tier": "gold"})).sensitive
    assert not sensitivity(TABLE, config, Tags({"data-classification": "pii"})).classified


def test_members_are_the_table_and_its_replicas_whether_or_not_its_own_region_is_listed() -> None:
    for replicas in ([(EAST, "ACTIVE")], [(EAST, "ACTIVE"), (TABLE, "ACTIVE")]):
        assert tables(group(settings(*replicas))) == [TABLE, EAST]


def test_what_is_known_of_a_member_is_there_and_what_is_not_is_a_gap() -> None:
    made = group(settings((EAST, "UPDATING"), (FOREIGN, "ACTIVE"), version="2019.11.21"))
    assert isinstance(made, ReplicationGroup)
    east, foreign = (next(one for one in made.members if one.table == table) for table in (EAST, FOREIGN))
    assert (east.status, east.settings, east.tags) == ("UPDATING", TableSettings("ACTIVE"), Tags({}))
    for value in (east.recovery, east.key, foreign.settings, foreign.recovery, foreign.key, foreign.tags):
        assert isinstance(value, Gap)
        assert value.reason is Reason.PARTIAL_DATA
    assert made.version == "2019.11.21"


def test_replicas_that_are_being_deleted_are_members_no_more_but_the_table_itself_stays() -> None:
    assert tables(group(settings((EAST, "DELETING"), (WEST, "ACTIVE")))) == [TABLE, WEST]
    assert tables(group(settings((TABLE, "DELETING"), (WEST, "ACTIVE")))) == [TABLE, WEST]


def test_a_table_alone_is_no_global_table() -> None:
    for held in (settings(), settings((TABLE, "ACTIVE")), settings((EAST, "DELETING"))):
        assert tables(group(held)) == []


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"orders": ("eu-west-1", "us-east-1")}, [TABLE, EAST]),
        ({"orders": ("eu-west-1",)}, []),
        ({"orders": ("us-east-1", "us-west-2")}, []),
        ({"carts": ("eu-west-1", "us-east-1")}, []),
    ],
)
def test_members_of_the_legacy_version_come_from_its_list(
    members: Mapping[str, tuple[str, ...]], expected: list[Table]
) -> None:
    made = group(settings(), LegacyGlobalTables(members))
    assert tables(made) == expected
    assert isinstance(made, ReplicationGroup)
    assert made.version == ("2017.11.29" if expected else None)


def test_an_unreadable_legacy_list_matters_only_for_a_table_that_might_stand_in_it() -> None:
    assert group(settings(), NO_LIST) == NO_LIST
    assert group(settings(version="2017.11.29"), NO_LIST) == NO_LIST
    assert tables(group(settings(version="2019.11.21"), NO_LIST)) == []
    assert tables(group(settings((EAST, "ACTIVE")), NO_LIST)) == [TABLE, EAST]

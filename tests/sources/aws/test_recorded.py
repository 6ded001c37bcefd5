"""What AWS Config recorded in DynamoDB's place: what it brings, and that DynamoDB is asked where it may not count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from auditor import engine, inventory
from auditor.facts import CollectionTime, Gap, PointInTimeRecovery, Reason
from auditor.inventory import Inventory
from auditor.report import Recorded
from auditor.resources import Account, Region, Table
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access, ConfigSource
from tests.sources.aws.conftest import ACCOUNT, Gather, answer, create_table

HERE, THERE = Region(ACCOUNT, "eu-west-1"), Region(ACCOUNT, "us-east-1")
ORDERS = Table(HERE, "orders")
RULE = "table-pitr"
BACKUPS, QUERY = "dynamodb:DescribeContinuousBackups", "config:SelectResourceConfig"
AGGREGATE = "config:SelectAggregateResourceConfig"
#: Tables are made now, and recorded later.
LATER = datetime(2999, 1, 1, 12, 30, 0, 500_000, UTC)
RECORDER: dict[str, Any] = {"name": "default", "recordingGroup": {"allSupported": True}}
RECORDING: dict[str, Any] = {"name": "default", "recording": True, "lastStatus": "SUCCESS"}


def item(name: str = "orders", *, status: str = "DISABLED", region: Region = HERE, **changes: Any) -> dict[str, Any]:
    """Return a row of a query, in the published form, as far as the query selects."""
    recovery = {"pointInTimeRecoveryStatus": status} | changes.pop("recovery", {})
    backups = {"continuousBackupsStatus": "ENABLED", "pointInTimeRecoveryDescription": recovery}
    row = {
        "accountId": region.account.id,
        "awsRegion": region.name,
        "arn": Table(region, name).arn,
        "resourceType": "AWS::DynamoDB::Table",
        "resourceId": name,
        "configurationItemCaptureTime": f"{LATER:%Y-%m-%dT%H:%M:%S}.500Z",
        "configurationItemStatus": "OK",
        "supplementaryConfiguration": {"ContinuousBackupsDescription": backups, "Tags": []},
    }
    return row | changes


def page(*rows: Mapping[str, Any] | str, **more: str) -> dict[str, Any]:
    return {"Results": [row if isinstance(row, str) else json.dumps(row) for row in rows], **more}


def record(access: Access, *rows: Mapping[str, Any] | str, **changes: Any) -> list[dict[str, Any]]:
    """Let AWS Config record tables in eu-west-1 and answer with some rows; return the queries."""
    recorders = changes.get("recorders", {"ConfigurationRecorders": [RECORDER]})
    states = changes.get("states", {"ConfigurationRecordersStatus": [RECORDING]})
    answer(access, "config:DescribeConfigurationRecorders", recorders)
    answer(access, "config:DescribeConfigurationRecorderStatus", states)
    return answer(access, changes.get("operation", QUERY), *changes.get("pages", [page(*rows)]))


def recoveries(found: Inventory) -> dict[str, Any]:
    return {table.label: value for table, value in found.facts[PointInTimeRecovery].items()}


def test_what_aws_config_recorded_is_not_asked(gather: Gather, access: Access) -> None:
    for name in ("orders", "carts", "stock"):
        create_table(name)
    window = {"recoveryPeriodInDays": 14}
    rows = [item("orders"), item("carts", status="ENABLED"), item("stock", status="ENABLED", recovery=window)]
    queries = record(access, *rows)
    assert recoveries(gather(RULE, config=ConfigSource())) == {
        "orders": PointInTimeRecovery(enabled=False, days=None, recorded=LATER),
        "carts": PointInTimeRecovery(enabled=True, days=None, recorded=LATER),
        "stock": PointInTimeRecovery(enabled=True, days=14, recorded=LATER),
    }
    assert BACKUPS not in access.calls
    (query,) = queries
    assert query["Limit"] == 100
    assert len(query["Expression"]) <= 4096
    assert query["Expression"].endswith(
        "WHERE resourceType = 'AWS::DynamoDB::Table' AND accountId = '123456789012' AND awsRegion = 'eu-west-1'"
    )


def test_values_that_are_texts_are_read_as_well(gather: Gather, access: Access) -> None:
    create_table("orders")
    row = item(status="ENABLED")
    held = {name: json.dumps(value) for name, value in row["supplementaryConfiguration"].items()}
    record(access, row | {"supplementaryConfiguration": held})
    assert recoveries(gather(RULE, config=ConfigSource()))["orders"].enabled
    assert BACKUPS not in access.calls


def test_without_the_option_aws_config_is_not_asked(gather: Gather, access: Access) -> None:
    create_table("orders")
    queries = record(access, item(status="ENABLED"))
    assert recoveries(gather(RULE)) == {"orders": PointInTimeRecovery(enabled=False)}
    assert queries == []
    assert not any(one.startswith("config:") for one in access.calls)


def test_a_hundred_tables_come_with_a_page(gather: Gather, access: Access) -> None:
    names = [f"t{number:03}" for number in range(250)]
    for name in names:
        create_table(name)

    def pages(request: dict[str, Any]) -> dict[str, Any]:
        start = int(request.get("NextToken", "0"))
        more = {"NextToken": str(start + 100)} if start < 200 else {}
        return page(*(item(name) for name in names[start : start + request["Limit"]]), **more)

    queries = record(access, pages=[pages])
    found = recoveries(gather(RULE, config=ConfigSource()))
    assert len(found) == 250
    assert all(one.recorded for one in found.values())
    assert len(queries) == 3
    assert BACKUPS not in access.calls


# DynamoDB is asked

OFF = {"ConfigurationRecordersStatus": [RECORDING | {"recording": False}]}
FAILED = {"ConfigurationRecordersStatus": [RECORDING | {"lastStatus": "FAILURE"}]}
OTHER_TYPES = {"recordingGroup": {"allSupported": False, "resourceTypes": ["AWS::KMS::Key"]}}
BEFORE = "2020-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"states": OFF}, item()),
        ({"states": FAILED}, item()),
        ({"states": {"ConfigurationRecordersStatus": []}}, item()),
        ({"states": "AccessDeniedException"}, item()),
        ({"recorders": {"ConfigurationRecorders": []}}, item()),
        ({"recorders": {"ConfigurationRecorders": [RECORDER | OTHER_TYPES]}}, item()),
        ({"recorders": {"ConfigurationRecorders": [RECORDER | {"servicePrincipal": "x.amazonaws.com"}]}}, item()),
        ({"recorders": "AccessDeniedException"}, item()),
        ({"pages": ["AccessDeniedException"]}, item()),
        ({"pages": ["ThrottlingException"]}, item()),
        ({"pages": ["UnknownOperationException"]}, item()),
        ({"pages": ["InvalidExpressionException"]}, item()),
        ({}, item("namesake")),
        ({}, item(region=THERE)),
        ({}, item(region=Region(Account("999988887777"), "eu-west-1"))),
        ({}, item(configurationItemStatus="ResourceDeleted")),
        ({}, item(configurationItemStatus="ResourceNotRecorded")),
        ({}, item(status="UPDATING")),
        ({}, item(supplementaryConfiguration={})),
        ({}, item(supplementaryConfiguration=None)),
        ({}, item(configurationItemCaptureTime="yesterday")),
        ({}, item(arn="arn:aws:dynamodb:eu-west-1:123456789012:orders")),
        ({}, item(resourceId=None)),
        ({}, "[]"),
        ({}, "no JSON"),
        ({}, item(configurationItemCaptureTime=BEFORE)),
    ],
    ids=str,
)
def test_dynamodb_is_asked_wherever_aws_config_has_no_certain_answer(
    gather: Gather, access: Access, changes: dict[str, Any], row: dict[str, Any] | str
) -> None:
    create_table("orders")
    client = boto3.client("dynamodb", region_name="eu-west-1")
    on = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 21}
    client.update_continuous_backups(TableName="orders", PointInTimeRecoverySpecification=on)
    record(access, row, **changes)
    found = gather(RULE, config=ConfigSource())
    (recovery,) = recoveries(found).values()
    assert (recovery.enabled, recovery.days, recovery.recorded) == (True, 21, None)
    assert access.calls[BACKUPS] == 1
    assert found.of_kind(Table) == [ORDERS]
    failed = {error.operation for error in found.errors}
    denied = [given for given in (*changes.get("pages", ()), *changes.values()) if isinstance(given, str)]
    assert bool(failed) == bool(denied)
    assert failed <= {QUERY.partition(":")[2], "DescribeConfigurationRecorders", "DescribeConfigurationRecorderStatus"}


def test_what_came_before_a_page_that_failed_stays(gather: Gather, access: Access) -> None:
    create_table("orders")
    create_table("carts")
    record(access, pages=[page(item("orders", status="ENABLED"), NextToken="more"), "AccessDeniedException"])
    found = recoveries(gather(RULE, config=ConfigSource()))
    assert (found["orders"].recorded, found["carts"].recorded) == (LATER, None)
    assert access.calls[BACKUPS] == 1


def test_tables_that_could_not_be_listed_are_not_taken_from_aws_config(gather: Gather, access: Access) -> None:
    create_table("orders")
    queries = record(access, item())
    answer(access, "dynamodb:ListTables", "AccessDeniedException")
    answer(access, "tag:GetResources", "AccessDeniedException")
    found = gather(RULE, config=ConfigSource())
    assert found.of_kind(Table) == []
    assert queries == []


def test_where_both_are_denied_the_gap_names_dynamodbs_action(gather: Gather, access: Access) -> None:
    create_table("orders")
    record(access, pages=["AccessDeniedException"])
    answer(access, BACKUPS, "AccessDeniedException")
    gap = recoveries(gather(RULE, config=ConfigSource()))["orders"]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, BACKUPS)


def test_a_table_whose_age_is_not_known_is_asked(gather: Gather, access: Access) -> None:
    create_table("orders")
    record(access, item(status="ENABLED"))
    answer(access, "dynamodb:DescribeTable", "AccessDeniedException")
    assert recoveries(gather(RULE, config=ConfigSource())) == {"orders": PointInTimeRecovery(enabled=False)}


def test_each_region_falls_back_by_itself(gather: Gather, access: Access) -> None:
    create_table("orders")
    create_table("carts", region="us-east-1")
    record(access, item(status="ENABLED"))
    found = recoveries(gather(RULE, regions=("eu-west-1", "us-east-1"), config=ConfigSource()))
    assert (found["orders"].recorded, found["carts"].recorded) == (LATER, None)


# An aggregator


def test_the_aggregator_is_asked_by_who_audits_where_the_credentials_are(
    gather: Gather, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table("orders")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    auditing = Access(Account("111122223333"), "audit", boto3.Session(region_name="eu-central-1"), Pacer("off"))
    asked = answer(auditing, AGGREGATE, page(item(status="ENABLED")), region="eu-central-1")
    own = record(access, item())
    found = gather(RULE, config=ConfigSource("whole-org"), auditing=auditing)
    assert recoveries(found)["orders"] == PointInTimeRecovery(enabled=True, days=None, recorded=LATER)
    assert [one["ConfigurationAggregatorName"] for one in asked] == ["whole-org"]
    assert "accountId = '123456789012' AND awsRegion = 'eu-west-1'" in asked[0]["Expression"]
    assert asked[0]["Limit"] == 100
    assert own == []
    assert BACKUPS not in access.calls


def test_one_account_asks_an_aggregator_of_its_own(gather: Gather, access: Access) -> None:
    create_table("orders")
    asked = record(access, item(status="ENABLED"), operation=AGGREGATE)
    assert recoveries(gather(RULE, config=ConfigSource("mine")))["orders"].recorded == LATER
    assert len(asked) == 1


@pytest.mark.parametrize("changes", [{"pages": ["NoSuchConfigurationAggregatorException"]}, {"states": OFF}], ids=str)
def test_without_the_aggregator_or_the_accounts_own_recorder_dynamodb_is_asked(
    gather: Gather, access: Access, changes: dict[str, Any]
) -> None:
    create_table("orders")
    record(access, item(status="ENABLED"), operation=AGGREGATE, **changes)
    assert recoveries(gather(RULE, config=ConfigSource("mine"))) == {"orders": PointInTimeRecovery(enabled=False)}


# How old it is


def test_the_report_says_how_old_what_was_recorded_is_from_a_snapshot_too(gather: Gather, access: Access) -> None:
    for name in ("orders", "carts", "stock"):
        create_table(name)
    record(access, item("orders"), item("carts", configurationItemCaptureTime="2999-06-01T00:00:00.000Z"))
    began = datetime(2998, 12, 31, tzinfo=UTC)
    found = gather(RULE, config=ConfigSource(), now=began)
    told = engine.facts_as_of(found)
    assert told.live == {ACCOUNT.id: began}
    june = datetime(2999, 6, 1, tzinfo=UTC)
    assert told.recorded == (Recorded(ACCOUNT.id, "eu-west-1", "PointInTimeRecovery", LATER, june, 2),)
    again = inventory.loads(inventory.dumps(found, "test"))
    assert again.facts == found.facts
    assert engine.facts_as_of(again) == told
    assert engine.facts_as_of(found.narrowed({"us-east-1"})).recorded == ()
    found.facts[CollectionTime][ACCOUNT] = Gap(Reason.TRANSIENT, "The account cannot be entered.")
    assert engine.facts_as_of(found).live == {}

"""Resource policies of tables and streams, and the indexes of a table."""

import json
from typing import Any

import boto3
import pytest
from moto.dynamodb.models import dynamodb_backends

from auditor.facts import Gap, Index, Reason, ResourcePolicy, TableSettings
from auditor.inventory import dumps, loads
from auditor.resources import Region, Stream, Table
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer, create_table

HERE = Region(ACCOUNT, "eu-west-1")
ORDERS, CARTS = Table(HERE, "orders"), Table(HERE, "carts")
POLICY = "dynamodb:GetResourcePolicy"
STREAM: dict[str, Any] = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}}


def document(arn: str) -> str:
    partner = {"AWS": "arn:aws:iam::444455556666:role/reports"}
    statement = {"Effect": "Allow", "Principal": partner, "Action": "dynamodb:GetItem", "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def test_a_policy_is_kept_as_it_is_and_having_none_is_no_gap(gather_facts: Gather) -> None:
    create_table("orders")
    create_table("carts")
    text = document(ORDERS.arn)
    boto3.client("dynamodb").put_resource_policy(ResourceArn=ORDERS.arn, Policy=text)
    inventory = gather_facts(Table, ResourcePolicy)
    assert inventory.facts[ResourcePolicy] == {ORDERS: ResourcePolicy(text), CARTS: ResourcePolicy(None)}
    assert inventory.errors == []
    assert loads(dumps(inventory, "1")).facts == inventory.facts


def test_a_policy_that_may_not_be_read_is_a_gap_and_not_an_absent_one(gather_facts: Gather, access: Access) -> None:
    create_table("orders")
    answer(access, POLICY, "AccessDeniedException")
    gap = gather_facts(Table, ResourcePolicy).facts[ResourcePolicy][ORDERS]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, POLICY)


def test_a_table_deleted_before_its_policy_is_read_is_noted_and_dropped(gather_facts: Gather, access: Access) -> None:
    create_table("orders")
    create_table("carts")

    def delete(**_: Any) -> None:
        dynamodb_backends[ACCOUNT.id]["eu-west-1"].tables.pop("carts", None)

    access.client("dynamodb", "eu-west-1").meta.events.register_first("before-send.dynamodb.GetResourcePolicy", delete)
    inventory = gather_facts(Table, ResourcePolicy)
    assert inventory.of_kind(Table) == [ORDERS]
    assert [(error.operation, error.code) for error in inventory.errors] == [
        ("GetResourcePolicy", "ResourceNotFoundException")
    ]


@pytest.mark.parametrize("having", [True, False])
def test_a_stream_has_a_policy_of_its_own(gather_facts: Gather, access: Access, having: bool) -> None:
    create_table("orders", **STREAM)
    create_table("carts")
    arn = boto3.client("dynamodb").describe_table(TableName="orders")["Table"]["LatestStreamArn"]
    text = document(arn)

    def policy(request: dict[str, Any]) -> Any:
        if request["ResourceArn"] != arn:
            return {"Policy": document(request["ResourceArn"]), "RevisionId": "1"}
        return {"Policy": text, "RevisionId": "2"} if having else "PolicyNotFoundException"

    answer(access, POLICY, policy)
    facts = gather_facts(Stream, ResourcePolicy).facts[ResourcePolicy]
    assert facts == {Stream.from_arn(arn): ResourcePolicy(text if having else None)}


def test_indexes_of_every_kind_in_order_of_name_with_their_partition_keys(gather_facts: Gather) -> None:
    def keys(*names: str) -> list[dict[str, str]]:
        return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]

    everything = {"ProjectionType": "ALL"}
    boto3.client("dynamodb").create_table(
        TableName="orders",
        KeySchema=keys("customer", "order"),
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("customer", "order", "status", "day")
        ],
        BillingMode="PAY_PER_REQUEST",
        LocalSecondaryIndexes=[{"IndexName": "by-day", "KeySchema": keys("customer", "day"), "Projection": everything}],
        GlobalSecondaryIndexes=[
            {"IndexName": "by-status", "KeySchema": keys("status", "customer"), "Projection": everything},
            {"IndexName": "a-day", "KeySchema": keys("day"), "Projection": everything},
        ],
    )
    settings = gather_facts(Table, TableSettings).facts[TableSettings][ORDERS]
    assert isinstance(settings, TableSettings)
    assert settings.partition_keys == ("customer",)
    assert settings.sort_keys == ("order",)
    assert settings.indexes == (
        Index("a-day", "global", ("day",)),
        Index("by-day", "local", ("customer",), ("day",)),
        Index("by-status", "global", ("status",), ("customer",)),
    )

"""Where changes go: Kinesis destinations and streams, event source mappings, pipes; and what scales."""

from typing import Any

import botocore.exceptions
import pytest

from auditor.facts import (
    EventSourceMapping,
    EventSourceMappings,
    Gap,
    KinesisDestination,
    KinesisDestinations,
    KinesisStreamSettings,
    Pipe,
    Pipes,
    Reason,
    ScalableTarget,
    ScalableTargets,
)
from auditor.resources import Account, KinesisStream, Region, Table
from auditor.sources.aws.session import Access, Aws, Missing
from auditor.sources.aws.streams import pipes
from tests.sources.aws.conftest import ACCOUNT, Gather, answer, create_table

HERE = Region(ACCOUNT, "eu-west-1")
ORDERS = Table(HERE, "orders")
CHANGES = KinesisStream(HERE, "changes")
FOREIGN = KinesisStream(Region(Account("999988887777"), "eu-west-1"), "changes")


def entry(stream: KinesisStream, status: str) -> dict[str, str]:
    return {"StreamArn": stream.arn, "DestinationStatus": status}


def summary(**more: object) -> dict[str, object]:
    required = {
        "StreamName": "changes",
        "StreamARN": CHANGES.arn,
        "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": 1_700_000_000,
        "EnhancedMonitoring": [],
        "OpenShardCount": 1,
    }
    return {"StreamDescriptionSummary": required | more}


def test_destinations_lead_to_their_streams_but_for_those_of_the_past(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    listed = [entry(CHANGES, "ACTIVE"), entry(KinesisStream(HERE, "old"), "DISABLED")]
    held = {"TableName": "orders", "KinesisDataStreamDestinations": listed}
    answer(access, "dynamodb:DescribeKinesisStreamingDestination", held)
    asked = answer(access, "kinesis:DescribeStreamSummary", summary(EncryptionType="KMS", KeyId="key", ConsumerCount=2))
    inventory = gather_facts(KinesisStream, KinesisStreamSettings)
    found = inventory.facts[KinesisDestinations][ORDERS]
    assert found == KinesisDestinations(
        (KinesisDestination(CHANGES, "ACTIVE"), KinesisDestination(KinesisStream(HERE, "old"), "DISABLED"))
    )
    assert inventory.facts[KinesisStreamSettings] == {CHANGES: KinesisStreamSettings("KMS", "key", 2)}
    assert [one["StreamARN"] for one in asked] == [CHANGES.arn]


def test_an_absent_encryption_type_is_none(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    held = {"TableName": "orders", "KinesisDataStreamDestinations": [entry(CHANGES, "ENABLING")]}
    answer(access, "dynamodb:DescribeKinesisStreamingDestination", held)
    answer(access, "kinesis:DescribeStreamSummary", summary())
    settings = gather_facts(KinesisStream, KinesisStreamSettings).facts[KinesisStreamSettings][CHANGES]
    assert settings == KinesisStreamSettings("NONE")


def test_a_foreign_stream_that_does_not_answer_is_a_gap(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    held = {"TableName": "orders", "KinesisDataStreamDestinations": [entry(FOREIGN, "ACTIVE")]}
    answer(access, "dynamodb:DescribeKinesisStreamingDestination", held)
    answer(access, "kinesis:DescribeStreamSummary", "AccessDeniedException")
    found = gather_facts(KinesisStream, KinesisStreamSettings).facts[KinesisStreamSettings][FOREIGN]
    assert isinstance(found, Gap)
    assert found.action == "kinesis:DescribeStreamSummary"


def test_a_table_that_goes_away_meanwhile_has_vanished(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    answer(access, "dynamodb:DescribeKinesisStreamingDestination", "ResourceNotFoundException")
    assert ORDERS in gather_facts(Table, KinesisDestinations).vanished


def test_mappings_with_a_source_of_all_pages(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    stream = f"{ORDERS.arn}/stream/2026-01-31T09:30:00.000"
    function = "arn:aws:lambda:eu-west-1:123456789012:function:on-order"
    first = {
        "EventSourceMappings": [{"EventSourceArn": stream, "FunctionArn": function, "State": "Enabled"}],
        "NextMarker": "m",
    }
    second = {"EventSourceMappings": [{"FunctionArn": function, "State": "Enabled"}]}  # a self-managed source
    asked = answer(access, "lambda:ListEventSourceMappings", first, second)
    found = gather_facts(Region, EventSourceMappings).facts[EventSourceMappings][HERE]
    assert found == EventSourceMappings((EventSourceMapping(stream, function, "ENABLED"),))
    assert [one.get("Marker") for one in asked] == [None, "m"]


def test_pipes(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    arn = "arn:aws:pipes:eu-west-1:123456789012:pipe/orders"
    held = {"Pipes": [{"Arn": arn, "Source": "arn:s", "Target": "arn:t", "CurrentState": "RUNNING"}]}
    answer(access, "pipes:ListPipes", held)
    assert gather_facts(Region, Pipes).facts[Pipes][HERE] == Pipes((Pipe(arn, "arn:s", "arn:t", "RUNNING"),))


def test_scalable_targets_and_whether_they_are_suspended(access: Access, gather_facts: Gather) -> None:
    create_table("orders")

    def target(dimension: str, **suspended: bool) -> dict[str, object]:
        return {
            "ServiceNamespace": "dynamodb",
            "ResourceId": "table/orders",
            "ScalableDimension": f"dynamodb:table:{dimension}",
            "MinCapacity": 1,
            "MaxCapacity": 9,
            "RoleARN": "arn:aws:iam::123456789012:role/scaling",
            "CreationTime": 1_700_000_000,
            **({"SuspendedState": suspended} if suspended else {}),
        }

    pages = [
        {"ScalableTargets": [target("WriteCapacityUnits", DynamicScalingInSuspended=True)], "NextToken": "more"},
        {"ScalableTargets": [target("ReadCapacityUnits", ScheduledScalingSuspended=True)]},
    ]
    asked = answer(access, "application-autoscaling:DescribeScalableTargets", *pages)
    found = gather_facts(Region, ScalableTargets).facts[ScalableTargets][HERE]
    assert found == ScalableTargets(
        (
            ScalableTarget("table/orders", "dynamodb:table:ReadCapacityUnits", suspended=False),
            ScalableTarget("table/orders", "dynamodb:table:WriteCapacityUnits", suspended=True),
        )
    )
    assert {one["ServiceNamespace"] for one in asked} == {"dynamodb"}


@pytest.mark.parametrize(
    ("operation", "fact"),
    [
        ("application-autoscaling:DescribeScalableTargets", ScalableTargets),
        ("lambda:ListEventSourceMappings", EventSourceMappings),
        ("pipes:ListPipes", Pipes),
    ],
)
def test_what_is_denied_names_its_permission(operation: str, fact: type, access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    answer(access, operation, "AccessDeniedException")
    found = gather_facts(Region, fact).facts[fact][HERE]
    assert (found.reason, found.action) == (Reason.ACCESS_DENIED, operation)


@pytest.mark.parametrize(
    ("operation", "page", "fact"),
    [
        ("application-autoscaling:DescribeScalableTargets", {"ScalableTargets": [], "NextToken": "2"}, ScalableTargets),
        ("lambda:ListEventSourceMappings", {"EventSourceMappings": [], "NextMarker": "2"}, EventSourceMappings),
        ("pipes:ListPipes", {"Pipes": [], "NextToken": "2"}, Pipes),
    ],
)
def test_a_listing_that_is_throttled_on_its_second_page_is_no_listing(
    operation: str, page: dict[str, object], fact: type, access: Access, gather_facts: Gather
) -> None:
    create_table("orders")
    answer(access, operation, page, "ThrottlingException")
    found = gather_facts(Region, fact).facts[fact][HERE]
    assert (found.reason, found.action) == (Reason.THROTTLED, operation)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_destinations_that_are_refused_are_a_gap_of_their_table(
    code: str, access: Access, gather_facts: Gather
) -> None:
    create_table("orders")
    answer(access, "dynamodb:DescribeKinesisStreamingDestination", code)
    found = gather_facts(Table, KinesisDestinations).facts[KinesisDestinations][ORDERS]
    assert isinstance(found, Gap)
    assert found.action == "dynamodb:DescribeKinesisStreamingDestination"


def unreachable(access: Access, region: Region) -> None:
    def refuse(request: Any, **_: Any) -> None:
        raise botocore.exceptions.EndpointConnectionError(endpoint_url=request.url)

    access.client("pipes", region.name).meta.events.register_first("before-send", refuse)


def test_a_region_that_has_no_pipes_has_none_and_any_other_silence_is_a_gap(access: Access) -> None:
    without = Region(Account("123456789012", "aws-us-gov"), "us-gov-west-1")
    unreachable(access, without)
    assert list(pipes(Aws(access, without.name), without)) == [(without, Pipes(()))]
    unreachable(access, HERE)
    with pytest.raises(Missing):
        list(pipes(Aws(access, HERE.name), HERE))

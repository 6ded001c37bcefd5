"""Where changes go: Kinesis data streams, event source mappings, pipes."""

from __future__ import annotations

from auditor.facts import (
    EventSourceMapping,
    EventSourceMappings,
    KinesisDestination,
    KinesisDestinations,
    KinesisStreamSettings,
    Pipe,
    Pipes,
)
from auditor.resources import KinesisStream, Region, Table
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.dynamodb import GONE
from auditor.sources.aws.session import Aws, Missing


@collects(KinesisDestinations, about=Table)
def kinesis_destinations(aws: Aws, table: Table) -> Yield:
    """Yield the Kinesis data streams that get the table's changes, those of the past included."""
    answer = aws.call("dynamodb:DescribeKinesisStreamingDestination", gone=GONE, TableName=table.name)
    found = [
        KinesisDestination(KinesisStream.from_arn(entry["StreamArn"]), entry.get("DestinationStatus", "").upper())
        for entry in answer.get("KinesisDataStreamDestinations", [])
    ]
    yield table, KinesisDestinations(tuple(sorted(found, key=lambda one: one.stream.arn)))


@collects(KinesisStreamSettings, about=KinesisStream)
def kinesis_stream(aws: Aws, stream: KinesisStream) -> Yield:
    """Yield a stream's settings; by ARN, so that a foreign stream is not taken for one of the same name here."""
    answer = aws.call("kinesis:DescribeStreamSummary", gone=("ResourceNotFoundException",), StreamARN=stream.arn)
    summary = answer["StreamDescriptionSummary"]
    yield (
        stream,
        KinesisStreamSettings(
            summary.get("EncryptionType", "NONE").upper(), summary.get("KeyId"), summary.get("ConsumerCount", 0)
        ),
    )


@collects(EventSourceMappings, about=Region)
def event_source_mappings(aws: Aws, region: Region) -> Yield:
    """Yield the event source mappings; those of self-managed sources have no ARN."""
    found = [
        EventSourceMapping(entry["EventSourceArn"], entry.get("FunctionArn", ""), entry.get("State", "").upper())
        for page in aws.pages("lambda:ListEventSourceMappings")
        for entry in page.get("EventSourceMappings", [])
        if entry.get("EventSourceArn")
    ]
    yield region, EventSourceMappings(tuple(sorted(found, key=lambda one: (one.source_arn, one.function_arn))))


@collects(Pipes, about=Region)
def pipes(aws: Aws, region: Region) -> Yield:
    """Yield the pipes.

    Where botocore's endpoint data does not list EventBridge Pipes for the region, an endpoint that cannot be reached
    means that there is no such service, hence no pipe.
    """
    found = []
    try:
        for page in aws.pages("pipes:ListPipes"):
            for entry in page.get("Pipes", []):
                state = entry.get("CurrentState", "").upper()
                found.append(Pipe(entry["Arn"], entry.get("Source", ""), entry.get("Target", ""), state))
    except Missing as missing:
        if not aws.lacks("pipes", missing):
            raise
    yield region, Pipes(tuple(sorted(found, key=lambda one: one.arn)))

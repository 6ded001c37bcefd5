from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import (
    EventSourceMappings,
    Gap,
    KinesisDestination,
    KinesisDestinations,
    KinesisStreamSettings,
    LegacyGlobalTables,
    Pipes,
    Reason,
    Sensitivity,
    TableSettings,
    Trust,
)
from auditor.facts.base import VANISHED
from auditor.resources import KinesisStream, Table

LIVE = ("ACTIVE", "ENABLING", "UPDATING")

#: Destinations in these states get nothing (any more): AWS keeps them in the list all the same.
HISTORY = ("DISABLED", "DISABLING", "ENABLE_FAILED")

#: States of event source mappings and pipes that read, or are about to.
READING = ("ENABLED", "ENABLING", "CREATING", "UPDATING", "RUNNING", "STARTING")

#: States in which they do not. A pipe that failed to change may read on as it did.
IDLE = (
    "DISABLED",
    "DISABLING",
    "DELETING",
    "STOPPED",
    "STOPPING",
    "CREATE_FAILED",
    "CREATE_ROLLBACK_FAILED",
    "START_FAILED",
)


@dataclass
class _Found:
    """What is wrong, by severity, and what could not be found out."""

    wrong: list[tuple[Severity, str]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["B"],
    controls={"NIST 800-53 r5": ["AC-4", "AU-6", "SC-7", "SC-28"]},
    remediation=Remediation(
        text="Turn off what nobody intended; encrypt Kinesis data streams with KMS; turn off a stream that none reads.",
        cli="aws dynamodb disable-kinesis-streaming-destination --table-name $TABLE --stream-arn $STREAM_ARN "
        "--region $REGION\n"
        "aws kinesis start-stream-encryption --stream-name $STREAM --encryption-type KMS --key-id alias/aws/kinesis "
        "--region $REGION\n"
        "aws dynamodb update-table --table-name $TABLE --stream-specification StreamEnabled=false --region $REGION",
        terraform="""\
resource "aws_kinesis_stream" "changes" {
  name            = "orders-changes"
  encryption_type = "KMS"
  kms_key_id      = aws_kms_key.changes.arn

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }
}

resource "aws_dynamodb_kinesis_streaming_destination" "changes" {
  table_name = aws_dynamodb_table.orders.name
  stream_arn = aws_kinesis_stream.changes.arn
}""",
        cloudformation="""\
Resources:
  Changes:
    Type: AWS::Kinesis::Stream
    Properties:
      StreamModeDetails: {StreamMode: ON_DEMAND}
      StreamEncryption: {EncryptionType: KMS, KeyId: alias/aws/kinesis}""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds.html",
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html",
    ],
)
def table_change_data_capture(
    table: Table,
    settings: TableSettings,
    destinations: KinesisDestinations | Gap,
    streams: Mapping[KinesisStream, KinesisStreamSettings | Gap],
    mappings: EventSourceMappings | Gap,
    pipes: Pipes | Gap,
    legacy: LegacyGlobalTables | Gap,
    sensitivity: Sensitivity | Gap,
    trust: Trust,
    *,
    allowed_stream_destinations: Annotated[
        tuple[str, ...], "Globs on ARNs of Kinesis data streams; empty: any stream of an own or trusted account."
    ] = (),
    allowed_stream_consumers: Annotated[
        tuple[str, ...], "Globs on ARNs of functions and pipe targets that may read streams; empty: any."
    ] = (),
    flag_unused_streams: Annotated[bool, "A stream without a known reader fails."] = True,
) -> Verdict:
    """Streams and Kinesis destinations go only where intended.

    A Kinesis destination is a live copy of every write: one call, EnableKinesisStreamingDestination, gives somebody all
    future data. A stream holds full images of items for a day.

    Every destination that is active or becoming so must be in an own or trusted account and, where
    `allowed_stream_destinations` is set, match it (high), and its stream must be encrypted with KMS (medium). A stream
    whose readers `allowed_stream_consumers` does not allow fails (medium), and so does one that gives old and new
    images of a sensitive table to nobody that is known. A stream without any known reader fails (low, unless
    `flag_unused_streams` is off). Destinations that are disabled or failed stay in AWS's list and are history; a
    Kinesis data stream that no longer exists gets nothing, so that its encryption is no question.

    Readers are event source mappings of Lambda and EventBridge pipes that name the table's present stream and are not
    disabled. Applications with the Kinesis adapter, functions of other accounts and zero-ETL integrations leave no
    trace there: that a stream is unused is a hint. The stream of a global table serves replication and passes. Where
    only encryption or readers could not be looked up the answer is unknown, unless something else fails.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    found = _Found()
    evidence: dict[str, Any] = {}
    live: list[KinesisDestination] = []
    if isinstance(destinations, Gap):
        found.gaps.append(destinations)
    else:
        live = [one for one in destinations.destinations if one.status in LIVE]
        found.gaps += [
            _unclear("destination", one.stream.arn, one.status, "dynamodb:DescribeKinesisStreamingDestination")
            for one in destinations.destinations
            if one.status not in LIVE + HISTORY
        ]
        evidence["KinesisDataStreamDestinations"] = [
            {"StreamArn": one.stream.arn, "DestinationStatus": one.status} for one in destinations.destinations
        ]
    for one in live:
        _judge_destination(one, streams.get(one.stream), trust, allowed_stream_destinations, found)
    if settings.stream_arn is not None:
        evidence |= {"LatestStreamArn": settings.stream_arn, "StreamViewType": settings.stream_view}
        readers, gaps = _readers(settings.stream_arn, mappings, pipes)
        evidence["readers"] = readers
        replicates = _replicates(table, settings, legacy)
        strangers = [
            one
            for one in readers
            if allowed_stream_consumers and not any(fnmatchcase(one, glob) for glob in allowed_stream_consumers)
        ]
        if strangers:
            found.wrong.append((Severity.MEDIUM, f"The stream is read by {strangers[0]}, which is not allowed to."))
        elif not readers and replicates is not True:
            _judge_unread(settings, sensitivity, [*gaps, replicates], found, flag=flag_unused_streams)
        if allowed_stream_consumers:
            found.gaps += gaps
    if found.wrong:
        severity, message = max(found.wrong, key=lambda one: one[0])
        evidence["shortcomings"] = [text for _, text in found.wrong]
        return failed(message, severity=None if severity is Severity.HIGH else severity, **evidence)
    if found.gaps:
        return unknown(found.gaps[0], **evidence)
    if settings.stream_arn is None and not live:
        return not_applicable("The table has no stream and no Kinesis destination.", **evidence)
    return passed("What carries changes away goes where it may.", **evidence)


def _judge_destination(
    one: KinesisDestination,
    stream: KinesisStreamSettings | Gap | None,
    trust: Trust,
    allowed: tuple[str, ...],
    found: _Found,
) -> None:
    trusted = trust.standing(one.stream.account.id)
    if trusted is False:
        text = f"Changes go to a stream of account {one.stream.account.id}, which is not trusted."
        found.wrong.append((Severity.HIGH, text))
        return
    if allowed and not any(fnmatchcase(one.stream.arn, glob) for glob in allowed):
        found.wrong.append((Severity.HIGH, f"Changes go to {one.stream.arn}, which is not an allowed destination."))
        return
    if isinstance(trusted, Gap):
        found.gaps.append(trusted)
    if isinstance(stream, KinesisStreamSettings):
        if stream.encryption != "KMS":
            found.wrong.append((Severity.MEDIUM, f"The Kinesis data stream {one.stream.name} is not encrypted."))
    elif stream != VANISHED:
        missing = Gap(
            Reason.PARTIAL_DATA, "The Kinesis data stream was not asked about.", "kinesis:DescribeStreamSummary"
        )
        found.gaps.append(stream or missing)


def _readers(stream_arn: str, mappings: EventSourceMappings | Gap, pipes: Pipes | Gap) -> tuple[list[str], list[Gap]]:
    """Return the functions and targets that read a stream, and why there may be more."""
    held: list[tuple[str, str, str, str]] = []
    gaps: list[Gap] = []
    if isinstance(mappings, Gap):
        gaps.append(mappings)
    else:
        held += [
            ("event source mapping of", one.function_arn, one.state, "lambda:ListEventSourceMappings")
            for one in mappings.mappings
            if one.source_arn == stream_arn
        ]
    if isinstance(pipes, Gap):
        gaps.append(pipes)
    else:
        held += [
            ("pipe to", one.target, one.state, "pipes:ListPipes") for one in pipes.pipes if one.source == stream_arn
        ]
    gaps += [_unclear(*one) for one in held if one[2] not in READING + IDLE]
    return sorted({reader for _, reader, state, _ in held if state in READING}), gaps


def _unclear(noun: str, arn: str, state: str, action: str) -> Gap:
    """Return the gap that a state leaves which does not tell whether anything flows."""
    said = f"is {state}" if state else "has no state"
    return Gap(Reason.UNDECIDABLE, f"The {noun} {arn} {said}: whether it gets changes is not known.", action)


def _replicates(table: Table, settings: TableSettings, legacy: LegacyGlobalTables | Gap) -> bool | Gap:
    """Tell whether the stream serves a global table's replication.

    The derived `ReplicationGroup` says the same, and would have the rule ask for keys, tags and recovery as well.
    """
    if any(one.table != table and one.status != "DELETING" for one in settings.replicas):
        return True
    if isinstance(legacy, Gap):
        return False if settings.global_table_version == "2019.11.21" else legacy
    return table.region.name in legacy.members.get(table.name, ())


def _judge_unread(
    settings: TableSettings,
    sensitivity: Sensitivity | Gap,
    gaps: list[bool | Gap],
    found: _Found,
    *,
    flag: bool,
) -> None:
    """Note what it means that nobody is known to read the stream."""
    open_gaps = [one for one in gaps if isinstance(one, Gap)]
    images = settings.stream_view == "NEW_AND_OLD_IMAGES"
    sensitive = images and (isinstance(sensitivity, Gap) or sensitivity.sensitive)
    if open_gaps:
        if flag or sensitive:
            found.gaps.append(open_gaps[0])
    elif sensitive and isinstance(sensitivity, Sensitivity):
        found.wrong.append((Severity.MEDIUM, "The stream holds full images of sensitive items for no known reader."))
    elif sensitive and isinstance(sensitivity, Gap) and not flag:
        found.gaps.append(sensitivity)
    elif flag:
        found.wrong.append((Severity.MEDIUM if sensitive else Severity.LOW, "Nobody is known to read the stream."))

from typing import Annotated

from auditor import Remediation, Severity, Side, Verdict, rule
from auditor.config import Config
from auditor.facts import Detection, Gap, TableNames
from auditor.resources import Region

from ._coverage import REFERENCES, EventText, cover


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["P10"],
    controls={
        "NIST 800-53 r5": ["AU-6", "AU-6(1)", "IR-4", "SI-4(2)", "SI-4(5)"],
        "ISO 27001:2022": ["A.8.15", "A.8.16"],
    },
    remediation=Remediation(
        text="Make an EventBridge rule for these calls in every region with tables, with a topic as its target.",
        cli="aws events put-rule --name ddb-exfiltration --region $REGION --event-pattern "
        '\'{"source":["aws.dynamodb"],"detail-type":["AWS API Call via CloudTrail"],'
        '"detail":{"eventSource":["dynamodb.amazonaws.com"],"eventName":["ExportTableToPointInTime",'
        '"EnableKinesisStreamingDestination","UpdateTable","RestoreTableFromBackup",'
        '"RestoreTableToPointInTime","StartBulkPutItems"]}}\'\n'
        "aws events put-targets --rule ddb-exfiltration --targets Id=1,Arn=$TOPIC_ARN --region "
        "$REGION",
        terraform="""\
resource "aws_cloudwatch_event_rule" "exfiltration" {
  name = "ddb-exfiltration"
  event_pattern = jsonencode({
    source      = ["aws.dynamodb"]
    detail-type = ["AWS API Call via CloudTrail"]
    detail      = {
      eventSource = ["dynamodb.amazonaws.com"]
      eventName = [
        "ExportTableToPointInTime", "EnableKinesisStreamingDestination", "UpdateTable",
        "RestoreTableFromBackup", "RestoreTableToPointInTime", "StartBulkPutItems",
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "exfiltration" {
  rule = aws_cloudwatch_event_rule.exfiltration.name
  arn  = aws_sns_topic.security.arn
}""",
        cloudformation="""\
Parameters:
  Topic: {Type: String}
Resources:
  Exfiltration:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        source: [aws.dynamodb]
        detail-type: ["AWS API Call via CloudTrail"]
        detail:
          eventSource: [dynamodb.amazonaws.com]
          eventName: [ExportTableToPointInTime, EnableKinesisStreamingDestination, UpdateTable,
            RestoreTableFromBackup, RestoreTableToPointInTime, StartBulkPutItems]
      Targets: [{Id: sns, Arn: !Ref Topic}]""",
    ),
    references=REFERENCES,
)
def alarm_data_exfiltration(
    region: Region,
    detection: Detection,
    config: Config,
    names: TableNames | Gap,
    *,
    mandatory_events: Annotated[
        tuple[EventText, ...],
        "Events that must be noticed, such as dynamodb:ExportTableToPointInTime; empty: those of the catalogue.",
    ] = (),
    max_alarm_threshold: Annotated[int, "Most events within one period that an alarm may wait for."] = 1,
) -> Verdict:
    """Whoever copies whole tables away sets off an alarm that somebody hears.

    An export, a stream or a replica takes all items at once, and leaves no trace in the table.

    Must be noticed: `ExportTableToPointInTime`, `EnableKinesisStreamingDestination`, `UpdateTable` that makes a replica
    and `UpdateTable` that turns a stream on. Should be: restores, `StartBulkPutItems`,
    `DisableKinesisStreamingDestination` and `Scan`, which is a data event.

    Each event is evaluated, as CloudTrail records it, against metric filters of the log groups that trails deliver to,
    patterns of EventBridge rules on the default bus and queries of log alarms; what merely has the right words in it
    does not count. A metric filter counts with a trail that is logging and records the event, and an alarm in the log
    group's region on exactly its metric (namespace, name, dimensions, unit) that goes off on at most
    `max_alarm_threshold` events in one period: statistic, threshold, periods, data points and missing data are worked
    out. An EventBridge rule must be enabled in this very region, and a trail be logging. Somebody must be told: see
    `alarm-delivery`. Fails when an event of the list is noticed by nothing, or nobody is told of it (low where only a
    mute rule is the reason). Unknown when what could notice it cannot be decided, may not be read, or watches a log
    group of an account that is not audited. A class that `external_detection` names (data-exfiltration) passes as
    attested, and so does one that only reaches `trusted_topics`.

    Each event is tried as a role, an IAM user and root would cause it. What looks at names of tables or keys counts
    when it notices the event on every one of the region. Filters that do not look at `eventSource` pass with the note
    that they are noisy. Other languages of log queries, anomaly detection and most metric math are undecidable; what an
    alarm does with events that are spread over several periods is not worked out. Regions without tables and clusters
    are not judged.
    """
    return cover(region, detection, config, "data-exfiltration", mandatory_events, max_alarm_threshold, tables=names)

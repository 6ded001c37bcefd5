from typing import Annotated

from auditor import Remediation, Severity, Side, Verdict, rule
from auditor.config import Config
from auditor.facts import Detection, Gap, TableNames
from auditor.resources import Region

from ._coverage import REFERENCES, EventText, cover, judged_on_events


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
@judged_on_events
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
    """
    return cover(region, detection, config, "data-exfiltration", mandatory_events, max_alarm_threshold, tables=names)

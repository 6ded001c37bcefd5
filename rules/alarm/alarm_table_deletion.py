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
        text="Filter the log group of the trail for DeleteTable and DeleteBackup of "
        "dynamodb.amazonaws.com and put an alarm with a topic on the metric; or make an "
        "EventBridge rule in every region with tables.",
        cli="aws logs put-metric-filter --log-group-name $TRAIL_LOG_GROUP --filter-name ddb-deletion "
        "--region $TRAIL_REGION \\\n"
        '  --filter-pattern \'{ ($.eventSource = "dynamodb.amazonaws.com") && (($.eventName = '
        '"DeleteTable") || ($.eventName = "DeleteBackup")) }\' \\\n'
        "  --metric-transformations metricName=DdbDeletion,metricNamespace=Audit,metricValue=1\n"
        "aws cloudwatch put-metric-alarm --alarm-name ddb-deletion --namespace Audit --metric-name "
        "DdbDeletion --statistic Sum \\\n"
        "  --period 300 --evaluation-periods 1 --threshold 1 --comparison-operator "
        "GreaterThanOrEqualToThreshold \\\n"
        "  --treat-missing-data notBreaching --alarm-actions $TOPIC_ARN --region $TRAIL_REGION",
        terraform="""\
resource "aws_cloudwatch_event_rule" "deletion" {
  name = "ddb-deletion"
  event_pattern = jsonencode({
    source      = ["aws.dynamodb"]
    detail-type = ["AWS API Call via CloudTrail"]
    detail      = { eventSource = ["dynamodb.amazonaws.com"], eventName = ["DeleteTable", "DeleteBackup"] }
  })
}

resource "aws_cloudwatch_event_target" "deletion" {
  rule = aws_cloudwatch_event_rule.deletion.name
  arn  = aws_sns_topic.security.arn
}""",
        cloudformation="""\
Parameters:
  Topic: {Type: String}
Resources:
  Deletion:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        source: [aws.dynamodb]
        detail-type: ["AWS API Call via CloudTrail"]
        detail: {eventSource: [dynamodb.amazonaws.com], eventName: [DeleteTable, DeleteBackup]}
      Targets: [{Id: sns, Arn: !Ref Topic}]""",
    ),
    references=REFERENCES,
)
@judged_on_events
def alarm_table_deletion(
    region: Region,
    detection: Detection,
    config: Config,
    names: TableNames | Gap,
    *,
    mandatory_events: Annotated[
        tuple[EventText, ...],
        "Events that must be noticed, such as dynamodb:DeleteTable; empty: the catalogue's.",
    ] = (),
    max_alarm_threshold: Annotated[int, "Most events within one period that an alarm may wait for."] = 1,
) -> Verdict:
    """Whoever deletes a table or a backup sets off an alarm that somebody hears.

    A deleted table is gone at once, and whoever deletes its backups too takes the way back: minutes count.

    Must be noticed: `DeleteTable` and `DeleteBackup` of DynamoDB. Should be, and stand in the evidence otherwise:
    `DeleteRecoveryPoint` of AWS Backup and the removal of a replica by `UpdateTable`.
    """
    return cover(region, detection, config, "table-deletion", mandatory_events, max_alarm_threshold, tables=names)

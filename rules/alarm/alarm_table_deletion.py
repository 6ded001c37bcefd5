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

    Each event is evaluated, as CloudTrail records it, against metric filters of the log groups that trails deliver to,
    patterns of EventBridge rules on the default bus and queries of log alarms; what merely has the right words in it
    does not count. A metric filter counts with a trail that is logging and records the event, and an alarm in the log
    group's region on exactly its metric (namespace, name, dimensions, unit) that goes off on at most
    `max_alarm_threshold` events in one period: statistic, threshold, periods, data points and missing data are worked
    out. An EventBridge rule must be enabled in this very region, and a trail be logging. Somebody must be told: see
    `alarm-delivery`. Fails when an event of the list is noticed by nothing, or nobody is told of it (low where only a
    mute rule is the reason). Unknown when what could notice it cannot be decided, may not be read, or watches a log
    group of an account that is not audited. A class that `external_detection` names (table-deletion) passes as
    attested, and so does one that only reaches `trusted_topics`.

    Each event is tried as a role, an IAM user and root would cause it. What looks at names of tables or keys counts
    when it notices the event on every one of the region. Filters that do not look at `eventSource` pass with the note
    that they are noisy. Other languages of log queries, anomaly detection and most metric math are undecidable; what an
    alarm does with events that are spread over several periods is not worked out. Regions without tables and clusters
    are not judged.
    """
    return cover(region, detection, config, "table-deletion", mandatory_events, max_alarm_threshold, tables=names)

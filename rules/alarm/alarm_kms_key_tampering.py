from collections.abc import Mapping
from typing import Annotated

from auditor import Remediation, Severity, Side, Verdict, not_applicable, rule, unknown
from auditor.config import Config
from auditor.facts import Detection, EncryptionKey, Gap, TableNames
from auditor.resources import Region, Table

from ._coverage import REFERENCES, EventText, cover, judged_on_events


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["P10", "P6"],
    controls={
        "CIS AWS Foundations 6.0": ["5.7"],
        "NIST 800-53 r5": ["AU-6", "AU-6(1)", "IR-4", "SI-4(2)", "SI-4(5)"],
        "ISO 27001:2022": ["A.8.15", "A.8.16"],
    },
    remediation=Remediation(
        text="Filter the log group of the trail for the calls of kms.amazonaws.com that put a key out "
        "of use, put an alarm with a topic on the metric, and let the trail record KMS events.",
        cli="aws logs put-metric-filter --log-group-name $TRAIL_LOG_GROUP --filter-name kms-tampering "
        "--region $TRAIL_REGION \\\n"
        '  --filter-pattern \'{ ($.eventSource = "kms.amazonaws.com") && (($.eventName = '
        '"DisableKey") || ($.eventName = "ScheduleKeyDeletion") || ($.eventName = "PutKeyPolicy")) '
        "}' \\\n"
        "  --metric-transformations metricName=KmsTampering,metricNamespace=Audit,metricValue=1\n"
        "aws cloudwatch put-metric-alarm --alarm-name kms-tampering --namespace Audit --metric-name "
        "KmsTampering --statistic Sum \\\n"
        "  --period 300 --evaluation-periods 1 --threshold 1 --comparison-operator "
        "GreaterThanOrEqualToThreshold \\\n"
        "  --treat-missing-data notBreaching --alarm-actions $TOPIC_ARN --region $TRAIL_REGION",
        terraform='resource "aws_cloudwatch_log_metric_filter" "kms" {\n'
        '  name           = "kms-tampering"\n'
        "  log_group_name = aws_cloudwatch_log_group.trail.name\n"
        '  pattern        = "{ ($.eventSource = \\"kms.amazonaws.com\\") && (($.eventName = '
        '\\"DisableKey\\") || ($.eventName = \\"ScheduleKeyDeletion\\") || ($.eventName = '
        '\\"PutKeyPolicy\\")) }"\n'
        "\n"
        "  metric_transformation {\n"
        '    name      = "KmsTampering"\n'
        '    namespace = "Audit"\n'
        '    value     = "1"\n'
        "  }\n"
        "}\n"
        "\n"
        'resource "aws_cloudwatch_metric_alarm" "kms" {\n'
        '  alarm_name          = "kms-tampering"\n'
        '  namespace           = "Audit"\n'
        '  metric_name         = "KmsTampering"\n'
        '  statistic           = "Sum"\n'
        "  period              = 300\n"
        "  evaluation_periods  = 1\n"
        "  threshold           = 1\n"
        '  comparison_operator = "GreaterThanOrEqualToThreshold"\n'
        '  treat_missing_data  = "notBreaching"\n'
        "  alarm_actions       = [aws_sns_topic.security.arn]\n"
        "}",
        cloudformation="""\
Parameters:
  Topic: {Type: String}
Resources:
  KeyTampering:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        source: [aws.kms]
        detail-type: ["AWS API Call via CloudTrail"]
        detail: {eventSource: [kms.amazonaws.com], eventName: [DisableKey, ScheduleKeyDeletion, PutKeyPolicy]}
      Targets: [{Id: sns, Arn: !Ref Topic}]""",
    ),
    references=REFERENCES,
)
@judged_on_events
def alarm_kms_key_tampering(
    region: Region,
    detection: Detection,
    keys: Mapping[Table, EncryptionKey | Gap],
    names: TableNames | Gap,
    config: Config,
    *,
    mandatory_events: Annotated[
        tuple[EventText, ...], "Events that must be noticed, such as kms:DisableKey; empty: those of the catalogue."
    ] = (),
    max_alarm_threshold: Annotated[int, "Most events within one period that an alarm may wait for."] = 1,
) -> Verdict:
    """Whoever tampers with the keys of tables sets off an alarm that somebody hears.

    A disabled key makes its tables unreadable, a deleted one for ever; a changed key policy gives them to others.

    Must be noticed: `DisableKey`, `ScheduleKeyDeletion` and `PutKeyPolicy` of KMS. Should be:
    `DeleteImportedKeyMaterial`, `RevokeGrant` and `DisableKeyRotation`. A trail that leaves out KMS hides them. Not
    applicable where no table of the region has a customer managed key.
    """
    own = [one for table, one in keys.items() if table.region == region]
    gap = next((one for one in (names, *own) if isinstance(one, Gap)), None)
    if not any(isinstance(one, EncryptionKey) and one.type == "customer-managed" for one in own):
        if gap is not None:
            return unknown(gap)
        return not_applicable("No table of the region has a customer managed key.")
    used = {
        one.key.name for one in own if isinstance(one, EncryptionKey) and one.key and one.type == "customer-managed"
    }
    return cover(
        region,
        detection,
        config,
        "kms-key-tampering",
        mandatory_events,
        max_alarm_threshold,
        keys=sorted(used),
        unlisted=gap,
    )

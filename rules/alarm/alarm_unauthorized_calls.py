from typing import Annotated

from auditor import Remediation, Severity, Side, Verdict, rule
from auditor.config import Config
from auditor.facts import Detection, Gap, TableNames
from auditor.resources import Region

from ._coverage import REFERENCES, EventText, cover, judged_on_events


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P10"],
    controls={
        "CIS AWS Foundations 6.0": ["5.1"],
        "NIST 800-53 r5": ["AU-6", "AU-6(1)", "IR-4", "SI-4(2)", "SI-4(5)"],
        "ISO 27001:2022": ["A.8.15", "A.8.16"],
    },
    remediation=Remediation(
        text="Make an EventBridge rule for error codes that begin with AccessDenied in every region "
        "with tables, or filter the log group of the trail for them.",
        cli="aws events put-rule --name ddb-unauthorized --region $REGION --event-pattern "
        '\'{"source":["aws.dynamodb"],"detail-type":["AWS API Call via CloudTrail"],'
        '"detail":{"errorCode":[{"prefix":"AccessDenied"}]}}\'\n'
        "aws events put-targets --rule ddb-unauthorized --targets Id=1,Arn=$TOPIC_ARN --region "
        "$REGION",
        terraform="""\
resource "aws_cloudwatch_event_rule" "unauthorized" {
  name = "ddb-unauthorized"
  event_pattern = jsonencode({
    source      = ["aws.dynamodb"]
    detail-type = ["AWS API Call via CloudTrail"]
    detail      = { errorCode = [{ prefix = "AccessDenied" }] }
  })
}

resource "aws_cloudwatch_event_target" "unauthorized" {
  rule = aws_cloudwatch_event_rule.unauthorized.name
  arn  = aws_sns_topic.security.arn
}""",
        cloudformation="""\
Parameters:
  Topic: {Type: String}
Resources:
  Unauthorized:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        source: [aws.dynamodb]
        detail-type: ["AWS API Call via CloudTrail"]
        detail: {errorCode: [{prefix: AccessDenied}]}
      Targets: [{Id: sns, Arn: !Ref Topic}]""",
    ),
    references=REFERENCES,
)
@judged_on_events
def alarm_unauthorized_calls(
    region: Region,
    detection: Detection,
    config: Config,
    names: TableNames | Gap,
    *,
    mandatory_events: Annotated[
        tuple[EventText, ...],
        "Events that must be noticed, such as dynamodb:*!AccessDenied; empty: the catalogue's.",
    ] = (),
    max_alarm_threshold: Annotated[int, "Most events within one period that an alarm may wait for."] = 10,
) -> Verdict:
    """Calls to DynamoDB that are turned down set off an alarm that somebody hears.

    Stolen credentials are tried out before they are used: refused calls are often the first sign.

    Must be noticed: calls of any kind to DynamoDB with the error codes `AccessDeniedException` and `AccessDenied`; a
    deletion, an update, an export and a change of a policy stand for them. Should be: calls that only read, which
    EventBridge hands over in the state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS only, and refused calls of EC2.
    """
    return cover(region, detection, config, "unauthorized-calls", mandatory_events, max_alarm_threshold, tables=names)

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
        "CIS AWS Foundations 6.0": ["5.5", "5.9"],
        "NIST 800-53 r5": ["AU-6", "AU-6(1)", "IR-4", "SI-4(2)", "SI-4(5)"],
        "ISO 27001:2022": ["A.8.15", "A.8.16"],
    },
    remediation=Remediation(
        text="Make an EventBridge rule for these calls in every region with tables. JSON booleans in "
        "its pattern stand without quotes ([false]); in a metric filter only IS FALSE tests them.",
        cli="aws events put-rule --name ddb-control-weakening --region $REGION --event-pattern "
        '\'{"source":["aws.dynamodb","aws.cloudtrail"],"detail-type":["AWS API Call via CloudTrail"],'
        '"detail":{"eventName":["UpdateTable","UpdateContinuousBackups","PutResourcePolicy",'
        '"DeleteResourcePolicy","StopLogging","DeleteTrail","PutEventSelectors"]}}\'\n'
        "aws events put-targets --rule ddb-control-weakening --targets Id=1,Arn=$TOPIC_ARN --region "
        "$REGION",
        terraform="""\
resource "aws_cloudwatch_event_rule" "weakening" {
  name = "ddb-control-weakening"
  event_pattern = jsonencode({
    source      = ["aws.dynamodb", "aws.cloudtrail"]
    detail-type = ["AWS API Call via CloudTrail"]
    detail      = {
      eventName = [
        "UpdateTable", "UpdateContinuousBackups", "PutResourcePolicy", "DeleteResourcePolicy",
        "StopLogging", "DeleteTrail", "PutEventSelectors",
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "weakening" {
  rule = aws_cloudwatch_event_rule.weakening.name
  arn  = aws_sns_topic.security.arn
}""",
        cloudformation="""\
Parameters:
  Topic: {Type: String}
Resources:
  Weakening:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        source: [aws.dynamodb, aws.cloudtrail]
        detail-type: ["AWS API Call via CloudTrail"]
        detail:
          eventName: [UpdateTable, UpdateContinuousBackups, PutResourcePolicy, DeleteResourcePolicy,
            StopLogging, DeleteTrail, PutEventSelectors]
      Targets: [{Id: sns, Arn: !Ref Topic}]""",
    ),
    references=REFERENCES,
)
@judged_on_events
def alarm_control_weakening(
    region: Region,
    detection: Detection,
    config: Config,
    names: TableNames | Gap,
    *,
    mandatory_events: Annotated[
        tuple[EventText, ...],
        "Events that must be noticed, such as dynamodb:UpdateTable[deletionProtectionEnab"
        "led=false]; empty: those of the catalogue.",
    ] = (),
    max_alarm_threshold: Annotated[int, "Most events within one period that an alarm may wait for."] = 1,
) -> Verdict:
    """Whoever weakens the protection of tables or the trail sets off an alarm that somebody hears.

    Before data is destroyed or taken, its protection is switched off: that is the moment to notice it.

    Must be noticed: `UpdateTable` that switches deletion protection off, `UpdateContinuousBackups`,
    `PutResourcePolicy` and `DeleteResourcePolicy` of DynamoDB; `StopLogging`, `DeleteTrail` and `PutEventSelectors` of
    CloudTrail. Should be: `UpdateTable` that changes the key, `StopConfigurationRecorder`, `DeleteVpcEndpoints` and
    `ModifyVpcEndpoint`. An alarm on every `UpdateTable` is the simplest robust one.

    Calls to CloudTrail are looked for in every region, though those about a trail arrive in its home region;
    `mandatory_events` can leave them out.
    """
    return cover(region, detection, config, "control-weakening", mandatory_events, max_alarm_threshold, tables=names)

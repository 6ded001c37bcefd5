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

    Each event is evaluated, as CloudTrail records it, against metric filters of the log groups that trails deliver to,
    patterns of EventBridge rules on the default bus and queries of log alarms; what merely has the right words in it
    does not count. A metric filter counts with a trail that is logging and records the event, and an alarm in the log
    group's region on exactly its metric (namespace, name, dimensions, unit) that goes off on at most
    `max_alarm_threshold` events in one period: statistic, threshold, periods, data points and missing data are worked
    out. An EventBridge rule must be enabled in this very region, and a trail be logging. Somebody must be told: see
    `alarm-delivery`. Fails when an event of the list is noticed by nothing, or nobody is told of it (low where only a
    mute rule is the reason). Unknown when what could notice it cannot be decided, may not be read, or watches a log
    group of an account that is not audited. A class that `external_detection` names (control-weakening) passes as
    attested, and so does one that only reaches `trusted_topics`.

    Each event is tried as a role, an IAM user and root would cause it. What looks at names of tables or keys counts
    when it notices the event on every one of the region. Filters that do not look at `eventSource` pass with the note
    that they are noisy. Other languages of log queries, anomaly detection and most metric math are undecidable; what an
    alarm does with events that are spread over several periods is not worked out. Calls to CloudTrail are looked for in
    every region, though those about a trail arrive in its home region; `mandatory_events` can leave them out. Regions
    without tables and clusters are not judged.
    """
    return cover(region, detection, config, "control-weakening", mandatory_events, max_alarm_threshold, tables=names)

from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, passed, rule, unknown
from auditor.facts import ConfigDelivery, ConfigRecorder, ConfigRecorders, ConfigRecorderStatuses, Gap, Reason
from auditor.resources import Region, Table


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P11"],
    controls={
        "AWS FSBP": ["Config.1"],
        "CIS AWS Foundations 6.0": ["4.3"],
        "NIST 800-53 r5": ["CM-3", "CM-6", "CM-8"],
    },
    remediation=Remediation(
        text="Record all resource types, or at least AWS::DynamoDB::Table, in every region that holds tables.",
        cli="aws configservice put-configuration-recorder --region $REGION --configuration-recorder "
        "name=default,roleARN=$ROLE_ARN --recording-group allSupported=true,includeGlobalResourceTypes=true\n"
        "aws configservice put-delivery-channel --delivery-channel name=default,s3BucketName=$BUCKET --region $REGION\n"
        "aws configservice start-configuration-recorder --configuration-recorder-name default --region $REGION",
        terraform="""\
resource "aws_config_configuration_recorder" "this" {
  name     = "default"
  role_arn = aws_iam_service_linked_role.config.arn

  recording_group {
    all_supported                 = true
    include_global_resource_types = true
  }
}

resource "aws_config_delivery_channel" "this" {
  name           = "default"
  s3_bucket_name = aws_s3_bucket.config.id
  depends_on     = [aws_config_configuration_recorder.this]
}

resource "aws_config_configuration_recorder_status" "this" {
  name       = aws_config_configuration_recorder.this.name
  is_enabled = true
  depends_on = [aws_config_delivery_channel.this]
}""",
        cloudformation="""\
Parameters:
  Role: {Type: String}
  Bucket: {Type: String}
Resources:
  Recorder:
    Type: AWS::Config::ConfigurationRecorder
    Properties:
      RoleARN: !Ref Role
      RecordingGroup: {AllSupported: true, IncludeGlobalResourceTypes: true}
  Channel:
    Type: AWS::Config::DeliveryChannel
    Properties:
      S3BucketName: !Ref Bucket""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/best-practices-security-detective.html"
    ],
)
def detect_config_recorder(
    region: Region,
    recorders: ConfigRecorders,
    statuses: ConfigRecorderStatuses | Gap,
    delivery: ConfigDelivery | Gap,
) -> Verdict:
    """AWS Config records DynamoDB tables in every region with tables.

    Config keeps the history of every table's settings and runs the rules that watch them. A recorder that is on but
    leaves tables out records nothing that matters here.

    Passes when a recorder of the customer is recording, its last delivery did not fail, its recording group covers
    `AWS::DynamoDB::Table` (all types, listed, or not excluded), and there is a delivery channel; without the channel
    the failure is low. Recorders of AWS services (`servicePrincipal`, internal scope) are not the customer's and do not
    count. Daily recording passes and is noted. DAX has no resource type in Config, so none is required. Regions without
    tables and clusters are not judged.
    """
    own = [recorder for recorder in recorders.recorders if not recorder.service_linked]
    evidence: dict[str, Any] = {"ConfigurationRecorders": [_evidence(recorder) for recorder in own]}
    if not own:
        return failed("There is no configuration recorder.", **evidence)
    covering = [recorder for recorder in own if recorder.covers(Table.cfn_type)]
    if not covering:
        return failed("No recorder's recording group covers DynamoDB tables.", **evidence)
    states = {} if isinstance(statuses, Gap) else dict(statuses.statuses)
    evidence["ConfigurationRecordersStatus"] = [
        {
            "name": one.name,
            "recording": states[one.name].recording,
            "lastStatus": states[one.name].last_status,
            "lastErrorCode": states[one.name].last_error,
        }
        for one in own
        if one.name in states
    ]
    unseen = [one for one in covering if one.name not in states]
    recording = [one for one in covering if one.name in states and states[one.name].recording]
    if not recording and not unseen:
        return failed("No recorder that covers DynamoDB tables is recording.", **evidence)
    working = [one for one in recording if states[one.name].last_status != "FAILURE"]
    if not working and not unseen:
        return failed("The recorder's last delivery failed.", **evidence)
    if not isinstance(delivery, Gap):
        evidence["DeliveryChannels"] = [{"s3BucketName": bucket} for bucket in delivery.buckets]
        if not delivery.buckets:
            return failed("There is no delivery channel.", severity=Severity.LOW, **evidence)
    if not working:
        missing = Gap(
            Reason.PARTIAL_DATA,
            f"The status of the recorder {unseen[0].name} was not returned.",
            "config:DescribeConfigurationRecorderStatus",
        )
        return unknown(statuses if isinstance(statuses, Gap) else missing, **evidence)
    if isinstance(delivery, Gap):
        return unknown(delivery, **evidence)
    if all(one.frequency == "DAILY" for one in working):
        evidence["note"] = "Tables are recorded once a day."
    return passed("Config records DynamoDB tables.", **evidence)


def _evidence(recorder: ConfigRecorder) -> dict[str, Any]:
    return {
        "name": recorder.name,
        "useOnly": recorder.strategy,
        "resourceTypes": list(recorder.included),
        "exclusionByResourceTypes": list(recorder.excluded),
        "recordingFrequency": recorder.frequency,
    }

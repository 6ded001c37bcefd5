from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, passed, rule, unknown
from auditor.facts import ConfigDelivery, ConfigRecorder, ConfigRecorders, ConfigRecorderStatuses, Gap
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

resource "aws_config_configuration_recorder_status" "this" {
  name       = aws_config_configuration_recorder.this.name
  is_enabled = true
}""",
        cloudformation="""\
Parameters:
  Role: {Type: String}
Resources:
  Recorder:
    Type: AWS::Config::ConfigurationRecorder
    Properties:
      RoleARN: !Ref Role
      RecordingGroup: {AllSupported: true, IncludeGlobalResourceTypes: true}""",
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
    covering = [recorder for recorder in own if _covers(recorder)]
    if not covering:
        return failed("No recorder's recording group covers DynamoDB tables.", **evidence)
    if isinstance(statuses, Gap):
        return unknown(statuses, **evidence)
    states = dict(statuses.statuses)
    evidence["ConfigurationRecordersStatus"] = {
        name: {"recording": state.recording, "lastStatus": state.last_status, "lastErrorCode": state.last_error}
        for name, state in states.items()
    }
    recording = [one for one in covering if (state := states.get(one.name)) is not None and state.recording]
    if not recording:
        return failed("No recorder that covers DynamoDB tables is recording.", **evidence)
    working = [one for one in recording if (states[one.name].last_status or "") != "FAILURE"]
    if not working:
        return failed("The recorder's last delivery failed.", **evidence)
    if isinstance(delivery, Gap):
        return unknown(delivery, **evidence)
    evidence["DeliveryChannels"] = list(delivery.buckets)
    if not delivery.buckets:
        return failed("There is no delivery channel.", severity=Severity.LOW, **evidence)
    if all(one.frequency == "DAILY" for one in working):
        evidence["note"] = "Tables are recorded once a day."
    return passed("Config records DynamoDB tables.", **evidence)


def _covers(recorder: ConfigRecorder) -> bool:
    if recorder.strategy == "INCLUSION_BY_RESOURCE_TYPES":
        return Table.cfn_type in recorder.included
    return Table.cfn_type not in recorder.excluded


def _evidence(recorder: ConfigRecorder) -> dict[str, Any]:
    return {
        "name": recorder.name,
        "useOnly": recorder.strategy,
        "resourceTypes": list(recorder.included),
        "exclusionByResourceTypes": list(recorder.excluded),
        "recordingFrequency": recorder.frequency,
    }

from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule
from auditor.facts import Detectors
from auditor.resources import Region


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P10", "B"],
    controls={"AWS FSBP": ["GuardDuty.1"], "NIST 800-53 r5": ["CA-7", "RA-3(4)", "SI-4"]},
    remediation=Remediation(
        text="Enable GuardDuty in every region that holds tables; a delegated administrator can do so for all accounts "
        "of an organisation. A detector that exists and is suspended is enabled with update-detector.",
        cli="aws guardduty create-detector --enable --finding-publishing-frequency FIFTEEN_MINUTES --region $REGION",
        terraform="""\
resource "aws_guardduty_detector" "region" {
  enable                       = true
  finding_publishing_frequency = "FIFTEEN_MINUTES"
}""",
        cloudformation="""\
Resources:
  Detector:
    Type: AWS::GuardDuty::Detector
    Properties:
      Enable: true
      FindingPublishingFrequency: FIFTEEN_MINUTES""",
    ),
    references=["https://docs.aws.amazon.com/guardduty/latest/ug/what-is-guardduty.html"],
)
def detect_guardduty(region: Region, detectors: Detectors) -> Verdict:
    """GuardDuty is enabled in every region with tables.

    GuardDuty reads CloudTrail's events, those of DynamoDB among them, for what stolen credentials do: calls from
    anonymising networks, unusual places or unusual volumes, and attempts to switch logging off.

    Passes when the region has a detector whose status is ENABLED and whose CLOUD_TRAIL source, where the answer names
    it, is on. A suspended detector (DISABLED), as after a trial, fails like none at all. Answers with `DataSources`
    instead of `Features` name a foundational source that cannot be switched off: there the status decides. No
    protection plan is asked for, since there is none for DynamoDB. A member account shows a detector of its own when an
    administrator account manages it. Regions without tables and clusters are not judged, nor those where AWS has no
    GuardDuty.
    """
    if not detectors.offered:
        return not_applicable("GuardDuty is not offered in this region.")
    evidence: dict[str, Any] = {
        "detectors": [
            {
                "DetectorId": one.id,
                "Status": one.status,
                "CLOUD_TRAIL": one.cloud_trail,
                "FindingPublishingFrequency": one.frequency,
            }
            for one in detectors.detectors
        ]
    }
    if not detectors.detectors:
        return failed("GuardDuty has no detector here.", **evidence)
    enabled = [one for one in detectors.detectors if one.status == "ENABLED"]
    if not enabled:
        return failed("The GuardDuty detector is suspended.", **evidence)
    if all(one.cloud_trail is False for one in enabled):
        return failed("The GuardDuty detector does not read CloudTrail's events.", **evidence)
    return passed("GuardDuty is enabled.", **evidence)

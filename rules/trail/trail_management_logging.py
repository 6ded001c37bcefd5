from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, passed, rule, unknown
from auditor.facts import ManagementLogging, TrailVerdict
from auditor.resources import Region


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["P10"],
    controls={
        "AWS FSBP": ["CloudTrail.1", "CloudTrail.2", "CloudTrail.4"],
        "CIS AWS Foundations 6.0": ["4.1", "4.2", "4.5"],
        "NIST 800-53 r5": ["AU-2", "AU-3", "AU-9", "AU-12", "SI-4"],
    },
    remediation=Remediation(
        text="Make one multi-region trail with log file validation and a KMS key, in the organisation's own account.",
        cli="aws cloudtrail create-trail --name $TRAIL_NAME --s3-bucket-name $BUCKET --is-multi-region-trail "
        "--enable-log-file-validation --kms-key-id $TRAIL_KEY_ARN\n"
        "aws cloudtrail start-logging --name $TRAIL_NAME",
        terraform="""\
resource "aws_cloudtrail" "audit" {
  name                       = "audit"
  s3_bucket_name             = aws_s3_bucket.trail.id
  is_multi_region_trail      = true
  enable_log_file_validation = true
  kms_key_id                 = aws_kms_key.trail.arn
}""",
        cloudformation="""\
Parameters:
  Bucket: {Type: String}
  KeyArn: {Type: String}
Resources:
  Trail:
    Type: AWS::CloudTrail::Trail
    Properties:
      IsLogging: true
      IsMultiRegionTrail: true
      EnableLogFileValidation: true
      IncludeGlobalServiceEvents: true
      KMSKeyId: !Ref KeyArn
      S3BucketName: !Ref Bucket""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"],
)
def trail_management_logging(region: Region, logging: ManagementLogging) -> Verdict:
    """A multi-region trail with log-file validation records management events where tables live.

    Without a trail nobody can say who deleted a table, weakened its protection or changed its key; alarms on such
    events need one too.

    A trail reaches a region when it is multi-region or has its home there. Its selectors, classic or advanced, are
    evaluated on probe events: a management write of DynamoDB, one of KMS, a read. Passes when one trail that is logging
    records all of them, in all regions, with log file validation, a KMS key and no delivery error. Without any that
    records DynamoDB's writes the failure is high; with one that falls short it is medium, or low when only the KMS key
    is missing. Shadow copies in other regions are the same trail, asked at home. CloudTrail's 90 days of event history
    are no trail. A member account may not be able to read an organisation trail: then the answer is unknown, unless
    another trail passes. Regions without tables and clusters are not judged.
    """
    evidence: dict[str, Any] = {"trails": [_evidence(verdict) for verdict in logging.trails]}
    recording = [verdict for verdict in logging.trails if verdict.records]
    if any(not verdict.shortcomings and verdict.info.kms_key and not verdict.gap for verdict in recording):
        return passed("A complete trail records management events here.", **evidence)
    undecided = [verdict for verdict in logging.trails if verdict.records is None or (verdict.records and verdict.gap)]
    best = min((_rank(verdict) for verdict in recording), default=2)
    hopeful = [verdict for verdict in undecided if _rank(verdict) < best or (verdict.records and best)]
    if hopeful:
        gap = hopeful[0].gap
        return unknown(gap if gap is not None else "It could not be found out what a trail records.", **evidence)
    if not recording:
        message = "No trail that is logging records DynamoDB's management events here."
        return failed(message if logging.trails else "No trail reaches this region.", **evidence)
    least = min(recording, key=_rank)
    if _rank(least) == 1:
        return failed(
            f"The best trail, {least.info.trail.name}, falls short: {' '.join(least.shortcomings)}",
            severity=Severity.MEDIUM,
            **evidence,
        )
    return failed(f"The trail {least.info.trail.name} has no KMS key of its own.", severity=Severity.LOW, **evidence)


def _rank(verdict: TrailVerdict) -> int:
    """Return how far a trail is from complete: 0 for the KMS key at most, 1 for more."""
    return 1 if verdict.shortcomings else 0


def _evidence(verdict: TrailVerdict) -> dict[str, Any]:
    return {
        "TrailARN": verdict.info.trail.arn,
        "IsMultiRegionTrail": verdict.info.multi_region,
        "LogFileValidationEnabled": verdict.info.validation,
        "KmsKeyId": verdict.info.kms_key,
        "IsOrganizationTrail": verdict.info.organization,
        "recordsTableWrites": verdict.records,
        "shortcomings": list(verdict.shortcomings),
    }

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
        text="Make one multi-region trail with log file validation and a KMS key; an organisation's management account "
        "makes it for all accounts at once (--is-organization-trail).",
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
    another trail passes, or what is known of it falls short already; such a failure is as mild as it may turn out.
    Regions without tables and clusters are not judged.
    """
    evidence: dict[str, Any] = {"trails": [_evidence(verdict) for verdict in logging.trails]}
    possible = [verdict for verdict in logging.trails if verdict.records is not False]
    if not possible:
        message = "No trail that is logging records DynamoDB's management events here."
        return failed(message if logging.trails else "No trail reaches this region.", **evidence)
    complete = [verdict for verdict in possible if _shortfall(verdict) == 0]
    if any(verdict.records and verdict.gap is None for verdict in complete):
        return passed("A complete trail records management events here.", **evidence)
    if complete:
        gap = complete[0].gap
        return unknown(gap if gap is not None else "It could not be found out what a trail records.", **evidence)
    best = min(possible, key=_shortfall)
    if best.shortcomings:
        message = f"The best trail, {best.info.trail.name}, falls short: {' '.join(best.shortcomings)}"
        return failed(message, severity=Severity.MEDIUM, **evidence)
    return failed(f"The trail {best.info.trail.name} has no KMS key of its own.", severity=Severity.LOW, **evidence)


def _shortfall(verdict: TrailVerdict) -> int:
    """Return how far a trail is from complete at least: 1 for its KMS key, 2 for more."""
    return 2 if verdict.shortcomings else int(not verdict.info.kms_key)


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

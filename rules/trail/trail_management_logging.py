from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, passed, rule, unknown
from auditor.facts import Gap, LakeLogging, ManagementLogging, StoreVerdict, TrailVerdict
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
def trail_management_logging(
    region: Region,
    logging: ManagementLogging | Gap,
    lake: LakeLogging,
    *,
    accept_lake: Annotated[bool, "An event data store of CloudTrail Lake may stand in for a trail."] = False,
) -> Verdict:
    """A multi-region trail with log-file validation records management events where tables live.

    Without a trail nobody can say who deleted a table, weakened its protection or changed its key; alarms on such
    events need one too.

    A trail reaches a region when it is multi-region or has its home there. Its selectors, classic or advanced, are
    evaluated on probe events: a management write of DynamoDB, one of KMS, a read. Passes when one trail that is logging
    records all of them, in all regions, with log file validation, a KMS key and no delivery error. Without any that
    records DynamoDB's writes the failure is high; with one that falls short it is medium, or low when only the KMS key
    is missing. Shadow copies in other regions are the same trail, asked at home. CloudTrail's 90 days of event history
    are no trail. A member account may not be able to read an organisation trail: then the answer is unknown, unless
    another trail passes, or what is known of it falls short already; such a failure is as grave as it may turn out.
    Regions without tables and clusters are not judged.

    With `accept_lake`, an event data store of CloudTrail Lake serves as a trail does: its status must be ENABLED, and
    its selectors are evaluated on the same events; validation and keys are not asked of it. Only the region that is its
    home lists it, and an organisation's store only the account that owns it. So without a complete trail or store the
    answer is unknown while a region of the account was not asked (those without tables and clusters are not), an
    answer about stores is missing, or another audited account has an organisation's store that would do. A store of an
    account that is not audited is not seen.
    """
    evidence: dict[str, Any] = {}
    judged: list[TrailVerdict | StoreVerdict] = []
    gaps: list[Gap] = []
    noun = "trail"
    if isinstance(logging, Gap):
        gaps.append(logging)
    else:
        evidence["trails"] = [_evidence(verdict) for verdict in logging.trails]
        judged += logging.trails
    if accept_lake:
        evidence["eventDataStores"] = [_store_evidence(verdict) for verdict in lake.stores]
        judged += lake.stores
        gaps += lake.gaps
        noun = "trail or event data store"
    possible = [verdict for verdict in judged if verdict.records is not False]
    complete = [verdict for verdict in possible if _shortfall(verdict) == 0]
    for verdict in complete:
        if verdict.records and verdict.gap is None:
            return passed(f"A complete {_kind(verdict)} records management events here.", **evidence)
    if complete or gaps:
        gaps = [*(verdict.gap for verdict in complete if verdict.gap is not None), *gaps]
        # A missing permission is what somebody can do something about.
        gap = min(gaps, key=lambda one: one.action is None, default=None)
        return unknown(gap if gap is not None else f"It could not be found out what a {noun} records.", **evidence)
    if not possible:
        message = f"No {noun} that is logging records DynamoDB's management events here."
        return failed(message if judged else f"No {noun} reaches this region.", **evidence)
    # One of which not all is known may be no trail at all: a missing answer must not make the failure milder.
    proved = [verdict for verdict in possible if verdict.records and verdict.gap is None]
    best = min(proved or possible, key=_shortfall)
    if best.shortcomings:
        message = f"The best {_kind(best)}, {_name(best)}, falls short: {' '.join(best.shortcomings)}"
        return failed(message, severity=Severity.MEDIUM if proved else None, **evidence)
    message = f"The trail {_name(best)} has no KMS key of its own."
    return failed(message, severity=Severity.LOW if proved else None, **evidence)


def _shortfall(verdict: TrailVerdict | StoreVerdict) -> int:
    """Return how far a trail or store is from complete at least: 1 for a trail's KMS key, 2 for more."""
    if verdict.shortcomings:
        return 2
    return int(isinstance(verdict, TrailVerdict) and not verdict.info.kms_key)


def _kind(verdict: TrailVerdict | StoreVerdict) -> str:
    return "trail" if isinstance(verdict, TrailVerdict) else "event data store"


def _name(verdict: TrailVerdict | StoreVerdict) -> str:
    if isinstance(verdict, TrailVerdict):
        return verdict.info.trail.name
    return verdict.store.name if verdict.store is not None else verdict.arn


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


def _store_evidence(verdict: StoreVerdict) -> dict[str, Any]:
    store = verdict.store
    known = (
        {
            "Name": store.name,
            "Status": store.status,
            "MultiRegionEnabled": store.multi_region,
            "OrganizationEnabled": store.organization,
        }
        if store is not None
        else {}
    )
    return {
        "EventDataStoreArn": verdict.arn,
        **known,
        "recordsTableWrites": verdict.records,
        "shortcomings": list(verdict.shortcomings),
    }

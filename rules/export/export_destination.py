from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import BucketInfo, BulkOperations, Export, ExportBuckets, Exports, Gap, Reason, Trust
from auditor.resources import Account, Bucket, Region

from ._listed import known_buckets, not_seen


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["B", "P4"],
    controls={"NIST 800-53 r5": ["AC-4", "AC-21", "SC-7"]},
    remediation=Remediation(
        text="Name a bucket of the own organisation and its owner in every export; block public access to it; keep "
        "foreign buckets out with an SCP on s3:PutObject.",
        cli="aws s3api put-public-access-block --bucket $BUCKET --public-access-block-configuration "
        "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true\n"
        "aws dynamodb export-table-to-point-in-time --table-arn $TABLE_ARN --s3-bucket $BUCKET "
        "--s3-bucket-owner $ACCOUNT --s3-sse-algorithm KMS --s3-sse-kms-key-id $EXPORT_KEY_ARN --region $REGION",
        terraform="""\
resource "aws_organizations_policy" "own_buckets" {
  name = "exports-stay-in-the-organisation"
  type = "SERVICE_CONTROL_POLICY"
  content = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OwnBuckets"
      Effect    = "Deny"
      Action    = "s3:PutObject"
      Resource  = "*"
      Condition = { StringNotEqualsIfExists = { "aws:ResourceOrgID" = "o-exampleorgid" } }
    }]
  })
}""",
        cloudformation="""\
Resources:
  ExportBucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      PublicAccessBlockConfiguration:
        BlockPublicAcls: true
        IgnorePublicAcls: true
        BlockPublicPolicy: true
        RestrictPublicBuckets: true""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.HowItWorks.html",
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html",
    ],
)
def export_destination(
    account: Account,
    exports: Mapping[Region, Exports | Gap],
    bulk: Mapping[Region, BulkOperations | Gap],
    buckets: Mapping[Region, ExportBuckets | Gap],
    trust: Trust,
    config: Config,
    *,
    allowed_export_buckets: Annotated[tuple[str, ...], "Globs on bucket names; empty: any that is trusted."] = (),
) -> Iterator[Verdict]:
    """Exports and bulk operations use only trusted buckets in allowed regions.

    An export is a whole copy of a table outside of it, and by design the bucket may be in another region or account.
    The bucket of a bulk operation is a way in (what it reads is written to the table) and out (its reports).

    One finding a bucket and exporting account. Passes when the bucket's owner is the account itself, one in
    `accounts.trusted` or one of the organisation; when its region is allowed (`allowed_regions`); and when it is not
    public, which it is by a policy (`PolicyStatus.IsPublic`) that nothing restricts (`RestrictPublicBuckets`). With
    `allowed_export_buckets` its name must match as well. Each known breach fails, whatever else could not be asked.

    The owner is `S3BucketOwner` of the exports, each of those that they name; without any, a HeadBucket with the own
    account as the expected owner tells: a refusal may mean a foreign owner or a missing permission, so the answer is
    unknown. The region is told even with a refusal. Whether a bucket of another account is public S3 mostly tells that
    account only: unknown. Access control lists and the account's own public access block are not looked at: a list on
    the bucket opens the names of its objects, not what DynamoDB writes into them. Exports that failed wrote nothing,
    and a bucket that is gone holds nothing: not applicable. A bulk operation that failed may have read and written
    before.

    AWS lists exports and bulk operations for 90 days; earlier ones are not seen. A hundred of each are looked at in a
    region, the latest of every table first: where there are more, the region is unknown. Regions without tables are
    not asked.
    """
    used: dict[str, list[Export]] = {}
    for region in sorted(one for one in {*exports, *bulk} if one.account == account):
        unseen = [one for one in map(not_seen, (exports.get(region), bulk.get(region))) if one is not None]
        if unseen:
            # A missing permission is what somebody can do something about.
            yield unknown(min(unseen, key=lambda gap: gap.action is None), about=region)
        for one in (*_exports(exports.get(region)), *_exports(bulk.get(region))):
            used.setdefault(one.bucket, []).append(one)
    known, missing = known_buckets(account, buckets, "s3:ListBucket")
    for name, entries in sorted(used.items()):
        yield _judge(account, name, entries, known.get(name, missing), trust, config, allowed_export_buckets)


def _exports(listing: Exports | BulkOperations | Gap | None) -> tuple[Export, ...]:
    if isinstance(listing, Exports):
        return listing.exports
    return listing.buckets if isinstance(listing, BulkOperations) else ()


def _judge(
    account: Account,
    name: str,
    entries: list[Export],
    info: BucketInfo | Gap,
    trust: Trust,
    config: Config,
    allowed: tuple[str, ...],
) -> Verdict:
    # Whoever owned it when one of them was made has what was written then.
    owners = list(dict.fromkeys(one.owner for one in entries if one.wrote and one.owner))
    if isinstance(info, BucketInfo) and info.own:
        owners = list(dict.fromkeys([account.id, *owners]))
    about = Bucket(Account(owners[0], account.partition) if owners else account, name)
    evidence: dict[str, Any] = {
        "S3BucketOwner": owners[0] if len(owners) == 1 else owners or None,
        "exports": [
            {"arn": one.arn, "status": one.status, "TableArn": one.table_arn, "use": one.role} for one in entries[:10]
        ],
        "window": "exports and bulk operations of the last 90 days",
    }
    if isinstance(info, BucketInfo):
        evidence |= {
            "BucketRegion": info.region,
            "IsPublic": info.public if isinstance(info.public, bool) else None,
        }
    where: dict[str, Any] = {"about": about, "sub_key": account.id}
    if not any(one.wrote for one in entries):
        return not_applicable("Every export to this bucket failed.", **where, **evidence)
    if isinstance(info, BucketInfo) and not info.exists:
        return not_applicable("The bucket does not exist any more.", **where, **evidence)
    wrong: list[str] = []
    gaps: list[Gap] = []
    if allowed and not any(fnmatchcase(name, glob) for glob in allowed):
        wrong.append("The bucket is not an allowed destination.")
    for owner in owners:
        standing = trust.standing(owner)
        if standing is False:
            wrong.append(f"The bucket belongs to account {owner}, which is not trusted.")
        elif isinstance(standing, Gap):
            gaps.append(standing)
    if isinstance(info, Gap):
        gaps.append(info)
    else:
        if not owners:
            gaps.append(_owner_gap(info.refused))
        if info.region is None and config.allowed_regions:
            reason = Reason.PARTIAL_DATA if info.refused is None else info.refused.reason
            gaps.append(Gap(reason, "The bucket's region is not known.", "s3:ListBucket"))
        elif info.region is not None and not config.region_allowed(info.region):
            wrong.append(f"The bucket is in {info.region}, not an allowed region.")
        if info.public is True:
            wrong.append("The bucket is public.")
        elif isinstance(info.public, Gap):
            gaps.append(info.public)
    if wrong:
        return failed(" ".join(wrong), **where, **evidence)
    if gaps:
        return unknown(min(gaps, key=lambda gap: gap.action is None), **where, **evidence)
    return passed("The bucket is trusted, in an allowed region, and not public.", **where, **evidence)


def _owner_gap(refused: Gap | None) -> Gap:
    """Return why HeadBucket did not tell whose the bucket is: no answer at all is not a refusal."""
    if refused is not None and refused.reason is not Reason.ACCESS_DENIED:
        return refused
    text = "Whether the bucket belongs to this account is not known: S3 refused, as it does foreign accounts."
    return Gap(Reason.ACCESS_DENIED, text, "s3:ListBucket")

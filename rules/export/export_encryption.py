from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import (
    BucketInfo,
    EncryptionKey,
    Export,
    ExportBuckets,
    Exports,
    Gap,
    Sensitivity,
    TableNames,
)
from auditor.resources import Account, Bucket, Region, Table

from ._listed import known_buckets, not_seen

#: ``SSEAlgorithm`` of a bucket that encrypts with KMS; the second does so in two layers.
KMS = ("aws:kms", "aws:kms:dsse")

Need = Literal["sensitive", "customer-managed-tables", "all"]


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["B", "P6"],
    controls={"AWS FSBP": ["S3.17"], "NIST 800-53 r5": ["SC-13", "SC-28"]},
    remediation=Remediation(
        text="Give the bucket a KMS key as its default, or name one in every export (--s3-sse-algorithm KMS); export "
        "again, and delete the old copy.",
        cli="aws s3api put-bucket-encryption --bucket $BUCKET --server-side-encryption-configuration "
        '\'{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"aws:kms",'
        '"KMSMasterKeyID":"alias/exports"},"BucketKeyEnabled":true}]}\'',
        terraform="""\
resource "aws_s3_bucket_server_side_encryption_configuration" "exports" {
  bucket = aws_s3_bucket.exports.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.exports.arn
    }
  }
}""",
        cloudformation="""\
Resources:
  ExportBucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - BucketKeyEnabled: true
            ServerSideEncryptionByDefault: {SSEAlgorithm: "aws:kms", KMSMasterKeyID: alias/exports}""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html"],
)
def export_encryption(
    account: Account,
    exports: Mapping[Region, Exports | Gap],
    buckets: Mapping[Region, ExportBuckets | Gap],
    keys: Mapping[Table, EncryptionKey | Gap],
    sensitivities: Mapping[Table, Sensitivity | Gap],
    listings: Mapping[Region, TableNames | Gap],
    *,
    require_kms_for: Annotated[
        Need, "Whose exports need KMS: sensitive tables, also those with a customer managed key, or all."
    ] = "customer-managed-tables",
) -> Iterator[Verdict]:
    """Exports are encrypted with KMS when the table needs it.

    A table's key ends at the table. An export that S3 encrypts with its own key opens to whoever may read the bucket,
    while the table asks for a second permission.

    Judged is the latest export of each table to each bucket; one finding a bucket and exporting account, the worst of
    its exports. An export's own `S3SseAlgorithm` decides; only where it is absent does the bucket's default encryption,
    as it is today (it may have changed since). `aws:kms:dsse` counts as KMS. S3 encrypts everything since 2023, so that
    nothing is unencrypted. Needed is KMS for tables that use a customer managed key themselves, and for sensitive ones
    (high); `require_kms_for` changes that. An export of a table that is no more is judged by its own encryption: what
    the table needed cannot be asked any more. Failed exports wrote nothing. The default encryption of another account's
    bucket is mostly not told, and exports older than 90 days are not seen. A hundred exports are looked at in a region,
    the latest of every table first: where there are more, the region is unknown.
    """
    latest: dict[str, dict[str, Export]] = {}
    for region in sorted(one for one in exports if one.account == account):
        listing = exports[region]
        gap = not_seen(listing)
        if gap is not None:
            yield unknown(gap, about=region)
        if isinstance(listing, Exports):
            for one in listing.exports:  # newest first
                if one.wrote:
                    latest.setdefault(one.bucket, {}).setdefault(one.table_arn, one)
    infos, missing = known_buckets(account, buckets, "s3:GetEncryptionConfiguration")
    for name, by_table in sorted(latest.items()):
        info = infos.get(name, missing)
        owner = next((one.owner for one in by_table.values() if one.owner), account.id)
        about = Bucket(Account(owner, account.partition), name)
        judged = [
            _judge(one, info, _need(Table.from_arn(one.table_arn), keys, sensitivities, listings, require_kms_for))
            for one in by_table.values()
        ]
        yield _worst(judged, about, account.id)


Judged = tuple[str, Severity, str, Gap | None, Export]


def _need(
    table: Table,
    keys: Mapping[Table, EncryptionKey | Gap],
    sensitivities: Mapping[Table, Sensitivity | Gap],
    listings: Mapping[Region, TableNames | Gap],
    require: Need,
) -> tuple[bool | Gap, bool]:
    """Tell whether a table's exports need KMS (or why that is not known), and whether it is known to be sensitive."""
    sensitivity, key, listing = sensitivities.get(table), keys.get(table), listings.get(table.region)
    sensitive = isinstance(sensitivity, Sensitivity) and sensitivity.sensitive
    if require == "all" or sensitive:
        return True, sensitive
    if sensitivity is None and key is None:
        # Not found: gone, or hidden by a listing that failed.
        return (listing if isinstance(listing, Gap) else True), False
    customers = require == "customer-managed-tables"
    if customers and isinstance(key, EncryptionKey) and key.type == "customer-managed":
        return True, sensitive
    gaps = [one for one in (sensitivity, key if customers else None) if isinstance(one, Gap)]
    return gaps[0] if gaps else False, sensitive


def _judge(one: Export, info: BucketInfo | Gap, need: tuple[bool | Gap, bool]) -> Judged:
    needed, sensitive = need
    algorithm: str | Gap | None = one.sse
    if algorithm is None:
        algorithm = info if isinstance(info, Gap) else info.encryption
    severity = Severity.HIGH if sensitive else Severity.MEDIUM
    table = one.table_arn.rpartition("/")[2]
    if isinstance(info, BucketInfo) and not info.exists:
        return "not_applicable", severity, "The bucket does not exist any more.", None, one
    if isinstance(algorithm, str) and (algorithm == "KMS" or algorithm.lower() in KMS):
        return "pass", severity, f"The export of {table} is encrypted with KMS.", None, one
    if needed is False:
        return "not_applicable", severity, f"The table {table} does not need KMS.", None, one
    gaps = [gap for gap in (algorithm, needed) if isinstance(gap, Gap)]
    if gaps:
        # A missing permission is what somebody can do something about.
        return "unknown", severity, "", min(gaps, key=lambda gap: gap.action is None), one
    return "fail", severity, f"The export of {table} is encrypted with S3's own key.", None, one


def _worst(judged: list[Judged], about: Bucket, account: str) -> Verdict:
    order = ("fail", "unknown", "pass", "not_applicable")
    judged.sort(key=lambda one: (order.index(one[0]), -one[1], one[4].table_arn))
    status, severity, message, gap, _ = judged[0]
    evidence: dict[str, Any] = {
        "exports": [
            {
                "ExportArn": one.arn,
                "S3SseAlgorithm": one.sse,
                "S3SseKmsKeyId": one.key_id,
                "outcome": outcome,
            }
            for outcome, _, _, _, one in judged[:10]
        ],
        "window": "exports of the last 90 days",
    }
    where: dict[str, Any] = {"about": about, "sub_key": account}
    if status == "fail":
        return failed(message, severity=severity, **where, **evidence)
    if status == "unknown":
        assert gap is not None
        return unknown(gap, **where, **evidence)
    if status == "pass":
        return passed(message, **where, **evidence)
    return not_applicable(message, **where, **evidence)

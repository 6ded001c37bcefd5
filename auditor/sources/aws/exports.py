"""Exports, bulk operations, and the buckets that they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from auditor.facts import BucketInfo, BulkOperations, Export, ExportBuckets, Exports, Gap, Reason
from auditor.resources import Region, Table
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing, utc

#: So many exports, and so many bulk operations, are looked at in a region.
MOST = 100

#: Answers of an endpoint that does not know bulk operations yet: then nobody has run one there.
UNKNOWN_OPERATION = ("UnknownOperationException", "InvalidAction")


@collects(Exports, BulkOperations, ExportBuckets, about=Region)
def exports(aws: Aws, region: Region) -> Yield:
    """Yield the exports and bulk operations of the last 90 days, and what S3 says of the buckets that they name."""
    found = Exports()
    failures: list[Missing] = []
    lists: list[Missing] = []
    try:
        found = _exports(aws, failures)
        yield region, found
    except Missing as missing:
        lists.append(missing)
    bulk = BulkOperations()
    if aws.wants(BulkOperations):
        try:
            bulk = _bulk_operations(aws, region, failures)
            yield region, bulk
        except Missing as missing:
            lists.append(missing)
    if aws.wants(ExportBuckets):
        owners: dict[str, str | None] = {}
        for one in (*found.exports, *bulk.buckets):
            if one.wrote:  # a failed export may have named anything
                owners[one.bucket] = owners.get(one.bucket) or one.owner
        buckets = {name: _bucket(aws, region, name, owner, failures) for name, owner in sorted(owners.items())}
        yield region, ExportBuckets(buckets)
    if lists or failures:
        raise [*lists, *failures][0]  # the missing list first: it is the gap of the fact that could not be yielded


def _newest(arns: Iterable[str]) -> list[str]:
    """Return ARNs, the newest first: their last part begins with the moment in milliseconds."""
    return sorted(arns, key=lambda arn: (arn.rpartition("/")[2], arn), reverse=True)


def _listed(aws: Aws, operation: str, member: str, arn: str) -> Iterator[str]:
    """Yield the ARNs of a listing that is paged by NextToken."""
    token: dict[str, Any] = {}
    while True:
        absent = UNKNOWN_OPERATION if "Bulk" in operation else ()
        answer = aws.call(operation, absent=absent, **token)
        if answer is None:
            return
        yield from (entry[arn] for entry in answer.get(member, []))
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def _exports(aws: Aws, failures: list[Missing]) -> Exports:
    arns = _newest(_listed(aws, "dynamodb:ListExports", "ExportSummaries", "ExportArn"))
    chosen = _chosen(arns)
    omitted = Counter(_table_of(arn) for arn in arns if arn not in chosen)
    read: list[Export] = []
    unread: dict[str, Gap] = {}
    for arn in arns:
        if arn not in chosen:
            continue
        try:
            answer = aws.call("dynamodb:DescribeExport", absent=("ExportNotFoundException",), ExportArn=arn)
        except Missing as missing:
            failures.append(missing)
            unread[arn] = missing.gap
            continue
        if answer is None:
            continue
        export = _export(arn, answer["ExportDescription"])
        if export.bucket:
            read.append(export)
        else:
            text = "DescribeExport does not say which bucket the export went to."
            unread[arn] = Gap(Reason.PARTIAL_DATA, text, "dynamodb:DescribeExport")
    return Exports(tuple(read), unread, dict(sorted(omitted.items())))


def _table_of(export_arn: str) -> str:
    return export_arn.partition("/export/")[0]


def _chosen(newest_first: list[str]) -> set[str]:
    """Return the exports to ask about: the latest of every table, then the one before it, as far as they go.

    A table that is exported every hour must not hide all others.
    """
    ranks = Counter[str]()
    ranked: list[tuple[int, int, str]] = []
    for place, arn in enumerate(newest_first):
        ranked.append((ranks[_table_of(arn)], place, arn))
        ranks[_table_of(arn)] += 1
    return {arn for _, _, arn in sorted(ranked)[:MOST]}


def _export(arn: str, description: Mapping[str, Any]) -> Export:
    return Export(
        arn=arn,
        table_arn=description.get("TableArn", _table_of(arn)),
        status=description.get("ExportStatus", "").upper(),
        bucket=description.get("S3Bucket", ""),
        owner=description.get("S3BucketOwner"),
        prefix=description.get("S3Prefix"),
        sse=_upper(description.get("S3SseAlgorithm")),
        key_id=description.get("S3SseKmsKeyId"),
        ended=utc(description.get("EndTime")),
    )


def _upper(value: str | None) -> str | None:
    return value.upper() if value else None


def _bulk_operations(aws: Aws, region: Region, failures: list[Missing]) -> BulkOperations:
    arns = _newest(_listed(aws, "dynamodb:ListBulkOperations", "BulkOperationsSummaryList", "BulkOperationArn"))
    read: list[Export] = []
    unread: dict[str, Gap] = {}
    for arn in arns[:MOST]:
        try:
            absent = ("ResourceNotFoundException",)
            answer = aws.call("dynamodb:DescribeBulkOperation", absent=absent, BulkOperationArn=arn)
        except Missing as missing:
            failures.append(missing)
            unread[arn] = missing.gap
            continue
        if answer is not None:
            read += _buckets_of(arn, answer["BulkOperationDescription"], region)
    return BulkOperations(tuple(read), unread, max(0, len(arns) - MOST))


def _buckets_of(arn: str, description: Mapping[str, Any], region: Region) -> Iterator[Export]:
    names = [one["TableName"] for one in description.get("TableDetails") or [] if one.get("TableName")]
    for member, role in (("InputS3Configuration", "input"), ("OutputS3Configuration", "output")):
        where = description.get(member) or {}
        for name in names or [""] if where.get("S3Bucket") else []:
            yield Export(
                arn=arn,
                table_arn=Table(region, name).arn if name else "",
                status=description.get("BulkOperationStatus", "").upper(),
                bucket=where["S3Bucket"],
                owner=where.get("S3BucketOwner"),
                prefix=where.get("S3KeyPrefix"),
                sse=_upper(where.get("S3SseAlgorithm")),
                key_id=where.get("S3SseKmsKeyId"),
                ended=utc(description.get("EndTime")),
                role=role,
            )


def _bucket(aws: Aws, region: Region, name: str, owner: str | None, failures: list[Missing]) -> BucketInfo:
    """Ask S3 about a bucket. That a foreign one refuses is no failed call, and its region S3 tells all the same."""
    own = region.account.id
    foreign = owner is not None and owner != own
    expected: dict[str, Any] = {} if foreign else {"ExpectedBucketOwner": own}
    mine: bool | None = False if foreign else None
    refused: Gap | None = None
    try:
        answer = aws.call("s3:HeadBucket", absent=("404", "NoSuchBucket"), Bucket=name, **expected)
    except Missing as missing:
        where, refused = missing.headers.get("x-amz-bucket-region"), missing.gap
        if not foreign:
            failures.append(missing)
    else:
        if answer is None:
            gone = Gap(Reason.PARTIAL_DATA, "The bucket does not exist any more.")
            return BucketInfo(exists=False, own=mine, region=None, public=gone, encryption=gone)
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        where = answer.get("BucketRegion") or headers.get("x-amz-bucket-region")
        mine = mine if foreign else True
    failures = [] if foreign else failures
    encryption, key_id = _encryption(aws, name, failures)
    return BucketInfo(
        exists=True,
        own=mine,
        region=where,
        public=_public(aws, name, failures),
        encryption=encryption,
        key_id=key_id,
        refused=refused,
    )


def _public(aws: Aws, name: str, failures: list[Missing]) -> bool | Gap:
    """Tell whether the bucket's policy makes it public and its own public access block does not hold that off."""
    try:
        answer = aws.call("s3:GetBucketPolicyStatus", absent=("NoSuchBucketPolicy",), Bucket=name)
    except Missing as missing:
        failures.append(missing)
        return missing.gap
    status = {"IsPublic": False} if answer is None else answer.get("PolicyStatus") or {}
    if "IsPublic" not in status:
        text = "GetBucketPolicyStatus does not say whether the bucket is public."
        return Gap(Reason.PARTIAL_DATA, text, "s3:GetBucketPolicyStatus")
    if not status["IsPublic"]:
        return False
    try:
        absent = ("NoSuchPublicAccessBlockConfiguration",)
        block = aws.call("s3:GetPublicAccessBlock", absent=absent, Bucket=name)
    except Missing as missing:
        failures.append(missing)
        return missing.gap
    # The other switches keep such a policy from being written; this one takes its effect away.
    return not ((block or {}).get("PublicAccessBlockConfiguration") or {}).get("RestrictPublicBuckets", False)


def _encryption(aws: Aws, name: str, failures: list[Missing]) -> tuple[str | Gap, str | None]:
    """Return the bucket's default encryption; without a configuration it is S3's own, as for all since 2023."""
    try:
        absent = ("ServerSideEncryptionConfigurationNotFoundError",)
        answer = aws.call("s3:GetBucketEncryption", absent=absent, Bucket=name)
    except Missing as missing:
        failures.append(missing)
        return missing.gap, None
    for entry in ((answer or {}).get("ServerSideEncryptionConfiguration") or {}).get("Rules", []):
        held = entry.get("ApplyServerSideEncryptionByDefault")
        if held:
            return held["SSEAlgorithm"], held.get("KMSMasterKeyID")
    return "AES256", None

"""Exports of tables, and the buckets that hold them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3

from auditor.sources.demo.supplement import Answer, Supplement

PRODUCTION, SANDBOX, PARTNER = "444455556666", "777788889999", "999988887777"
IRELAND, FRANKFURT, VIRGINIA = "eu-west-1", "eu-central-1", "us-east-1"

#: Bucket -> its owner, its region, whether its default encryption is a KMS key.
BUCKETS = {
    "shop-exports": (PRODUCTION, IRELAND, True),
    "shop-adhoc": (PRODUCTION, IRELAND, False),
    "shop-analytics-drop": (PRODUCTION, VIRGINIA, False),
    "insight-partner-inbox": (PARTNER, IRELAND, False),
}

#: (account, region) -> table, bucket, encryption of its own, whether the owner was named.
EXPORTS = {
    (PRODUCTION, IRELAND): [
        ("orders", "shop-exports", "", False),
        ("invoices", "shop-exports", "KMS", True),
        ("gift-cards", "shop-adhoc", "", False),
        ("payments", "shop-analytics-drop", "AES256", False),
        ("prices", "insight-partner-inbox", "", True),
    ],
}


def plant(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Plant what an account of the example organisation has of this."""
    supplement.answers |= {
        "ListExports": lambda account, region, _: {
            "ExportSummaries": [
                {"ExportArn": arn, "ExportStatus": "COMPLETED", "ExportType": "FULL_EXPORT"}
                for arn in _exports(supplement, account, region)
            ]
        },
        "DescribeExport": lambda account, region, request: {
            "ExportDescription": _exports(supplement, account, region)[request["ExportArn"]]
        },
        "ListBulkOperations": lambda _account, _region, _request: {"BulkOperationsSummaryList": []},
    }
    for name, (owner, region, encrypted) in BUCKETS.items():
        if account == (PRODUCTION if owner == PARTNER else owner):  # the partner's account is not in moto
            _bucket(session.client("s3", region_name=region), name, region, encrypted=encrypted)


def _bucket(s3: Any, name: str, region: str, *, encrypted: bool) -> None:
    where = {} if region == VIRGINIA else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **where)
    block = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(block, True))
    if encrypted:
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/shop"}
        s3.put_bucket_encryption(
            Bucket=name,
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": default}]},
        )


def _exports(supplement: Supplement, account: str, region: str) -> dict[str, Answer]:
    made: dict[str, Answer] = {}
    for number, (table, bucket, sse, named) in enumerate(EXPORTS.get((account, region), [])):
        table_arn = f"arn:aws:dynamodb:{region}:{account}:table/{table}"
        arn = f"{table_arn}/export/0176800000000{number}-5ec0ffee"
        made[arn] = {
            "ExportArn": arn,
            "ExportStatus": "COMPLETED",
            "TableArn": table_arn,
            "ExportType": "FULL_EXPORT",
            "EndTime": supplement.now - timedelta(days=10 + number),
            "S3Bucket": bucket,
            **({"S3BucketOwner": BUCKETS[bucket][0]} if named else {}),
            **({"S3SseAlgorithm": sse} if sse else {}),
        }
    return made

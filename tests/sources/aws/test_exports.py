"""Exports, bulk operations and their buckets."""

from types import SimpleNamespace
from typing import Any

import pytest

from auditor.facts import BucketInfo, BulkOperations, Export, ExportBuckets, Exports, Gap, Reason
from auditor.inventory import dumps, loads
from auditor.resources import Region
from auditor.sources.aws import exports as collector
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer, create_table

HERE = Region(ACCOUNT, "eu-west-1")
ORDERS = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
STRANGER = "999988887777"


def arn(number: int) -> str:
    return f"{ORDERS}/export/0170000000000{number}-abcd"


def description(number: int = 1, **more: Any) -> dict[str, Any]:
    held = {"ExportArn": arn(number), "TableArn": ORDERS, "ExportStatus": "COMPLETED", "S3Bucket": "exports"}
    return {"ExportDescription": held | more}


def listed(*numbers: int, **more: Any) -> dict[str, Any]:
    return {"ExportSummaries": [{"ExportArn": arn(one), "ExportStatus": "COMPLETED"} for one in numbers], **more}


#: What AWS answers an account that has exported nothing, and S3 of a plain bucket of its own.
PLAIN: dict[str, Any] = {
    "dynamodb:ListExports": listed(),
    "dynamodb:ListBulkOperations": {"BulkOperationsSummaryList": []},
    "s3:HeadBucket": {"BucketRegion": "eu-central-1"},
    "s3:GetBucketPolicyStatus": "NoSuchBucketPolicy",
    "s3:GetPublicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "s3:GetBucketEncryption": "ServerSideEncryptionConfigurationNotFoundError",
}

Ask = Any


@pytest.fixture
def ask(access: Access, gather_facts: Gather) -> Ask:
    """Collect with some answers: ``ask({"s3:HeadBucket": "403"})`` returns the inventory and the questions."""

    def run(changes: dict[str, Any], *kinds: type) -> tuple[Any, dict[str, list[dict[str, Any]]]]:
        create_table("orders")
        asked = {}
        for operation, given in (PLAIN | changes).items():
            asked[operation] = answer(access, operation, *(given if isinstance(given, list) else [given]))
        return gather_facts(Region, *(kinds or (Exports, BulkOperations, ExportBuckets))), asked

    return run


def one_export(**changes: Any) -> dict[str, Any]:
    return {"dynamodb:ListExports": listed(1), "dynamodb:DescribeExport": description(**changes)}


def bucket(inventory: Any) -> BucketInfo:
    found = inventory.facts[ExportBuckets][HERE].buckets["exports"]
    assert isinstance(found, BucketInfo)
    return found


def test_exports_of_all_pages_newest_first(ask: Ask) -> None:
    by_arn = lambda request: description(int(request["ExportArn"][-6]))  # noqa: E731
    pages = [listed(1, 3, NextToken="more"), listed(2)]
    inventory, asked = ask({"dynamodb:ListExports": pages, "dynamodb:DescribeExport": by_arn})
    found = inventory.facts[Exports][HERE]
    assert [one.arn for one in found.exports] == [arn(3), arn(2), arn(1)]
    assert [one.get("NextToken") for one in asked["dynamodb:ListExports"]] == [None, "more"]
    assert (found.unread, found.omitted) == ({}, {})


def test_what_an_export_says_and_leaves_out(ask: Ask) -> None:
    more = {"S3BucketOwner": STRANGER, "S3SseAlgorithm": "KMS", "S3SseKmsKeyId": "key", "S3Prefix": "a"}
    inventory, _ = ask(one_export(**more))
    assert inventory.facts[Exports][HERE].exports == (
        Export(arn(1), ORDERS, "COMPLETED", "exports", STRANGER, "a", "KMS", "key"),
    )
    assert bucket(inventory).own is False


def test_only_the_newest_hundred_are_asked_about_and_the_rest_is_counted(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "MOST", 2)
    inventory, asked = ask({"dynamodb:ListExports": listed(1, 2, 3), "dynamodb:DescribeExport": description()})
    assert inventory.facts[Exports][HERE].omitted == {ORDERS: 1}
    assert [one["ExportArn"] for one in asked["dynamodb:DescribeExport"]] == [arn(3), arn(2)]


def test_a_table_that_is_exported_often_hides_no_other(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MOST", 3)
    rare = f"{ORDERS}-archive/export/01700000000000-abcd"
    summaries = listed(1, 2, 3, 4)
    summaries["ExportSummaries"].append({"ExportArn": rare, "ExportStatus": "COMPLETED"})
    inventory, asked = ask({"dynamodb:ListExports": summaries, "dynamodb:DescribeExport": description()})
    assert [one["ExportArn"] for one in asked["dynamodb:DescribeExport"]] == [arn(4), arn(3), rare]
    assert inventory.facts[Exports][HERE].omitted == {ORDERS: 2}


def test_an_export_that_cannot_be_read_hides_no_other(ask: Ask) -> None:
    given = lambda request: "AccessDeniedException" if request["ExportArn"] == arn(2) else description()  # noqa: E731
    inventory, _ = ask({"dynamodb:ListExports": listed(1, 2), "dynamodb:DescribeExport": given})
    found = inventory.facts[Exports][HERE]
    assert [one.arn for one in found.exports] == [arn(1)]
    assert found.unread[arn(2)].action == "dynamodb:DescribeExport"
    assert [one.operation for one in inventory.errors] == ["DescribeExport"]


def test_an_export_that_is_gone_meanwhile_is_none(ask: Ask) -> None:
    inventory, _ = ask({"dynamodb:ListExports": listed(1), "dynamodb:DescribeExport": "ExportNotFoundException"})
    assert inventory.facts[Exports][HERE] == Exports()
    assert inventory.errors == []


@pytest.mark.parametrize("operation", ["dynamodb:ListExports", "dynamodb:ListBulkOperations"])
def test_a_denied_list_is_the_gap_of_its_own_fact_alone(operation: str, ask: Ask) -> None:
    inventory, _ = ask({**one_export(), operation: "AccessDeniedException"})
    held = {kind: inventory.facts[kind][HERE] for kind in (Exports, BulkOperations)}
    gaps = {kind: one.action for kind, one in held.items() if isinstance(one, Gap)}
    assert gaps == {Exports if operation.endswith("ListExports") else BulkOperations: operation}


def test_an_endpoint_that_knows_no_bulk_operations_has_none(ask: Ask) -> None:
    inventory, _ = ask({"dynamodb:ListBulkOperations": "UnknownOperationException"})
    assert inventory.facts[BulkOperations][HERE] == BulkOperations()
    assert inventory.errors == []


def test_a_boto3_that_knows_no_bulk_operations_proves_nothing(
    access: Access, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(type(access.client("dynamodb", "eu-west-1")), "list_bulk_operations")
    inventory, _ = ask(one_export())
    gap = inventory.facts[BulkOperations][HERE]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.UNSUPPORTED, "dynamodb:ListBulkOperations")
    assert "boto3 is too old" in gap.detail
    assert bucket(inventory).own is True


def test_a_bulk_operation_that_is_gone_meanwhile_is_none(ask: Ask) -> None:
    summary = {"BulkOperationArn": f"{ORDERS}/bulk/1", "BulkOperationStatus": "FAILED", "StartTime": 1_700_000_000}
    listing = {"BulkOperationsSummaryList": [summary]}
    inventory, _ = ask(
        {"dynamodb:ListBulkOperations": listing, "dynamodb:DescribeBulkOperation": "ResourceNotFoundException"}
    )
    assert inventory.facts[BulkOperations][HERE] == BulkOperations()
    assert inventory.errors == []


def test_a_failed_exports_owner_says_nothing_about_the_bucket(ask: Ask) -> None:
    by_arn = {
        arn(1): description(1),
        arn(2): description(2, ExportStatus="FAILED", S3BucketOwner=STRANGER),
        arn(3): description(3, ExportStatus="FAILED", S3Bucket="mistyped"),
    }
    inventory, asked = ask(
        {"dynamodb:ListExports": listed(1, 2, 3), "dynamodb:DescribeExport": lambda one: by_arn[one["ExportArn"]]}
    )
    assert bucket(inventory).own is True
    assert set(inventory.facts[ExportBuckets][HERE].buckets) == {"exports"}
    assert len(asked["s3:HeadBucket"]) == 1


def test_both_buckets_of_a_bulk_operation(ask: Ask) -> None:
    bulk = "arn:aws:dynamodb:eu-west-1:123456789012:bulk-operation/01700000000001-abcd"
    held = {
        "BulkOperationArn": bulk,
        "BulkOperationStatus": "COMPLETED",
        "TableDetails": [{"TableName": "orders"}, {"TableName": "orders-2"}],
        "InputS3Configuration": {"S3Bucket": "uploads", "InputFormat": "ION"},
        "OutputS3Configuration": {
            "S3Bucket": "reports",
            "S3BucketOwner": STRANGER,
            "S3SseAlgorithm": "AES256",
            "OutputType": [],
        },
    }
    summary = {"BulkOperationArn": bulk, "BulkOperationStatus": "COMPLETED", "StartTime": 1_700_000_000}
    inventory, _ = ask(
        {
            "dynamodb:ListBulkOperations": {"BulkOperationsSummaryList": [summary]},
            "dynamodb:DescribeBulkOperation": {"BulkOperationDescription": held},
        }
    )
    found = inventory.facts[BulkOperations][HERE].buckets
    assert [(one.bucket, one.role, one.owner, one.sse, one.table_arn) for one in found] == [
        ("uploads", "input", None, None, ORDERS),
        ("uploads", "input", None, None, f"{ORDERS}-2"),
        ("reports", "output", STRANGER, "AES256", ORDERS),
        ("reports", "output", STRANGER, "AES256", f"{ORDERS}-2"),
    ]
    assert set(inventory.facts[ExportBuckets][HERE].buckets) == {"uploads", "reports"}


def test_an_own_bucket_is_asked_with_the_own_account_as_its_owner(ask: Ask) -> None:
    inventory, asked = ask(one_export())
    assert bucket(inventory) == BucketInfo(True, True, "eu-central-1", public=False, encryption="AES256")
    assert len(asked["s3:HeadBucket"]) == 1
    assert inventory.errors == []


def test_a_strangers_bucket_may_answer(ask: Ask) -> None:
    public = {"s3:GetBucketPolicyStatus": {"PolicyStatus": {"IsPublic": True}}}
    inventory, asked = ask({**one_export(S3BucketOwner=STRANGER), **public})
    found = bucket(inventory)
    assert (found.own, found.region, found.public, found.encryption) == (False, "eu-central-1", True, "AES256")
    assert "x-amz-expected-bucket-owner" not in str(asked["s3:HeadBucket"])


def test_a_strangers_bucket_that_refuses_is_no_failed_call(ask: Ask) -> None:
    denied = dict.fromkeys(("s3:GetBucketPolicyStatus", "s3:GetBucketEncryption"), "AccessDenied")
    inventory, _ = ask({**one_export(S3BucketOwner=STRANGER), **denied})
    found = bucket(inventory)
    assert isinstance(found.public, Gap)
    assert isinstance(found.encryption, Gap)
    assert (found.region, inventory.errors) == ("eu-central-1", [])


def test_a_refusal_still_tells_the_region(access: Access, ask: Ask) -> None:
    refusal = {
        "Error": {"Code": "403", "Message": "Forbidden"},
        "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {"x-amz-bucket-region": "us-east-1"}},
    }
    access.client("s3", "eu-west-1").meta.events.register_first(
        "before-call.s3.HeadBucket", lambda **_: (SimpleNamespace(status_code=403), refusal)
    )
    inventory, _ = ask(one_export())
    found = bucket(inventory)
    assert (found.exists, found.own, found.region) == (True, None, "us-east-1")
    assert [one.operation for one in inventory.errors] == ["HeadBucket"]


def test_a_strangers_refusal_is_what_was_to_be_expected(ask: Ask) -> None:
    inventory, _ = ask({**one_export(S3BucketOwner=STRANGER), "s3:HeadBucket": "403"})
    assert (bucket(inventory).own, bucket(inventory).region, inventory.errors) == (False, None, [])


def test_a_bucket_that_is_gone(ask: Ask) -> None:
    inventory, asked = ask({**one_export(), "s3:HeadBucket": "404"})
    assert bucket(inventory).exists is False
    assert asked["s3:GetBucketEncryption"] == []


@pytest.mark.parametrize(
    ("status", "block", "public"),
    [
        (False, {}, False),
        (True, {}, True),
        (True, {"RestrictPublicBuckets": True}, False),
        (True, {"BlockPublicPolicy": True, "BlockPublicAcls": True}, True),
    ],
)
def test_a_public_policy_counts_unless_it_is_restricted(
    status: bool, block: dict[str, bool], public: bool, ask: Ask
) -> None:
    given: Any = {"PublicAccessBlockConfiguration": block} if block else PLAIN["s3:GetPublicAccessBlock"]
    changes = {"s3:GetBucketPolicyStatus": {"PolicyStatus": {"IsPublic": status}}, "s3:GetPublicAccessBlock": given}
    inventory, _ = ask({**one_export(), **changes})
    assert bucket(inventory).public is public


@pytest.mark.parametrize(
    ("operation", "action", "member"),
    [
        ("s3:GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", "public"),
        ("s3:GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock", "public"),
        ("s3:GetBucketEncryption", "s3:GetEncryptionConfiguration", "encryption"),
    ],
)
def test_what_s3_refuses_names_the_permission_by_its_iam_name(
    operation: str, action: str, member: str, ask: Ask
) -> None:
    public = {"s3:GetBucketPolicyStatus": {"PolicyStatus": {"IsPublic": True}}}
    inventory, _ = ask({**one_export(), **public, operation: "AccessDenied"})
    found = getattr(bucket(inventory), member)
    assert isinstance(found, Gap)
    assert (found.reason, found.action) == (Reason.ACCESS_DENIED, action)


def test_the_default_encryption_of_a_bucket(ask: Ask) -> None:
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms:dsse", "KMSMasterKeyID": "key"}}]
    given = {"ServerSideEncryptionConfiguration": {"Rules": rules}}
    inventory, _ = ask({**one_export(), "s3:GetBucketEncryption": given})
    assert (bucket(inventory).encryption, bucket(inventory).key_id) == ("aws:kms:dsse", "key")


def test_buckets_are_asked_only_where_somebody_wants_to_know(ask: Ask) -> None:
    _, asked = ask(one_export(), Exports)
    assert asked["s3:HeadBucket"] == asked["dynamodb:ListBulkOperations"] == []


def test_a_policy_status_that_says_nothing_is_a_gap(ask: Ask) -> None:
    inventory, _ = ask({**one_export(), "s3:GetBucketPolicyStatus": {}})
    found = bucket(inventory).public
    assert isinstance(found, Gap)
    assert (found.reason, found.action) == (Reason.TRANSIENT, "s3:GetBucketPolicyStatus")


@pytest.mark.parametrize(("code", "reason"), [("SlowDown", Reason.THROTTLED), ("403", Reason.ACCESS_DENIED)])
def test_why_s3_did_not_tell_the_owner_is_kept(code: str, reason: Reason, ask: Ask) -> None:
    inventory, _ = ask({**one_export(), "s3:HeadBucket": code})
    refused = bucket(inventory).refused
    assert refused is not None
    assert (bucket(inventory).own, refused.reason, refused.action) == (None, reason, "s3:ListBucket")
    assert loads(dumps(inventory, "1")).facts == inventory.facts


def test_an_export_without_a_bucket_is_unread(ask: Ask) -> None:
    silent = {"ExportDescription": {"ExportArn": arn(1), "TableArn": ORDERS, "ExportStatus": "COMPLETED"}}
    inventory, asked = ask({"dynamodb:ListExports": listed(1), "dynamodb:DescribeExport": silent})
    found = inventory.facts[Exports][HERE]
    assert (found.exports, found.unread[arn(1)].reason) == ((), Reason.PARTIAL_DATA)
    assert asked["s3:HeadBucket"] == []

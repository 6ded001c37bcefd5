"""export-encryption by plain calls."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import (
    BucketInfo,
    EncryptionKey,
    Export,
    ExportBuckets,
    Exports,
    Gap,
    Reason,
    Sensitivity,
    TableNames,
)
from auditor.resources import Account, Bucket, Region, Table
from tests.rules import ACCOUNT, KEY, REGION, TABLE, load

judge = load("export-encryption")

OTHER = Table(REGION, "sessions")
CUSTOMERS = EncryptionKey("customer-managed", KEY, "KeyManager")
OWNED = EncryptionKey("aws-owned", None, "SSEDescription")
PLAIN, SENSITIVE = Sensitivity(False, True), Sensitivity(True, True, "data-classification=pii")


def gap(action: str) -> Gap:
    return Gap(Reason.ACCESS_DENIED, "Not allowed.", action)


def bucket(encryption: str | Gap = "AES256", *, exists: bool = True) -> BucketInfo:
    return BucketInfo(exists=exists, own=True, region="eu-west-1", public=False, encryption=encryption)


def export(sse: str | None = None, table: Table = TABLE, number: int = 1, **changes: Any) -> Export:
    arn = f"{table.arn}/export/0170000000000{number}-abc"
    held = {"arn": arn, "table_arn": table.arn, "status": "COMPLETED", "bucket": "exports", "sse": sse}
    return Export(**(held | changes))


def verdicts(*exports: Export, info: BucketInfo | None = None, **changes: Any) -> list[Verdict]:
    facts = {
        "exports": {REGION: Exports(exports)},
        "buckets": {REGION: ExportBuckets({"exports": info or bucket()})},
        "keys": {TABLE: CUSTOMERS, OTHER: OWNED},
        "sensitivities": {TABLE: PLAIN, OTHER: PLAIN},
        "listings": {REGION: TableNames((TABLE, OTHER))},
    }
    return list(judge(ACCOUNT, **(facts | changes)))


def only(*exports: Export, **changes: Any) -> Verdict:
    (found,) = verdicts(*exports, **changes)
    return found


def test_an_export_with_kms_passes_whatever_the_bucket_does() -> None:
    found = only(export("KMS"))
    assert (found.status, found.about, found.sub_key) == (Status.PASS, Bucket(ACCOUNT, "exports"), ACCOUNT.id)


@pytest.mark.parametrize("default", ["aws:kms", "aws:kms:dsse"])
def test_without_a_word_of_its_own_the_buckets_default_decides(default: str) -> None:
    assert only(export(), info=bucket(default)).status is Status.PASS
    found = only(export())
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)


def test_its_own_word_comes_before_the_buckets_default_of_today() -> None:
    assert only(export("AES256"), info=bucket("aws:kms")).status is Status.FAIL


def test_sensitive_tables_are_high() -> None:
    found = only(export("AES256", OTHER), sensitivities={OTHER: SENSITIVE})
    assert (found.status, found.severity) == (Status.FAIL, Severity.HIGH)


def test_what_needs_no_kms_is_not_applicable_unless_all_do() -> None:
    assert only(export("AES256", OTHER)).status is Status.NOT_APPLICABLE
    assert only(export("AES256", OTHER), require_kms_for="all").status is Status.FAIL
    assert only(export("AES256"), require_kms_for="sensitive").status is Status.NOT_APPLICABLE


def test_what_is_not_known_of_the_table_matters_without_kms_only() -> None:
    tags = gap("dynamodb:ListTagsOfResource")
    assert only(export("KMS"), sensitivities={TABLE: tags}).status is Status.PASS
    assert only(export("AES256"), sensitivities={TABLE: tags}).status is Status.FAIL  # its key says enough
    found = only(export("AES256", OTHER), sensitivities={OTHER: tags})
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, tags.action)
    key = gap("kms:DescribeKey")
    assert only(export("AES256"), keys={TABLE: key}).missing_permission == "kms:DescribeKey"
    assert only(export("AES256"), keys={TABLE: key}, require_kms_for="sensitive").status is Status.NOT_APPLICABLE


def test_a_default_that_cannot_be_read_is_unknown_where_it_matters() -> None:
    denied = bucket(gap("s3:GetEncryptionConfiguration"))
    found = only(export(), info=denied)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "s3:GetEncryptionConfiguration")
    assert only(export("KMS"), info=denied).status is Status.PASS
    assert only(export("AES256"), info=denied).status is Status.FAIL
    assert only(export(table=OTHER), info=denied).status is Status.NOT_APPLICABLE
    assert only(export(), buckets={}).status is Status.UNKNOWN


def test_the_latest_export_of_a_table_to_a_bucket_counts() -> None:
    assert only(export("KMS", number=2), export("AES256", number=1)).status is Status.PASS
    assert only(export("AES256", number=2), export("KMS", number=1)).status is Status.FAIL
    assert only(export("AES256", number=2, status="FAILED"), export("KMS", number=1)).status is Status.PASS


def test_the_worst_table_decides_for_the_bucket() -> None:
    assert only(export("KMS"), export("AES256", OTHER), sensitivities={TABLE: PLAIN, OTHER: SENSITIVE}).status is (
        Status.FAIL
    )


def test_a_table_that_is_gone_is_judged_by_the_exports_own_encryption() -> None:
    gone = Table(REGION, "gone")
    assert only(export("KMS", gone)).status is Status.PASS
    assert only(export("AES256", gone)).status is Status.FAIL
    hidden = {REGION: gap("dynamodb:ListTables")}
    found = only(export("AES256", gone), listings=hidden)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTables")


def test_a_bucket_that_is_gone_is_not_applicable() -> None:
    assert only(export(), info=bucket(exists=False)).status is Status.NOT_APPLICABLE


def test_what_could_not_be_listed_is_unknown_on_the_region() -> None:
    denied = gap("dynamodb:ListExports")
    found = only(exports={REGION: denied})
    assert (found.status, found.about, found.missing_permission) == (Status.UNKNOWN, REGION, denied.action)
    assert verdicts() == []
    assert verdicts(exports={Region(Account("999988887777"), "eu-west-1"): denied}) == []


def test_exports_that_are_not_looked_at_leave_the_region_unknown() -> None:
    found = verdicts(export("KMS"), exports={REGION: Exports((export("KMS"),), omitted={TABLE.arn: 7})})
    assert [(one.status, one.about) for one in found] == [
        (Status.UNKNOWN, REGION),
        (Status.PASS, Bucket(ACCOUNT, "exports")),
    ]
    assert "7 older" in found[0].message


def test_of_two_things_that_are_not_known_the_missing_permission_is_named() -> None:
    foreign = bucket(Gap(Reason.PARTIAL_DATA, "Another account's."))
    found = only(export(), info=foreign, keys={TABLE: gap("dynamodb:DescribeTable")})
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:DescribeTable")

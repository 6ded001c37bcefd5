"""residency-classification-region by plain calls."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config, ResidencyRule
from auditor.facts import (
    BucketInfo,
    BulkOperations,
    Export,
    ExportBuckets,
    Exports,
    Gap,
    KinesisDestination,
    KinesisDestinations,
    LegacyGlobalTables,
    ProtectedResources,
    Protection,
    Reason,
    Replica,
    Sensitivity,
    TableSettings,
    Tags,
    Witness,
)
from auditor.resources import Account, KinesisStream, Region, Table
from tests.rules import ACCOUNT, TABLE, load

judge = load("residency-classification-region")

EU = ResidencyRule(tag={"data-residency": "eu"}, regions=("eu-*",))
CONFIG = Config(residency_rules=(EU,))
PLAIN, SENSITIVE = Sensitivity(False, True), Sensitivity(True, True, "data-classification=pii")


def gap(action: str) -> Gap:
    return Gap(Reason.ACCESS_DENIED, "Not allowed.", action)


def there(region: str) -> Table:
    return Table(Region(ACCOUNT, region), "orders")


def export(**changes: Any) -> Export:
    held = {"arn": f"{TABLE.arn}/export/1", "table_arn": TABLE.arn, "status": "COMPLETED", "bucket": "exports"}
    return Export(**(held | changes))


def bucket(region: str | None, *, exists: bool = True) -> ExportBuckets:
    return ExportBuckets({"exports": BucketInfo(exists, None, region, public=False, encryption="AES256")})


def stream(region: str, status: str = "ACTIVE") -> KinesisDestinations:
    return KinesisDestinations((KinesisDestination(KinesisStream(Region(ACCOUNT, region), "changes"), status),))


def vault(region: str) -> ProtectedResources:
    return ProtectedResources({TABLE.arn: Protection(None, f"arn:aws:backup:{region}:{ACCOUNT.id}:backup-vault:a")})


def verdict(table: Table = TABLE, **changes: Any) -> Verdict:
    facts = {
        "settings": TableSettings(status="ACTIVE", **changes.pop("settings", {})),
        "tags": Tags({"Data-Residency": "EU"}),
        "sensitivity": PLAIN,
        "legacy": LegacyGlobalTables({}),
        "exports": Exports(),
        "bulk": BulkOperations(),
        "buckets": ExportBuckets({}),
        "destinations": KinesisDestinations(()),
        "backups": ProtectedResources({}),
        "config": CONFIG,
    }
    answer = judge(table, **(facts | changes))
    assert isinstance(answer, Verdict)
    return answer


def test_a_table_whose_data_is_all_in_its_jurisdiction_passes() -> None:
    assert verdict().status is Status.PASS
    everything: dict[str, Any] = {
        "settings": {"replicas": (Replica(there("eu-north-1"), "ACTIVE"),)},
        "exports": Exports((export(),)),
        "buckets": bucket("eu-south-1"),
        "destinations": stream("eu-west-1"),
        "backups": vault("eu-west-1"),
    }
    assert verdict(**everything).status is Status.PASS


@pytest.mark.parametrize(
    "changes",
    [
        {"table": there("us-east-1")},
        {"settings": {"replicas": (Replica(there("us-east-1"), "ACTIVE"),)}},
        {"settings": {"witnesses": (Witness("us-east-1", "ACTIVE"),)}},
        {"legacy": LegacyGlobalTables({"orders": ("eu-west-1", "us-east-1")})},
        {"exports": Exports((export(),)), "buckets": bucket("us-east-1")},
        {"bulk": BulkOperations((export(role="output"),)), "buckets": bucket("us-east-1")},
        {"bulk": BulkOperations((export(role="output", status="FAILED"),)), "buckets": bucket("us-east-1")},
        {"destinations": stream("us-east-1")},
        {"destinations": stream("us-east-1", "ENABLING")},
        {"backups": vault("us-east-1")},
    ],
)
def test_every_kind_of_copy_outside_fails(changes: dict[str, Any]) -> None:
    found = verdict(**changes)
    assert (found.status, found.severity) == (Status.FAIL, None)
    assert "us-east-1" in found.message


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"replicas": (Replica(there("us-east-1"), "DELETING"),)}},
        {"settings": {"witnesses": (Witness("us-east-1", "DELETING"),)}},
        {"legacy": LegacyGlobalTables({"orders": ("us-east-1",)})},
        {"exports": Exports((export(status="FAILED"),)), "buckets": bucket("us-east-1")},
        {"exports": Exports((export(),)), "buckets": bucket("us-east-1", exists=False)},
        {"exports": Exports((export(table_arn=TABLE.arn + "-2"),)), "buckets": bucket("us-east-1")},
        # Where items came from holds none that the table did not get.
        {"bulk": BulkOperations((export(role="input"),)), "buckets": bucket("us-east-1")},
        {"bulk": BulkOperations((export(role="output", table_arn=f"{TABLE.arn}-2"),)), "buckets": bucket("us-east-1")},
        {"destinations": stream("us-east-1", "DISABLED")},
        {"backups": ProtectedResources({TABLE.arn + "-2": vault("us-east-1").tables[TABLE.arn]})},
    ],
)
def test_what_holds_no_data_of_the_table_does_not_count(changes: dict[str, Any]) -> None:
    assert verdict(**changes).status is Status.PASS


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"tags": gap("dynamodb:ListTagsOfResource")}, "dynamodb:ListTagsOfResource"),
        ({"legacy": gap("dynamodb:ListGlobalTables")}, "dynamodb:ListGlobalTables"),
        ({"exports": gap("dynamodb:ListExports")}, "dynamodb:ListExports"),
        ({"bulk": gap("dynamodb:ListBulkOperations")}, "dynamodb:ListBulkOperations"),
        (
            {"bulk": BulkOperations((), {"arn": gap("dynamodb:DescribeBulkOperation")})},
            "dynamodb:DescribeBulkOperation",
        ),
        ({"exports": Exports(omitted={TABLE.arn: 3})}, None),
        ({"bulk": BulkOperations(omitted=3)}, None),
        ({"exports": Exports((export(),)), "buckets": gap("s3:ListBucket")}, "s3:ListBucket"),
        ({"exports": Exports((export(),)), "buckets": bucket(None)}, "s3:ListBucket"),
        (
            {"exports": Exports((), {f"{TABLE.arn}/export/1": gap("dynamodb:DescribeExport")})},
            "dynamodb:DescribeExport",
        ),
        (
            {"destinations": gap("dynamodb:DescribeKinesisStreamingDestination")},
            "dynamodb:DescribeKinesisStreamingDestination",
        ),
        ({"backups": gap("backup:ListProtectedResources")}, "backup:ListProtectedResources"),
        ({"backups": ProtectedResources({TABLE.arn: Protection(None, "vault")})}, None),
    ],
)
def test_a_location_that_cannot_be_read_is_unknown(changes: dict[str, Any], action: str | None) -> None:
    found = verdict(**changes)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, action)
    if "tags" not in changes:
        assert verdict(there("us-east-1"), **changes).status is Status.FAIL


def test_another_tables_exports_do_not_matter() -> None:
    other = f"{TABLE.arn}-2"
    unread = Exports((), {f"{other}/export/1": gap("dynamodb:DescribeExport")}, {other: 400})
    assert verdict(exports=unread).status is Status.PASS


def test_nothing_declared_is_not_applicable_and_says_so() -> None:
    found = verdict(config=Config())
    assert (found.status, found.reason) == (Status.NOT_APPLICABLE, "not_declared")


def test_an_untagged_table_fails_only_when_it_is_sensitive() -> None:
    assert verdict(tags=Tags({})).status is Status.NOT_APPLICABLE
    found = verdict(tags=Tags({}), sensitivity=SENSITIVE)
    assert (found.status, found.severity) == (Status.FAIL, Severity.LOW)
    assert verdict(tags=Tags({}), sensitivity=gap("tag:GetResources")).status is Status.UNKNOWN
    # Another jurisdiction, of which no entry speaks, is a residency all the same.
    assert verdict(tags=Tags({"data-residency": "ch"}), sensitivity=SENSITIVE).status is Status.NOT_APPLICABLE


def test_every_entry_that_matches_must_hold() -> None:
    narrow = ResidencyRule(tag={"owner": "legal"}, regions=("eu-central-1",))
    both = Config(residency_rules=(EU, narrow))
    tags = Tags({"data-residency": "eu", "owner": "legal"})
    assert verdict(config=both, tags=tags).status is Status.FAIL
    assert verdict(there("eu-central-1"), config=both, tags=tags).status is Status.PASS


def test_an_archived_table_is_judged_and_one_in_transition_is_not() -> None:
    assert judge_status("ARCHIVED") is Status.PASS
    assert judge_status("CREATING") is Status.NOT_APPLICABLE


def judge_status(status: str) -> Status:
    settings = TableSettings(status=status)
    empty = (Exports(), BulkOperations(), ExportBuckets({}), KinesisDestinations(()), ProtectedResources({}))
    tags = Tags({"data-residency": "eu"})
    found = judge(TABLE, settings, tags, PLAIN, LegacyGlobalTables({}), *empty, CONFIG)
    assert isinstance(found, Verdict)
    return found.status


def test_chinas_tables() -> None:
    table = Table(Region(Account(ACCOUNT.id, "aws-cn"), "cn-north-1"), "orders")
    config = Config(residency_rules=(ResidencyRule(tag={"data-residency": "cn"}, regions=("cn-*",)),))
    assert verdict(table, config=config, tags=Tags({"data-residency": "cn"})).status is Status.PASS


def test_a_bucket_whose_region_a_refusal_hid_is_an_access_that_was_denied() -> None:
    denied = Gap(Reason.ACCESS_DENIED, "Not allowed.", "s3:ListBucket")
    info = BucketInfo(True, None, None, public=False, encryption="AES256", refused=denied)
    found = verdict(exports=Exports((export(),)), buckets=ExportBuckets({"exports": info}))
    assert (found.status, found.reason) == (Status.UNKNOWN, Reason.ACCESS_DENIED)
    assert found.missing_permission == "s3:ListBucket"

"""Answers of DynamoDB, KMS and EC2 about tables, keys and regions, made explicit; canned in AWS's shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import botocore.session
import pytest
from botocore.validate import ParamValidator

from auditor.facts import (
    EnabledRegions,
    Gap,
    KeyAliases,
    KeyRotation,
    KeySettings,
    LegacyGlobalTables,
    PointInTimeRecovery,
    Reason,
    RegionStatus,
    Replica,
    TableSettings,
    Witness,
)
from auditor.resources import Account, Key, Region, Table
from auditor.sources.aws.account import read_enabled
from auditor.sources.aws.dynamodb import legacy_global_tables, point_in_time_recovery, read_table
from auditor.sources.aws.kms import key_aliases, key_rotation, key_settings
from auditor.sources.aws.session import Aws, Missing
from tests.rules import ACCOUNT, KEY, REGION, TABLE

MODELS = botocore.session.get_session()
EARLIER = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
MULTI = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"


def checked(operation: str, answer: Mapping[str, Any], member: str | None = None) -> Mapping[str, Any]:
    """Return the answer after a check against the operation's output shape (or one member of it)."""
    service, _, name = operation.partition(":")
    shape = MODELS.get_service_model(service).operation_model(name).output_shape
    report = ParamValidator().validate(answer, shape.members[member] if member else shape)
    assert not report.has_errors(), report.generate_report()
    return answer


class Canned:
    """Answers in the place of AWS; what has no answer is denied."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {name.replace("__", ":"): answer for name, answer in answers.items()}
        self.asked: list[dict[str, Any]] = []

    def call(self, operation: str, *, absent: tuple[str, ...] = (), gone: tuple[str, ...] = (), **params: Any) -> Any:
        self.asked.append(params)
        answer = self.answers.get(operation, SimpleNamespace())
        if isinstance(answer, SimpleNamespace):
            raise Missing(Gap(Reason.ACCESS_DENIED, "Not allowed.", operation), "AccessDenied", operation, "no")
        if isinstance(answer, str):
            assert answer in absent
            return None
        return checked(operation, answer.pop(0) if isinstance(answer, list) else answer)

    def pages(self, operation: str, **params: Any) -> Iterator[Any]:
        yield self.call(operation, **params)


def one(collected: Any) -> Any:
    ((_, value),) = list(collected)
    return value


def aws(**answers: Any) -> Aws:
    return cast("Aws", Canned(**answers))


def described(**description: Any) -> TableSettings:
    return read_table(TABLE, checked("dynamodb:DescribeTable", {"TableStatus": "ACTIVE", **description}, "Table"))


def test_what_describe_table_leaves_out_has_its_documented_meaning() -> None:
    settings = described()
    assert settings == TableSettings(
        status="ACTIVE",
        deletion_protection=False,
        sse_type=None,
        key=None,
        billing_mode="PROVISIONED",
        replicas=(),
        disassociation_protection=None,
    )
    assert described(SSEDescription={}, BillingModeSummary={}, Replicas=[], ArchivalSummary={}) == settings


def test_what_describe_table_says_is_kept() -> None:
    settings = described(
        DeletionProtectionEnabled=True,
        DisassociationProtectionEnabled=False,
        BillingModeSummary={"BillingMode": "PAY_PER_REQUEST"},
        SSEDescription={
            "Status": "UPDATING",
            "SSEType": "KMS",
            "KMSMasterKeyArn": MULTI,
            "InaccessibleEncryptionDateTime": EARLIER,
        },
        ArchivalSummary={"ArchivalReason": "INACCESSIBLE_ENCRYPTION_CREDENTIALS"},
        CreationDateTime=EARLIER,
        ItemCount=7,
        GlobalTableVersion="2019.11.21",
        MultiRegionConsistency="STRONG",
        GlobalTableWitnesses=[{"RegionName": "eu-north-1", "WitnessStatus": "Active"}],
    )
    assert settings == TableSettings(
        status="ACTIVE",
        deletion_protection=True,
        sse_type="KMS",
        sse_status="UPDATING",
        key=Key(REGION, "mrk-1234abcd12ab34cd56ef1234567890ab"),
        inaccessible_since=EARLIER,
        archival_reason="INACCESSIBLE_ENCRYPTION_CREDENTIALS",
        billing_mode="PAY_PER_REQUEST",
        created=EARLIER,
        item_count=7,
        witnesses=(Witness("eu-north-1", "ACTIVE"),),
        global_table_version="2019.11.21",
        multi_region_consistency="STRONG",
        disassociation_protection=False,
    )


def test_enumerations_are_upper_case_however_they_are_spelled() -> None:
    settings = described(
        TableStatus="Archived",
        SSEDescription={"Status": "Disabled"},
        BillingModeSummary={"BillingMode": "pay_per_request"},
        Replicas=[{"RegionName": "us-east-1", "ReplicaStatus": "Deleting"}],
    )
    assert (settings.status, settings.sse_status, settings.billing_mode) == ("ARCHIVED", "DISABLED", "PAY_PER_REQUEST")
    assert settings.archived
    assert settings.replicas[0].status == "DELETING"


def test_times_are_in_utc_whatever_the_machines_zone() -> None:
    def zone(moment: datetime | None) -> Any:
        assert moment is not None
        return moment.isoformat()

    settings = described(CreationDateTime=EARLIER, SSEDescription={"InaccessibleEncryptionDateTime": EARLIER})
    expected = "2026-01-31T10:00:00+00:00"
    assert zone(settings.created) == zone(settings.inaccessible_since) == expected
    recovery = {"PointInTimeRecoveryStatus": "ENABLED", "EarliestRestorableDateTime": EARLIER}
    backups = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
    answer = {"ContinuousBackupsDescription": backups}
    made = one(point_in_time_recovery(aws(dynamodb__DescribeContinuousBackups=answer), TABLE))
    assert zone(made.earliest) == expected
    metadata = {"KeyId": KEY.name, "KeyState": "Enabled", "ValidTo": EARLIER, "DeletionDate": EARLIER}
    key = one(key_settings(aws(kms__DescribeKey={"KeyMetadata": metadata}), KEY))
    assert zone(key.valid_to) == zone(key.deletion_date) == expected
    rotation = one(key_rotation(aws(kms__GetKeyRotationStatus={"NextRotationDate": EARLIER}), KEY))
    assert zone(rotation.next) == expected


def test_replicas_are_tables_of_their_region_and_of_the_account_that_their_arn_names() -> None:
    settings = described(
        Replicas=[
            {"RegionName": "us-east-1", "ReplicaStatus": "ACTIVE"},
            {"RegionName": "eu-west-1", "ReplicaStatus": "ACTIVE"},
            {
                "RegionName": "eu-central-1",
                "ReplicaArn": "arn:aws:dynamodb:eu-central-1:444455556666:table/orders",
                "ReplicaStatus": "REPLICATION_NOT_AUTHORIZED",
                "ReplicaStatusDescription": "no",
            },
        ]
    )
    assert settings.replicas == (
        Replica(Table(Region(ACCOUNT, "us-east-1"), "orders"), "ACTIVE"),
        Replica(TABLE, "ACTIVE"),
        Replica(Table(Region(Account("444455556666"), "eu-central-1"), "orders"), "REPLICATION_NOT_AUTHORIZED", "no"),
    )


def test_a_stream_counts_only_while_it_is_enabled() -> None:
    arn = f"{TABLE.arn}/stream/2026-01-31T00:00:00.000"
    assert described(LatestStreamArn=arn).stream_arn is None
    assert described(LatestStreamArn=arn, StreamSpecification={"StreamEnabled": False}).stream_arn is None
    assert described(LatestStreamArn=arn, StreamSpecification={"StreamEnabled": True}).stream_arn == arn


@pytest.mark.parametrize(
    ("recovery", "expected"),
    [
        (None, PointInTimeRecovery(enabled=False)),
        ({}, PointInTimeRecovery(enabled=False)),
        ({"PointInTimeRecoveryStatus": "DISABLED"}, PointInTimeRecovery(enabled=False)),
        ({"PointInTimeRecoveryStatus": "Enabled"}, PointInTimeRecovery(enabled=True, days=35)),
        (
            {"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": 7},
            PointInTimeRecovery(enabled=True, days=7),
        ),
    ],
)
def test_continuous_backups_prove_nothing_and_an_absent_period_is_35_days(
    recovery: Mapping[str, Any] | None, expected: PointInTimeRecovery
) -> None:
    backups: dict[str, Any] = {"ContinuousBackupsStatus": "ENABLED"}
    if recovery is not None:
        backups["PointInTimeRecoveryDescription"] = recovery
    answer = {"ContinuousBackupsDescription": backups}
    assert one(point_in_time_recovery(aws(dynamodb__DescribeContinuousBackups=answer), TABLE)) == expected


def test_legacy_global_tables_come_from_every_page() -> None:
    def entry(name: str, *regions: str) -> dict[str, Any]:
        return {"GlobalTableName": name, "ReplicationGroup": [{"RegionName": region} for region in regions]}

    first = {"GlobalTables": [entry("orders", "us-east-1", "eu-west-1")], "LastEvaluatedGlobalTableName": "orders"}
    client = Canned(dynamodb__ListGlobalTables=[first, {"GlobalTables": [entry("users")]}])
    made = one(legacy_global_tables(cast("Aws", client), REGION))
    assert made == LegacyGlobalTables({"orders": ("eu-west-1", "us-east-1"), "users": ()})
    assert client.asked == [{}, {"ExclusiveStartGlobalTableName": "orders"}]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"KeyState": "Enabled"}, KeySettings("Enabled", manager="CUSTOMER", origin="AWS_KMS")),
        ({"KeyState": "ENABLED", "KeyManager": "aws"}, KeySettings("Enabled", manager="AWS")),
        ({"KeyState": "pendingdeletion", "Origin": "external"}, KeySettings("PendingDeletion", origin="EXTERNAL")),
        ({"KeyState": "Paused"}, KeySettings("Paused")),
        (
            {
                "KeyState": "Enabled",
                "MultiRegion": True,
                "MultiRegionConfiguration": {
                    "MultiRegionKeyType": "Replica",
                    "PrimaryKey": {"Arn": MULTI, "Region": "eu-west-1"},
                },
            },
            KeySettings("Enabled", multi_region_type="REPLICA", primary=Key.from_arn(MULTI)),
        ),
    ],
)
def test_a_keys_metadata(metadata: Mapping[str, Any], expected: KeySettings) -> None:
    answer = {"KeyMetadata": {"KeyId": KEY.name, **metadata}}
    assert one(key_settings(aws(kms__DescribeKey=answer), KEY)) == expected


def test_a_key_that_kms_does_not_find_is_a_state_and_a_denied_one_is_not() -> None:
    assert one(key_settings(aws(kms__DescribeKey="NotFoundException"), KEY)) == KeySettings("NotFound")
    with pytest.raises(Missing):
        one(key_settings(aws(), KEY))


def test_rotation_without_a_period_is_yearly() -> None:
    assert one(key_rotation(aws(kms__GetKeyRotationStatus={"KeyRotationEnabled": True}), KEY)) == KeyRotation(True, 365)
    assert one(key_rotation(aws(kms__GetKeyRotationStatus={}), KEY)).enabled is False
    answer = {"KeyRotationEnabled": True, "RotationPeriodInDays": 90}
    assert one(key_rotation(aws(kms__GetKeyRotationStatus=answer), KEY)).days == 90


def test_aliases_without_a_key_are_left_out() -> None:
    aliases = [{"AliasName": "alias/aws/dynamodb", "TargetKeyId": KEY.name}, {"AliasName": "alias/aws/rds"}]
    made = one(key_aliases(aws(kms__ListAliases={"Aliases": aliases}), REGION))
    assert made == KeyAliases({"alias/aws/dynamodb": KEY.name})


EXPECTED = EnabledRegions((RegionStatus("eu-west-1", False), RegionStatus("me-south-1", True)))


def test_regions_are_those_that_are_not_opted_out_and_opt_in_is_told() -> None:
    regions = [
        {"RegionName": "me-south-1", "OptInStatus": "Opted-In"},
        {"RegionName": "eu-west-1", "OptInStatus": "opt-in-not-required"},
        {"RegionName": "af-south-1", "OptInStatus": "not-opted-in"},
    ]
    assert read_enabled(aws(ec2__DescribeRegions={"Regions": regions})) == EXPECTED


def test_where_ec2_is_denied_account_management_is_asked() -> None:
    statuses = {
        "me-south-1": "enabled",
        "eu-west-1": "ENABLED_BY_DEFAULT",
        "af-south-1": "DISABLED",
        "il-central-1": "ENABLING",
    }
    regions = [{"RegionName": name, "RegionOptStatus": status} for name, status in statuses.items()]
    assert read_enabled(aws(account__ListRegions={"Regions": regions})) == EXPECTED


def test_where_both_are_denied_the_gap_names_ec2s() -> None:
    with pytest.raises(Missing) as error:
        read_enabled(aws())
    assert error.value.gap.action == "ec2:DescribeRegions"

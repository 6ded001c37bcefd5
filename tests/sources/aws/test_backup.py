"""Backups: AWS Backup's list, its vaults, and DynamoDB's own backups."""

from datetime import UTC, datetime

from auditor.facts import (
    Backup,
    BackupVault,
    BackupVaults,
    Gap,
    OnDemandBackups,
    ProtectedResources,
    Protection,
    Reason,
)
from auditor.resources import Region
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer, create_table

HERE = Region(ACCOUNT, "eu-west-1")
ORDERS = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
VAULT = "arn:aws:backup:eu-west-1:123456789012:backup-vault:central"
THEN = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def test_protected_tables_of_all_pages_and_nothing_else(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    entries = [
        {"ResourceArn": ORDERS, "ResourceType": "DynamoDB", "LastBackupTime": THEN, "LastBackupVaultArn": VAULT},
        {"ResourceArn": "arn:aws:rds:eu-west-1:123456789012:db:shop", "ResourceType": "RDS", "LastBackupTime": THEN},
        {"ResourceArn": ORDERS.replace("orders", "never"), "ResourceType": "DynamoDB"},
    ]
    pages = [{"Results": entries[:2], "NextToken": "more"}, {"Results": entries[2:]}]
    answer(access, "backup:ListProtectedResources", *pages)
    found = gather_facts(Region, ProtectedResources).facts[ProtectedResources][HERE]
    never = ORDERS.replace("orders", "never")
    assert found == ProtectedResources({never: Protection(), ORDERS: Protection(THEN, VAULT)})


def test_vaults_say_whether_they_are_locked(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    listed = [
        {"BackupVaultArn": VAULT, "Locked": True, "EncryptionKeyArn": "arn:key"},
        {"BackupVaultArn": f"{VAULT}-2"},
    ]
    answer(access, "backup:ListBackupVaults", {"BackupVaultList": listed})
    found = gather_facts(Region, BackupVaults).facts[BackupVaults][HERE]
    assert found == BackupVaults({VAULT: BackupVault(True, "arn:key"), f"{VAULT}-2": BackupVault()})


def test_the_newest_usable_backup_of_every_table(access: Access, gather_facts: Gather) -> None:
    create_table("orders")

    def backup(number: int, day: int, status: str = "AVAILABLE") -> dict[str, object]:
        return {
            "TableArn": ORDERS,
            "BackupArn": f"{ORDERS}/backup/0170000000000{number}-abc",
            "BackupCreationDateTime": THEN.replace(day=day),
            "BackupStatus": status,
        }

    first = {
        "BackupSummaries": [backup(1, 1), backup(2, 3)],
        "LastEvaluatedBackupArn": f"{ORDERS}/backup/0170000000000-x",
    }
    asked = answer(access, "dynamodb:ListBackups", first, {"BackupSummaries": [backup(3, 2), backup(4, 9, "CREATING")]})
    found = gather_facts(Region, OnDemandBackups).facts[OnDemandBackups][HERE]
    assert isinstance(found, OnDemandBackups)
    newest = found.newest[ORDERS]
    assert newest == Backup(f"{ORDERS}/backup/01700000000002-abc", THEN.replace(day=3), "AVAILABLE")
    assert [one.get("ExclusiveStartBackupArn") for one in asked] == [None, f"{ORDERS}/backup/0170000000000-x"]


def test_a_denied_list_names_its_permission(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    for operation, fact in (
        ("backup:ListProtectedResources", ProtectedResources),
        ("backup:ListBackupVaults", BackupVaults),
        ("dynamodb:ListBackups", OnDemandBackups),
    ):
        answer(access, operation, "AccessDeniedException")
        found = gather_facts(Region, fact).facts[fact][HERE]
        assert isinstance(found, Gap)
        assert (found.reason, found.action) == (Reason.ACCESS_DENIED, operation)


def test_a_list_that_is_throttled_on_its_second_page_is_no_list(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    for operation, page, fact in (
        ("backup:ListProtectedResources", {"Results": [], "NextToken": "2"}, ProtectedResources),
        ("backup:ListBackupVaults", {"BackupVaultList": [], "NextToken": "2"}, BackupVaults),
        (
            "dynamodb:ListBackups",
            {"BackupSummaries": [], "LastEvaluatedBackupArn": f"{ORDERS}/backup/1"},
            OnDemandBackups,
        ),
    ):
        answer(access, operation, page, "ThrottlingException")
        found = gather_facts(Region, fact).facts[fact][HERE]
        assert isinstance(found, Gap)
        assert (found.reason, found.action) == (Reason.THROTTLED, operation)


def test_regions_without_tables_are_not_asked(access: Access, gather_facts: Gather) -> None:
    asked = answer(access, "dynamodb:ListBackups", {"BackupSummaries": []})
    gather_facts(Region, OnDemandBackups)
    assert asked == []

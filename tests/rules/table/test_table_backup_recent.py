"""table-backup-recent by plain calls."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import (
    Backup,
    BackupVault,
    BackupVaults,
    CollectionTime,
    Environment,
    Gap,
    OnDemandBackups,
    ProtectedResources,
    Protection,
    Reason,
    TableSettings,
)
from auditor.resources import Account, Region, Table
from tests.rules import TABLE, load

judge = load("table-backup-recent")

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
VAULT = "arn:aws:backup:eu-west-1:111122223333:backup-vault:locked"
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "backup:ListProtectedResources")
DENIED_LIST = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListBackups")
DENIED_VAULTS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "backup:ListBackupVaults")
PRODUCTION, TEST = Environment(True, "tag env=prod"), Environment(False, "tag env=dev")
UNTAGGED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")


def days(number: float) -> datetime:
    return NOW - timedelta(days=number)


def by_aws_backup(age: float, vault: str | None = VAULT, table: Table = TABLE) -> ProtectedResources:
    return ProtectedResources({table.arn: Protection(days(age), vault)})


def by_hand(age: float) -> OnDemandBackups:
    arn = f"{TABLE.arn}/backup/01700000000000-1"
    return OnDemandBackups({TABLE.arn: Backup(arn, days(age), "AVAILABLE")})


def verdict(**changes: Any) -> Verdict:
    settings = changes.pop("settings", TableSettings(status="ACTIVE", created=days(changes.pop("age", 400))))
    facts = {
        "environment": PRODUCTION,
        "protected": ProtectedResources({}),
        "on_demand": OnDemandBackups({}),
        "vaults": BackupVaults({VAULT: BackupVault(locked=True)}),
        "now": CollectionTime(NOW, "arn"),
    }
    answer = judge(changes.pop("table", TABLE), settings, **(facts | changes))
    assert isinstance(answer, Verdict)
    return answer


def test_a_backup_of_either_kind_within_a_week_passes() -> None:
    assert verdict(protected=by_aws_backup(6.9)).status is Status.PASS
    assert verdict(on_demand=by_hand(6.9)).status is Status.PASS


def test_none_or_an_old_one_fails_as_the_catalogue_rates_it() -> None:
    for changes in ({}, {"protected": by_aws_backup(7.1)}, {"on_demand": by_hand(7.1)}):
        found = verdict(**changes)
        assert (found.status, found.severity) == (Status.FAIL, None)
    assert verdict(protected=by_aws_backup(7.1), max_backup_age_days=8).status is Status.PASS


def test_a_protected_table_whose_last_backup_has_no_time_is_unknown() -> None:
    timeless = ProtectedResources({TABLE.arn: Protection(None, VAULT)})
    found = verdict(protected=timeless)
    assert (found.status, found.reason) == (Status.UNKNOWN, Reason.PARTIAL_DATA)
    assert verdict(protected=timeless, on_demand=by_hand(1)).status is Status.PASS


def test_what_is_older_than_the_table_belonged_to_another_table_of_its_name() -> None:
    for changes in ({"protected": by_aws_backup(3)}, {"on_demand": by_hand(3)}):
        assert verdict(age=2, **changes).status is Status.FAIL
        assert verdict(age=4, **changes).status is Status.PASS


def test_without_the_tables_age_a_backup_proves_nothing_and_none_is_none() -> None:
    ageless = TableSettings(status="ACTIVE")
    assert verdict(settings=ageless, protected=by_aws_backup(1)).status is Status.UNKNOWN
    assert verdict(settings=ageless).status is Status.FAIL


def test_the_message_names_the_newest_backup() -> None:
    found = verdict(protected=by_aws_backup(5), on_demand=by_hand(1))
    assert "on-demand" in found.message
    assert "2026-11-24T12:00:00Z" in found.message
    assert "AWS Backup" in verdict(protected=by_aws_backup(1), on_demand=by_hand(5)).message


def test_a_table_of_a_day_waits_for_its_first_backup() -> None:
    assert verdict(age=25 / 24).status is Status.NOT_APPLICABLE
    assert verdict(age=27 / 24).status is Status.FAIL


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "ARCHIVING", "ARCHIVED"])
def test_tables_that_are_not_there_in_full_are_not_judged(status: str) -> None:
    assert verdict(settings=TableSettings(status=status, created=days(400))).status is Status.NOT_APPLICABLE


def test_only_production_needs_one_unless_all_do() -> None:
    assert verdict(environment=TEST).status is Status.NOT_APPLICABLE
    assert verdict(environment=TEST, require_for="all").status is Status.FAIL
    # Whether the rule applies at all is not known then, whatever backups there are.
    assert verdict(environment=UNTAGGED, protected=by_aws_backup(1)).status is Status.UNKNOWN
    assert verdict(environment=UNTAGGED, protected=by_aws_backup(1), require_for="all").status is Status.PASS
    unsure = verdict(environment=UNTAGGED)
    assert (unsure.status, unsure.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTagsOfResource")
    assert verdict(environment=UNTAGGED, require_for="all").status is Status.FAIL


def test_one_denied_list_is_made_good_by_a_recent_backup_in_the_other() -> None:
    assert verdict(protected=DENIED, on_demand=by_hand(1)).status is Status.PASS
    assert verdict(protected=by_aws_backup(1), on_demand=DENIED_LIST).status is Status.PASS
    for changes, action in (
        ({"protected": DENIED, "on_demand": by_hand(30)}, DENIED.action),
        ({"protected": by_aws_backup(30), "on_demand": DENIED_LIST}, DENIED_LIST.action),
    ):
        found = verdict(**changes)
        assert (found.status, found.missing_permission) == (Status.UNKNOWN, action)


def test_a_vault_must_be_locked_where_that_is_required() -> None:
    open_vault = BackupVaults({VAULT: BackupVault()})
    assert verdict(protected=by_aws_backup(1), require_vault_lock=True).status is Status.PASS
    assert verdict(protected=by_aws_backup(1), vaults=open_vault).status is Status.PASS
    assert verdict(protected=by_aws_backup(1), vaults=open_vault, require_vault_lock=True).status is Status.FAIL
    assert verdict(on_demand=by_hand(1), require_vault_lock=True).status is Status.FAIL
    assert verdict(protected=by_aws_backup(1), vaults=DENIED_VAULTS).status is Status.PASS
    denied = verdict(protected=by_aws_backup(1), vaults=DENIED_VAULTS, require_vault_lock=True)
    assert (denied.status, denied.missing_permission) == (Status.UNKNOWN, "backup:ListBackupVaults")
    elsewhere = by_aws_backup(1, "arn:aws:backup:eu-west-1:222233334444:backup-vault:central")
    assert verdict(protected=elsewhere, require_vault_lock=True).status is Status.UNKNOWN
    assert verdict(protected=by_aws_backup(1, None), require_vault_lock=True).status is Status.UNKNOWN
    # Whether on-demand backups can be listed does not matter where they do not count.
    assert verdict(on_demand=DENIED_LIST, require_vault_lock=True).status is Status.FAIL


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_tables_of_other_partitions_are_found_by_their_own_arn(partition: str, region: str) -> None:
    table = Table(Region(Account("111122223333", partition), region), "orders")
    assert verdict(table=table, protected=by_aws_backup(1, table=table)).status is Status.PASS
    assert verdict(table=table, protected=by_aws_backup(1)).status is Status.FAIL


def test_the_rule_is_medium() -> None:
    from auditor import packs

    assert packs.built_in()["table-backup-recent"].severity is Severity.MEDIUM

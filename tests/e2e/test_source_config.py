"""The example organisation gets the same verdicts from AWS Config as from DynamoDB, all rules, all tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from botocore.validate import ParamValidator

from auditor.engine import facts_as_of, judge
from auditor.facts import PointInTimeRecovery, TableSettings
from auditor.inventory import Inventory
from auditor.resources import Region, Table
from auditor.rule_api import Status
from auditor.sources.aws.session import ConfigSource
from tests.denied import REGIONS, by_key, config, inventory, recording, rules, undisturbed

#: After the organisation was made.
LATER = datetime.now(UTC) + timedelta(days=1)


def recorded(account: str, region: str, *, windows: bool) -> list[str]:
    """Return the rows of a query, made of what DynamoDB answers."""
    rows = []
    for table, held in inventory().facts[PointInTimeRecovery].items():
        assert isinstance(table, Table)
        assert isinstance(held, PointInTimeRecovery)
        if (table.account.id, table.region.name) == (account, region):
            recovery: dict[str, Any] = {"pointInTimeRecoveryStatus": "ENABLED" if held.enabled else "DISABLED"}
            recovery |= {"recoveryPeriodInDays": held.days} if windows and held.enabled else {}
            row = {
                "accountId": account,
                "awsRegion": region,
                "arn": table.arn,
                "resourceType": "AWS::DynamoDB::Table",
                "resourceId": table.name,
                "configurationItemCaptureTime": LATER.isoformat(),
                "configurationItemStatus": "OK",
                "supplementaryConfiguration": {
                    "ContinuousBackupsDescription": {"pointInTimeRecoveryDescription": recovery}
                },
            }
            rows.append(json.dumps(row))
    return rows


@contextmanager
def recorder(*, windows: bool) -> Iterator[None]:
    """Let AWS Config answer queries in the recording's place, in every account."""
    kept = recording()
    handlers = []

    def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        asked = json.loads(params["body"])
        place = re.search(r"accountId = '(\d+)' AND awsRegion = '([a-z0-9-]+)'", asked["Expression"])
        assert place is not None
        given = {"Results": recorded(*place.groups(), windows=windows)}
        report = ParamValidator().validate(given, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        return SimpleNamespace(status_code=200), given

    kept.collect(rules(), regions=REGIONS)  # the clients are there from now on
    for access in kept._accesses:
        for region in REGIONS:
            events = access.client("config", region).meta.events
            events.register_first("before-call.config-service.SelectResourceConfig", answer)
            handlers.append(events)
    try:
        yield
    finally:
        for events in handlers:
            events.unregister("before-call.config-service.SelectResourceConfig", answer)


def collected() -> Inventory:
    return recording().collect(rules(), regions=REGIONS, config=ConfigSource())


def taken(found: Inventory) -> set[Table]:
    held = found.facts[PointInTimeRecovery]
    return {one for one in found.of_kind(Table) if isinstance(one, Table) and getattr(held.get(one), "recorded", None)}


def recording_regions() -> set[Region]:
    """Return the regions where the example's recorders record tables, as detect-config-recorder has it."""
    said = [one for one in undisturbed().findings if one.rule == "detect-config-recorder"]
    return {one.resource for one in said if one.status is Status.PASS and isinstance(one.resource, Region)}


def test_with_windows_every_verdict_is_the_same() -> None:
    with recorder(windows=True):
        found = collected()
    tables = taken(found)
    in_use = {table.region for table in inventory().of_kind(Table) if isinstance(table, Table)}
    assert {table.region for table in tables} == in_use & recording_regions()
    before, after = by_key(undisturbed().findings), by_key(judge(found, rules(), config()).findings)
    assert {key: (one.status, one.severity, one.message) for key, one in before.items()} == {
        key: (one.status, one.severity, one.message) for key, one in after.items()
    }
    assert sum(one.tables for one in facts_as_of(found).recorded) == len(tables) > 10


def test_without_windows_only_what_hangs_on_them_is_unknown() -> None:
    with recorder(windows=False):
        found = collected()
    before, after = by_key(undisturbed().findings), by_key(judge(found, rules(), config()).findings)
    assert before.keys() == after.keys()
    turned = {key for key in before if before[key].status is not after[key].status}
    assert turned
    for key in turned:
        assert after[key].status is Status.UNKNOWN
        assert "window" in after[key].message
        assert key[0] in ("table-pitr", "table-replica-parity")
    # Recovery that is off is a failure all the same.
    off = {one.resource for one in after.values() if one.message == "Point-in-time recovery is off."}
    assert off & taken(found)


def test_a_query_that_is_denied_changes_nothing() -> None:
    found = collected()
    assert taken(found) == set()
    failed = {(one.region, one.operation) for one in found.errors} - {
        (one.region, one.operation) for one in inventory().errors
    }
    assert {operation for _, operation in failed} == {"SelectResourceConfig"}
    assert found.facts[PointInTimeRecovery] == inventory().facts[PointInTimeRecovery]
    assert found.facts[TableSettings].keys() == inventory().facts[TableSettings].keys()

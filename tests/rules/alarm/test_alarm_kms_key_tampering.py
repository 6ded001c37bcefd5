"""alarm-kms-key-tampering: only where tables have keys of their own, and not past a trail that leaves KMS out."""

from collections.abc import Mapping
from typing import Any

import pytest

from auditor import Status, Verdict
from auditor.config import Config
from auditor.facts import ClassicSelector, EncryptionKey, FieldSelector, Gap, TableNames, TrailSelectors
from auditor.resources import Account, Key, Region, Table
from tests.alarms import CHINA, DENIED, GOVERNMENT, alarm, api_calls, detect, event_rule, metric_filter
from tests.rules import KEY, REGION, TABLE, load

NAMES = ["DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"]
FILTER = metric_filter(
    '{ ($.eventSource = "kms.amazonaws.com") && '
    '(($.eventName = "DisableKey") || ($.eventName = "ScheduleKeyDeletion") || ($.eventName = "PutKeyPolicy")) }'
)
OWN = EncryptionKey("customer-managed", KEY, "KeyManager")
MANAGED = EncryptionKey("aws-managed", KEY, "KeyManager")
AWS_OWNED = EncryptionKey("aws-owned", None, "SSEDescription")


def judge(
    region: Region = REGION,
    keys: Mapping[Table, EncryptionKey | Gap] | None = None,
    names: TableNames | Gap | None = None,
    **given: Any,
) -> Verdict:
    table = Table(region, "orders")
    held = {table: EncryptionKey("customer-managed", Key(region, "1"), "KeyManager")} if keys is None else keys
    listed = TableNames((table,)) if names is None else names
    verdict = load("alarm-kms-key-tampering")(region, detect(region, **given), held, listed, Config())
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize("region", [REGION, CHINA, GOVERNMENT])
def test_an_alarm_on_all_three_passes(region: Region) -> None:
    assert judge(region, filters=[FILTER], alarms=[alarm(region=region)]).status is Status.PASS
    rule = event_rule(api_calls("kms", eventName=NAMES), region=region)
    assert judge(region, rules=[rule]).status is Status.PASS


def test_without_one_it_fails() -> None:
    verdict = judge(rules=[event_rule(api_calls("kms", eventName=NAMES[:2]))])
    assert verdict.status is Status.FAIL
    assert verdict.evidence["uncovered"] == ["kms:PutKeyPolicy"]


def test_not_applicable_without_a_customers_key() -> None:
    elsewhere = Table(Region(REGION.account, "us-east-1"), "orders")
    foreign = Table(Region(Account("999900001111"), "eu-west-1"), "orders")
    keys = {TABLE: AWS_OWNED, Table(REGION, "carts"): MANAGED, elsewhere: OWN, foreign: OWN}
    assert judge(keys=keys).status is Status.NOT_APPLICABLE


def test_unknown_while_a_table_may_have_one() -> None:
    assert judge(keys={TABLE: AWS_OWNED, Table(REGION, "carts"): DENIED}).missing_permission == "svc:Operation"
    assert judge(keys={}, names=DENIED).status is Status.UNKNOWN
    assert judge(keys={TABLE: OWN, Table(REGION, "carts"): DENIED}).status is Status.FAIL


@pytest.mark.parametrize(
    "selectors",
    [
        TrailSelectors(classic=(ClassicSelector("All", management=True, excluded_sources=("kms.amazonaws.com",)),)),
        TrailSelectors(
            advanced=(
                (
                    FieldSelector("eventCategory", equals=("Management",)),
                    FieldSelector("eventSource", not_equals=("kms.amazonaws.com",)),
                ),
            )
        ),
    ],
)
def test_a_trail_that_leaves_kms_out_hides_tampering(selectors: TrailSelectors) -> None:
    verdict = judge(selectors=selectors, filters=[FILTER], alarms=[alarm()])
    assert verdict.status is Status.FAIL
    assert "does not record kms:DisableKey" in verdict.message
    rule = event_rule(api_calls("kms", eventName=NAMES))
    assert judge(selectors=selectors, rules=[rule]).status is Status.UNKNOWN


def test_what_names_a_key_must_name_every_key_of_the_regions_tables() -> None:
    names = " || ".join(f'($.eventName = "{name}")' for name in ("DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"))
    pattern = f'{{ ($.eventSource = "kms.amazonaws.com") && ({names}) && ($.resources[0].ARN = "{KEY.arn}") }}'
    watching: dict[str, Any] = {"filters": [metric_filter(pattern)], "alarms": [alarm()]}
    held = {Table(REGION, "orders"): OWN}
    assert judge(keys=held, **watching).status is Status.PASS
    other = EncryptionKey("customer-managed", Key(REGION, "another"), "KeyManager")
    assert judge(keys=held | {Table(REGION, "invoices"): other}, **watching).status is Status.FAIL
    # The request names a key by its id or by its ARN, as the caller likes.
    by_id = pattern.replace(f'$.resources[0].ARN = "{KEY.arn}"', f'$.requestParameters.keyId = "{KEY.name}"')
    assert judge(keys=held, filters=[metric_filter(by_id)], alarms=[alarm()]).status is Status.FAIL


def test_what_names_or_leaves_out_a_key_is_unknown_while_there_may_be_others() -> None:
    def watching(arn: Any) -> dict[str, Any]:
        return {"rules": [event_rule(api_calls("kms", eventName=NAMES, resources={"ARN": [arn]}))]}

    held, other = {Table(REGION, "orders"): OWN}, Table(REGION, "invoices")
    second = EncryptionKey("customer-managed", Key(REGION, "another"), "KeyManager")
    for named in (KEY.arn, {"anything-but": {"suffix": "/another"}}):
        given = watching(named)
        assert judge(keys=held, **given).status is Status.PASS
        assert judge(keys=held | {other: second}, **given).status is Status.FAIL
        assert judge(keys=held | {other: DENIED}, **given).missing_permission == "svc:Operation"
        assert judge(keys=held, names=DENIED, **given).missing_permission == "svc:Operation"
    assert (
        judge(keys=held | {other: DENIED}, rules=[event_rule(api_calls("kms", eventName=NAMES))]).status is Status.PASS
    )

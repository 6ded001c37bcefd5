"""Rules that sum others up or ask them: which members they have, what these are asked, what is made of the answers."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pytest

from auditor import Members, Remediation, Severity, Side, Status, Verdict, config, failed, packs, passed, rule
from auditor.config import Config
from auditor.engine import Judgement, Resolver, audit, judge, wanted
from auditor.errors import UsageError
from auditor.facts import (
    DaxClusterNames,
    Detectors,
    Gap,
    Reason,
    RegionScope,
    RegionUse,
    TableNames,
    TableSettings,
    derive,
)
from auditor.facts.base import RAW, SignatureError
from auditor.inventory import Caller, CallError, Inventory, Scope
from auditor.packs import Rules
from auditor.report import RunInfo
from auditor.resources import Account, Region, Table
from auditor.rule_api import Rule

BASELINE, GUARDDUTY = "residency-region-baseline", "detect-guardduty"
MEMBERS = ("trail-management-logging", "detect-config-recorder", GUARDDUTY, "detect-access-analyzer")

ACCOUNT = Account("111122223333")
HERE, QUIET = Region(ACCOUNT, "eu-west-1"), Region(ACCOUNT, "us-east-1")
ORDERS = Table(HERE, "orders")
CALLER = Caller(ACCOUNT.id, "arn")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
UNLISTED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables")


def declare(**more: Any) -> Callable[[Callable[..., Any]], Any]:
    return rule(
        severity=Severity.HIGH,
        side=Side.AMAZON,
        practices=["B"],
        remediation=Remediation("text", "aws dynamodb list-tables", "", ""),
        references=[],
        **more,
    )


calls: list[str] = []


@declare()
def table_protected(table: Table, settings: TableSettings, *, expect: Annotated[bool, "Protection."] = True) -> Verdict:
    """Tables are protected.

    Why.
    """
    calls.append(table.name)
    if settings.billing_mode == "BROKEN":
        raise ZeroDivisionError
    return passed("on") if settings.deletion_protection == expect else failed("off")


@declare(composed_of=["table-protected"])
def table_summed_up(table: Table, members: Members) -> Verdict:
    """Tables are as other rules want them.

    Why.
    """
    said = {one.status.value: one for rule_id in members.ids for one in members.of(rule_id, table)}
    assert members.of("table-nowhere", table) == ()
    if not said:
        return passed("Nothing was said.")
    verdict = next(iter(said.values()))
    return Verdict(verdict.status, verdict.message, reason=verdict.reason)


@declare(asks=["table-summed-up"])
def table_of_tables(table: Table, members: Members) -> Verdict:
    """Tables are as those want them that ask others.

    Why.
    """
    (verdict,) = members.of("table-summed-up", table)
    return failed(f"Below: {verdict.message}") if verdict.status is Status.FAIL else passed("Good.")


@declare(composed_of=[GUARDDUTY])
def region_quiet(region: Region, members: Members) -> list[Verdict]:
    """Regions are as GuardDuty wants them.

    Why.
    """
    return list(members.of(GUARDDUTY, region))


def composed(*functions: Any) -> Rules:
    return packs._composed({function.rule.id: function.rule for function in functions})


def inventory(settings: TableSettings | Gap, *regions: Region) -> Inventory:
    made = Inventory(CALLER, (Scope(ACCOUNT, "shop", regions or (HERE,)),))
    made.put(ACCOUNT, RegionScope(regions or (HERE,), chosen=True))
    for region in regions or (HERE,):
        made.put(region, TableNames((ORDERS,) if region == HERE else ()))
        made.put(region, DaxClusterNames(()))
    if isinstance(settings, Gap):
        made.put_gap(ORDERS, TableSettings, settings)
    else:
        made.put(ORDERS, settings)
    return made


ON, OFF = TableSettings("ACTIVE", deletion_protection=True), TableSettings("ACTIVE")


def statuses(outcome: Judgement) -> dict[str, str]:
    return {finding.rule: finding.status.value for finding in outcome.findings}


# What members there are


def needed(rules: Rules) -> set[type]:
    return {fact for fact, _ in wanted(rules.values()) if RAW[fact].operations}


def test_a_composite_alone_brings_its_members_and_what_they_need() -> None:
    chosen = packs.select(packs.built_in(), [BASELINE])
    assert list(chosen) == [BASELINE]
    assert tuple(chosen[BASELINE].parts) == MEMBERS
    assert needed(chosen) == needed(packs.select(packs.built_in(), MEMBERS))
    assert Detectors in needed(chosen)


def test_a_member_that_is_skipped_is_left_out_with_what_only_it_needs() -> None:
    chosen = packs.select(packs.built_in(), [BASELINE], exclude=["detect-g*"])
    assert tuple(chosen[BASELINE].parts) == tuple(one for one in MEMBERS if one != GUARDDUTY)
    assert Detectors not in needed(chosen)


def test_a_member_below_the_severity_or_outside_the_selection_still_counts() -> None:
    chosen = packs.select(packs.built_in(), severity=Severity.MEDIUM)
    assert tuple(chosen[BASELINE].parts) == MEMBERS
    assert GUARDDUTY not in packs.select(packs.built_in(), [BASELINE])


def configured(tmp_path: Path, text: str) -> Rules:
    path = tmp_path / "ddbaudit.yaml"
    path.write_text(text)
    loaded, root = config.load(path)
    return packs.configure(packs.built_in(), loaded, root, path)


def test_a_member_is_asked_with_its_own_settings_and_not_at_all_when_switched_off(tmp_path: Path) -> None:
    text = "rules: {detect-guardduty: {enabled: false}, trail-management-logging: {accept_lake: true}}"
    rules = configured(tmp_path, text)
    parts = rules[BASELINE].parts
    assert GUARDDUTY not in {*rules, *parts}
    assert parts["trail-management-logging"] is rules["trail-management-logging"]
    assert parts["trail-management-logging"].values == {"accept_lake": True}
    assert tuple(packs.select(rules, [BASELINE], disabled=[GUARDDUTY])[BASELINE].parts) == (MEMBERS[0], *MEMBERS[1::2])


# What they are asked


@pytest.mark.parametrize(
    ("settings", "expected", "reason"),
    [
        (ON, "pass", None),
        (OFF, "fail", None),
        (DENIED, "unknown", "access_denied"),
        (TableSettings("ACTIVE", billing_mode="BROKEN"), "unknown", "rule_error"),
    ],
)
def test_members_are_asked_though_they_are_not_selected(
    settings: TableSettings | Gap, expected: str, reason: str | None
) -> None:
    rules = composed(table_protected, table_summed_up)
    outcome = judge(inventory(settings), {"table-summed-up": rules["table-summed-up"]}, Config())
    assert statuses(outcome) == {"table-summed-up": expected}
    assert outcome.findings[0].reason == reason


def test_a_member_that_was_left_out_says_nothing() -> None:
    outcome = judge(inventory(OFF), composed(table_summed_up), Config())
    assert [finding.message for finding in outcome.findings] == ["Nothing was said."]


def test_a_composite_may_ask_composites_and_each_is_asked_once() -> None:
    rules = composed(table_of_tables, table_protected, table_summed_up)
    calls.clear()
    outcome = judge(inventory(OFF), rules, Config())
    assert statuses(outcome) == {"table-protected": "fail", "table-summed-up": "fail", "table-of-tables": "fail"}
    assert calls == ["orders"]
    assert {finding.message for finding in outcome.findings} == {"off", "Below: off"}
    alone = {"table-of-tables": rules["table-of-tables"]}
    assert TableSettings in needed(alone)
    assert statuses(judge(inventory(OFF), alone, Config())) == {"table-of-tables": "fail"}


def test_settings_of_a_member_reach_through_composites() -> None:
    changed = table_protected.rule.configured(None, {"expect": False})
    rules = packs._composed({one.id: one for one in (changed, table_summed_up.rule, table_of_tables.rule)})
    assert set(statuses(judge(inventory(OFF), rules, Config())).values()) == {"pass"}


def test_a_resolver_alone_answers_too() -> None:
    rules = composed(table_protected, table_summed_up)
    (verdict,) = Resolver(inventory(OFF), Config()).verdicts(rules["table-summed-up"], ORDERS)
    assert verdict.message == "off"


def test_a_failed_call_is_told_of_the_composite_too() -> None:
    made = inventory(DENIED)
    made.errors.append(CallError("1", "eu-west-1", "dynamodb", "DescribeTable", "AccessDenied", "", "TableSettings"))
    outcome = judge(made, composed(table_protected, table_summed_up), Config())
    assert [ids for _, ids in outcome.errors] == [("table-protected", "table-summed-up")]


def region_rules() -> Rules:
    return packs._composed({GUARDDUTY: packs.built_in()[GUARDDUTY], "region-quiet": region_quiet.rule})


def test_a_region_without_tables_is_no_business_of_a_composite_whose_members_do_not_judge_it() -> None:
    made = inventory(ON, HERE, QUIET)
    made.put(HERE, Detectors(()))
    outcome = judge(made, {"region-quiet": region_rules()["region-quiet"]}, Config())
    assert {one.resource: one.status for one in outcome.findings} == {
        HERE: Status.FAIL,
        QUIET: Status.NOT_APPLICABLE,
    }


def test_where_nobody_knows_of_tables_a_composite_is_one_unknown() -> None:
    made = inventory(ON)
    made.facts[TableNames].clear()
    made.put_gap(HERE, TableNames, UNLISTED)
    outcome = judge(made, region_rules(), Config())
    assert sorted((one.rule, one.resource, one.missing_permission) for one in outcome.findings) == [
        (GUARDDUTY, HERE, "dynamodb:ListTables"),
        ("region-quiet", HERE, "dynamodb:ListTables"),
    ]


# What is made of it


def test_the_score_leaves_out_what_is_summed_up_and_counts_what_asks() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    run = RunInfo("id", moment, moment, "aws", CALLER)

    def score(*functions: Any) -> float | None:
        return audit(inventory(ON), composed(*functions), Config(), run, version="1").score

    @declare(composed_of=["table-protected"])
    def table_always_bad(table: Table, members: Members) -> Verdict:
        """Tables are good.

        Why.
        """
        return failed(f"Bad: {members.ids}")

    @declare(asks=["table-protected"])
    def table_bad_in_its_own_way(table: Table, members: Members) -> Verdict:
        """Tables are good.

        Why.
        """
        return failed(f"Bad: {members.ids}")

    assert score(table_protected) == score(table_protected, table_always_bad) == 100.0
    assert score(table_protected, table_bad_in_its_own_way) == 50.0
    assert score(table_always_bad) is None


# What is refused


PACK = '''\
from auditor import Members, Remediation, Severity, Side, failed, passed, rule
from auditor.resources import Region


@rule(
    severity=Severity.LOW, side=Side.AMAZON, practices=["B"], references=[],
    remediation=Remediation("text", "aws dynamodb list-tables", "", ""), {how}=[{ids}],
)
def region_own_baseline(region: Region, members: Members):
    """Regions are watched.

    Why.
    """
    verdicts = [one for rule_id in members.ids for one in members.of(rule_id, region)]
    return passed("yes") if all(one.status.value == "pass" for one in verdicts) else failed("no")
'''


def folder(tmp_path: Path, *ids: str, how: str = "composed_of") -> Path:
    path = tmp_path / "pack"
    path.mkdir(exist_ok=True)
    text = PACK.format(how=how, ids=", ".join(f'"{one}"' for one in ids))
    (path / "region_own_baseline.py").write_text(text)
    return path


@pytest.mark.parametrize("how", ["composed_of", "asks"])
def test_a_rule_of_ones_own_may_ask_built_in_ones_and_their_composites(tmp_path: Path, how: str) -> None:
    rules = packs.load([folder(tmp_path, GUARDDUTY, BASELINE, how=how)])
    own = packs.select(rules, ["region-own-baseline"])["region-own-baseline"]
    assert tuple(own.parts) == (GUARDDUTY, BASELINE)
    assert tuple(own.parts[BASELINE].parts) == MEMBERS
    made = inventory(ON)
    made.put(HERE, Detectors(()))
    outcome = judge(made, {own.id: own}, Config())
    assert [(one.rule, one.status) for one in outcome.findings] == [(own.id, Status.FAIL)]


def test_a_member_that_there_is_not_is_refused_with_what_may_be_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        packs.load([folder(tmp_path, "detect-guarduty")])
    assert 'there is no rule "detect-guarduty", which this one asks. Did you mean "detect-guardduty"?' in str(
        error.value
    )
    assert "region_own_baseline.py" in str(error.value)


def test_all_members_of_built_in_rules_exist() -> None:
    rules = packs.load()
    assert {one for loaded in rules.values() for one in (*loaded.composed_of, *loaded.asks)} <= set(rules)


def test_a_rule_that_asks_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="asks itself: region-own-baseline -> region-own-baseline"):
        packs.load([folder(tmp_path, "region-own-baseline")])

    @declare(asks=["table-second"])
    def table_first(table: Table, members: Members) -> Verdict:
        """Tables are good.

        Why.
        """
        return passed(str(members.ids))

    @declare(composed_of=["table-first"])
    def table_second(table: Table, members: Members) -> Verdict:
        """Tables are good.

        Why.
        """
        return passed(str(members.ids))

    with pytest.raises(UsageError, match="table-first -> table-second -> table-first"):
        composed(table_first, table_second)


def test_members_and_the_parameter_for_them_belong_together() -> None:
    def lonely(table: Table, members: Members) -> Verdict:
        """Tables are good.

        Why.
        """
        return passed(str(members.ids))

    def deaf(table: Table, settings: TableSettings) -> Verdict:
        """Tables are good.

        Why.
        """
        return passed(settings.status)

    for mark, function in ((declare(), lonely), (declare(composed_of=["x"]), deaf), (declare(asks=["x"]), deaf)):
        with pytest.raises(SignatureError, match="parameter of type Members, and no other rule has one"):
            mark(function)

    def derived(region: Region, members: Members) -> RegionUse:
        return RegionUse(bool(members.ids))

    with pytest.raises(SignatureError, match="asks no rules"):
        derive(derived)


def test_ids_may_come_from_anything_that_yields_them() -> None:
    def table_late(table: Table, members: Members) -> Verdict:
        """Tables are good.

        Why.
        """
        return passed(str(members.ids))

    marked = declare(composed_of=(one for one in ("table-protected",)))(table_late)
    held: Rule = marked.rule
    assert held.composed_of == ("table-protected",)

"""table-deletion-protection by plain calls: no mock, no AWS."""

from auditor import Severity, Status, engine, packs
from auditor.config import Config
from auditor.facts import DaxClusterNames, Environment, Gap, Reason, RegionScope, TableNames, TableSettings, Tags
from auditor.inventory import Caller, Inventory, Scope
from tests.rules import ACCOUNT, REGION, TABLE, load

judge = load("table-deletion-protection")

PRODUCTION = Environment(production=True, source="tag env=prod")
SANDBOX = Environment(production=False, source="tag env=dev")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
ON = TableSettings(status="ACTIVE", deletion_protection=True)
OFF = TableSettings(status="ACTIVE")


def test_protection_on_passes_even_when_tags_cannot_be_read() -> None:
    assert judge(TABLE, ON, PRODUCTION).status is Status.PASS
    assert judge(TABLE, ON, DENIED).status is Status.PASS


def test_protection_off_fails_in_production() -> None:
    verdict = judge(TABLE, OFF, PRODUCTION)
    assert verdict.status is Status.FAIL
    assert verdict.severity is None
    assert verdict.evidence == {"DeletionProtectionEnabled": False}


def test_protection_off_outside_production_is_judged_only_on_request() -> None:
    assert judge(TABLE, OFF, SANDBOX).status is Status.NOT_APPLICABLE
    verdict = judge(TABLE, OFF, SANDBOX, require_for="all")
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)


def test_protection_off_with_unreadable_tags_is_unknown_and_names_the_action() -> None:
    verdict = judge(TABLE, OFF, DENIED)
    assert verdict.status is Status.UNKNOWN
    assert verdict.missing_permission == "dynamodb:ListTagsOfResource"
    assert judge(TABLE, OFF, DENIED, require_for="all").status is Status.FAIL


def test_tables_in_transition_and_archived_ones_are_not_judged() -> None:
    for status in ("CREATING", "DELETING", "ARCHIVING", "ARCHIVED"):
        assert judge(TABLE, TableSettings(status=status), PRODUCTION).status is Status.NOT_APPLICABLE


def test_a_table_without_environment_tags_counts_as_production_and_the_engine_lowers_the_severity() -> None:
    untagged = Environment(production=True, source="not tagged", tagged=False)
    assert (judge(TABLE, OFF, untagged).status, judge(TABLE, OFF, untagged).severity) == (Status.FAIL, None)
    made = Inventory(Caller(ACCOUNT.id, "arn"), (Scope(ACCOUNT, "", (REGION,)),))
    for fact in (TableNames((TABLE,)), DaxClusterNames(())):
        made.put(REGION, fact)
    made.put(ACCOUNT, RegionScope((REGION,), chosen=True))
    made.put(TABLE, OFF)
    made.put(TABLE, Tags({}))
    rules = packs.select(packs.built_in(), ["table-deletion-protection"])
    (finding,) = engine.judge(made, rules, Config()).findings
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.MEDIUM)
    assert finding.evidence["environment"] == "not tagged"


def test_a_table_that_lost_its_key_is_still_judged() -> None:
    assert judge(TABLE, TableSettings("INACCESSIBLE_ENCRYPTION_CREDENTIALS"), PRODUCTION).status is Status.FAIL

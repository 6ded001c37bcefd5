"""residency-region-baseline: what the member rules say of a region, summed up."""

from typing import Any

import pytest

from auditor import Members, Severity, Status, Verdict, failed, not_applicable, packs, passed, unknown
from auditor.facts import Gap, Reason
from tests.rules import REGION, load

rule: Any = load("residency-region-baseline")

TRAIL, CONFIG, GUARDDUTY, ANALYZER = IDS = (
    "trail-management-logging",
    "detect-config-recorder",
    "detect-guardduty",
    "detect-access-analyzer",
)
GOOD, BAD, NOTHING = passed("Good."), failed("Bad."), not_applicable("Not here.")
DENIED = unknown(Gap(Reason.ACCESS_DENIED, "Not allowed.", "guardduty:ListDetectors"))
OPEN = unknown("Nobody knows.")


def judge(*off: str, settings: Any = None, **said: Verdict | tuple[Verdict, ...]) -> Verdict:
    """Judge what members say, by id with underscores; those that are not named pass."""

    def ask(rule_id: str, resource: Any) -> tuple[Verdict, ...]:
        assert resource == REGION
        given = said.get(rule_id.replace("-", "_"), GOOD)
        return given if isinstance(given, tuple) else (given,)

    verdict: Verdict = rule(REGION, Members(ask, [one for one in IDS if one not in off]), **(settings or {}))
    return verdict


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({}, Status.PASS),
        ({"detect_guardduty": BAD}, Status.FAIL),
        ({"detect_guardduty": BAD, "detect_access_analyzer": DENIED}, Status.FAIL),
        ({"detect_guardduty": DENIED}, Status.UNKNOWN),
        ({"detect_guardduty": NOTHING}, Status.PASS),
        ({"detect_guardduty": passed("Declared.", attested="x")}, Status.PASS),
        ({"detect_guardduty": (GOOD, BAD)}, Status.FAIL),
        ({"detect_guardduty": (GOOD, DENIED)}, Status.UNKNOWN),
        ({"detect_guardduty": ()}, Status.PASS),
        ({one.replace("-", "_"): NOTHING for one in IDS}, Status.NOT_APPLICABLE),
        ({one.replace("-", "_"): () for one in IDS}, Status.NOT_APPLICABLE),
    ],
)
def test_the_worst_member_decides(said: Any, status: Status) -> None:
    assert judge(**said).status is status


def test_a_failure_names_every_member_that_fails() -> None:
    verdict = judge(detect_guardduty=BAD, trail_management_logging=BAD, detect_config_recorder=DENIED)
    assert verdict.message == (
        "The region falls short of the baseline by trail-management-logging, detect-guardduty."
    )  # fmt: skip
    assert verdict.evidence[GUARDDUTY] == [{"status": "fail", "message": "Bad."}]
    assert verdict.severity is None


def test_an_unknown_member_gives_its_reason_and_a_missing_permission_first() -> None:
    verdict = judge(detect_guardduty=(OPEN, DENIED))
    assert (verdict.reason, verdict.missing_permission) == ("access_denied", "guardduty:ListDetectors")
    assert verdict.message == "detect-guardduty: Not allowed."
    broken = unknown("The rule itself failed.", reason=Reason.RULE_ERROR)
    assert judge(detect_guardduty=broken).reason == "rule_error"


def test_a_member_that_is_switched_off_is_left_out() -> None:
    verdict = judge(GUARDDUTY, detect_guardduty=BAD)
    assert verdict.status is Status.PASS
    assert verdict.evidence[GUARDDUTY] == "switched off"
    assert judge(*IDS).status is Status.NOT_APPLICABLE


def test_the_setting_chooses_members() -> None:
    chosen = {"baseline": ("trail", "config")}
    assert judge(settings=chosen, detect_guardduty=BAD).status is Status.PASS
    assert judge(settings=chosen, detect_config_recorder=BAD).status is Status.FAIL
    assert set(judge(settings=chosen).evidence) == {TRAIL, CONFIG}
    assert judge(settings={"baseline": ()}, detect_guardduty=BAD).status is Status.NOT_APPLICABLE


def test_the_members_are_built_in_rules_about_regions() -> None:
    loaded = packs.built_in()[rule.rule.id]
    assert loaded.composed_of == IDS
    assert tuple(loaded.parts) == IDS
    assert {one.signature.kinds for one in loaded.parts.values()} == {(type(REGION),)}
    assert loaded.severity is Severity.MEDIUM

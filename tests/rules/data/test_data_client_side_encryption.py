"""data-client-side-encryption: items prove it, by header, footer and at least one encrypted attribute."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import Gap, ItemSample, Reason, Sensitivity, TableSettings, Tags
from auditor.resources import Account, Region, Table
from tests.rules import TABLE, load

rule = load("data-client-side-encryption")

SENSITIVE = Sensitivity(sensitive=True, classified=True, source="data-classification=pii")
INTERNAL = Sensitivity(sensitive=False, classified=True, source="data-classification=internal")
UNTAGGED = Sensitivity(sensitive=False, classified=False)
FULL, NONE = TableSettings("ACTIVE", item_count=100), TableSettings("ACTIVE")
OFF = Gap(Reason.PARTIAL_DATA, "Item sampling is off: `sampling.items_per_table` turns it on.")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:Scan")
NO_KEY = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:Decrypt")
NO_TAGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")


def sample(**kinds: int) -> ItemSample:
    renamed = {name.replace("_", "-"): count for name, count in kinds.items()}
    return ItemSample(sum(kinds.values()), renamed, consumed=1.5)


def judge(
    found: ItemSample | Gap,
    sensitivity: Sensitivity | Gap = SENSITIVE,
    settings: TableSettings = FULL,
    *,
    tags: dict[str, str] | Gap | None = None,
    table: Table = TABLE,
    **options: Any,
) -> Verdict:
    held = tags if isinstance(tags, Gap) else Tags(tags or {})
    verdict: Verdict = rule(table, settings, sensitivity, held, found, **options)
    return verdict


def test_a_table_whose_items_are_all_encrypted_passes() -> None:
    verdict = judge(sample(encrypted=25))
    assert verdict.status is Status.PASS
    assert verdict.evidence["encryptedRatio"] == 1
    assert (verdict.evidence["sampledItems"], verdict.evidence["CapacityUnits"]) == (25, 1.5)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"plain": 25}, "None of 25 sampled items is encrypted by the client."),
        ({"encrypted": 20, "plain": 5}, "Only 20 of 25"),
        ({"signed": 25}, "25 are merely signed"),
        ({"legacy_signed": 25}, "25 are merely signed"),
        ({"encrypted": 24, "malformed": 1}, "Only 24 of 25"),
        ({"malformed": 3}, "None of 3"),
    ],
)
def test_plain_mixed_signed_and_malformed_items_fail(kinds: dict[str, int], words: str) -> None:
    verdict = judge(sample(**kinds))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert words in verdict.message
    assert verdict.evidence["encryptedRatio"] < 1


def test_the_least_ratio_is_a_setting() -> None:
    mixed = sample(encrypted=20, plain=5)
    assert judge(mixed, min_encrypted_ratio=0.8).status is Status.PASS
    assert judge(mixed, min_encrypted_ratio=0.81).status is Status.FAIL


def test_items_of_the_legacy_client_pass_with_a_note() -> None:
    verdict = judge(sample(legacy=10, encrypted=15))
    assert verdict.status is Status.PASS
    assert "10 of them by the legacy" in verdict.message
    assert "legacy" in verdict.evidence["note"]
    assert "note" not in judge(sample(encrypted=25)).evidence


def test_the_legacy_client_may_be_refused() -> None:
    verdict = judge(sample(legacy=25), legacy="fail")
    assert verdict.status is Status.FAIL
    assert "legacy" in verdict.message
    assert judge(sample(encrypted=15, legacy=10), legacy="fail").evidence["encryptedRatio"] == 0.6
    assert judge(sample(legacy=10, plain=15)).status is Status.FAIL


@pytest.mark.parametrize("sensitivity", [INTERNAL, UNTAGGED])
def test_a_table_that_is_not_sensitive_need_not(sensitivity: Sensitivity) -> None:
    for found in (sample(plain=25), OFF, DENIED):
        assert judge(found, sensitivity).status is Status.NOT_APPLICABLE


def test_all_tables_may_be_required_which_is_informational_for_those_not_sensitive() -> None:
    verdict = judge(sample(plain=25), INTERNAL, require_for="all")
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.INFORMATIONAL)
    assert judge(sample(plain=25), require_for="all").severity is Severity.HIGH
    assert judge(sample(encrypted=25), UNTAGGED, require_for="all").status is Status.PASS


def test_without_sampling_it_is_unknown_and_says_how_to_opt_in() -> None:
    verdict = judge(OFF)
    assert (verdict.status, verdict.reason, verdict.missing_permission) == (Status.UNKNOWN, "partial_data", None)
    assert "sampling.items_per_table" in verdict.message


@pytest.mark.parametrize("gap", [DENIED, NO_KEY])
def test_a_scan_that_iam_or_the_key_refuses_is_unknown(gap: Gap) -> None:
    verdict = judge(gap)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, gap.action)


def test_a_table_that_could_not_be_read_is_unknown_and_says_why() -> None:
    verdict = judge(ItemSample(skipped="provisioned capacity below 5 read units"))
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "partial_data")
    assert "provisioned capacity below 5" in verdict.message
    assert "max_rcu" in judge(ItemSample(stopped="max_rcu")).message


def test_emptiness_is_the_scans_word_and_without_sampling_that_of_item_count() -> None:
    scanned = ItemSample(exhausted=True)
    assert judge(scanned, settings=FULL).status is Status.NOT_APPLICABLE
    assert judge(sample(plain=1), settings=NONE).status is Status.FAIL
    assert judge(OFF, settings=NONE).status is Status.NOT_APPLICABLE
    assert judge(ItemSample(skipped="the table is rare"), settings=NONE).status is Status.NOT_APPLICABLE
    # A Scan that was refused may have shown items that ItemCount, six hours old, does not know.
    assert judge(DENIED, settings=NONE).status is Status.UNKNOWN


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "ARCHIVING", "ARCHIVED"])
def test_tables_in_transition_and_archived_ones_are_not_judged(status: str) -> None:
    assert judge(sample(plain=1), settings=TableSettings(status)).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("found", [sample(plain=25), OFF, DENIED])
def test_the_tag_attests_what_nobody_can_recognise(found: ItemSample | Gap) -> None:
    verdict = judge(found, tags={"Client-Side-Encryption": "vault-transit"})
    assert verdict.status is Status.PASS
    assert verdict.evidence["attested"] == "tag client-side-encryption=vault-transit"


@pytest.mark.parametrize("value", ["none", "False", " no ", "OFF", ""])
def test_a_tag_that_denies_it_attests_nothing(value: str) -> None:
    assert judge(sample(plain=25), tags={"client-side-encryption": value}).status is Status.FAIL
    assert judge(OFF, tags={"client-side-encryption": value}).status is Status.UNKNOWN


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_a_declared_table_passes_by_name_or_arn(partition: str) -> None:
    table = Table(Region(Account("111122223333", partition), "eu-west-1"), "patients")
    arn = f"arn:{partition}:dynamodb:*:111122223333:table/pat*"
    for pattern in ("pat*", arn):
        verdict = judge(sample(plain=9), table=table, declared={pattern: "AES in the app"})
        assert (verdict.status, verdict.evidence["attested"]) == (Status.PASS, "declared as AES in the app")
    assert judge(sample(plain=9), table=table, declared={"orders": "AES"}).status is Status.FAIL


def test_unreadable_tags_leave_it_open_unless_every_table_must_and_does() -> None:
    for found in (sample(plain=25), sample(encrypted=25)):
        verdict = judge(found, NO_TAGS, tags=NO_TAGS)
        assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTagsOfResource")
    assert judge(sample(encrypted=25), NO_TAGS, tags=NO_TAGS, require_for="all").status is Status.PASS
    assert judge(sample(plain=25), NO_TAGS, tags=NO_TAGS, require_for="all").status is Status.UNKNOWN
    assert judge(ItemSample(exhausted=True), NO_TAGS, tags=NO_TAGS).status is Status.NOT_APPLICABLE

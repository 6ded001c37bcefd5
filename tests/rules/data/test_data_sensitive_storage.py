"""data-sensitive-storage: values before tags before names, and no pass without having looked."""

from collections.abc import Callable
from typing import Any

import pytest

from auditor import Members, Severity, Status, Verdict, failed, not_applicable, packs, passed, unknown
from auditor.config import Config
from auditor.engine import judge as judge_all
from auditor.facts import (
    Gap,
    Hit,
    Index,
    ItemSample,
    Reason,
    RegionScope,
    Sensitivity,
    TableNames,
    TableSettings,
    Tags,
)
from auditor.inventory import Caller, Inventory, Scope
from tests.rules import ACCOUNT, REGION, TABLE, load

rule = load("data-sensitive-storage")

SENSITIVE = Sensitivity(sensitive=True, classified=True, source="data-classification=pii")
INTERNAL = Sensitivity(sensitive=False, classified=True, source="data-classification=internal")
UNTAGGED = Sensitivity(sensitive=False, classified=False)
FULL, NONE = TableSettings("ACTIVE", item_count=100), TableSettings("ACTIVE")
OFF = Gap(Reason.PARTIAL_DATA, "Item sampling is off.")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:Scan")
NO_TAGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")

ENCRYPTED = passed("Encrypted.")
PLAIN = failed("None is encrypted.")
WITHOUT_HITS = ItemSample(25, {"plain": 25}, values=True, consumed=3.5)


def sample(*hits: Hit, items: int = 25) -> ItemSample:
    return ItemSample(items, {"plain": items}, values=True, hits=hits)


def email(count: int, of: int = 25, *, name: str = "contact", shaped: int = 0, key: bool = False) -> Hit:
    return Hit(name, "email", count, of, shaped or count, key)


def members(*verdicts: Verdict) -> Members:
    return Members(lambda _rule, _resource: verdicts, ["data-client-side-encryption"])


def judge(
    found: ItemSample | Gap,
    sensitivity: Sensitivity | Gap = UNTAGGED,
    settings: TableSettings = FULL,
    *said: Verdict,
    **options: Any,
) -> Verdict:
    verdict: Verdict = rule(TABLE, settings, sensitivity, found, members(*said), **options)
    return verdict


# Values


@pytest.mark.parametrize("sensitivity", [SENSITIVE, INTERNAL, UNTAGGED, NO_TAGS])
def test_values_that_were_found_fail_whatever_the_tag_says(sensitivity: Sensitivity | Gap) -> None:
    verdict = judge(sample(email(3)), sensitivity, FULL, ENCRYPTED)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert "email in 3 of 25 items in the attribute contact" in verdict.message
    assert verdict.evidence["hits"] == [
        {"attribute": "contact", "detector": "email", "items": 3, "of": 25, "key": False}
    ]


@pytest.mark.parametrize(
    ("hit", "status"),
    [
        (email(3, 60), Status.FAIL),
        (email(3, 61), Status.PASS),
        (email(2, 25), Status.PASS),
        (email(1, 3), Status.PASS),
        (Hit("serial", "payment-card", 3, 25, 7), Status.PASS),
        (Hit("serial", "payment-card", 3, 25, 6), Status.FAIL),
    ],
)
def test_few_hits_and_checksums_by_chance_do_not_count(hit: Hit, status: Status) -> None:
    assert judge(sample(hit, items=100)).status is status


def test_a_pass_in_spite_of_single_hits_does_not_say_that_there_are_none() -> None:
    for sensitivity in (INTERNAL, UNTAGGED):
        verdict = judge(sample(email(2)), sensitivity)
        assert verdict.status is Status.PASS
        assert "too few of 25 sampled items" in verdict.message.lower()
        assert verdict.evidence["hits"][0]["items"] == 2


def test_the_thresholds_are_settings() -> None:
    assert judge(sample(email(2)), min_hits=2).status is Status.FAIL
    assert judge(sample(email(3)), min_ratio=0.2).status is Status.PASS


@pytest.mark.parametrize(("count", "of", "ratio"), [(7, 25, 0.28), (7, 100, 0.07), (14, 25, 0.56), (3, 30, 0.1)])
def test_exactly_the_least_ratio_is_enough(count: int, of: int, ratio: float) -> None:
    assert judge(sample(email(count, of), items=of), min_ratio=ratio).status is Status.FAIL
    assert judge(sample(email(count - 1, of), items=of), min_ratio=ratio).status is Status.PASS


@pytest.mark.parametrize("sensitivity", [INTERNAL, UNTAGGED])
def test_hits_too_few_for_want_of_items_are_unknown(sensitivity: Sensitivity) -> None:
    verdict = judge(sample(email(2, 2), items=2), sensitivity)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "partial_data")
    assert judge(sample(email(2, 2), items=2), SENSITIVE, FULL, ENCRYPTED).status is Status.UNKNOWN
    assert judge(sample(email(2, 2), items=2), SENSITIVE, FULL, PLAIN).status is Status.FAIL


def test_a_value_in_a_key_is_told_apart_since_keys_cannot_be_encrypted() -> None:
    verdict = judge(sample(email(9, name="pk", key=True)))
    assert verdict.status is Status.FAIL
    assert "key attribute pk" in verdict.message
    assert "Keys cannot be encrypted" in verdict.message
    assert "Keys cannot" not in judge(sample(email(9))).message


def test_rds_is_named_unless_the_setting_says_no_and_credentials_get_other_advice() -> None:
    assert "RDS" in judge(sample(email(9))).message
    assert "RDS" not in judge(sample(email(9)), rds_alternative=False).message
    token = judge(sample(Hit("token", "jwt", 9, 25, 9))).message
    assert "RDS" not in token
    assert "Secrets Manager" in token


# Tags


def test_a_sensitive_table_passes_when_the_client_encrypts_its_items() -> None:
    verdict = judge(WITHOUT_HITS, SENSITIVE, FULL, ENCRYPTED)
    assert verdict.status is Status.PASS
    assert verdict.evidence["classification"] == "data-classification=pii"
    assert "attested" not in verdict.evidence
    attested = judge(OFF, SENSITIVE, FULL, passed("Attested.", attested="tag client-side-encryption=x"))
    assert (attested.status, attested.evidence["attested"]) == (Status.PASS, "tag client-side-encryption=x")


def test_a_sensitive_table_in_plain_text_fails() -> None:
    verdict = judge(WITHOUT_HITS, SENSITIVE, FULL, PLAIN)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert "None is encrypted." in verdict.message


def test_a_sensitive_table_is_as_unknown_as_its_encryption() -> None:
    verdict = judge(OFF, SENSITIVE, FULL, unknown(OFF))
    assert (verdict.status, verdict.reason, verdict.missing_permission) == (Status.UNKNOWN, "partial_data", None)
    assert judge(OFF, SENSITIVE).status is Status.UNKNOWN  # the other rule is switched off
    assert judge(WITHOUT_HITS, SENSITIVE, FULL, not_applicable("No.")).status is Status.UNKNOWN


@pytest.mark.parametrize("found", [OFF, WITHOUT_HITS, ItemSample(25, {"plain": 25}), ItemSample(skipped="little")])
def test_a_table_classified_otherwise_passes_when_nothing_was_found(found: ItemSample | Gap) -> None:
    verdict = judge(found, INTERNAL)
    assert verdict.status is Status.PASS
    assert ("none of 25" in verdict.message) is (found is WITHOUT_HITS)


def test_the_tag_decides_over_names() -> None:
    named = TableSettings("ACTIVE", item_count=9, partition_keys=("email",))
    assert judge(OFF, INTERNAL, named).status is Status.PASS
    assert judge(OFF, UNTAGGED, named).status is Status.FAIL


def test_unreadable_tags_are_unknown_without_values() -> None:
    for found in (OFF, WITHOUT_HITS):
        verdict = judge(found, NO_TAGS, FULL, ENCRYPTED)
        assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTagsOfResource")


@pytest.mark.parametrize("sensitivity", [SENSITIVE, INTERNAL, UNTAGGED])
def test_a_scan_that_was_refused_may_have_shown_values(sensitivity: Sensitivity) -> None:
    settings = TableSettings("ACTIVE", partition_keys=("email",))
    verdict = judge(DENIED, sensitivity, settings, ENCRYPTED)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:Scan")


def test_an_accepted_table_passes_as_attested() -> None:
    for pattern in ("ord*", TABLE.arn):
        verdict = judge(sample(email(9)), SENSITIVE, FULL, PLAIN, accepted_sensitive_tables=(pattern,))
        assert verdict.status is Status.PASS
        assert verdict.evidence["attested"] == f"accepted_sensitive_tables: {pattern}"
    assert judge(sample(email(9)), accepted_sensitive_tables=("carts",)).status is Status.FAIL


# Neither


def test_an_unclassified_table_passes_only_when_values_were_sampled() -> None:
    verdict = judge(WITHOUT_HITS)
    assert verdict.status is Status.PASS
    assert verdict.evidence["sampledItems"] == 25
    for found, word in (
        (OFF, "items_per_table"),
        (ItemSample(25, {"plain": 25}), "sampling.values"),
        (ItemSample(skipped="provisioned capacity below 5 read units", values=True), "provisioned"),
        (ItemSample(stopped="max_rcu", values=True), "max_rcu"),
    ):
        verdict = judge(found)
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "partial_data")
        assert word in verdict.message


@pytest.mark.parametrize("sensitivity", [SENSITIVE, INTERNAL, UNTAGGED, NO_TAGS])
def test_an_empty_table_is_not_judged(sensitivity: Sensitivity | Gap) -> None:
    assert judge(ItemSample(exhausted=True, values=True), sensitivity, FULL, PLAIN).status is Status.NOT_APPLICABLE
    assert judge(OFF, sensitivity, NONE, PLAIN).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "ARCHIVED"])
def test_tables_in_transition_and_archived_ones_are_not_judged(status: str) -> None:
    assert judge(sample(email(9)), settings=TableSettings(status)).status is Status.NOT_APPLICABLE


# Names


@pytest.mark.parametrize(
    "name",
    [
        *("ssn", "SSN", "passport", "passportNumber", "iban", "card", "card_number", "cardNumber", "cvv", "dob"),
        *("date_of_birth", "birthDate", "salary", "diagnosis", "email", "e-mail", "customerEmail", "emailAddress"),
        *("phone", "phone_no", "home-phone", "password", "clientSecret", "api.token", "Email2"),
    ],
)
def test_attributes_named_like_sensitive_data_fail_low(name: str) -> None:
    verdict = judge(OFF, settings=TableSettings("ACTIVE", item_count=9, partition_keys=(name,)))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert verdict.evidence["suspiciousNames"] == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("pk", "email_template", "emailTemplateId", "scorecard", "card_color", "passportCountry", "tokenizer"),
        *("phone_model", "secretary", "birthplace_count", "dobby", "session_token_ttl", "diagnostics", "discard"),
    ],
)
def test_words_inside_other_words_or_about_something_else_say_nothing(name: str) -> None:
    verdict = judge(OFF, settings=TableSettings("ACTIVE", item_count=9, partition_keys=(name,)))
    assert verdict.status is Status.UNKNOWN


@pytest.mark.parametrize(
    "index",
    [
        Index("i", "global", partition_keys=("email",)),
        Index("i", "local", sort_keys=("email",)),
        Index("i", "global", projected=("total", "email")),
        Index("i", "vector", vector="email"),
        Index("i", "vector", vector="email_embedding"),
    ],
)
def test_keys_projections_and_vectors_of_indexes_are_looked_at(index: Index) -> None:
    verdict = judge(OFF, settings=TableSettings("ACTIVE", item_count=9, partition_keys=("pk",), indexes=(index,)))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert ("VectorAttribute" in verdict.evidence) is (index.vector is not None)


def test_a_sample_settles_names_of_what_it_looks_for_and_no_others() -> None:
    def settings(name: str) -> TableSettings:
        return TableSettings("ACTIVE", item_count=9, sort_keys=(name,))

    assert judge(WITHOUT_HITS, settings=settings("email")).status is Status.PASS
    assert judge(WITHOUT_HITS, settings=settings("date_of_birth")).status is Status.FAIL
    assert judge(ItemSample(25, {"plain": 25}), settings=settings("email")).status is Status.FAIL
    vector = TableSettings("ACTIVE", indexes=(Index("i", "vector", vector="email_vector"),))
    assert judge(WITHOUT_HITS, settings=vector).status is Status.FAIL


# Beside the rule that it asks


def inventory(found: ItemSample) -> Inventory:
    made = Inventory(Caller(ACCOUNT.id, "arn"), (Scope(ACCOUNT, "shop", (REGION,)),))
    made.put(ACCOUNT, RegionScope((REGION,), chosen=False))
    made.put(REGION, TableNames((TABLE,)))
    made.put(TABLE, FULL)
    made.put(TABLE, Tags({"data-classification": "pii", "env": "prod"}))
    made.put(TABLE, found)
    return made


@pytest.mark.parametrize(("kind", "status"), [("encrypted", Status.PASS), ("plain", Status.FAIL)])
@pytest.mark.parametrize("select", [packs.built_in, lambda: packs.select(packs.built_in(), ["data-sensitive-storage"])])
def test_it_asks_the_other_rule_with_that_rules_own_settings_and_counts_in_the_score(
    kind: str, status: Status, select: Callable[[], packs.Rules]
) -> None:
    found = judge_all(inventory(ItemSample(25, {kind: 25}, values=True)), select(), Config()).findings
    (mine,) = [one for one in found if one.rule == "data-sensitive-storage"]
    assert (mine.status, mine.severity) == (status, Severity.HIGH)
    assert select()["data-sensitive-storage"].composed_of == ()

"""table-encryption-key: kind of key against what the table's class asks for, and recorded choices."""

import pytest

from auditor import Severity, Status
from auditor.facts import EncryptionKey, Environment, Gap, Reason, Sensitivity, TableSettings, Tags
from tests.rules import KEY, TABLE, load

judge = load("table-encryption-key")

OWNED = EncryptionKey("aws-owned", None, "SSEDescription")
MANAGED = EncryptionKey("aws-managed", KEY, "KeyManager")
CUSTOMER = EncryptionKey("customer-managed", KEY, "KeyManager")
PRODUCTION = Environment(production=True, source="tag env=prod")
SANDBOX = Environment(production=False, source="tag env=dev")
SENSITIVE = Sensitivity(sensitive=True, classified=True, source="data-classification=pii")
PLAIN = Sensitivity(sensitive=False, classified=True, source="data-classification=internal")
UNCLASSIFIED = Sensitivity(sensitive=False, classified=False)
ACTIVE = TableSettings("ACTIVE", sse_type="KMS")
NO_TAGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
NO_KMS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:DescribeKey")
NONE = Tags({})


@pytest.mark.parametrize(
    ("key", "environment", "sensitivity", "expected"),
    [
        (CUSTOMER, PRODUCTION, SENSITIVE, None),
        (CUSTOMER, SANDBOX, UNCLASSIFIED, None),
        (MANAGED, PRODUCTION, PLAIN, None),
        (MANAGED, PRODUCTION, UNCLASSIFIED, None),
        (MANAGED, SANDBOX, SENSITIVE, Severity.MEDIUM),
        (OWNED, SANDBOX, SENSITIVE, Severity.HIGH),
        (OWNED, PRODUCTION, SENSITIVE, Severity.HIGH),
        (OWNED, PRODUCTION, PLAIN, Severity.MEDIUM),
        (OWNED, PRODUCTION, UNCLASSIFIED, Severity.MEDIUM),
        (OWNED, SANDBOX, PLAIN, None),
        (OWNED, SANDBOX, UNCLASSIFIED, Severity.LOW),
    ],
)
def test_the_kind_of_key_is_measured_by_the_tables_class(
    key: EncryptionKey, environment: Environment, sensitivity: Sensitivity, expected: Severity | None
) -> None:
    verdict = judge(TABLE, ACTIVE, key, sensitivity, environment, NONE)
    assert (verdict.status, verdict.severity) == (Status.PASS if expected is None else Status.FAIL, expected)
    assert verdict.evidence["keyType"] == key.type
    assert verdict.evidence["KMSMasterKeyArn"] == (key.key.arn if key.key else None)
    assert verdict.evidence["SSEType"] == "KMS"


@pytest.mark.parametrize("value", ["aws-owned", "AWS-Owned", " aws-owned "])
def test_a_recorded_choice_passes_and_says_so(value: str) -> None:
    verdict = judge(TABLE, ACTIVE, OWNED, PLAIN, PRODUCTION, Tags({"Encryption-Key": value}))
    assert verdict.status is Status.PASS
    assert verdict.evidence["attested"] == "encryption-key=aws-owned"
    assert judge(TABLE, ACTIVE, OWNED, UNCLASSIFIED, SANDBOX, Tags({"encryption-key": value})).status is Status.PASS


def test_a_recorded_choice_does_not_help_a_sensitive_table_nor_one_with_another_kind_of_key() -> None:
    chosen = Tags({"encryption-key": "aws-owned"})
    assert judge(TABLE, ACTIVE, OWNED, SENSITIVE, PRODUCTION, chosen).status is Status.FAIL
    other = Tags({"encryption-key": "customer-managed"})
    assert judge(TABLE, ACTIVE, OWNED, PLAIN, PRODUCTION, other).status is Status.FAIL
    assert judge(TABLE, ACTIVE, OWNED, UNCLASSIFIED, SANDBOX, other).severity is Severity.LOW


def test_the_decision_tag_is_a_setting() -> None:
    tags = Tags({"kms": "aws-owned"})
    assert judge(TABLE, ACTIVE, OWNED, PLAIN, PRODUCTION, tags).status is Status.FAIL
    assert judge(TABLE, ACTIVE, OWNED, PLAIN, PRODUCTION, tags, decision_tag="kms").status is Status.PASS


def test_the_minima_are_settings() -> None:
    strict = {"sensitive": "customer-managed", "production": "customer-managed", "default": "aws-managed"}
    assert judge(TABLE, ACTIVE, MANAGED, PLAIN, PRODUCTION, NONE, min_key_type=strict).status is Status.FAIL
    assert judge(TABLE, ACTIVE, OWNED, PLAIN, SANDBOX, NONE, min_key_type=strict).severity is Severity.MEDIUM
    loose = {"sensitive": "aws-owned", "production": "aws-owned", "default": "aws-owned"}
    assert judge(TABLE, ACTIVE, OWNED, SENSITIVE, PRODUCTION, NONE, min_key_type=loose).status is Status.PASS
    assert judge(TABLE, ACTIVE, OWNED, UNCLASSIFIED, SANDBOX, NONE, min_key_type=loose).severity is Severity.LOW


def test_unreadable_tags_matter_only_below_the_strictest_minimum() -> None:
    assert judge(TABLE, ACTIVE, CUSTOMER, NO_TAGS, NO_TAGS, NO_TAGS).status is Status.PASS
    for key in (OWNED, MANAGED):
        verdict = judge(TABLE, ACTIVE, key, NO_TAGS, NO_TAGS, NO_TAGS)
        assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTagsOfResource")
    loose = {"sensitive": "aws-owned", "production": "aws-owned", "default": "aws-owned"}
    # Whether the choice was recorded cannot be read.
    assert judge(TABLE, ACTIVE, OWNED, NO_TAGS, NO_TAGS, NO_TAGS, min_key_type=loose).status is Status.UNKNOWN


def test_an_unreadable_key_is_unknown() -> None:
    verdict = judge(TABLE, ACTIVE, NO_KMS, PLAIN, PRODUCTION, NONE)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "kms:DescribeKey")


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "ARCHIVING", "ARCHIVED"])
def test_tables_in_transition_and_archived_ones_are_not_judged(status: str) -> None:
    assert judge(TABLE, TableSettings(status), NO_KMS, SENSITIVE, PRODUCTION, NONE).status is Status.NOT_APPLICABLE


def test_a_legacy_global_table_fails_like_others_and_shows_its_version() -> None:
    legacy = TableSettings("ACTIVE", sse_type="KMS", global_table_version="2017.11.29")
    verdict = judge(TABLE, legacy, MANAGED, SENSITIVE, PRODUCTION, NONE)
    assert verdict.status is Status.FAIL
    assert verdict.evidence["GlobalTableVersion"] == "2017.11.29"

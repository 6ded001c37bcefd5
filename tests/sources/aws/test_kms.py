"""Policies and grants of the keys that tables use."""

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from auditor.facts import Gap, Grant, KeyGrants, KeyPolicy, Reason
from auditor.inventory import dumps, loads
from auditor.resources import Key
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import Gather, answer, create_table


@pytest.fixture
def key(access: Access) -> Key:
    """The key of a table."""
    own = {"AWS": "arn:aws:iam::123456789012:root"}
    statement = {"Sid": "own", "Effect": "Allow", "Principal": own, "Action": "kms:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn = boto3.client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]
    create_table("orders", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": arn})
    return Key.from_arn(arn)


def grant(key: Key, number: int, **members: Any) -> dict[str, Any]:
    named = {"KeyId": key.arn, "GrantId": f"{number:064x}", "CreationDate": datetime(2026, 1, 31, tzinfo=UTC)}
    return named | {"GranteePrincipal": "dynamodb.eu-west-1.amazonaws.com", "Operations": ["Decrypt"]} | members


def test_a_keys_policy_is_kept_as_text(gather_facts: Gather, key: Key) -> None:
    inventory = gather_facts(Key, KeyPolicy)
    policy = inventory.facts[KeyPolicy][key]
    assert isinstance(policy, KeyPolicy)
    assert json.loads(policy.document)["Statement"][0]["Sid"] == "own"
    assert loads(dumps(inventory, "1")).facts == inventory.facts


@pytest.mark.parametrize(("fact", "operation"), [(KeyPolicy, "kms:GetKeyPolicy"), (KeyGrants, "kms:ListGrants")])
def test_what_may_not_be_read_of_a_key_is_a_gap(
    gather_facts: Gather, access: Access, key: Key, fact: type, operation: str
) -> None:
    answer(access, operation, "AccessDeniedException")
    gap = gather_facts(Key, fact).facts[fact][key]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, operation)


def test_grants_over_two_pages_with_what_limits_them(gather_facts: Gather, access: Access, key: Key) -> None:
    context = {"aws:dynamodb:tableName": "orders"}
    role = "arn:aws:iam::123456789012:role/api"
    first = grant(key, 2, Operations=["Encrypt", "Decrypt"], Constraints={"EncryptionContextSubset": context})
    second = grant(key, 1, GranteePrincipal=role, Constraints={"EncryptionContextEquals": context})
    asked = answer(
        access,
        "kms:ListGrants",
        {"Grants": [first], "Truncated": True, "NextMarker": "next"},
        {"Grants": [second], "Truncated": False},
    )
    assert gather_facts(Key, KeyGrants).facts[KeyGrants][key] == KeyGrants(
        (
            Grant(role, ("Decrypt",), context, f"{1:064x}"),
            Grant("dynamodb.eu-west-1.amazonaws.com", ("Decrypt", "Encrypt"), context, f"{2:064x}"),
        )
    )
    assert [one.get("Marker") for one in asked] == [None, "next"]


def test_a_page_of_grants_that_fails_leaves_no_shorter_list(gather_facts: Gather, access: Access, key: Key) -> None:
    first = {"Grants": [grant(key, 1)], "Truncated": True, "NextMarker": "next"}
    answer(access, "kms:ListGrants", first, "KMSInternalException")
    gap = gather_facts(Key, KeyGrants).facts[KeyGrants][key]
    assert isinstance(gap, Gap)
    assert gap.action == "kms:ListGrants"


def test_a_key_without_grants_has_none(gather_facts: Gather, key: Key) -> None:
    assert gather_facts(Key, KeyGrants).facts[KeyGrants] == {key: KeyGrants(())}

"""The least policy: exactly the calls behind the chosen rules, within IAM's limits, and never an item."""

import fnmatch
import json
import re

import botocore.session
import pytest

from auditor import packs, permissions
from auditor.facts.base import IAM_ACTIONS
from auditor.rule_api import Rule

RULES = packs.built_in()
#: AWS's limit of a managed policy, white space not counted (IAM and STS quotas).
LIMIT = 6144
#: The operations of DynamoDB that read or change items, as IAM names them.
ITEMS = [
    *("GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"),
    *("GetRecords", "PartiQLSelect", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"),
]


def allowed(*rules: Rule, sampling: bool = False) -> set[str]:
    return {
        action
        for statement in permissions.policy(rules, sampling=sampling)["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def test_one_rule_needs_its_own_calls_and_those_that_find_the_regions() -> None:
    assert allowed(RULES["table-pitr"]) == {
        *("account:ListRegions", "ec2:DescribeRegions", "tag:GetResources"),
        *("dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable"),
        *("dynamodb:ListTables", "dynamodb:ListTagsOfResource"),
    }


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_each_rules_policy_is_part_of_the_whole_and_says_what_is_called(rule: Rule) -> None:
    own = allowed(rule)
    called = permissions.operations([rule], sampling=False)
    assert own == {*permissions.SETUP, *(IAM_ACTIONS.get(one, one) for one in called)}
    assert own <= allowed(*RULES.values())


def test_the_policy_of_all_rules_is_a_policy_that_iam_takes() -> None:
    document = permissions.policy(RULES.values())
    assert document["Version"] == "2012-10-17"
    assert len(re.sub(r"\s", "", json.dumps(document))) <= LIMIT
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(set(sids)) == len(sids)
    for statement in document["Statement"]:
        assert set(statement) == {"Sid", "Effect", "Action", "Resource"}
        assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
        assert statement["Action"] == sorted(set(statement["Action"]))
        assert all(re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+\*?", action) for action in statement["Action"])


def test_no_statement_allows_a_wildcard_or_anything_that_writes() -> None:
    # iam:GenerateCredentialReport has IAM gather the report that iam:GetCredentialReport reads, and changes nothing.
    for action in allowed(*RULES.values()) - {"iam:GenerateCredentialReport"}:
        assert re.fullmatch(r"[a-z0-9-]+:(Describe|List|Get|BatchGet|Lookup)[A-Za-z]+", action), action


@pytest.mark.parametrize("operation", ITEMS)
def test_items_are_denied_and_never_allowed(operation: str) -> None:
    action = f"dynamodb:{operation}"
    (deny,) = [one for one in permissions.policy(RULES.values())["Statement"] if one["Effect"] == "Deny"]
    assert any(fnmatch.fnmatchcase(action, pattern) for pattern in deny["Action"])
    assert deny["Resource"] == "*"
    assert not any(fnmatch.fnmatchcase(action, pattern) for pattern in allowed(*RULES.values()))


def test_the_denied_actions_deny_nothing_that_is_allowed() -> None:
    for pattern in permissions.ITEM_ACTIONS:
        assert not fnmatch.filter(allowed(*RULES.values()), pattern)


def test_every_operation_of_the_data_plane_that_botocore_knows_is_denied() -> None:
    session = botocore.session.Session()
    names = set(session.get_service_model("dynamodb").operation_names)
    data = {name for name in names if re.search(r"Item|^Query$|^Scan$", name)}
    # IAM authorises transactions and statements by the actions of what is in them.
    named = {name for name in data if not name.startswith(("Transact",))}
    for name in named:
        assert any(fnmatch.fnmatchcase(f"dynamodb:{name}", pattern) for pattern in permissions.ITEM_ACTIONS), name


# With item sampling


def test_sampling_allows_a_scan_and_its_decryption_and_nothing_else() -> None:
    rules = RULES.values()
    assert allowed(*rules, sampling=True) - allowed(*rules) == {"dynamodb:Scan", "kms:Decrypt"}
    assert allowed(*rules) <= allowed(*rules, sampling=True)


def test_with_sampling_a_scan_is_the_only_item_action_that_is_not_denied() -> None:
    def denied(*, sampling: bool) -> set[str]:
        statements = permissions.policy(RULES.values(), sampling=sampling)["Statement"]
        (deny,) = [one for one in statements if one["Effect"] == "Deny"]
        return set(deny["Action"])

    assert denied(sampling=False) - denied(sampling=True) == {"dynamodb:Scan"}
    assert denied(sampling=True) < denied(sampling=False)


def test_decryption_is_allowed_through_dynamodb_only_in_every_partition() -> None:
    statements = permissions.policy(RULES.values(), sampling=True)["Statement"]
    (decrypting,) = [one for one in statements if "kms:Decrypt" in one["Action"]]
    assert set(decrypting) == {"Sid", "Effect", "Action", "Resource", "Condition"}
    ((operator, keys),) = decrypting["Condition"].items()
    ((key, pattern),) = keys.items()
    assert (operator, key) == ("StringLike", "kms:ViaService")
    for service in ("dynamodb.eu-west-1.amazonaws.com", "dynamodb.cn-north-1.amazonaws.com.cn"):
        assert fnmatch.fnmatchcase(service, pattern)
    assert not fnmatch.fnmatchcase("s3.eu-west-1.amazonaws.com", pattern)


def test_rules_that_look_at_no_items_get_no_more_with_sampling() -> None:
    assert permissions.policy([RULES["table-pitr"]], sampling=True) == permissions.policy([RULES["table-pitr"]])


def test_the_policy_with_sampling_fits_into_a_managed_policy_too() -> None:
    document = permissions.policy(RULES.values(), sampling=True)
    assert len(re.sub(r"\s", "", json.dumps(document))) <= LIMIT


# With AWS Config


def asked_of_config(*rules: Rule, aggregator: bool = False) -> set[str]:
    statements = permissions.policy(rules, source="config", aggregator=aggregator)["Statement"]
    (added,) = [one for one in statements if one["Sid"] == "ReadConfig"]
    return set(added["Action"])


def test_queries_of_aws_config_are_allowed_where_they_are_asked_and_no_others() -> None:
    recorders = {"config:DescribeConfigurationRecorders", "config:DescribeConfigurationRecorderStatus"}
    rule = RULES["table-pitr"]
    assert asked_of_config(rule) == recorders | {"config:SelectResourceConfig"}
    assert asked_of_config(rule, aggregator=True) == recorders | {"config:SelectAggregateResourceConfig"}
    assert not any(":Select" in action for action in allowed(*RULES.values()))


def test_rules_that_need_nothing_that_is_recorded_get_no_more_with_aws_config() -> None:
    rule = RULES["table-deletion-protection"]
    assert permissions.policy([rule], source="config") == permissions.policy([rule])


def test_the_policy_with_aws_config_fits_into_a_managed_policy_too() -> None:
    document = permissions.policy(RULES.values(), source="config", sampling=True)
    assert len(re.sub(r"\s", "", json.dumps(document))) <= LIMIT

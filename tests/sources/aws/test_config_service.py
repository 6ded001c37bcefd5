"""Rules of AWS Config and what they find: paging, omissions, parameters that are JSON in a text."""

import json
from typing import Any

import pytest

from auditor.facts import ConfigCompliance, ConfigRule, ConfigRules, Reason
from auditor.resources import Region
from auditor.sources.aws.config_service import compliance, rules
from auditor.sources.aws.session import Access, Aws, Missing
from tests.sources.aws.conftest import ACCOUNT, answer

HERE = Region(ACCOUNT, "eu-west-1")
RULES, COMPLIANCE = "config:DescribeConfigRules", "config:DescribeComplianceByConfigRule"
MANAGED = {"Owner": "AWS", "SourceIdentifier": "DYNAMODB_PITR_ENABLED"}


def asked(collector: Any, access: Access) -> Any:
    ((region, fact),) = collector(Aws(access, HERE.name), HERE)
    assert region == HERE
    return fact


def test_rules_over_two_pages_with_all_that_narrows_them(access: Access) -> None:
    full = {
        "ConfigRuleName": "pitr",
        "ConfigRuleState": "EVALUATING",
        "Source": MANAGED,
        "InputParameters": json.dumps({"serviceName": "dynamodb", "maxDays": 7, "names": ["a"]}),
        "Scope": {
            "ComplianceResourceTypes": ["AWS::DynamoDB::Table"],
            "ComplianceResourceId": "orders",
            "TagKey": "audited",
            "TagValue": "yes",
        },
        "CreatedBy": "securityhub.amazonaws.com",
        "EvaluationModes": [{"Mode": "PROACTIVE"}, {"Mode": "DETECTIVE"}],
    }
    policy = {"Owner": "CUSTOM_POLICY", "CustomPolicyDetails": {"PolicyRuntime": "guard-2.x.x", "PolicyText": "rule"}}
    answer(
        access,
        RULES,
        {"ConfigRules": [full], "NextToken": "next"},
        {"ConfigRules": [{"ConfigRuleName": "own", "ConfigRuleState": "ACTIVE", "Source": policy}]},
    )
    assert asked(rules, access) == ConfigRules(
        (
            ConfigRule("own", "ACTIVE", "CUSTOM_POLICY"),
            ConfigRule(
                name="pitr",
                state="EVALUATING",
                owner="AWS",
                identifier="DYNAMODB_PITR_ENABLED",
                parameters={"serviceName": "dynamodb", "maxDays": "7", "names": '["a"]'},
                resource_types=("AWS::DynamoDB::Table",),
                resource_id="orders",
                tag="audited",
                created_by="securityhub.amazonaws.com",
                modes=("DETECTIVE", "PROACTIVE"),
            ),
        )
    )


@pytest.mark.parametrize("text", ["{}", "[1]", "{", "null", " ", "[" * 100_000])
def test_parameters_that_are_no_object_are_none(access: Access, text: str) -> None:
    rule = {"ConfigRuleName": "pitr", "ConfigRuleState": "ACTIVE", "Source": MANAGED, "InputParameters": text}
    answer(access, RULES, {"ConfigRules": [rule]})
    assert asked(rules, access).rules[0].parameters == {}


def test_what_the_rules_find_over_two_pages(access: Access) -> None:
    pages = [
        {
            "ComplianceByConfigRules": [{"ConfigRuleName": "a", "Compliance": {"ComplianceType": "COMPLIANT"}}],
            "NextToken": "next",
        },
        {
            "ComplianceByConfigRules": [
                {"ConfigRuleName": "b", "Compliance": {"ComplianceType": "NON_COMPLIANT"}},
                {"ConfigRuleName": "c"},
            ]
        },
    ]
    answer(access, COMPLIANCE, *pages)
    assert asked(compliance, access) == ConfigCompliance({"a": "COMPLIANT", "b": "NON_COMPLIANT", "c": ""})


@pytest.mark.parametrize(("collector", "operation"), [(rules, RULES), (compliance, COMPLIANCE)])
@pytest.mark.parametrize(
    ("code", "reason"), [("AccessDeniedException", Reason.ACCESS_DENIED), ("ThrottlingException", Reason.THROTTLED)]
)
def test_half_a_listing_is_none(access: Access, collector: Any, operation: str, code: str, reason: Reason) -> None:
    answer(access, operation, {"NextToken": "next"}, code)
    with pytest.raises(Missing) as error:
        asked(collector, access)
    assert (error.value.gap.reason, error.value.gap.action) == (reason, operation)

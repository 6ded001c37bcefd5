"""A stand-in for AWS Config: takes evaluations as AWS does, checked against botocore's model, and can misbehave.

moto takes evaluations in test mode only, and knows neither compliance details nor items of tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

MODEL = botocore.session.Session().get_service_model("config")
ACCOUNT, REGION = "123456789012", "eu-west-1"
RECORDER = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"
RULE_ARN = f"arn:aws:config:{REGION}:{ACCOUNT}:config-rule/config-rule-abc123"
TIME = "2026-08-22T09:59:19.450Z"


class Config:
    """AWS Config.

    Attributes:
        results: (type, id) -> the evaluation that it has, as PutEvaluations takes it.
        calls: The evaluations of each PutEvaluations call.
        tests: The calls in test mode.
        refused: How often each (type, id) is not taken before it is.
        error: Code of an error that the next PutEvaluations answers.
        items: (type, id) -> the item in the API's shape.
    """

    def __init__(self) -> None:
        self.results: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.calls: list[list[Mapping[str, Any]]] = []
        self.tests = 0
        self.refused: dict[tuple[str, str], int] = {}
        self.error = ""
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    def compliance(self) -> dict[tuple[str, str], str]:
        return {key: one["ComplianceType"] for key, one in self.results.items()}

    def _checked(self, operation: str, parameters: Mapping[str, Any]) -> None:
        report = ParamValidator().validate(dict(parameters), MODEL.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()

    def _answer(self, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        report = ParamValidator().validate(answer, MODEL.operation_model(operation).output_shape)
        assert not report.has_errors(), report.generate_report()
        return answer

    def put_evaluations(self, **parameters: Any) -> dict[str, Any]:
        self._checked("PutEvaluations", parameters)
        evaluations = parameters["Evaluations"]
        assert len(evaluations) <= 100
        assert all(1 <= len(one.get("Annotation", "x")) <= 256 for one in evaluations)
        assert all(one["ComplianceType"] != "INSUFFICIENT_DATA" for one in evaluations)
        keys = [(one["ComplianceResourceType"], one["ComplianceResourceId"]) for one in evaluations]
        assert len(set(keys)) == len(keys)
        if self.error:
            code, self.error = self.error, ""
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "PutEvaluations")
        self.calls.append(evaluations)
        if parameters.get("TestMode"):
            self.tests += 1
            return self._answer("PutEvaluations", {"FailedEvaluations": []})
        failed = []
        for key, one in zip(keys, evaluations, strict=True):
            if self.refused.get(key, 0) > 0:
                self.refused[key] -= 1
                failed.append(one)
                continue
            held = self.results.get(key)
            if held is None or held["OrderingTimestamp"] <= one["OrderingTimestamp"]:
                self.results[key] = one
        return self._answer("PutEvaluations", {"FailedEvaluations": failed})

    def get_compliance_details_by_config_rule(self, **parameters: Any) -> dict[str, Any]:
        self._checked("GetComplianceDetailsByConfigRule", parameters)
        keys = sorted(key for key, one in self.compliance().items() if one in parameters["ComplianceTypes"])
        start = int(parameters.get("NextToken", "0"))
        shown = keys[start : start + parameters["Limit"]]
        answer: dict[str, Any] = {
            "EvaluationResults": [
                {
                    "EvaluationResultIdentifier": {
                        "EvaluationResultQualifier": {
                            "ConfigRuleName": parameters["ConfigRuleName"],
                            "ResourceType": kind,
                            "ResourceId": name,
                        }
                    },
                    "ComplianceType": self.results[kind, name]["ComplianceType"],
                }
                for kind, name in shown
            ]
        }
        if start + len(shown) < len(keys):
            answer["NextToken"] = str(start + len(shown))
        return self._answer("GetComplianceDetailsByConfigRule", answer)

    def get_resource_config_history(self, **parameters: Any) -> dict[str, Any]:
        self._checked("GetResourceConfigHistory", parameters)
        assert isinstance(parameters["laterTime"], datetime)
        item = self.items.get((parameters["resourceType"], parameters["resourceId"]))
        return self._answer("GetResourceConfigHistory", {"configurationItems": [item] if item else []})


class _Both:
    """The stand-in, and moto's client for what rules read of AWS Config."""

    def __init__(self, config: Config, real: Any) -> None:
        self._config, self._real = config, real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name, None) or getattr(self._real, name)


class Session:
    """Makes boto3 sessions whose client of AWS Config is the stand-in; remembers with which credentials."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.credentials: list[dict[str, str]] = []

    def __call__(self, **credentials: str) -> Any:
        self.credentials.append(credentials)
        made = boto3.Session(region_name=REGION, **credentials)
        real = made.client

        def client(service: str, *arguments: Any, **more: Any) -> Any:
            made_client = real(service, *arguments, **more)
            return _Both(self.config, made_client) if service == "config" else made_client

        made.client = client
        return made


def table_item(name: str, **changes: Any) -> dict[str, Any]:
    """Return a table's item as an event has it."""
    return {
        "relatedEvents": [],
        "relationships": [],
        "configuration": {"tableName": name, "tableStatus": "ACTIVE", "tableArn": arn(name)},
        "supplementaryConfiguration": {
            "ContinuousBackupsDescription": {
                "continuousBackupsStatus": "ENABLED",
                "pointInTimeRecoveryDescription": {"pointInTimeRecoveryStatus": "DISABLED"},
            },
            "Tags": [{"key": "env", "value": "prod"}],
        },
        "tags": {"env": "prod"},
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": TIME,
        "configurationStateId": 1787392759450,
        "awsAccountId": ACCOUNT,
        "configurationItemStatus": "OK",
        "resourceType": "AWS::DynamoDB::Table",
        "resourceId": name,
        "resourceName": name,
        "ARN": arn(name),
        "awsRegion": REGION,
        "availabilityZone": "Not Applicable",
        "configurationStateMd5Hash": "",
        "resourceCreationTime": TIME,
    } | changes


def arn(name: str) -> str:
    """Return a table's ARN."""
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"


def changed(item: Mapping[str, Any], parameters: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Return the event of a change."""
    message = {"configurationItemDiff": None, "configurationItem": item}
    return event(message, "ConfigurationItemChangeNotification", parameters, **more)


def oversized(item: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the event of a change whose item is too large."""
    kept = ("configurationItemCaptureTime", "configurationItemStatus", "resourceType", "resourceId", "ARN", "awsRegion")
    summary = {name: item[name] for name in kept} | {"changeType": "UPDATE"}
    delivery = {"s3BucketLocation": "bucket/key", "errorCode": None, "errorMessage": None}
    message = {"configurationItemSummary": summary, "s3DeliverySummary": delivery}
    return event(message, "OversizedConfigurationItemChangeNotification", **more)


def scheduled(**more: Any) -> dict[str, Any]:
    """Return the event of the clock."""
    return event({"awsAccountId": ACCOUNT}, "ScheduledNotification", **more)


def event(
    message: Mapping[str, Any], kind: str, parameters: Mapping[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """Return an event with a message in it."""
    invoking = {**message, "messageType": kind, "notificationCreationTime": "2026-08-22T10:00:00.000Z"}
    given = {} if parameters is None else {"ruleParameters": json.dumps(parameters)}
    return {
        "version": "1.0",
        "invokingEvent": json.dumps(invoking),
        "resultToken": "t" * 2500,
        "eventLeftScope": False,
        "executionRoleArn": RECORDER,
        "configRuleArn": RULE_ARN,
        "configRuleName": "ddbaudit-table",
        "configRuleId": "config-rule-abc123",
        "accountId": ACCOUNT,
        **given,
        **more,
    }


def api_shape(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as the API answers it: other names, JSON texts for values."""
    renamed = {"awsAccountId": "accountId", "ARN": "arn", "configurationItemVersion": "version"}
    left_out = {"configurationStateMd5Hash", "relatedEvents", "relationships", "resourceCreationTime"}
    made = {renamed.get(name, name): value for name, value in item.items() if name not in left_out}
    made["configuration"] = json.dumps(item["configuration"])
    made["supplementaryConfiguration"] = {
        name: json.dumps(value) for name, value in item["supplementaryConfiguration"].items()
    }
    made["configurationItemCaptureTime"] = datetime.fromisoformat(item["configurationItemCaptureTime"])
    made["configurationStateId"] = str(item["configurationStateId"])
    return made

"""The record that CloudTrail writes of each call of an attack, and the classes of attacks.

A filter or pattern detects an attack when it is true on these records. They are complete, since a filter may ask
for any member; names and values are such as a company has that is not the audited one.

Sources: AWS CloudTrail User Guide, "CloudTrail record contents" and "CloudTrail userIdentity element"; Amazon
DynamoDB Developer Guide, "Logging DynamoDB operations by using AWS CloudTrail"; EventBridge User Guide, "AWS service
events delivered via AWS CloudTrail". ``eventSource`` is the service's short name and ``.amazonaws.com`` in all
partitions, China's too.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_TIME = "2026-03-14T02:41:07Z"
#: Neither a pipeline nor an administrator nor a service: those are what filters may rightly leave out.
_ROLE = "orders-backoffice"
_SESSION = "a.moreau"
_TABLE = "customer-orders"
_KEY = "6f1c2a4e-93b7-4d0a-8f25-b1d7c05e9a36"
_BACKUP = "01773456061543-9f3c1b7a"
_BUCKET = "orders-export-staging"
_STREAM = "orders-changes"

#: Names of operations that only read begin so.
_READS = re.compile(r"(?:Get|List|Describe|BatchGet|Query|Scan|ExecuteStatement|Head|Lookup)")
#: Operations on items: data events, which a trail records only when it is told to.
_DATA = frozenset(
    (
        "BatchExecuteStatement",
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "ExecuteStatement",
        "ExecuteTransaction",
        "GetItem",
        "GetRecords",
        "PutItem",
        "Query",
        "Scan",
        "TransactGetItems",
        "TransactWriteItems",
        "UpdateItem",
    )
)
_API_VERSIONS = {"dynamodb.amazonaws.com": "2012-08-10"}


@dataclass(frozen=True, slots=True)
class Event:
    """One call as CloudTrail records it.

    Attributes:
        source: ``eventSource``, such as ``dynamodb.amazonaws.com``.
        name: ``eventName``.
        body: The whole record.
        label: A short text for reports, such as ``UpdateTable (deletionProtectionEnabled=false)``; calls of other
            services than DynamoDB are named with it: ``kms:DisableKey``.
    """

    source: str
    name: str
    body: Mapping[str, Any]
    label: str

    @property
    def envelope(self) -> Mapping[str, Any]:
        """The event of EventBridge that carries the record in ``detail``."""
        return {
            "version": "0",
            "id": "7d1f5b0c-2e64-4a19-9c83-0f6a7be2d451",
            "detail-type": "AWS API Call via CloudTrail",
            "source": "aws." + self.source.partition(".")[0],
            "account": self.body["recipientAccountId"],
            "time": self.body["eventTime"],
            "region": self.body["awsRegion"],
            "resources": [],
            "detail": self.body,
        }


@dataclass(frozen=True, slots=True)
class EventClass:
    """A kind of attack.

    Attributes:
        id: Its name, such as ``table-deletion``.
        mandatory: What must be detected.
        recommended: What should be detected too.
    """

    id: str
    mandatory: tuple[Event, ...]
    recommended: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a call is made, and on which table or key: the ARNs of its resources."""

    account: str
    region: str
    partition: str
    name: str = _TABLE
    key_id: str = _KEY

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    @property
    def table(self) -> str:
        return self.arn("dynamodb", f"table/{self.name}")

    @property
    def backup(self) -> str:
        return f"{self.table}/backup/{_BACKUP}"

    @property
    def key(self) -> str:
        return self.arn("kms", f"key/{self.key_id}")

    @property
    def trail(self) -> str:
        return self.arn("cloudtrail", "trail/organization-trail")


def _policy(place: _Place, action: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{place.partition}:iam::999988887777:root"},
        "Action": action,
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _table(place: _Place) -> dict[str, Any]:
    return {"tableName": place.name}


def _key(place: _Place) -> dict[str, Any]:
    return {"keyId": place.key}


#: ``service:Operation`` -> ``requestParameters`` in CloudTrail's spelling: the API's members with a small first letter.
_PARAMETERS: dict[str, Callable[[_Place], dict[str, Any]]] = {
    "dynamodb:CreateTable": lambda place: {
        "tableName": place.name,
        "attributeDefinitions": [{"attributeName": "id", "attributeType": "S"}],
        "keySchema": [{"attributeName": "id", "keyType": "HASH"}],
        "billingMode": "PAY_PER_REQUEST",
    },
    "dynamodb:DeleteTable": _table,
    "dynamodb:DescribeTable": _table,
    "dynamodb:UpdateTable": _table,
    "dynamodb:GetItem": lambda place: {"tableName": place.name, "key": {"id": "***"}},
    "dynamodb:Query": _table,
    "dynamodb:Scan": _table,
    "dynamodb:ListTables": lambda place: {"limit": 100},
    "dynamodb:DeleteBackup": lambda place: {"backupArn": place.backup},
    "dynamodb:UpdateContinuousBackups": lambda place: {
        "tableName": place.name,
        "pointInTimeRecoverySpecification": {"pointInTimeRecoveryEnabled": False},
    },
    "dynamodb:PutResourcePolicy": lambda place: {
        "resourceArn": place.table,
        "policy": _policy(place, "dynamodb:Scan"),
    },
    "dynamodb:DeleteResourcePolicy": lambda place: {"resourceArn": place.table},
    "dynamodb:ExportTableToPointInTime": lambda place: {
        "tableArn": place.table,
        "s3Bucket": _BUCKET,
        "s3BucketOwner": "999988887777",
        "exportFormat": "DYNAMODB_JSON",
        "clientToken": "3b9d0c4e-58a7-4f6c-a1d2-97e05c8b6f13",
    },
    "dynamodb:EnableKinesisStreamingDestination": lambda place: {
        "tableName": place.name,
        "streamArn": place.arn("kinesis", f"stream/{_STREAM}"),
    },
    "dynamodb:DisableKinesisStreamingDestination": lambda place: {
        "tableName": place.name,
        "streamArn": place.arn("kinesis", f"stream/{_STREAM}"),
    },
    "dynamodb:RestoreTableFromBackup": lambda place: {
        "targetTableName": f"{place.name}-restored",
        "backupArn": place.backup,
    },
    "dynamodb:RestoreTableToPointInTime": lambda place: {
        "sourceTableName": place.name,
        "targetTableName": f"{place.name}-restored",
        "useLatestRestorableTime": True,
    },
    "dynamodb:StartBulkPutItems": lambda place: {"tableArn": place.table},
    "backup:DeleteRecoveryPoint": lambda place: {
        "backupVaultName": "orders-vault",
        "recoveryPointArn": place.backup,
    },
    "cloudtrail:StopLogging": lambda place: {"name": place.trail},
    "cloudtrail:DeleteTrail": lambda place: {"name": place.trail},
    "cloudtrail:PutEventSelectors": lambda place: {
        "trailName": place.trail,
        "eventSelectors": [
            {
                "readWriteType": "ReadOnly",
                "includeManagementEvents": True,
                "dataResources": [],
                "excludeManagementEventSources": [],
            }
        ],
    },
    "config:StopConfigurationRecorder": lambda place: {"configurationRecorderName": "default"},
    "ec2:DeleteVpcEndpoints": lambda place: {
        "DeleteVpcEndpointsRequest": {"VpcEndpointId": {"tag": 1, "content": "vpce-0a1b2c3d4e5f60718"}}
    },
    "ec2:ModifyVpcEndpoint": lambda place: {
        "ModifyVpcEndpointRequest": {"VpcEndpointId": "vpce-0a1b2c3d4e5f60718", "ResetPolicy": True}
    },
    "ec2:RunInstances": lambda place: {
        "instancesSet": {"items": [{"imageId": "ami-0123456789abcdef0", "minCount": 1, "maxCount": 1}]},
        "instanceType": "m7g.large",
    },
    "kms:DisableKey": _key,
    "kms:DisableKeyRotation": _key,
    "kms:DeleteImportedKeyMaterial": _key,
    "kms:ScheduleKeyDeletion": lambda place: {"keyId": place.key, "pendingWindowInDays": 7},
    "kms:PutKeyPolicy": lambda place: {
        "keyId": place.key,
        "policyName": "default",
        "policy": _policy(place, "kms:*"),
        "bypassPolicyLockoutSafetyCheck": False,
    },
    "kms:RevokeGrant": lambda place: {
        "keyId": place.key,
        "grantId": "4c1f0e8d7b6a59483726150493827160f1e2d3c4b5a69788796a5b4c3d2e1f00",
    },
}


def _response(place: _Place, call: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return ``responseElements`` of a call that succeeded: CloudTrail writes them of calls that change something."""
    if call in ("dynamodb:CreateTable", "dynamodb:DeleteTable", "dynamodb:UpdateTable"):
        status = {"dynamodb:CreateTable": "CREATING", "dynamodb:DeleteTable": "DELETING"}.get(call, "UPDATING")
        return {
            "tableDescription": {
                "tableName": place.name,
                "tableStatus": status,
                "tableArn": place.table,
                "tableId": "0c9d1f7a-64b2-4e85-9a37-5f1e8d2b6c40",
                "itemCount": 48213,
                "tableSizeBytes": 91872345,
                "deletionProtectionEnabled": request.get("deletionProtectionEnabled", call != "dynamodb:DeleteTable"),
            }
        }
    if call == "dynamodb:DeleteBackup":
        details = {"backupArn": place.backup, "backupStatus": "DELETED", "backupType": "USER"}
        return {"backupDescription": {"backupDetails": details, "sourceTableDetails": {"tableName": place.name}}}
    if call == "dynamodb:UpdateContinuousBackups":
        point = {"pointInTimeRecoveryStatus": "DISABLED"}
        return {
            "continuousBackupsDescription": {
                "continuousBackupsStatus": "ENABLED",
                "pointInTimeRecoveryDescription": point,
            }
        }
    if call == "dynamodb:ExportTableToPointInTime":
        return {
            "exportDescription": {
                "exportArn": f"{place.table}/export/{_BACKUP}",
                "exportStatus": "IN_PROGRESS",
                "tableArn": place.table,
                "s3Bucket": request.get("s3Bucket"),
            }
        }
    if call == "kms:ScheduleKeyDeletion":
        return {"keyId": place.key, "keyState": "PendingDeletion", "deletionDate": "Mar 21, 2026, 12:00:00 AM"}
    return None


#: Members that the short form names without a value.
_VALUES: dict[str, Any] = {
    "create": {"regionName": "ap-southeast-1"},
    "delete": {"regionName": "eu-west-3"},
    "update": {"regionName": "eu-west-3"},
    "sSESpecification": {"enabled": True, "sSEType": "KMS"},
    "streamSpecification": {"streamEnabled": True, "streamViewType": "NEW_AND_OLD_IMAGES"},
}

#: What stands for any call: operations of different kinds, so that a filter on one of them does not pass for one on
#: all. Only calls that write: EventBridge hands read calls only to rules with
#: ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS.
_ANY = {
    "dynamodb": ("DeleteTable", "UpdateTable", "ExportTableToPointInTime", "PutResourcePolicy"),
    "kms": ("DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"),
    "ec2": ("RunInstances", "DeleteVpcEndpoints"),
    "cloudtrail": ("StopLogging", "DeleteTrail"),
}

_TEXTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "table-deletion": (
        ("dynamodb:DeleteTable", "dynamodb:DeleteBackup"),
        ("backup:DeleteRecoveryPoint", "dynamodb:UpdateTable[replicaUpdates[0].delete]"),
    ),
    "control-weakening": (
        (
            "dynamodb:UpdateTable[deletionProtectionEnabled=false]",
            "dynamodb:UpdateContinuousBackups",
            "dynamodb:PutResourcePolicy",
            "dynamodb:DeleteResourcePolicy",
            "cloudtrail:StopLogging",
            "cloudtrail:DeleteTrail",
            "cloudtrail:PutEventSelectors",
        ),
        (
            "dynamodb:UpdateTable[sSESpecification]",
            "config:StopConfigurationRecorder",
            "ec2:DeleteVpcEndpoints",
            "ec2:ModifyVpcEndpoint",
        ),
    ),
    "data-exfiltration": (
        (
            "dynamodb:ExportTableToPointInTime",
            "dynamodb:EnableKinesisStreamingDestination",
            "dynamodb:UpdateTable[replicaUpdates[0].create]",
            "dynamodb:UpdateTable[streamSpecification.streamEnabled=true]",
        ),
        (
            "dynamodb:RestoreTableFromBackup",
            "dynamodb:RestoreTableToPointInTime",
            "dynamodb:StartBulkPutItems",
            "dynamodb:DisableKinesisStreamingDestination",
            "dynamodb:Scan",
        ),
    ),
    "kms-key-tampering": (
        ("kms:DisableKey", "kms:ScheduleKeyDeletion", "kms:PutKeyPolicy"),
        ("kms:DeleteImportedKeyMaterial", "kms:RevokeGrant", "kms:DisableKeyRotation"),
    ),
    "unauthorized-calls": (
        ("dynamodb:*!AccessDeniedException", "dynamodb:*!AccessDenied"),
        (
            "dynamodb:DescribeTable!AccessDeniedException",
            "dynamodb:DescribeTable!AccessDenied",
            "ec2:RunInstances!Client.UnauthorizedOperation",
        ),
    ),
}


def classes(
    account: str, region: str, partition: str = "aws", *, table: str = _TABLE, key: str = _KEY
) -> Mapping[str, EventClass]:
    """Return the classes of attacks with their events in one account and region.

    Args:
        account: The account's number.
        region: Where the calls are made.
        partition: ``aws``, ``aws-cn``, ``aws-us-gov``, ...
        table: Name of the table that they are about: a filter that names a table is tried with each.
        key: The same of the KMS key: its id.

    Returns:
        By id: table-deletion, control-weakening, data-exfiltration, kms-key-tampering, unauthorized-calls.
    """

    def read(texts: tuple[str, ...]) -> tuple[Event, ...]:
        return tuple(
            found
            for text in texts
            for found in read_events(text, account=account, region=region, partition=partition, table=table, key=key)
        )

    return {
        name: EventClass(id=name, mandatory=read(mandatory), recommended=read(recommended))
        for name, (mandatory, recommended) in _TEXTS.items()
    }


def event(
    source: str,
    name: str,
    *,
    region: str,
    account: str,
    partition: str = "aws",
    parameters: Mapping[str, Any] | None = None,
    error: str | None = None,
    table: str = _TABLE,
    key: str = _KEY,
) -> Event:
    """Return the record of one call.

    Args:
        source: The service: ``dynamodb`` or ``dynamodb.amazonaws.com``.
        name: The operation.
        region: Where it is called.
        account: Whose resource it is about.
        partition: The partition of its ARNs.
        parameters: Members of ``requestParameters`` beside the usual ones of this operation, in CloudTrail's spelling.
        error: ``errorCode`` of a call that failed.
        table: Name of the table that the call is about.
        key: Id of the KMS key that the call is about.

    Returns:
        The event.
    """
    service = source.partition(".")[0]
    host = f"{service}.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"
    source = source if "." in source else f"{source}.amazonaws.com"
    place = _Place(account, region, partition, table, key)
    usual = _PARAMETERS.get(f"{service}:{name}", _table if service == "dynamodb" else None)
    given = copy.deepcopy(dict(parameters or {}))
    request = {**(usual(place) if usual else {}), **given}
    data = service == "dynamodb" and name in _DATA
    body: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": _identity(place),
        "eventTime": _TIME,
        "eventSource": source,
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": "203.0.113.57",
        "userAgent": "aws-cli/2.27.49 md/awscrt#0.26.1 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.13.4",
    }
    if error:
        body["errorCode"] = error
        body["errorMessage"] = (
            f"User: {body['userIdentity']['arn']} is not authorized to perform: {service}:{name} "
            "because no identity-based policy allows the action"
        )
    body |= {
        "requestParameters": request or None,
        "responseElements": None if error else _response(place, f"{service}:{name}", request),
        "requestID": "8K2Q7R5T1V4X6Z9B3D0F2H4J6L8N1P3QVV4KQNSO5AEMVJF66Q9ASUAAJG",
        "eventID": "c4b9a3e7-1d58-4f02-b6a7-52e0d9f8c113",
        "readOnly": _READS.match(name) is not None,
    }
    if resources := _resources(place, service, request):
        body["resources"] = resources
    body |= {
        "eventType": "AwsApiCall",
        "managementEvent": not data,
        "recipientAccountId": account,
        "eventCategory": "Data" if data else "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": host,
        },
    }
    if source in _API_VERSIONS:
        body["apiVersion"] = _API_VERSIONS[source]
    return Event(source=source, name=name, body=body, label=_label(service, name, given, error))


_SHORT = re.compile(
    r"(?P<service>[a-z0-9-]+)(?:\.amazonaws\.com(?:\.cn)?)?:(?P<name>[A-Za-z0-9]+|\*)"
    r"(?:\[(?P<parameters>.*)\])?(?:!(?P<error>[A-Za-z0-9.]+))?",
    re.DOTALL,
)
_STEP = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?P<indexes>(?:\[0\])*)")


def read_events(
    text: str, *, account: str, region: str, partition: str = "aws", table: str = _TABLE, key: str = _KEY
) -> tuple[Event, ...]:
    """Read the short form of an event; ``*`` for the operation stands for several.

    Args:
        text: ``service:Operation``, then optionally members of ``requestParameters`` in brackets, separated by commas,
            with a JSON value or none (then such a member just stands there), then optionally ``!errorCode``:
            ``dynamodb:UpdateTable[deletionProtectionEnabled=false]``,
            ``dynamodb:UpdateTable[replicaUpdates[0].create]``, ``dynamodb:*!AccessDenied``.
        account: The account's number.
        region: Where it is called.
        partition: The partition.
        table: Name of the table that the call is about.
        key: Id of the KMS key that the call is about.

    Returns:
        The events: one, or for ``*`` one for each of several typical operations.

    Raises:
        ValueError: When the text is not of this form.
    """
    found = _SHORT.fullmatch(text.strip())
    if not found:
        raise ValueError(
            f"{text!r} is no event: it should look like dynamodb:DeleteTable, "
            "dynamodb:UpdateTable[deletionProtectionEnabled=false] or dynamodb:*!AccessDenied"
        )
    service, name = found["service"], found["name"]
    parameters = _parameters(text, found["parameters"]) if found["parameters"] is not None else None
    names = (name,) if name != "*" else _ANY.get(service)
    if names is None:
        raise ValueError(f"{text!r} is no event: for {service} the operation must be named; * will not do")
    return tuple(
        event(
            service,
            one,
            region=region,
            account=account,
            partition=partition,
            parameters=parameters,
            error=found["error"],
            table=table,
            key=key,
        )
        for one in names
    )


def read_event(
    text: str, *, account: str, region: str, partition: str = "aws", table: str = _TABLE, key: str = _KEY
) -> Event:
    """Read the short form of one event, the first where ``*`` stands for several (:func:`read_events`).

    Args:
        text: The short form.
        account: The account's number.
        region: Where it is called.
        partition: The partition.
        table: Name of the table that the call is about.
        key: Id of the KMS key that the call is about.

    Returns:
        The event.

    Raises:
        ValueError: When the text is not of this form.
    """
    return read_events(text, account=account, region=region, partition=partition, table=table, key=key)[0]


def _parameters(text: str, listed: str) -> dict[str, Any]:
    """Read the members of the short form."""
    result: dict[str, Any] = {}
    for member in listed.split(","):
        path, equals, written = (part.strip() for part in member.partition("="))
        steps = [_STEP.fullmatch(step) for step in path.split(".")]
        names = [step["name"] for step in steps if step]
        if len(names) != len(steps):
            raise ValueError(
                f"{text!r} is no event: {path!r} names no member of requestParameters; it should look like "
                "deletionProtectionEnabled=false or replicaUpdates[0].create"
            )
        if equals:
            try:
                value = json.loads(written)
            except ValueError:
                value = written
        else:
            value = copy.deepcopy(_VALUES.get(names[-1], {}))
        for step in reversed(steps):
            assert step is not None
            for _ in range(step["indexes"].count("[0]")):
                value = [value]
            value = {step["name"]: value}
        result = _merged(result, value)
    return result


def _merged(first: Any, second: Any) -> Any:
    """Join two trees of parameters; where both say something, the second wins."""
    if isinstance(first, dict) and isinstance(second, dict):
        return {
            name: _merged(first[name], second[name]) if name in first and name in second else value
            for name, value in {**first, **second}.items()
        }
    if isinstance(first, list) and isinstance(second, list) and first and second:
        return [_merged(first[0], second[0])]
    return second


def by_others(event: Event) -> tuple[Event, ...]:
    """Return the same call made by an IAM user and by root: what looks at roles only does not notice them."""
    given = event.body["userIdentity"]
    partition, account = given["arn"].split(":")[1], given["accountId"]
    name = "backup-script"
    callers = {
        "an IAM user": {
            "type": "IAMUser",
            "principalId": "AIDAXQ4ZK7PLMN6QWERTY",
            "arn": f"arn:{partition}:iam::{account}:user/{name}",
            "accountId": account,
            "accessKeyId": "AKIAXQ4ZK7PLMN7ASDFGH",
            "userName": name,
        },
        "root": {
            "type": "Root",
            "principalId": account,
            "arn": f"arn:{partition}:iam::{account}:root",
            "accountId": account,
            "accessKeyId": "ASIAXQ4ZK7PLMN8ZXCVBN",
            "sessionContext": {"attributes": {"creationDate": "2026-03-14T02:12:40Z", "mfaAuthenticated": "false"}},
        },
    }
    found = []
    for caller, identity in callers.items():
        body = {**event.body, "userIdentity": identity}
        if "errorMessage" in body:
            body["errorMessage"] = body["errorMessage"].replace(given["arn"], identity["arn"])
        found.append(Event(event.source, event.name, body, f"{event.label} by {caller}"))
    return tuple(found)


def _identity(place: _Place) -> dict[str, Any]:
    """Return ``userIdentity`` of a role's session."""
    role = "AROAXQ4ZK7PLMN3RSTUVW"
    return {
        "type": "AssumedRole",
        "principalId": f"{role}:{_SESSION}",
        "arn": f"arn:{place.partition}:sts::{place.account}:assumed-role/{_ROLE}/{_SESSION}",
        "accountId": place.account,
        "accessKeyId": "ASIAXQ4ZK7PLMN5YZABC",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": role,
                "arn": f"arn:{place.partition}:iam::{place.account}:role/{_ROLE}",
                "accountId": place.account,
                "userName": _ROLE,
            },
            "attributes": {"creationDate": "2026-03-14T02:12:40Z", "mfaAuthenticated": "false"},
        },
    }


def _resources(place: _Place, service: str, request: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return ``resources``, which DynamoDB and KMS write."""
    if service == "dynamodb" and any("able" in name or name in ("backupArn", "resourceArn") for name in request):
        return [{"accountId": place.account, "type": "AWS::DynamoDB::Table", "ARN": place.table}]
    if service == "kms" and "keyId" in request:
        return [{"accountId": place.account, "type": "AWS::KMS::Key", "ARN": place.key}]
    return []


def _label(service: str, name: str, parameters: Mapping[str, Any], error: str | None) -> str:
    """Return the short text for reports."""
    notes = [_note(member, value) for member, value in parameters.items()]
    if error:
        notes.append(f"errorCode={error}")
    text = name if service == "dynamodb" else f"{service}:{name}"
    return f"{text} ({', '.join(notes)})" if notes else text


def _note(path: str, value: Any) -> str:
    """Return a parameter as the short form writes it: values of several members are left out."""
    while True:
        if isinstance(value, dict) and len(value) == 1 and value != _VALUES.get(path.rpartition(".")[2]):
            ((name, value),) = value.items()
            path = f"{path}.{name}"
        elif isinstance(value, list) and len(value) == 1:
            path, value = f"{path}[0]", value[0]
        else:
            break
    if isinstance(value, dict | list):
        return path
    return f"{path}={value if isinstance(value, str) else json.dumps(value)}"

"""The records are whole and such as CloudTrail writes."""

import json
import re

import pytest

from auditor.detection import Event, classes, event, read_event, read_events
from tests.detection import ACCOUNT, REGION, call

ALL = classes(ACCOUNT, REGION, "aws")


def labels(name: str) -> tuple[list[str], list[str]]:
    return [one.label for one in ALL[name].mandatory], [one.label for one in ALL[name].recommended]


def test_the_classes() -> None:
    assert labels("table-deletion") == (
        ["DeleteTable", "DeleteBackup"],
        ["backup:DeleteRecoveryPoint", "UpdateTable (replicaUpdates[0].delete)"],
    )
    assert labels("control-weakening") == (
        [
            "UpdateTable (deletionProtectionEnabled=false)",
            "UpdateContinuousBackups",
            "PutResourcePolicy",
            "DeleteResourcePolicy",
            "cloudtrail:StopLogging",
            "cloudtrail:DeleteTrail",
            "cloudtrail:PutEventSelectors",
        ],
        [
            "UpdateTable (sSESpecification)",
            "config:StopConfigurationRecorder",
            "ec2:DeleteVpcEndpoints",
            "ec2:ModifyVpcEndpoint",
        ],
    )
    assert labels("data-exfiltration")[0] == [
        "ExportTableToPointInTime",
        "EnableKinesisStreamingDestination",
        "UpdateTable (replicaUpdates[0].create)",
        "UpdateTable (streamSpecification.streamEnabled=true)",
    ]
    assert labels("kms-key-tampering") == (
        ["kms:DisableKey", "kms:ScheduleKeyDeletion", "kms:PutKeyPolicy"],
        ["kms:DeleteImportedKeyMaterial", "kms:RevokeGrant", "kms:DisableKeyRotation"],
    )


def test_unauthorized_calls_are_several_operations_with_both_codes() -> None:
    mandatory = ALL["unauthorized-calls"].mandatory
    names = {one.name for one in mandatory}
    assert len(names) > 2
    assert {(one.name, one.body["errorCode"]) for one in mandatory} == {
        (name, code) for name in names for code in ("AccessDenied", "AccessDeniedException")
    }
    # EventBridge hands calls that read only to rules in the state for all management events.
    assert not any(one.body["readOnly"] for one in mandatory)
    assert "ec2:RunInstances (errorCode=Client.UnauthorizedOperation)" in labels("unauthorized-calls")[1]


@pytest.mark.parametrize(
    "one",
    [one for each in ALL.values() for one in each.mandatory + each.recommended],
    ids=lambda one: one.label,
)
def test_every_record_is_whole(one: Event) -> None:
    body = one.body
    assert {
        "eventVersion",
        "userIdentity",
        "eventTime",
        "eventSource",
        "eventName",
        "awsRegion",
        "sourceIPAddress",
        "userAgent",
        "requestParameters",
        "responseElements",
        "requestID",
        "eventID",
        "readOnly",
        "eventType",
        "managementEvent",
        "recipientAccountId",
        "eventCategory",
    } <= set(body)
    assert (body["eventSource"], body["eventName"]) == (one.source, one.name)
    assert body["eventSource"].endswith(".amazonaws.com")
    assert body["userIdentity"]["type"] == "AssumedRole"
    assert body["userIdentity"]["arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/")
    assert ("errorCode" in body) is ("!" in one.label or "errorCode" in one.label)
    assert json.loads(json.dumps(body)) == body
    # Members of parameters begin with a small letter; EC2's requests are wrapped.
    if body["requestParameters"] and not one.source.startswith("ec2."):
        assert all(re.match("[a-z]", member) for member in body["requestParameters"])


def test_every_event_has_its_own_parameters() -> None:
    events = [one for each in ALL.values() for one in each.mandatory + each.recommended]
    lacking = {one.label for one in events if not one.body["requestParameters"]}
    assert not lacking


def test_a_call_of_the_data_plane_is_a_data_event() -> None:
    scan = call("dynamodb:Scan").body
    assert (scan["managementEvent"], scan["eventCategory"], scan["readOnly"]) == (False, "Data", True)
    table = call("dynamodb:DescribeTable").body
    assert (table["managementEvent"], table["eventCategory"], table["readOnly"]) == (True, "Management", True)
    deleted = call("dynamodb:DeleteTable").body
    assert (deleted["managementEvent"], deleted["eventCategory"], deleted["readOnly"]) == (True, "Management", False)


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-west-1", "dynamodb.eu-west-1.amazonaws.com"),
        ("aws-cn", "cn-north-1", "dynamodb.cn-north-1.amazonaws.com.cn"),
        ("aws-us-gov", "us-gov-west-1", "dynamodb.us-gov-west-1.amazonaws.com"),
    ],
)
def test_the_partition_is_in_the_arns_and_not_in_the_source(partition: str, region: str, host: str) -> None:
    body = call("dynamodb:DeleteBackup", partition=partition, region=region).body
    assert body["eventSource"] == "dynamodb.amazonaws.com"
    assert body["requestParameters"]["backupArn"].startswith(f"arn:{partition}:dynamodb:{region}:{ACCOUNT}:table/")
    assert body["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"].startswith(f"arn:{partition}:iam::{ACCOUNT}:")
    assert body["tlsDetails"]["clientProvidedHostHeader"] == host


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("dynamodb:DeleteTable", "aws.dynamodb"),
        ("kms:DisableKey", "aws.kms"),
        ("cloudtrail:StopLogging", "aws.cloudtrail"),
        ("backup:DeleteRecoveryPoint", "aws.backup"),
    ],
)
def test_the_envelope(text: str, source: str) -> None:
    one = call(text)
    envelope = one.envelope
    assert envelope["source"] == source
    assert envelope["detail-type"] == "AWS API Call via CloudTrail"
    assert (envelope["account"], envelope["region"], envelope["time"]) == (ACCOUNT, REGION, one.body["eventTime"])
    assert envelope["resources"] == []
    assert envelope["detail"] == one.body
    assert set(envelope) == {
        "version",
        "id",
        "detail-type",
        "source",
        "account",
        "time",
        "region",
        "resources",
        "detail",
    }


def test_parameters_stand_beside_the_usual_ones() -> None:
    one = event(
        "dynamodb",
        "UpdateTable",
        region=REGION,
        account=ACCOUNT,
        partition="aws",
        parameters={"tableName": "invoices", "deletionProtectionEnabled": False},
        error="AccessDenied",
    )
    assert one.body["requestParameters"] == {"tableName": "invoices", "deletionProtectionEnabled": False}
    assert one.body["errorCode"] == "AccessDenied"
    assert "dynamodb:UpdateTable" in one.body["errorMessage"]
    assert one.label == "UpdateTable (tableName=invoices, deletionProtectionEnabled=false, errorCode=AccessDenied)"


def test_a_call_that_is_not_known_has_no_parameters() -> None:
    assert call("dynamodb:TagResource").body["requestParameters"] == {"tableName": "customer-orders"}
    body = event("glue.amazonaws.com", "DeleteTable", region=REGION, account=ACCOUNT).body
    assert (body["eventSource"], body["requestParameters"]) == ("glue.amazonaws.com", None)


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("dynamodb:UpdateTable[deletionProtectionEnabled=false]", {"deletionProtectionEnabled": False}),
        ("dynamodb:UpdateTable[ deletionProtectionEnabled = false ]", {"deletionProtectionEnabled": False}),
        (
            "dynamodb:UpdateTable[streamSpecification.streamEnabled=true,streamSpecification.streamViewType=KEYS_ONLY]",
            {"streamSpecification": {"streamEnabled": True, "streamViewType": "KEYS_ONLY"}},
        ),
        (
            "dynamodb:UpdateTable[replicaUpdates[0].create]",
            {"replicaUpdates": [{"create": {"regionName": "ap-southeast-1"}}]},
        ),
        (
            "dynamodb:UpdateTable[replicaUpdates[0].create.regionName=us-east-1,replicaUpdates[0].delete]",
            {
                "replicaUpdates": [
                    {"create": {"regionName": "us-east-1"}, "delete": {"regionName": "eu-west-3"}},
                ]
            },
        ),
        ('dynamodb:UpdateTable[billingMode="PROVISIONED"]', {"billingMode": "PROVISIONED"}),
        ("dynamodb:UpdateTable[onDemandThroughput]", {"onDemandThroughput": {}}),
    ],
)
def test_the_short_form(text: str, parameters: object) -> None:
    request = dict(call(text).body["requestParameters"])
    request.pop("tableName")
    assert request == parameters


def test_the_short_form_with_an_error() -> None:
    one = call("kms:DisableKey!AccessDeniedException")
    assert (one.source, one.body["errorCode"]) == ("kms.amazonaws.com", "AccessDeniedException")
    assert one.body["responseElements"] is None
    assert call("dynamodb.amazonaws.com:DeleteTable!Client.UnauthorizedOperation").source == "dynamodb.amazonaws.com"


def test_a_star_stands_for_several_operations() -> None:
    several = read_events("dynamodb:*!AccessDenied", account=ACCOUNT, region=REGION)
    assert len({one.name for one in several}) == len(several) > 2
    assert {one.body["errorCode"] for one in several} == {"AccessDenied"}
    assert call("dynamodb:*!AccessDenied") == several[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DeleteTable",
        "dynamodb:",
        "dynamodb:Delete Table",
        "dynamodb:DeleteTable!",
        "dynamodb:DeleteTable!Access Denied",
        "dynamodb:UpdateTable[",
        "dynamodb:UpdateTable[]",
        "dynamodb:UpdateTable[=false]",
        "dynamodb:UpdateTable[replicaUpdates[1].create]",
        "dynamodb:UpdateTable[a..b=1]",
        "dynamodb:Delete*",
        "s3:*",
        "dynamodb:DeleteTable and more",
    ],
)
def test_what_is_no_short_form(text: str) -> None:
    with pytest.raises(ValueError, match="is no event"):
        read_event(text, account=ACCOUNT, region=REGION)


def test_the_table_and_the_key_are_those_that_are_named() -> None:
    named = classes(ACCOUNT, REGION, "aws", table="invoices", key="1234abcd-12ab-34cd-56ef-1234567890ab")
    deletion = named["table-deletion"].mandatory[0].body
    assert deletion["requestParameters"] == {"tableName": "invoices"}
    assert deletion["resources"][0]["ARN"] == f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/invoices"
    assert "customer-orders" not in json.dumps([one.body for one in named["data-exfiltration"].mandatory])
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    assert {one.body["requestParameters"]["keyId"] for one in named["kms-key-tampering"].mandatory} == {key}


def test_only_a_call_that_succeeds_is_answered() -> None:
    assert call("dynamodb:DeleteTable").body["responseElements"]["tableDescription"]["tableStatus"] == "DELETING"
    assert call("dynamodb:DeleteTable!AccessDenied").body["responseElements"] is None
    protection = call("dynamodb:UpdateTable[deletionProtectionEnabled=false]").body["responseElements"]
    assert protection["tableDescription"]["deletionProtectionEnabled"] is False
    other = call("dynamodb:UpdateTable[sSESpecification]").body["responseElements"]
    assert other["tableDescription"]["deletionProtectionEnabled"] is True


def test_a_record_is_not_shared() -> None:
    one, other = (
        call("dynamodb:UpdateTable[replicaUpdates[0].create]"),
        call("dynamodb:UpdateTable[replicaUpdates[0].create]"),
    )
    one.body["requestParameters"]["replicaUpdates"][0]["create"]["regionName"] = "changed"
    assert other.body["requestParameters"]["replicaUpdates"][0]["create"]["regionName"] == "ap-southeast-1"
    assert call("dynamodb:UpdateTable[replicaUpdates[0].create]").body == other.body

"""The auditing session: read-only by construction, failures classified, credentials explained."""

import json
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.endpoint
import botocore.exceptions
import pytest
from botocore.awsrequest import AWSResponse

from auditor.errors import CredentialsError, UsageError
from auditor.facts import ItemSample, Reason
from auditor.facts.base import RAW
from auditor.sources.aws import session as module
from auditor.sources.aws.account import check_regions
from auditor.sources.aws.collector import BULK, COLLECTORS
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import (
    Access,
    Aws,
    Missing,
    ReadOnlyViolation,
    Vanished,
    classify,
    declared_operations,
    identify,
    open_session,
    opt_in_operations,
)
from tests.sources.aws.conftest import ACCOUNT, create_table
from tests.wire import Answer

MUTATIONS = [
    ("dynamodb", "delete_table", {"TableName": "orders"}),
    ("dynamodb", "update_table", {"TableName": "orders", "DeletionProtectionEnabled": False}),
    ("dynamodb", "put_item", {"TableName": "orders", "Item": {"pk": {"S": "1"}}}),
    ("dynamodb", "scan", {"TableName": "orders"}),
    ("dynamodb", "query", {"TableName": "orders"}),
    ("dynamodb", "get_item", {"TableName": "orders", "Key": {"pk": {"S": "1"}}}),
    ("kms", "schedule_key_deletion", {"KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab"}),
    ("kms", "decrypt", {"CiphertextBlob": b"x"}),
    ("ec2", "delete_vpc", {"VpcId": "vpc-1"}),
    ("iam", "create_user", {"UserName": "mallory"}),
    ("cloudtrail", "stop_logging", {"Name": "audit"}),
    ("config", "stop_configuration_recorder", {"ConfigurationRecorderName": "default"}),
    ("s3", "put_object", {"Bucket": "b", "Key": "k"}),
    ("organizations", "leave_organization", {}),
    ("secretsmanager", "get_secret_value", {"SecretId": "s"}),
]


@pytest.mark.parametrize(("service", "operation", "params"), MUTATIONS, ids=lambda value: str(value)[:30])
def test_an_undeclared_operation_raises_before_it_leaves_the_process(
    access: Access, service: str, operation: str, params: dict[str, Any]
) -> None:
    create_table("orders")
    sent: list[str] = []
    client = access.session.client(service, region_name="eu-west-1")
    client.meta.events.register("before-send", lambda event_name, **_: sent.append(event_name))
    with pytest.raises(ReadOnlyViolation, match="only reads"):
        getattr(client, operation)(**params)
    assert sent == []
    assert boto3.client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_every_operation_that_writes_is_refused_whatever_the_service(session: boto3.Session) -> None:
    reading = ("Describe", "Get", "Head", "List")
    others = {one for one in declared_operations() if not one.partition(":")[2].startswith(reading)}
    # The first makes IAM gather a report that only iam:GetCredentialReport reads; it changes no identity, policy or
    # table. The second reads items, and is called only where the configuration turns sampling on. The last two query
    # what AWS Config recorded.
    queries = {"config:SelectResourceConfig", "config:SelectAggregateResourceConfig"}
    assert others == {"iam:GenerateCredentialReport", "dynamodb:Scan"} | queries
    assert [fact.__name__ for fact, info in RAW.items() if "dynamodb:Scan" in info.operations] == ["ItemSample"]
    assert RAW[ItemSample].opt_in
    assert opt_in_operations() == {"dynamodb:Scan"}
    assert "dynamodb:GetItem" not in declared_operations()


def test_items_are_refused_until_the_user_turns_sampling_on(access: Access) -> None:
    create_table("orders")
    client = access.client("dynamodb", "eu-west-1")
    with pytest.raises(ReadOnlyViolation, match="sampling"):
        client.scan(TableName="orders")
    access.allow_sampling()
    assert client.scan(TableName="orders")["Items"] == []
    with pytest.raises(ReadOnlyViolation):
        client.delete_table(TableName="orders")
    with pytest.raises(ReadOnlyViolation):
        Access(ACCOUNT, "other", boto3.Session(), access.pacer).client("dynamodb", "eu-west-1").scan(TableName="orders")


def test_a_client_of_the_collectors_is_guarded_too(access: Access) -> None:
    with pytest.raises(ReadOnlyViolation):
        access.client("dynamodb", "eu-west-1").delete_table(TableName="orders")


def test_the_guard_survives_a_second_registration_and_handlers_of_others(session: boto3.Session) -> None:
    module.guard(session)
    module.guard(session)
    client = session.client("dynamodb", region_name="eu-west-1")
    client.meta.events.register("before-call", lambda **_: ({}, {}))
    with pytest.raises(ReadOnlyViolation):
        client.delete_table(TableName="orders")


def test_every_declared_operation_exists_in_the_service_models() -> None:
    loaded = boto3.Session()
    for operation in declared_operations():
        service, _, name = operation.partition(":")
        model = loaded.client(module.CLIENTS.get(service, service), region_name="us-east-1").meta.service_model
        assert name in model.operation_names, operation


def test_every_raw_fact_has_a_collector_for_every_kind_it_is_about() -> None:
    given_by_setup = {"CollectionTime", "RegionScope"}
    missing = {
        (fact_type.__name__, kind.__name__)
        for fact_type, info in RAW.items()
        for kind in info.about
        if (fact_type, kind) not in COLLECTORS and fact_type.__name__ not in given_by_setup
    }
    assert missing == set()
    assert all(pair in COLLECTORS for pair in BULK)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AccessDeniedException", Reason.ACCESS_DENIED),
        ("AccessDenied", Reason.ACCESS_DENIED),
        ("UnauthorizedOperation", Reason.ACCESS_DENIED),
        ("Client.UnauthorizedOperation", Reason.ACCESS_DENIED),
        ("AuthorizationErrorException", Reason.ACCESS_DENIED),
        ("NotAuthorizedException", Reason.ACCESS_DENIED),
        ("403", Reason.ACCESS_DENIED),
        ("ThrottlingException", Reason.THROTTLED),
        ("Throttling", Reason.THROTTLED),
        ("TooManyRequestsException", Reason.THROTTLED),
        ("RequestLimitExceeded", Reason.THROTTLED),
        ("LimitExceededException", Reason.THROTTLED),
        ("EndpointConnectionError", Reason.TRANSIENT),
        ("InternalServerError", Reason.TRANSIENT),
        ("ExpiredTokenException", Reason.TRANSIENT),
        ("NotImplementedError", Reason.UNSUPPORTED),
        ("UnsupportedOperationException", Reason.UNSUPPORTED),
    ],
)
def test_error_codes_have_a_reason(code: str, reason: Reason) -> None:
    assert classify(code) is reason


def answer(status: int, code: str) -> Any:
    body = f'{{"__type": "com.amazonaws#{code}", "message": "no"}}'.encode()

    class Raw:
        def stream(self, **_: Any) -> list[bytes]:
            return [body]

    headers = {"content-type": "application/x-amz-json-1.0", "x-amzn-errortype": code}
    return lambda request, **_: AWSResponse(request.url, status, headers, Raw())


def test_a_denied_call_names_the_iam_action_and_the_region(access: Access) -> None:
    client = access.client("dynamodb", "eu-west-1")
    client.meta.events.register_first("before-send.dynamodb.DescribeTable", answer(400, "AccessDeniedException"))
    with pytest.raises(Missing) as error:
        Aws(access, "eu-west-1").call("dynamodb:DescribeTable", TableName="orders")
    gap = error.value.gap
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, "dynamodb:DescribeTable")
    assert "eu-west-1" in gap.detail


def test_a_refusal_that_botocore_repeats_slows_the_operation_down(session: boto3.Session) -> None:
    create_table("orders")
    access = Access(ACCOUNT, "shop", session, Pacer("adaptive"), attempts=2)
    refusals = [answer(400, "ThrottlingException")]
    client = access.client("dynamodb", "eu-west-1")
    client.meta.events.register_first(
        "before-send.dynamodb.DescribeContinuousBackups",
        lambda **details: refusals.pop()(**details) if refusals else None,
    )
    aws = Aws(access, "eu-west-1")
    bucket = access.pacer.bucket(ACCOUNT.id, "eu-west-1", "dynamodb:DescribeContinuousBackups")
    assert bucket is not None
    for _ in range(5):
        bucket.take()
    assert bucket.rate > 14
    assert aws.call("dynamodb:DescribeContinuousBackups", TableName="orders")["ContinuousBackupsDescription"]
    assert bucket.rate < 10


def test_absent_and_gone_are_told_from_failures(access: Access) -> None:
    aws = Aws(access, "eu-west-1")
    assert aws.call("dynamodb:DescribeTable", absent=("ResourceNotFoundException",), TableName="none") is None
    with pytest.raises(Vanished):
        aws.call("dynamodb:DescribeTable", gone=("ResourceNotFoundException",), TableName="none")
    with pytest.raises(Missing):
        aws.call("dynamodb:DescribeTable", TableName="none")


def test_a_connection_error_is_transient(access: Access) -> None:
    def refuse(request: Any, **_: Any) -> None:
        raise botocore.exceptions.EndpointConnectionError(endpoint_url=request.url)

    access.client("dynamodb", "eu-west-1").meta.events.register_first("before-send.dynamodb.ListTables", refuse)
    with pytest.raises(Missing) as error:
        list(Aws(access, "eu-west-1").pages("dynamodb:ListTables"))
    assert error.value.gap.reason is Reason.TRANSIENT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"TableNames": ["ord',
        b"<html><body>Log in</body></html>",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"Tables": []}',
    ],
    ids=repr,
)
def test_an_answer_that_holds_nothing_is_not_an_empty_list(access: Access, body: bytes) -> None:
    client = access.client("dynamodb", "eu-west-1")
    client.meta.events.register_first("before-send.dynamodb.ListTables", lambda request, **_: received(request, body))
    with pytest.raises(Missing) as error:
        list(Aws(access, "eu-west-1").pages("dynamodb:ListTables"))
    assert (error.value.code, error.value.gap.reason) == ("UnreadableAnswer", Reason.TRANSIENT)
    assert error.value.gap.detail == "The answer to dynamodb:ListTables in eu-west-1 could not be read."
    assert "Log in" not in error.value.message


def test_an_answer_that_holds_nothing_is_asked_for_once_more(access: Access) -> None:
    bodies = [b'{"TableNames": ["ord', b'{"TableNames": ["orders"]}']
    client = access.client("dynamodb", "eu-west-1")
    client.meta.events.register_first(
        "before-send.dynamodb.ListTables", lambda request, **_: received(request, bodies.pop(0))
    )
    pages = Aws(access, "eu-west-1").pages("dynamodb:ListTables")
    assert [page["TableNames"] for page in pages] == [["orders"]]
    assert bodies == []


def test_a_page_after_the_first_that_holds_nothing_ends_the_listing(access: Access) -> None:
    bodies = [b'{"TableNames": ["orders"], "LastEvaluatedTableName": "orders"}', b"{", b'{"TableNames": ["carts"]}']
    client = access.client("dynamodb", "eu-west-1")
    client.meta.events.register_first(
        "before-send.dynamodb.ListTables", lambda request, **_: received(request, bodies.pop(0))
    )
    pages = Aws(access, "eu-west-1").pages("dynamodb:ListTables")
    assert next(pages)["TableNames"] == ["orders"]
    with pytest.raises(Missing, match="could not be read"):
        next(pages)


def test_an_empty_list_is_an_answer(access: Access) -> None:
    client = access.client("dynamodb", "eu-west-1")
    body = b'{"TableNames": []}'
    client.meta.events.register_first("before-send.dynamodb.ListTables", lambda request, **_: received(request, body))
    assert [page["TableNames"] for page in Aws(access, "eu-west-1").pages("dynamodb:ListTables")] == [[]]


def received(request: Any, body: bytes, status: int = 200) -> AWSResponse:
    return Answer(status, body).received(request.url)


def test_throttled_calls_are_tried_again_when_botocores_own_budget_is_used_up(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its standard mode has a hundred tries for a client; these calls take three hundred."""
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
    access = Access(ACCOUNT, "shop", session, Pacer("off"), attempts=4)
    sent: list[str] = []

    def throttle(request: Any, **_: Any) -> AWSResponse | None:
        sent.append(request.url)
        body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
        return received(request, body, 400) if len(sent) % 4 else received(request, b'{"TableNames": []}')

    access.client("dynamodb", "eu-west-1").meta.events.register_first("before-send.dynamodb.ListTables", throttle)
    aws = Aws(access, "eu-west-1")
    for _ in range(100):
        assert list(aws.pages("dynamodb:ListTables"))
    assert len(sent) == 400


def test_a_throttled_call_is_not_tried_for_ever(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=waits.append))
    access = Access(ACCOUNT, "shop", session, Pacer("off"), attempts=4)
    body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
    access.client("dynamodb", "eu-west-1").meta.events.register_first(
        "before-send.dynamodb.ListTables", lambda request, **_: received(request, body, 400)
    )
    for _ in range(100):
        with pytest.raises(Missing) as error:
            list(Aws(access, "eu-west-1").pages("dynamodb:ListTables"))
        assert error.value.gap.reason is Reason.THROTTLED
    assert len(waits) == 300
    assert max(waits) <= 4


@pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
def test_a_wrong_clock_is_called_that(access: Access, code: str) -> None:
    body = json.dumps({"__type": code, "message": "Signature expired: 20260101T000000Z is now earlier than …"}).encode()
    client = access.client("dynamodb", "eu-west-1")
    client.meta.events.register_first(
        "before-send.dynamodb.ListTables", lambda request, **_: received(request, body, 403)
    )
    with pytest.raises(Missing) as error:
        list(Aws(access, "eu-west-1").pages("dynamodb:ListTables"))
    assert "clock" in error.value.gap.detail
    assert "credentials expired" not in error.value.gap.detail


def test_calls_are_counted(access: Access) -> None:
    list(Aws(access, "eu-west-1").pages("dynamodb:ListTables"))
    assert access.calls == {"dynamodb:ListTables": 1}


def test_who_is_calling(session: boto3.Session) -> None:
    account, arn = identify(session, None)
    assert account.id == "123456789012"
    assert account.partition == "aws"
    assert arn.startswith("arn:aws:sts::123456789012:")


def test_an_unknown_profile_names_the_command_that_makes_it() -> None:
    with pytest.raises(CredentialsError) as error:
        open_session("nope")
    assert "aws configure --profile nope" in error.value.hint


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        ("ExpiredToken", "The security token included in the request is expired", "aws sso login --profile audit"),
        ("InvalidClientTokenId", "The security token included in the request is invalid.", "get-caller-identity"),
        ("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than …", "Set the clock"),
        ("SignatureDoesNotMatch", "Signature not yet current: 20300101T000000Z is still later than …", "Set the clock"),
        ("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.", "get-session-token"),
    ],
)
def test_refused_credentials_come_with_the_command_that_helps(
    session: boto3.Session, code: str, message: str, words: str
) -> None:
    def fail(**_: Any) -> None:
        raise botocore.exceptions.ClientError({"Error": {"Code": code, "Message": message}}, "GetCallerIdentity")

    session.events.register("before-call.sts.GetCallerIdentity", fail)
    with pytest.raises(CredentialsError) as error:
        identify(session, "audit")
    assert words in error.value.hint


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (botocore.exceptions.NoCredentialsError(), "aws configure"),
        (
            botocore.exceptions.SSOTokenLoadError(profile_name="audit", error_msg="none"),
            "aws sso login --profile audit",
        ),
        (botocore.exceptions.UnauthorizedSSOTokenError(), "aws sso login --profile audit"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://sts"), "network"),
        (EOFError(), "get-session-token"),
    ],
)
def test_missing_credentials_come_with_the_command_that_helps(
    session: boto3.Session, raised: Exception, words: str
) -> None:
    def fail(**_: Any) -> None:
        raise raised

    session.events.register("before-call.sts.GetCallerIdentity", fail)
    with pytest.raises(CredentialsError) as error:
        identify(session, "audit")
    assert words in error.value.hint


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("body", [b"<html><body>Log in<br></body></html>", b"<html></html>", b"", b"{}"], ids=repr)
def test_what_is_not_aws_is_no_defect(session: boto3.Session, body: bytes, status: int) -> None:
    """A network that wants a log-in answers to everything, and with what it likes."""
    session.events.register_first(
        "before-send.sts.GetCallerIdentity", lambda request, **_: received(request, body, status)
    )
    with pytest.raises(CredentialsError) as error:
        identify(session, "audit")
    assert error.value.hint
    assert "Log in" not in error.value.message


def test_the_profile_of_the_environment_is_named_when_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    with pytest.raises(CredentialsError, match='no AWS profile "nope"'):
        open_session(None)


def test_regions_with_commas_between_are_told_how_to_be_named() -> None:
    with pytest.raises(UsageError) as caught:
        check_regions(["eu-west-1,us-east-1"])
    assert "--region eu-west-1 --region us-east-1" in caught.value.hint

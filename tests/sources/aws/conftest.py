"""moto for the tests of the AWS source, and one account's access to it."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator
from moto import mock_aws

from auditor import engine, packs
from auditor.facts.base import Need, Signature, raw_closure
from auditor.inventory import Caller, Inventory
from auditor.packs import Rules
from auditor.resources import Account, Resource
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access

ACCOUNT = Account("123456789012")


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield


@pytest.fixture
def session(moto: None) -> boto3.Session:
    return boto3.Session()


@pytest.fixture
def access(session: boto3.Session) -> Access:
    return Access(ACCOUNT, "shop", session, Pacer("off"), attempts=1)


Gather = Callable[..., Inventory]


@pytest.fixture
def gather(access: Access) -> Gather:
    """Collect what some rules need from moto: ``gather("table-pitr", regions=["eu-west-1"])``."""

    def run(*patterns: str, regions: tuple[str, ...] = ("eu-west-1",), **options: Any) -> Inventory:
        wanted = engine.wanted(chosen(*patterns).values())
        return collect([access], Caller(ACCOUNT.id, "arn"), list(regions), wanted, **{"waits": (), **options})

    return run


@pytest.fixture
def gather_facts(access: Access) -> Gather:
    """Collect facts about a kind of resource, and all that finds it: ``gather_facts(Table, ResourcePolicy)``."""

    def run(kind: type[Resource], *facts: type) -> Inventory:
        signature = Signature((kind,), tuple(Need(fact.__name__, fact, optional=True) for fact in facts))
        return collect([access], Caller(ACCOUNT.id, "arn"), ["eu-west-1"], raw_closure([signature]), waits=())

    return run


def answer(access: Access, operation: str, *answers: Any, region: str = "eu-west-1") -> list[dict[str, Any]]:
    """Answer an operation in a region in AWS's place, before boto3 decodes what it decodes.

    Args:
        access: Whose client is answered.
        operation: ``service:Operation``.
        answers: In order, the last one for ever: an answer in the shape of AWS's, an error code, or a function that
            returns one of them for the request's parameters.
        region: The client's region.

    Returns:
        The requests' parameters so far, growing.
    """
    service, _, name = operation.partition(":")
    client = access.client(service, region)
    left, asked = list(answers), list[dict[str, Any]]()

    def handler(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        asked.append(_parameters(params))
        given = left.pop(0) if len(left) > 1 else left[0]
        if callable(given):
            given = given(asked[-1])
        if isinstance(given, str):
            return SimpleNamespace(status_code=400), {"Error": {"Code": given, "Message": "no"}, "ResponseMetadata": {}}
        report = ParamValidator().validate(given, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        return SimpleNamespace(status_code=200), _copy(given) | {"ResponseMetadata": {"HTTPStatusCode": 200}}

    client.meta.events.register(f"before-call.{client.meta.service_model.service_id.hyphenize()}.{name}", handler)
    return asked


def _parameters(params: dict[str, Any]) -> dict[str, Any]:
    """Return what a request asks for in its body and its query; of REST protocols the path under ``path`` too."""
    body, query = params["body"], params.get("query_string")
    if isinstance(body, bytes):
        body = json.loads(body) if body.startswith(b"{") else {}
    elif isinstance(body, str):
        body = json.loads(body) if body else {}
    more = dict(query) if isinstance(query, dict) else {}
    return {**body, **more} | ({"path": params["url_path"]} if params["url_path"] != "/" else {})


def _copy(value: Any) -> Any:
    """Return a copy of an answer, which boto3 changes in its place."""
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


def chosen(*patterns: str) -> Rules:
    return packs.select(packs.built_in(), patterns)


def create_table(name: str, region: str = "eu-west-1", **settings: Any) -> None:
    boto3.client("dynamodb", region_name=region).create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **settings,
    )

"""moto for the tests of the AWS source, and one account's access to it."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from auditor import engine, packs
from auditor.inventory import Caller, Inventory
from auditor.packs import Rules
from auditor.resources import Account
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

"""Models cut down to what is called: all that a declared operation needs is there, and nothing else can be called."""

import json
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from auditor.sources.aws import models
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import CLIENTS, Access, Aws, ReadOnlyViolation, declared_operations, open_session
from tests.sources.aws.conftest import ACCOUNT


@pytest.fixture(autouse=True)
def _own_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def described(shape: Shape | None, seen: frozenset[str] = frozenset()) -> Any:
    """Return all that a client does with a shape."""
    if shape is None or shape.name in seen:
        return shape and shape.name
    below = seen | {shape.name}
    inner: Any = None
    if isinstance(shape, StructureShape):
        inner = {name: described(member, below) for name, member in shape.members.items()}
    elif isinstance(shape, ListShape):
        inner = described(shape.member, below)
    elif isinstance(shape, MapShape):
        inner = described(shape.key, below), described(shape.value, below)
    return shape.name, shape.type_name, shape.serialization, shape.metadata, inner


def test_every_declared_operation_is_the_same_as_in_the_whole_model() -> None:
    cut, whole = open_session(None), boto3.Session()
    for service in sorted({operation.partition(":")[0] for operation in declared_operations()}):
        named = CLIENTS.get(service, service)
        ours, theirs = (one.client(named, region_name="eu-west-1").meta.service_model for one in (cut, whole))
        names = {one.partition(":")[2] for one in declared_operations() if one.startswith(f"{service}:")}
        assert names <= set(ours.operation_names) < set(theirs.operation_names)
        assert ours.metadata == theirs.metadata
        for name in names:
            mine, other = ours.operation_model(name), theirs.operation_model(name)
            assert mine.http == other.http
            assert described(mine.input_shape) == described(other.input_shape)
            assert described(mine.output_shape) == described(other.output_shape)
            assert [described(one) for one in mine.error_shapes] == [described(one) for one in other.error_shapes]


def test_what_is_not_declared_cannot_even_be_named() -> None:
    access = Access(ACCOUNT, "", open_session(None), Pacer("off"))
    client = access.client("dynamodb", "eu-west-1")
    assert hasattr(client, "describe_table")
    assert not hasattr(client, "delete_table")
    with pytest.raises(ReadOnlyViolation, match="dynamodb:DeleteTable"):
        Aws(access, "eu-west-1").call("dynamodb:DeleteTable", TableName="orders")


def test_services_that_are_not_named_stay_whole_and_files_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    held = models.loader(frozenset({"dynamodb:ListTables"}), None)
    assert held is models.loader(frozenset({"dynamodb:ListTables"}), None)
    assert list(held.load_service_model("dynamodb", "service-2")["operations"]) == ["ListTables"]
    assert held.load_service_model("dax", "service-2") == botocore.loaders.Loader().load_service_model(
        "dax", "service-2"
    )
    monkeypatch.setattr(json, "load", lambda file: pytest.fail("read again"))
    assert list(held.load_service_model("dynamodb", "service-2")["operations"]) == ["ListTables"]


def test_models_of_the_users_own_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "own" / "2026-01-01"
    folder.mkdir(parents=True)
    model = {"metadata": {"serviceId": "Own"}, "operations": {}, "shapes": {}}
    (folder / "service-2.json").write_text(json.dumps(model))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert "own" in open_session(None).get_available_services()

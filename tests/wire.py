"""Answers as they travel: what an operation's protocol makes of what botocore parses, and bodies that are not right."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSResponse
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from benchmarks.stub import THROTTLING

XML = ("ec2", "query", "rest-xml")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def received(self, url: str) -> AWSResponse:
        """Return it as botocore's HTTP session hands it on."""
        return AWSResponse(url, self.status, self.headers, _Raw(self.body))


class _Raw(io.BytesIO):
    """The connection that a body comes from, as far as botocore looks at it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def protocol_of(model: OperationModel) -> str:
    """Return the protocol that botocore speaks for an operation."""
    protocol: str = model.service_model.resolved_protocol
    return protocol


def answer(model: OperationModel, parsed: dict[str, Any]) -> Answer:
    """Return the answer that botocore parses into a result."""
    shape, protocol = model.output_shape, protocol_of(model)
    if shape is None:
        return Answer()
    held = {name: value for name, value in parsed.items() if name in shape.members and value is not None}
    places = {name: shape.members[name].serialization.get("location") for name in held}
    headers = {
        shape.members[name].serialization["name"]: str(value)
        for name, value in held.items()
        if places[name] == "header"
    }
    held = {name: value for name, value in held.items() if places[name] is None}
    if model.http["method"] == "HEAD":
        return Answer(headers=headers)
    payload = shape.serialization.get("payload")
    root: Shape = shape.members[payload] if payload else shape
    content: Any = held.get(payload, {}) if payload else held
    if protocol not in XML:
        return Answer(200, json.dumps(_json(root, content)).encode(), headers)
    if protocol == "rest-xml":
        return Answer(200, _xml(root, content, root.serialization.get("name", root.name)).encode(), headers)
    inner = "".join(_members(root, content))
    if protocol == "query":
        wrapper = shape.serialization["resultWrapper"]
        inner = f"<{wrapper}>{inner}</{wrapper}><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata>"
    else:
        inner += "<requestId>0</requestId>"
    return Answer(200, f"<{model.name}Response>{inner}</{model.name}Response>".encode(), headers)


def error(model: OperationModel, status: int, code: str, message: str = "injected") -> Answer:
    """Return an error as the operation's protocol writes it."""
    protocol = protocol_of(model)
    inner = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    body = {
        "rest-xml": inner,
        "ec2": f"<Response><Errors>{inner}</Errors><RequestID>0</RequestID></Response>",
        "query": f"<ErrorResponse>{inner}<RequestId>0</RequestId></ErrorResponse>",
    }.get(protocol, json.dumps({"__type": code, "message": message}))
    return Answer(status, body.encode())


def throttled(model: OperationModel) -> Answer:
    """Return what AWS answers above its rate."""
    return error(model, *THROTTLING[protocol_of(model)])


def without_required(shape: Shape, value: Any) -> Any:
    """Return a parsed answer without the members that AWS's model requires, at every depth."""
    if isinstance(shape, StructureShape):
        return {
            name: without_required(shape.members[name], one)
            for name, one in value.items()
            if name in shape.members and name not in shape.required_members
        }
    if isinstance(shape, ListShape):
        return [without_required(shape.member, one) for one in value]
    return value


def without_depth(shape: Shape, value: Any, depth: int) -> Any:
    """Return a parsed answer whose structures at a depth (0: the answer itself) have lost all their members."""
    if isinstance(shape, StructureShape):
        if depth == 0:
            return {}
        return {
            name: without_depth(shape.members[name], one, depth - 1)
            for name, one in value.items()
            if name in shape.members
        }
    if isinstance(shape, ListShape):
        return [without_depth(shape.member, one, depth) for one in value]
    return value


def _moment(shape: Shape, value: datetime, usual: str) -> str | float:
    if shape.serialization.get("timestampFormat", usual) == "unixTimestamp":
        return value.timestamp()
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _json(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape) and not getattr(shape, "is_document_type", False):
        return {
            shape.members[name].serialization.get("name", name): _json(shape.members[name], one)
            for name, one in value.items()
            if name in shape.members and one is not None
        }
    if isinstance(shape, ListShape):
        return [_json(shape.member, one) for one in value]
    if isinstance(shape, MapShape):
        return {key: _json(shape.value, one) for key, one in value.items()}
    if isinstance(value, datetime):
        return _moment(shape, value, "unixTimestamp")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _members(shape: StructureShape, values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if name not in shape.members or value is None:
            continue
        member = shape.members[name]
        tag = member.serialization.get("name", name)
        if isinstance(member, ListShape) and member.serialization.get("flattened"):
            yield from (_xml(member.member, one, member.member.serialization.get("name", tag)) for one in value)
        else:
            yield _xml(member, value, tag)


def _xml(shape: Shape, value: Any, tag: str) -> str:
    if isinstance(shape, StructureShape):
        inner = "".join(_members(shape, value))
    elif isinstance(shape, ListShape):
        inner = "".join(_xml(shape.member, one, shape.member.serialization.get("name", "member")) for one in value)
    elif isinstance(shape, MapShape):
        names = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        entries = [_xml(shape.key, key, names[0]) + _xml(shape.value, one, names[1]) for key, one in value.items()]
        inner = "".join(f"<entry>{entry}</entry>" for entry in entries)
    elif isinstance(value, datetime):
        inner = str(_moment(shape, value, "iso8601"))
    elif isinstance(value, bytes):
        inner = base64.b64encode(value).decode()
    elif isinstance(value, dict):  # a policy document, which boto3 decodes
        inner = quote(json.dumps(value))
    else:
        inner = escape(str(value).lower() if isinstance(value, bool) else str(value))
    return f"<{tag}>{inner}</{tag}>"

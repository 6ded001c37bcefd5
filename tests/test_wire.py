"""What the fault matrix puts in AWS's place is what botocore meets at a real socket."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from botocore.parsers import create_parser

from auditor.sources.aws.session import UnreadableAnswer, guard
from benchmarks.stub import THROTTLING
from tests import denied, wire

ANSWER = b'{"TableNames": ["orders", "carts"]}'


def parsed(operation: str, answer: wire.Answer) -> Any:
    model = denied.recording().models[operation]
    received = {"status_code": answer.status, "headers": answer.headers, "body": answer.body, "context": {}}
    return create_parser(wire.protocol_of(model)).parse(received, model.output_shape)


def plain(value: Any) -> Any:
    """Return a parsed answer without what the transport adds, and policy documents as boto3 decodes them."""
    if isinstance(value, dict):
        return {name: plain(document(name, one)) for name, one in value.items() if name != "ResponseMetadata"}
    return [plain(one) for one in value] if isinstance(value, list) else value


def document(name: str, value: Any) -> Any:
    return json.loads(unquote(value)) if name.endswith("Document") and isinstance(value, str) else value


def test_every_recorded_answer_survives_the_wire() -> None:
    answers = denied.recording().answers
    assert len({operation for _, operation, _ in answers}) > 80
    for (_, operation, _), (status, recorded) in answers.items():
        model = denied.recording().models[operation]
        if "Error" in recorded:
            got = parsed(operation, wire.error(model, status, recorded["Error"]["Code"], "no"))
            assert got["Error"]["Code"] == recorded["Error"]["Code"]
        else:
            assert plain(parsed(operation, wire.answer(model, recorded))) == plain(recorded), operation


def test_every_error_says_its_code_in_every_protocol() -> None:
    for operation, model in denied.recording().models.items():
        assert parsed(operation, wire.throttled(model))["Error"]["Code"] == THROTTLING[wire.protocol_of(model)][1]


Behaviour = Callable[[socket.socket], None]


def whole(content: bytes, length: int | None = None) -> Behaviour:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content) if length is None else length}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + content)


def chunk_cut(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + ANSWER)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.recv(1)


@contextlib.contextmanager
def served(behaviour: Behaviour) -> Iterator[str]:
    """Answer every connection in one way."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    request = b""
                    while not request.endswith(b"{}"):
                        request += connection.recv(65536)
                    behaviour(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def tables(url: str) -> Any:
    session = boto3.Session("x", "x", region_name="eu-west-1")
    guard(session)
    config = Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=1, read_timeout=0.3)
    return session.client("dynamodb", endpoint_url=url, config=config).list_tables()["TableNames"]


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (lambda connection: connection.close(), botocore.exceptions.ConnectionClosedError),
        (reset, botocore.exceptions.ConnectionClosedError),
        (chunk_cut, botocore.exceptions.HTTPClientError),
        (silent, botocore.exceptions.ReadTimeoutError),
        # botocore does not hold the length against the body, and makes an empty result of JSON that is cut off.
        (whole(ANSWER[:20], len(ANSWER)), UnreadableAnswer),
        (whole(b"", len(ANSWER)), UnreadableAnswer),
        (whole(b"<html><body>Log in</body></html>"), UnreadableAnswer),
    ],
    ids=["closed", "reset", "chunk cut off", "silent", "cut off", "cut off before the first byte", "a page"],
)
def test_what_goes_wrong_at_a_socket_has_the_form_that_is_injected(behaviour: Behaviour, error: type) -> None:
    with served(behaviour) as url, pytest.raises(error):
        tables(url)


def test_an_answer_at_the_same_socket_is_read() -> None:
    with served(whole(ANSWER)) as url:
        assert tables(url) == ["orders", "carts"]

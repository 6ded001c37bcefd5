"""moto behind a server of its own that notes and disturbs calls, and ddbaudit as a process of its own."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from benchmarks import stub

ACCOUNT, OTHER = "123456789012", "444455556666"
COMMAND = (sys.executable, "-m", "auditor")


@dataclass(frozen=True)
class Call:
    """A request that reached the server."""

    operation: str
    region: str
    body: str


#: Answers a call in moto's place; None leaves it to moto.
Fault = Callable[[Call, dict[str, Any]], Response | None]


class Quiet(WSGIRequestHandler):
    """Writes no log."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        pass


class Server:
    """moto at a port of 127.0.0.1. All servers of a process share moto's state; each has its own calls and faults."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.faults: dict[str, Fault] = {}
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def client(self, service: str, region: str = "eu-west-1", **credentials: str) -> Any:
        keys = {"aws_access_key_id": "planter", "aws_secret_access_key": "planter"} | credentials
        return boto3.client(service, region_name=region, endpoint_url=self.url, **keys)

    @property
    def operations(self) -> set[str]:
        """What was called, as ``service:Operation``."""
        return {call.operation for call in self.calls}

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        call = _call(environ, body.decode())
        self.calls.append(call)
        fault = self.faults.get(call.operation)
        answer = fault(call, environ) if fault else None
        if answer is not None:
            return answer(environ, start_response)
        try:
            return self._moto(environ, start_response)
        except NotImplementedError as missing:  # what moto's own server makes of an operation that it lacks
            return Response(str(missing), 500)(environ, start_response)


def _call(environ: dict[str, Any], body: str) -> Call:
    scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    region, service = scope.groups() if scope else ("", "")
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    name = target or parse_qs(body).get("Action", [""])[0]
    if name:
        return Call(f"{service}:{name}", region, body)
    path = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}".rstrip("?")
    headers = {"authorization": environ.get("HTTP_AUTHORIZATION", "")}
    operation, region, _ = stub.parse(path, headers, body.encode(), environ["REQUEST_METHOD"])
    return Call(operation if operation.partition(":")[2] else f"{service}:{path}", region, body)


def error(code: str, status: int = 400, message: str = "injected") -> Fault:
    """Return a fault that answers with an error in the shape of AWS's JSON protocols."""
    text = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message})
    return lambda _call, _environ: Response(text, status, content_type="application/x-amz-json-1.0")


def hang_up(_call: Call, environ: dict[str, Any]) -> Response:
    """Fault: close the connection without an answer."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return Response()


@dataclass
class Run:
    """A run of the command.

    Attributes:
        folder: The folder that it worked in.
        output: The folder of its reports.
    """

    code: int
    stdout: str
    stderr: str
    folder: Path
    output: Path

    @property
    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.output / "report.json").read_text(encoding="utf-8"))
        return document

    @property
    def page(self) -> str:
        return (self.output / "report.html").read_text(encoding="utf-8")

    def verdicts(self, rule: str) -> dict[str, str]:
        """Return the rule's statuses by name and region, such as ``orders eu-west-1``."""
        named = {one["id"]: f"{one['name']} {one['region']}" for one in self.report["resources"]}
        return {named[one["resource"]]: one["status"] for one in self.report["findings"] if one["rule"] == rule}


def environment(folder: Path, url: str | None = None, **more: str) -> dict[str, str]:
    """Return an environment with nothing of the user's, for the account of a server."""
    own = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
    }
    return own | ({"AWS_ENDPOINT_URL": url} if url else {}) | more


def without_network() -> tuple[str, ...]:
    """Return a command's prefix that cuts it off from every network; () where there is no such thing."""
    tool = shutil.which("unshare")
    if tool is None or subprocess.run([tool, "-rn", "true"], check=False, capture_output=True).returncode:  # noqa: S603
        return ()
    return (tool, "-rn")


@dataclass
class Started:
    """A process of the command that runs."""

    process: subprocess.Popen[str]
    folder: Path
    output: Path

    def finish(self) -> Run:
        stdout, stderr = self.process.communicate(timeout=300)
        return Run(self.process.returncode, stdout, stderr, self.folder, self.output)


@dataclass
class Runner:
    """Starts ``ddbaudit`` in a folder of its own."""

    folder: Path
    command: Sequence[str] = COMMAND
    _count: int = field(default=0)

    def start(
        self,
        *arguments: str,
        server: Server | None = None,
        config: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Started:
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        if config:
            (folder / "ddbaudit.yaml").write_text(config)
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*self.command, *arguments],
            cwd=folder,
            env=environment(folder, server.url if server else None, **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Started(process, folder, folder / "ddbaudit-report")

    def __call__(
        self,
        *arguments: str,
        server: Server | None = None,
        config: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Run:
        return self.start(*arguments, server=server, config=config, env=env).finish()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[], Server]]:
    """Make servers over one moto, which is empty at first."""
    moto_api_backend.reset()
    made: list[Server] = []

    def make() -> Server:
        made.append(Server())
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def ddbaudit(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(tmp_path_factory.mktemp("runs"))


def create_table(server: Server, name: str, region: str = "eu-west-1", **settings: Any) -> str:
    """Create a table and return its ARN."""
    answer = server.client("dynamodb", region).create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **settings,
    )
    arn: str = answer["TableDescription"]["TableArn"]
    return arn


def tagged(**values: str) -> list[dict[str, str]]:
    return [{"Key": key.replace("_", "-"), "Value": value} for key, value in values.items()]

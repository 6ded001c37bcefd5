"""Records AWS's (here: moto's) answers once and replays them below botocore, with faults where a test wants them.

A replayed run makes the same calls through the same collectors, error handling and paging; only the HTTP
exchange is replaced. So every operation can fail in turn without planting the organisation again.

Two ways in. A :data:`Fault` is met before a request is made, which is fast. A :data:`Trouble` is met where the request
would leave the process: signing, retries, waits between them and the reading of the answer are botocore's own.
"""

from __future__ import annotations

import collections
import contextlib
import json
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
import botocore.endpoint
from botocore.awsrequest import AWSResponse
from botocore.model import OperationModel

from auditor import engine
from auditor.config import NO_SAMPLING, Sampling
from auditor.inventory import Caller, Inventory
from auditor.packs import Rules
from auditor.resources import Account
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.scheduler import THROTTLE_WAITS
from auditor.sources.aws.session import CLIENTS, Access, ConfigSource
from tests import wire
from tests.wire import Answer

#: Given an operation (``service:Operation``): an error code to answer with, an exception to raise, or None.
Fault = Callable[[str], str | Exception | None]

#: HTTP attempts for one call, and further tries of a call that was throttled in all of them: as in a run.
ATTEMPTS = 4
ROUNDS = len(THROTTLE_WAITS)

_SERVICES = {client: service for service, client in CLIENTS.items()}


@dataclass(frozen=True)
class Attempt:
    """A request about to leave the process.

    Attributes:
        account: Whose credentials sign it.
        operation: ``service:Operation``.
        model: botocore's model of the operation.
        request: What is asked, the same for the same question.
        number: How often it has been asked in this run, this time included.
        status: HTTP status of the recorded answer.
        parsed: What botocore made of the recorded answer.
    """

    account: str
    operation: str
    model: OperationModel
    request: str
    number: int
    status: int
    parsed: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether the recorded answer is an error."""
        return "Error" in self.parsed

    @property
    def recorded(self) -> Answer:
        """The recorded answer, as it travels."""
        if self.failed:
            return wire.error(self.model, self.status, self.parsed["Error"]["Code"], self.parsed["Error"]["Message"])
        return wire.answer(self.model, self.parsed)


#: Given an attempt: what is answered to it, the exception that the HTTP client raises, or None for the recorded answer.
Trouble = Callable[[Attempt], Answer | Exception | None]

UNTROUBLED: Trouble = lambda _: None  # noqa: E731


def operation_of(model: Any) -> str:
    """Return an operation model's name as facts declare it."""
    service = model.service_model.service_name
    return f"{_SERVICES.get(service, service)}:{model.name}"


def _key(params: dict[str, Any]) -> str:
    body = params["body"]
    text = body.decode() if isinstance(body, bytes) else str(sorted(body.items()) if isinstance(body, dict) else body)
    query = params["query_string"]
    return "\0".join([params["method"], params["url"], str(sorted(query.items()) if query else ""), text])


def _undecoded(answer: Any) -> Any:
    """Return an answer of IAM before boto3 decodes, in place, the policy documents in it."""
    if isinstance(answer, dict):
        return {
            name: json.dumps(value) if name.endswith("Document") and isinstance(value, dict) else _undecoded(value)
            for name, value in answer.items()
        }
    return [_undecoded(one) for one in answer] if isinstance(answer, list) else answer


@dataclass
class Recording:
    """Answers by account and request, who collected, and when: a replay is at the same moment."""

    caller: Caller
    accounts: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[tuple[str, str, str], tuple[int, dict[str, Any]]] = field(default_factory=dict)
    models: dict[str, OperationModel] = field(default_factory=dict)
    sampling: Sampling = NO_SAMPLING
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    attempts: collections.Counter[tuple[str, str, str]] = field(default_factory=collections.Counter)
    _accesses: list[Access] = field(default_factory=list)
    _fault: Fault = lambda _: None
    _trouble: Trouble = UNTROUBLED
    _troubled: Container[str] = frozenset()
    _asking: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, account: str, name: str, session: boto3.Session) -> None:
        """Record what the session's clients are answered from now on."""
        self.accounts.append((account, name))

        def before(model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
            context["recorded as"] = (account, operation_of(model), _key(params))
            context["recorded of"] = model

        def after(http_response: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
            self.answers[context["recorded as"]] = (http_response.status_code, parsed)
            self.models[context["recorded as"][1]] = context["recorded of"]

        session.events.register_first("before-call", before)
        session.events.register_last("after-call", after)

    def session(self, account: str) -> boto3.Session:
        """Return a session that answers from the recording, and counts as sent only what a trouble may meet."""
        session = boto3.Session("replay", "replay", region_name="us-east-1")

        def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]] | None:
            operation = operation_of(model)
            if operation in self._troubled:
                self._asking.now = (account, operation, _key(params), model)
                return None
            failure = self._fault(operation)
            if isinstance(failure, Exception):
                raise failure
            if failure is not None:
                error = {"Error": {"Code": failure, "Message": "injected"}, "ResponseMetadata": {}}
                return SimpleNamespace(status_code=400), error
            status, parsed = self.answers.get((account, operation, _key(params)), NOT_RECORDED)
            return SimpleNamespace(status_code=status), _undecoded(parsed) if operation.startswith("iam:") else parsed

        def send(request: Any, **_: Any) -> AWSResponse:
            account, operation, key, model = self._asking.now
            with self._lock:
                self.attempts[account, operation, key] += 1
                number = self.attempts[account, operation, key]
            status, parsed = self.answers.get((account, operation, key), NOT_RECORDED)
            attempt = Attempt(account, operation, model, key, number, status, parsed)
            given = self._trouble(attempt)
            if isinstance(given, Exception):
                raise given
            return (given or attempt.recorded).received(request.url)

        session.events.register("before-call", answer)
        session.events.register("before-send", send)
        return session

    def collect(
        self,
        rules: Rules,
        fault: Fault = lambda _: None,
        regions: Iterable[str] = (),
        config: ConfigSource | None = None,
        trouble: Trouble = UNTROUBLED,
        troubled: Container[str] = frozenset(),
    ) -> Inventory:
        """Collect from the recording what some rules need.

        The clients are made once: making them takes longer than all the calls.

        Args:
            rules: Whose facts are collected.
            fault: What is met before a request is made.
            regions: The regions to audit.
            config: How AWS Config is asked.
            trouble: What is met where a request leaves the process.
            troubled: The operations that come that far; the others are answered before.
        """
        self._fault, self._trouble, self._troubled = fault, trouble, troubled
        self.attempts.clear()
        if not self._accesses:
            self._accesses = [
                Access(Account(account), name, self.session(account), Pacer("off"), ATTEMPTS)
                for account, name in self.accounts
            ]
        waits = (0.0,) * ROUNDS if trouble is not UNTROUBLED else ()
        with _no_waiting():
            return collect(
                self._accesses,
                self.caller,
                list(regions),
                engine.wanted(rules.values()),
                now=self.now,
                waits=waits,
                sampling=self.sampling,
                config=config,
            )


#: A call that the undisturbed run had no need to make is refused, as a policy without it would.
NOT_RECORDED: tuple[int, dict[str, Any]] = (
    400,
    {"Error": {"Code": "AccessDeniedException", "Message": "not recorded"}, "ResponseMetadata": {}},
)


@contextlib.contextmanager
def _no_waiting() -> Iterator[None]:
    """Let botocore retry at once."""
    with mock.patch.object(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None)):
        yield

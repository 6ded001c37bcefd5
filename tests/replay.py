"""Records AWS's (here: moto's) answers once and replays them below botocore, with faults where a test wants them.

A replayed run makes the same calls through the same collectors, error handling and paging; only the HTTP
exchange is replaced. So every operation can fail in turn without planting the organisation again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import boto3

from auditor import engine
from auditor.config import NO_SAMPLING, Sampling
from auditor.inventory import Caller, Inventory
from auditor.packs import Rules
from auditor.resources import Account
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import CLIENTS, Access, ConfigSource

#: Given an operation (``service:Operation``): an error code to answer with, an exception to raise, or None.
Fault = Callable[[str], str | Exception | None]

_SERVICES = {client: service for service, client in CLIENTS.items()}


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
    """Answers by account and request, and who collected."""

    caller: Caller
    accounts: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[tuple[str, str, str], tuple[int, dict[str, Any]]] = field(default_factory=dict)
    operations: set[str] = field(default_factory=set)
    sampling: Sampling = NO_SAMPLING
    _accesses: list[Access] = field(default_factory=list)
    _fault: Fault = lambda _: None

    def record(self, account: str, name: str, session: boto3.Session) -> None:
        """Record what the session's clients are answered from now on."""
        self.accounts.append((account, name))

        def before(model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
            context["recorded as"] = (account, operation_of(model), _key(params))

        def after(http_response: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
            self.answers[context["recorded as"]] = (http_response.status_code, parsed)
            self.operations.add(context["recorded as"][1])

        session.events.register_first("before-call", before)
        session.events.register_last("after-call", after)

    def session(self, account: str) -> boto3.Session:
        """Return a session that answers from the recording, and counts nothing as sent."""
        session = boto3.Session("replay", "replay", region_name="us-east-1")

        def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
            operation = operation_of(model)
            failure = self._fault(operation)
            if isinstance(failure, Exception):
                raise failure
            if failure is not None:
                error = {"Error": {"Code": failure, "Message": "injected"}, "ResponseMetadata": {}}
                return SimpleNamespace(status_code=400), error
            status, parsed = self.answers.get((account, operation, _key(params)), (None, None))
            if status is None or parsed is None:
                # A call that the undisturbed run had no need to make: refuse it, as a policy without it would.
                error = {"Error": {"Code": "AccessDeniedException", "Message": "not recorded"}, "ResponseMetadata": {}}
                return SimpleNamespace(status_code=400), error
            return SimpleNamespace(status_code=status), _undecoded(parsed) if operation.startswith("iam:") else parsed

        session.events.register("before-call", answer)
        return session

    def collect(
        self,
        rules: Rules,
        fault: Fault = lambda _: None,
        regions: Iterable[str] = (),
        config: ConfigSource | None = None,
    ) -> Inventory:
        """Collect from the recording what some rules need.

        The clients are made once: making them takes longer than all the calls.
        """
        self._fault = fault
        if not self._accesses:
            self._accesses = [
                Access(Account(account), name, self.session(account), Pacer("off"), attempts=1)
                for account, name in self.accounts
            ]
        wanted = engine.wanted(rules.values())
        sampling = self.sampling
        return collect(self._accesses, self.caller, list(regions), wanted, waits=(), sampling=sampling, config=config)

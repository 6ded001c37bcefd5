"""What goes wrong between AWS and the auditor: the kinds of fault of the matrix, each of which meets all operations."""

from __future__ import annotations

import collections
import functools
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import botocore.exceptions
from botocore.model import OperationModel

from auditor.engine import Judgement, judge
from auditor.facts.base import IAM_ACTIONS, Gap
from auditor.inventory import Inventory
from tests import denied, wire
from tests.replay import ATTEMPTS, ROUNDS, Attempt, Trouble
from tests.wire import Answer

NOWHERE = "https://nowhere"

#: Attempts for one call until the auditor gives up.
LONGEST = ATTEMPTS * (1 + ROUNDS)

#: What a network that wants a log-in answers to everything.
PAGE = b"<html><head><title>Log in</title></head><body><p>Log in to use this network.</p></body></html>"

Given = Callable[[Attempt], Answer | Exception | None]

#: From the operations that the fault meets to what happens in a run.
Make = Callable[[tuple[str, ...]], Trouble]


def share(seed: str, attempt: Attempt, *more: object) -> float:
    """Return a number from 0 to 1, the same for the same attempt in every run."""
    text = "\0".join(map(str, (seed, attempt.account, attempt.operation, attempt.request, *more)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def throttling(percent: int, seed: str = "1") -> Trouble:
    """Throttle that part of all attempts, retries included."""
    return lambda one: wire.throttled(one.model) if share(seed, one, one.number) * 100 < percent else None


def always(given: Given) -> Make:
    """Meet all attempts."""
    return lambda _: given


def once(given: Given) -> Make:
    """Meet the first attempt of every call."""
    return lambda _: lambda one: given(one) if one.number == 1 else None


def half(given: Given) -> Make:
    """Meet half of the calls in all their attempts."""
    return lambda _: lambda one: given(one) if share("half", one) < 0.5 else None


def from_on(given: Given) -> Make:
    """Meet all calls of all operations from the first call of this one on."""

    def make(operations: tuple[str, ...]) -> Trouble:
        begun: list[bool] = []

        def trouble(one: Attempt) -> Answer | Exception | None:
            if one.operation in operations:
                begun.append(True)
            return given(one) if begun else None

        return trouble

    return make


def coded(status: int, code: str, message: str = "injected", **others: str) -> Given:
    """Answer with an error, whose code may be another one in some protocols (``ec2="..."``, ``rest_xml="..."``)."""
    return lambda one: wire.error(
        one.model, status, others.get(wire.protocol_of(one.model).replace("-", "_"), code), message
    )


def body(status: int, content: bytes) -> Given:
    """Answer with a body."""
    return lambda _: Answer(status, content)


def mangled(change: Callable[[OperationModel, dict[str, Any]], Answer]) -> Given:
    """Answer with what becomes of the recorded answer; errors stay as they are."""
    return lambda one: None if one.failed else change(one.model, one.parsed)


def _cut(model: OperationModel, parsed: dict[str, Any]) -> Answer:
    whole = wire.answer(model, parsed)
    return Answer(whole.status, whole.body[: len(whole.body) // 2], whole.headers)


def _hollow(model: OperationModel, _: dict[str, Any]) -> Answer:
    return wire.answer(model, {})


def _lacking(model: OperationModel, parsed: dict[str, Any]) -> Answer:
    return wire.answer(model, wire.without_required(model.output_shape, parsed))


def _slow(_: Attempt) -> None:
    time.sleep(0.002)


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        make: What happens in a run.
        passes: It passes before the auditor gives up: the verdicts are the undisturbed ones.
        spreads: It meets other operations too.
        spoils: It spoils answers: operations that are answered without a body are left out, errors stay as they are.
        partly: It leaves some of the calls alone.
    """

    make: Make
    passes: bool = False
    spreads: bool = False
    spoils: bool = False
    partly: bool = False


CLOSED = botocore.exceptions.ConnectionClosedError(endpoint_url=NOWHERE)
UNREAD = botocore.exceptions.ReadTimeoutError(endpoint_url=NOWHERE)

KINDS: dict[str, Kind] = {
    "throttled half of the time": Kind(always(throttling(50)), passes=True),
    "throttled for ever": Kind(always(lambda one: wire.throttled(one.model))),
    "500": Kind(always(coded(500, "InternalFailure"))),
    "500 once": Kind(once(coded(500, "InternalFailure")), passes=True),
    "500 to half of the calls": Kind(half(coded(500, "InternalFailure")), partly=True),
    "503 with a page": Kind(always(body(503, b"<html><body><b>Http/1.1 Service Unavailable</b></body></html>"))),
    "connection closed": Kind(always(lambda _: CLOSED)),
    "connection closed once": Kind(once(lambda _: CLOSED), passes=True),
    "connect time-out": Kind(always(lambda _: botocore.exceptions.ConnectTimeoutError(endpoint_url=NOWHERE))),
    "read time-out": Kind(always(lambda _: UNREAD)),
    "read time-out once": Kind(once(lambda _: UNREAD), passes=True),
    "truncated": Kind(always(mangled(_cut)), spoils=True),
    "truncated once": Kind(once(mangled(_cut)), passes=True, spoils=True),
    "truncated to nothing": Kind(always(body(200, b"")), spoils=True),
    "malformed": Kind(always(body(200, b"\x1f\x8b\xff no answer")), spoils=True),
    "malformed: a page": Kind(always(body(200, PAGE)), spoils=True),
    "malformed: null": Kind(always(body(200, b"null")), spoils=True),
    "hollow": Kind(always(mangled(_hollow)), spoils=True),
    "required members missing": Kind(always(mangled(_lacking)), spoils=True, partly=True),
    "slow": Kind(always(_slow), passes=True),
    "credentials expired": Kind(
        from_on(
            coded(400, "ExpiredTokenException", ec2="RequestExpired", query="ExpiredToken", rest_xml="ExpiredToken"),
        ),
        spreads=True,
    ),
    "credentials revoked": Kind(
        from_on(
            coded(
                403, "UnrecognizedClientException",
                ec2="AuthFailure", query="InvalidClientTokenId", rest_xml="InvalidAccessKeyId",
            )
        ),
        spreads=True,
    ),
    "clock wrong": Kind(
        always(
            coded(
                403, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than …",
                ec2="RequestExpired", query="SignatureDoesNotMatch", rest_xml="RequestTimeTooSkewed",
            )
        )
    ),
}  # fmt: skip


#: Operations that fail together, so that nothing replaces them.
Together = tuple[str, ...]


def cases() -> list[tuple[str, Together]]:
    """Return every kind of fault with all that it meets: each operation, and each with what would replace it."""
    return [(name, together) for name, kind in KINDS.items() for together in met(kind)]


def sample(size: int = 2) -> list[tuple[str, Together]]:
    """Return for each kind of fault the same few cases in every run: those whose hashes are the least."""

    def rank(case: tuple[str, Together]) -> str:
        return hashlib.sha256("\0".join((case[0], *case[1])).encode()).hexdigest()

    return [
        case
        for name, kind in KINDS.items()
        for case in sorted(((name, together) for together in met(kind) if expected(together)), key=rank)[:size]
    ]


def met(kind: Kind) -> list[Together]:
    """Return what a kind of fault meets."""
    models = denied.recording().models
    asked = {operation for _, operation, _ in calls()}
    singles = [(one,) for one in denied.operations() if one in asked]
    return [
        together
        for together in [*singles, *([] if kind.passes or kind.spreads else denied.TOGETHER)]
        if not kind.spoils
        or all(models[one].http["method"] != "HEAD" and models[one].output_shape is not None for one in together)
    ]


def expected(together: Together) -> set[str]:
    """Return the rules whose verdicts hang on what fails."""
    return denied.TURNED.get(together[0], set()) if len(together) == 1 else denied.TOGETHER[together]


@functools.cache
def calls() -> collections.Counter[tuple[str, str, str]]:
    """Return how often an undisturbed run asks each question over the wire, where it learns the same as without."""
    recording = denied.recording()
    inventory = recording.collect(denied.rules(), regions=denied.REGIONS, troubled=set(denied.operations()))
    asked = recording.attempts.copy()
    assert inventory.facts == denied.inventory().facts
    return asked


def run(trouble: Trouble, troubled: set[str]) -> Judgement:
    """Return the verdicts of a run with a fault, in which no call is tried more often than it may be."""
    usual, recording = calls(), denied.recording()
    inventory = recording.collect(denied.rules(), regions=denied.REGIONS, trouble=trouble, troubled=troubled)
    assert recording.attempts, "the fault met nothing"
    most = {key: asked for key, asked in recording.attempts.items() if asked > LONGEST * max(1, usual[key])}
    assert not most, f"tried too often: {most}"
    return _judged(inventory)


def changes(kind: Kind, together: Together) -> set[str]:
    """Return the rules whose verdicts change in a run with a fault; none may change but to unknown."""
    failing = set(denied.operations()) if kind.spreads else set(together)
    after = run(kind.make(together), failing)
    return denied.changes(after, {IAM_ACTIONS.get(one, one) for one in failing})


#: What was judged already, by its gaps. Most kinds of fault leave the same facts and the same gaps, but for the words.
_JUDGED: dict[frozenset[Any], list[tuple[Inventory, Judgement]]] = {}


def _judged(inventory: Inventory) -> Judgement:
    gaps = frozenset(
        (fact_type, resource, value.reason, value.action)
        for fact_type, held in inventory.facts.items()
        for resource, value in held.items()
        if isinstance(value, Gap)
    )
    alike = _JUDGED.setdefault(gaps, [])
    for other, judgement in alike:
        if _known(other) == _known(inventory):
            return judgement
    alike.append((inventory, judge(inventory, denied.rules(), denied.config())))
    return alike[-1][1]


def _known(inventory: Inventory) -> Any:
    facts = {
        (fact_type, resource): value
        for fact_type, held in inventory.facts.items()
        for resource, value in held.items()
        if not isinstance(value, Gap)
    }
    return facts, inventory.everything(), inventory.vanished

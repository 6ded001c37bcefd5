"""Sessions and calls: credentials explained, every call paced, declared, and turned into a gap when it fails."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import botocore.parsers
import botocore.session

from auditor import __version__
from auditor.config import NO_SAMPLING, Sampling
from auditor.errors import AuditError, CredentialsError
from auditor.facts import Gap, Reason
from auditor.facts.base import IAM_ACTIONS, RAW
from auditor.resources import Account
from auditor.sources.aws.models import loader
from auditor.sources.aws.pacing import Pacer

log = logging.getLogger(__name__)

#: Calls that a run makes before it collects facts.
SETUP_OPERATIONS = ("sts:GetCallerIdentity", "ec2:DescribeRegions", "account:ListRegions")

#: Calls that find the accounts of an organisation (``--org``), besides those that facts declare.
ORGANISATION_OPERATIONS = (
    "organizations:ListAccounts",
    "organizations:ListAccountsForParent",
    "organizations:ListOrganizationalUnitsForParent",
    "organizations:ListPolicies",
    "organizations:ListTargetsForPolicy",
)

#: Queries of AWS Config (``--source config``), besides what facts declare.
CONFIG_OPERATIONS = ("config:SelectResourceConfig", "config:SelectAggregateResourceConfig")

#: What boto3 itself calls to obtain credentials for a profile or a role; none touches what is audited.
CREDENTIAL_OPERATIONS = (
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:GetSessionToken",
    "sso:GetRoleCredentials",
    "sso-oidc:CreateToken",
    "signin:CreateOAuth2Token",
)

#: botocore's service names whose IAM prefix or everyday name differs.
CLIENTS = {"tag": "resourcegroupstaggingapi"}

THROTTLES = (
    "429",
    "throttl",
    "toomanyrequests",
    "requestlimitexceeded",
    "limitexceeded",
    "slowdown",
    "provisionedthroughput",
)
DENIALS = ("accessdenied", "unauthorizedoperation", "authorizationerror", "notauthorized", "403", "forbidden")
EXPIRED = ("expiredtoken", "requestexpired", "tokenrefreshrequired")
DISABLED_REGION = ("optinrequired", "invalidclienttokenid", "unrecognizedclient", "authfailure")
UNSUPPORTED = (
    "unsupportedoperation",
    "unsupportedapiendpoint",
    "unknownoperation",
    "invalidaction",
    "notimplemented",
    "404",
)

#: What botocore's parsers raise over an answer that is not in the operation's protocol: its own error, or what happens
#: to them when a body is no UTF-8, no object or another document.
PARSER_ERRORS = (botocore.parsers.ResponseParserError, AttributeError, KeyError, TypeError, ValueError)

#: Names of the exceptions by which botocore's HTTP client says that nothing was answered.
SILENCES = (
    *("ConnectTimeoutError", "ConnectionClosedError", "EndpointConnectionError", "HTTPClientError"),
    *("ProxyConnectionError", "ReadTimeoutError", "SSLError"),
)

#: Seconds between two attempts for a throttled call, at most.
LONGEST_WAIT = 20.0

#: Characters of AWS's message that are kept.
MESSAGE_LENGTH = 600

#: Connections a client keeps: as many as threads may use it at once.
POOL_SIZE = 50


#: The code of an answer that came, and holds nothing of what the operation answers.
UNREADABLE = "UnreadableAnswer"


class UnreadableAnswer(botocore.exceptions.BotoCoreError):  # type: ignore[misc]
    """An answer says that all is well and holds nothing that the operation answers: something in between spoilt it."""

    fmt = "the answer to {operation} could not be read"


class ReadOnlyViolation(AuditError):
    """Something asked the auditing session for an operation that no collector declares: a defect, never AWS's."""


def declared_operations() -> frozenset[str]:
    """Return every operation that the auditing session may call, as ``service:Operation``."""
    return _UNDECLARED.union(*(info.operations for info in RAW.values()))


def opt_in_operations() -> frozenset[str]:
    """Return those of them that read items, and so are refused until the configuration's sampling allows them."""
    usual = _UNDECLARED.union(*(info.operations for info in RAW.values() if not info.opt_in))
    return declared_operations() - usual


#: What no fact declares and the auditor calls all the same.
_UNDECLARED = frozenset((*SETUP_OPERATIONS, *ORGANISATION_OPERATIONS, *CONFIG_OPERATIONS))


def _modelled_operations() -> frozenset[str]:
    """Return the operations that a session's models hold, with botocore's names of services."""
    found = (operation.partition(":") for operation in declared_operations().union(CREDENTIAL_OPERATIONS))
    return frozenset(f"{CLIENTS.get(service, service)}:{name}" for service, _, name in found)


#: Sessions whose user has turned item sampling on.
_SAMPLING: weakref.WeakSet[boto3.Session] = weakref.WeakSet()


class Missing(Exception):
    """A call failed; carries the gap, what is reported of it, and the headers of the answer where there was one."""

    def __init__(
        self, gap: Gap, code: str, operation: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Keep what the inventory wants to know."""
        super().__init__(gap.detail)
        self.gap, self.code, self.operation, self.message = gap, code, operation, message
        self.headers = headers or {}


class Vanished(Exception):
    """The resource that was asked about is gone."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        """Keep what is reported."""
        super().__init__(message)
        self.operation, self.code, self.message = operation, code, message


class _Asking(threading.local):
    """Whose credentials the calls of this thread are made with."""

    access: Access | None = None


_asking = _Asking()


class Borrowed:
    """Stands for the credentials of whichever account the calling thread asks: one client serves many accounts.

    Everything that a client does for a call, from its endpoint to its signature, happens in the caller's thread.
    """

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        """Return what gives a property of whichever credentials are the present ones when it is called."""
        return lambda: getattr(self.get_frozen_credentials(), name, None)

    def __getattr__(self, name: str) -> Any:
        """Return what the present account's credentials have."""
        if _asking.access is None or _asking.access.credentials is None:
            raise AttributeError(name)
        return getattr(_asking.access.credentials, name)


@dataclass
class Clients:
    """The clients of a session by service and region. Clients are thread-safe, making them is not."""

    made: dict[tuple[str, str], Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Access:
    """One account's credentials, with clients made on demand and shared between threads.

    Attributes:
        account: The account that the credentials belong to.
        name: Its name, if known.
        session: boto3 session; guarded here so that nothing but declared operations leaves it.
        pacer: The run's pacer.
        attempts: HTTP attempts for one call, the first included.
        credentials: The account's credentials where the session's are :class:`Borrowed`.
        clients: The session's clients: several accounts may share them.
    """

    account: Account
    name: str
    session: boto3.Session
    pacer: Pacer
    attempts: int = 4
    calls: dict[str, int] = field(default_factory=dict)
    credentials: Any = None
    clients: Clients = field(default_factory=Clients)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Put the read-only guard on the session, before any client is made from it."""
        guard(self.session)

    def client(self, service: str, region: str) -> Any:
        """Return the client of a service in a region."""
        with self.clients.lock:
            if (service, region) not in self.clients.made:
                config = botocore.config.Config(
                    retries={"mode": "standard", "total_max_attempts": self.attempts},
                    max_pool_connections=POOL_SIZE,
                    connect_timeout=10,
                    read_timeout=30,
                    user_agent=f"ddbaudit/{__version__}",
                )
                client = self.session.client(CLIENTS.get(service, service), region_name=region, config=config)
                client.meta.events.register("before-send", _PaceAttempt(self, service, region))
                client.meta.events.register("response-received", _NoteThrottling(self, service, region))
                client.meta.events.register_last("needs-retry", _Insist(self.attempts))
                self.clients.made[service, region] = client
            return self.clients.made[service, region]

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Make what this thread calls meanwhile calls of this account."""
        before, _asking.access = _asking.access, self
        try:
            yield
        finally:
            _asking.access = before

    def allow_sampling(self) -> None:
        """Let the session read items from now on: the user has turned item sampling on.

        What botocore logs of requests and answers, should anybody listen, would show them; it keeps that to itself.
        """
        _SAMPLING.add(self.session)
        for name in ("botocore.endpoint", "botocore.parsers"):
            logging.getLogger(name).setLevel(logging.INFO)

    def count(self, operation: str) -> None:
        """Count an attempt, for the summary and the call budget."""
        with self._lock:
            self.calls[operation] = self.calls.get(operation, 0) + 1

    def home_region(self) -> str:
        """Return where global services of the account's partition are asked."""
        return {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1", "aws-eusc": "eusc-de-east-1"}.get(
            self.account.partition, "us-east-1"
        )


class _PaceAttempt:
    """botocore handler: takes a token before every attempt that leaves the process, retries included."""

    def __init__(self, access: Access, service: str, region: str) -> None:
        self._access, self._service, self._region = access, service, region

    def __call__(self, event_name: str, **_: Any) -> None:
        operation = f"{self._service}:{event_name.rpartition('.')[2]}"
        access = _asking.access or self._access
        access.count(operation)
        bucket = access.pacer.bucket(access.account.id, self._region, operation)
        if bucket is not None:
            bucket.take()


class _NoteThrottling:
    """botocore handler: tells the bucket of every attempt that AWS refused, those that botocore repeats included."""

    def __init__(self, access: Access, service: str, region: str) -> None:
        self._access, self._service, self._region = access, service, region

    def __call__(self, event_name: str, parsed_response: Any, **_: Any) -> None:
        code = str(((parsed_response or {}).get("Error") or {}).get("Code", ""))
        if code and classify(code) is Reason.THROTTLED:
            operation = f"{self._service}:{event_name.rpartition('.')[2]}"
            access = _asking.access or self._access
            bucket = access.pacer.bucket(access.account.id, self._region, operation)
            if bucket is not None:
                bucket.throttled()


class _Insist:
    """botocore handler: tries a throttled call again where botocore itself would not.

    Its standard mode has a budget of tries for each client, which throttling uses up: from then on calls fail at their
    first attempt. The pacer does what that budget is for, keeping away from a service that is busy.
    """

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts

    def __call__(self, response: Any, attempts: int, **_: Any) -> float | None:
        code = str(response[1].get("Error", {}).get("Code", "")) if response is not None else ""
        if attempts >= self._attempts or not code or classify(code) is not Reason.THROTTLED:
            return None
        # As botocore waits; where it tries again itself, its own wait is the one that counts.
        return random.random() * min(2.0 ** (attempts - 1), LONGEST_WAIT)  # noqa: S311 - spreads calls, no secret


def guard(session: boto3.Session) -> None:
    """Make a session refuse every operation that no collector declares, before anything leaves the process.

    What reads items is refused too, until :meth:`Access.allow_sampling` lets it. And an answer without content is no
    answer: botocore makes an empty result of a JSON body that is cut off or is no JSON, which would read as "there is
    none". AWS says that with an empty list.

    Raises (from later calls):
        ReadOnlyViolation: the operation is not declared, or reads items unasked.
        UnreadableAnswer: an answer has none of the operation's members.
    """
    allowed, opt_in = declared_operations().union(CREDENTIAL_OPERATIONS), opt_in_operations()
    names = {CLIENTS.get(service, service): service for service in {one.partition(":")[0] for one in allowed}}

    def refuse(model: Any, **_: Any) -> None:
        service = model.service_model.service_name
        operation = f"{names.get(service, service)}:{model.name}"
        if operation not in allowed:
            raise ReadOnlyViolation(
                f"refused to call {operation}: the auditor only reads, and no fact declares this operation."
            )
        if operation in opt_in and session not in _SAMPLING:
            raise ReadOnlyViolation(
                f"refused to call {operation}: the auditor only reads items where `sampling` is turned on."
            )

    def complete(model: Any, http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        shape = model.output_shape
        if http_response.status_code >= 300 or shape is None:
            return
        # What travels in headers says nothing of the body. A member that is the whole body is there in any case.
        names = {name for name, member in shape.members.items() if "location" not in member.serialization}
        whole = shape.serialization.get("payload")
        if names and not (parsed.get(whole) if whole else names & parsed.keys()):
            raise UnreadableAnswer(operation=f"{model.service_model.service_name}:{model.name}")

    # Both the parameters' stage and the call's stage, so that no handler of a client can come in between.
    session.events.register_first("before-parameter-build", refuse, unique_id="ddbaudit-read-only-build")
    session.events.register_first("before-call", refuse, unique_id="ddbaudit-read-only-call")
    session.events.register_first("after-call", complete, unique_id="ddbaudit-complete")


@dataclass(frozen=True)
class ConfigSource:
    """What AWS Config recorded is taken from there, where it has it (``--source config``).

    Attributes:
        aggregator: The name of the aggregator to ask; an empty text: AWS Config in each region of each account.
    """

    aggregator: str = ""


@dataclass(frozen=True)
class Aws:
    """Calls in one region of one account. Collectors get it as their first argument.

    Attributes:
        access: The account's credentials.
        region: Where to ask.
        wanted: The facts that the audit needs; None: all. What a collector brings besides is asked only then.
        sampling: How many items may be read of a table; by default none.
        config: How AWS Config is asked for what it recorded.
        auditing: The credentials of who audits, whose aggregator of AWS Config is asked; default: ``access``.
        asked: The operations that were called, in order.
    """

    access: Access
    region: str
    wanted: frozenset[type] | None = None
    sampling: Sampling = NO_SAMPLING
    config: ConfigSource = ConfigSource()
    auditing: Access | None = None
    asked: list[str] = field(default_factory=list, compare=False)

    def at_aggregator(self) -> Aws:
        """Return the calls in the account of who audits, in the region that its credentials come with."""
        access = self.auditing or self.access
        return Aws(access, access.session.region_name or access.home_region())

    def lacks(self, service: str, missing: Missing) -> bool:
        """Tell whether a call failed since AWS has no such service in the region.

        No endpoint answers, and botocore's data lists none. That data is older than AWS, so it is no proof alone.

        Args:
            service: botocore's name of the service.
            missing: How the call failed.
        """
        if missing.code != "EndpointConnectionError":
            return False
        partition = self.access.account.partition
        return self.region not in self.access.session.get_available_regions(service, partition_name=partition)

    def wants(self, fact_type: type) -> bool:
        """Tell whether the audit needs a fact."""
        return self.wanted is None or fact_type in self.wanted

    def call(self, operation: str, *, absent: tuple[str, ...] = (), gone: tuple[str, ...] = (), **params: Any) -> Any:
        """Make one call.

        Args:
            operation: ``service:Operation``, one that a fact declares.
            absent: Error codes that mean "there is none": the answer is then None.
            gone: Error codes that mean that the resource asked about does not exist any more.
            params: The operation's parameters.

        Returns:
            The parsed answer.

        Raises:
            Missing: the call failed otherwise; its gap names the IAM action.
            Vanished: one of ``gone``.
        """
        service, _, name = operation.partition(":")
        client = self.access.client(service, self.region)
        method = getattr(client, botocore.xform_name(name), None)
        if method is None and operation not in declared_operations():
            raise ReadOnlyViolation(f"refused to call {operation}: no fact declares this operation.")
        if method is None:
            text = f"The installed boto3 is too old to know {operation}."
            gap = Gap(Reason.UNSUPPORTED, text, IAM_ACTIONS.get(operation, operation))
            raise Missing(gap, "UnknownOperation", operation, text)
        return self._guarded(operation, lambda: method(**params), absent, gone, again=True)

    def pages(self, operation: str, *, gone: tuple[str, ...] = (), **params: Any) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of a listing through boto3's paginator.

        Raises:
            Missing: a page could not be had; nothing after it is known.
        """
        service, _, name = operation.partition(":")
        paginator = self.access.client(service, self.region).get_paginator(botocore.xform_name(name))
        pages: Iterator[Any] = iter(())

        def first() -> Any:
            nonlocal pages
            pages = iter(paginator.paginate(**params))
            return next(pages, None)

        page = self._guarded(operation, first, (), gone, again=True)
        while page is not None:
            yield page
            page = self._guarded(operation, lambda: next(pages, None), (), gone, again=False)

    def _guarded(
        self, operation: str, attempt: Callable[[], Any], absent: tuple[str, ...], gone: tuple[str, ...], *, again: bool
    ) -> Any:
        self.asked.append(operation)
        try:
            with self.access.asking():
                try:
                    return attempt()
                except (UnreadableAnswer, botocore.parsers.ResponseParserError):
                    # botocore itself tries again only where nothing is answered. A listing goes on from no other page.
                    if not again:
                        raise
                return attempt()
        except botocore.exceptions.ClientError as error:
            details = error.response.get("Error", {})
            code, message = str(details.get("Code", "")), str(details.get("Message", ""))
            if code in absent:
                return None
            if code in gone:
                raise Vanished(operation, code, message) from None
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            raise self._missing(operation, code, message, headers) from None
        except (
            botocore.exceptions.BotoCoreError,
            # What moto raises in-process for an operation that it does not know.
            NotImplementedError,
        ) as error:
            raise self._missing(operation, type(error).__name__, str(error)) from None
        except PARSER_ERRORS:
            # A parser's error quotes the answer, which may hold what must not be kept (pre-shared keys of a VPN).
            raise self._missing(operation, UNREADABLE, "the answer could not be read") from None

    def _missing(self, operation: str, code: str, message: str, headers: Mapping[str, str] | None = None) -> Missing:
        reason = classify(code)
        action = IAM_ACTIONS.get(operation, operation)
        where = f"{action} in {self.region}"
        text = {
            Reason.ACCESS_DENIED: f"The auditor may not call {where}.",
            Reason.THROTTLED: f"AWS throttled {where} to the end.",
            Reason.UNSUPPORTED: f"{where} is not supported there ({code}).",
        }.get(reason, f"{where} failed ({code}).")
        if code == UNREADABLE:
            text = f"The answer to {where} could not be read."
        if is_clock(code, message):
            text = f"AWS refused {where}: the clock of the machine that audits is wrong."
        elif any(word in code.lower() for word in EXPIRED):
            text = f"The credentials expired during the run, at {where}."
        # Something in between, such as a proxy, may answer with a whole page.
        short = message if len(message) <= MESSAGE_LENGTH else f"{message[:MESSAGE_LENGTH]} …"
        return Missing(Gap(reason, text, action), code, operation, short, headers)


def utc(moment: datetime | None) -> datetime | None:
    """Return a time of an answer in UTC: boto3 gives it in the machine's own zone."""
    return moment.astimezone(UTC) if moment else None


def classify(code: str) -> Reason:
    """Return why a call with this error code (or exception name) gave no answer."""
    folded = code.lower()
    if any(word in folded for word in THROTTLES):
        return Reason.THROTTLED
    if any(word in folded for word in DENIALS):
        return Reason.ACCESS_DENIED
    if any(word in folded for word in UNSUPPORTED):
        return Reason.UNSUPPORTED
    return Reason.TRANSIENT


def is_disabled_region(code: str) -> bool:
    """Tell whether an error code is what AWS answers from a region that the account has not enabled."""
    return any(word in code.lower() for word in DISABLED_REGION)


def is_clock(code: str, message: str) -> bool:
    """Tell whether an error says that a request was signed too long ago or in the future.

    The codes and texts are those of the AWS IAM User Guide, "Troubleshoot Signature Version 4 signing", and of the
    Amazon S3 API Reference, "Error responses".
    """
    folded = message.lower()
    return code in ("RequestTimeTooSkewed", "RequestInTheFuture") or any(
        text in folded for text in ("signature expired", "signature not yet current")
    )


def open_session(profile: str | None) -> boto3.Session:
    """Return a session for an AWS profile (None: boto3's normal credential chain).

    Raises:
        CredentialsError: no such profile, or the profile's configuration cannot be read.
    """
    try:
        core = botocore.session.Session(profile=profile)
        core.register_component("data_loader", loader(_modelled_operations(), core.get_config_variable("data_path")))
        return boto3.Session(botocore_session=core)
    except botocore.exceptions.ProfileNotFound:
        profile = profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
        names = botocore.session.Session().available_profiles
        known = f"Known profiles: {', '.join(sorted(names))}." if names else "No profile is configured yet."
        raise CredentialsError(
            f'there is no AWS profile "{profile}".', f"{known} `aws configure --profile {profile}` makes one."
        ) from None
    except botocore.exceptions.BotoCoreError as error:
        raise CredentialsError(f"the AWS configuration cannot be read: {error}", "Look at ~/.aws/config.") from None


def identify(session: boto3.Session, profile: str | None) -> tuple[Account, str]:
    """Return the account that a session belongs to and the caller's ARN (sts:GetCallerIdentity).

    Raises:
        CredentialsError: there are no credentials, or they do not work; the hint says what to do.
    """
    flag = f" --profile {profile}" if profile else ""
    guard(session)
    config = botocore.config.Config(
        retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=10, read_timeout=20
    )
    try:
        client = session.client("sts", region_name=session.region_name or "us-east-1", config=config)
        answer = client.get_caller_identity()
    except (
        botocore.exceptions.NoCredentialsError,
        botocore.exceptions.PartialCredentialsError,
        botocore.exceptions.CredentialRetrievalError,
    ) as error:
        raise CredentialsError(
            f"no usable AWS credentials: {error}",
            f"`aws configure sso{flag}` or `aws configure{flag}` sets them up; "
            "in a job, assume a role. `ddbaudit demo` needs none.",
        ) from None
    except (
        botocore.exceptions.SSOError,
        botocore.exceptions.TokenRetrievalError,
        botocore.exceptions.LoginError,
    ) as error:
        raise CredentialsError(
            f"the SSO session is missing or has expired: {error}", f"Log in: `aws sso login{flag}`"
        ) from None
    except botocore.exceptions.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        message = str(error.response.get("Error", {}).get("Message", ""))
        if is_clock(code, message):
            raise CredentialsError(
                f"AWS refuses the signature, since this machine's clock is wrong: {message}",
                "Set the clock, for example by NTP.",
            ) from None
        if "expired" in code.lower() or "expired" in message.lower():
            hint = f"Renew them: `aws sso login{flag}`, or assume the role again."
            raise CredentialsError(f"the AWS credentials have expired ({code}).", hint) from None
        if "mfa" in message.lower() or "multifactor" in message.lower():
            hint = "`aws sts get-session-token --serial-number MFA_ARN --token-code CODE` gives MFA credentials."
            raise CredentialsError(f"AWS asks for MFA: {message}", hint) from None
        raise CredentialsError(
            f"AWS refuses the credentials: {code}: {message}",
            f"`aws sts get-caller-identity{flag}` shows whether they work.",
        ) from None
    except EOFError:
        raise CredentialsError(
            "the profile asks for an MFA code, and there is no terminal to type it.",
            "`aws sts get-session-token` gives temporary MFA credentials; a job should assume a role instead.",
        ) from None
    except botocore.exceptions.BotoCoreError as error:
        raise CredentialsError(
            f"AWS cannot be asked who is calling: {error}", "Check the network, proxies and AWS_ENDPOINT_URL."
        ) from None
    except PARSER_ERRORS:
        raise CredentialsError(
            "AWS cannot be asked who is calling: what answers is not AWS.",
            "Check the network, proxies and AWS_ENDPOINT_URL.",
        ) from None
    arn = str(answer["Arn"])
    return Account(str(answer["Account"]), arn.split(":")[1]), arn

"""The accounts of an organisation, and the ways into them: one role of the same name in each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.credentials
import botocore.exceptions
import botocore.session

from auditor.errors import CredentialsError, UsageError
from auditor.facts import (
    ControlLevel,
    ControlPolicy,
    Gap,
    Organization,
    OrganizationAccounts,
    OrganizationRoot,
    Reason,
    ResourceControlPolicies,
    ServiceControlPolicies,
)
from auditor.facts.base import RAW
from auditor.inventory import Caller, CallError, Inventory
from auditor.resources import Account
from auditor.snapshot import Plan, Share, Wanted, names
from auditor.sources.aws import organizations
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import PARSER_ERRORS, UNREADABLE, Access, Aws, Borrowed, Clients, Missing, classify

log = logging.getLogger(__name__)

#: Session name of the assumed roles: shows in the accounts' trails.
SESSION_NAME = "ddbaudit"

#: Accounts that are entered at once.
THREADS = 16


@dataclass(frozen=True, slots=True)
class Member:
    """An account of the organisation (organizations:ListAccounts).

    Attributes:
        account: The account.
        name: ``Name``.
        state: ``State``, or ``Status`` where that is missing; upper case: ACTIVE, SUSPENDED and others.
    """

    account: Account
    name: str
    state: str


def members(access: Access, units: Sequence[str] = (), accounts: Sequence[str] = ()) -> list[Member]:
    """Return the accounts of the organisation, or those of some units (with all below them) and those that are named.

    Args:
        access: Credentials of the management account or of a delegated administrator.
        units: Ids of organisational units (ou-…) or of the root (r-…).
        accounts: Account numbers.

    Raises:
        CredentialsError: the organisation cannot be read.
        UsageError: a unit or an account is not there.
    """
    aws = Aws(access, access.home_region())
    try:
        found = {one.account.id: one for one in _listed(aws, "organizations:ListAccounts")}
        if not found:
            raise CredentialsError("the account is in no organisation.", "Leave --org out.")
        if not units and not accounts:
            return sorted(found.values(), key=lambda one: one.account.id)
        chosen: dict[str, Member] = {}
        for unit in units:
            for one in _below(aws, unit):
                chosen[one.account.id] = one
    except Missing as missing:
        raise CredentialsError(
            f"the organisation cannot be read: {missing.code}: {missing.message}",
            "--org needs the management account or a delegated administrator, and what `ddbaudit permissions` prints.",
        ) from None
    for number in accounts:
        if number not in found:
            raise UsageError(f"--account: the organisation has no account {number}.", "Name one of its accounts.")
        chosen[number] = found[number]
    return sorted(chosen.values(), key=lambda one: one.account.id)


def _listed(aws: Aws, operation: str, **parameters: Any) -> Iterator[Member]:
    for page in aws.pages(operation, **parameters):
        for one in page.get("Accounts", []):
            state = str(one.get("State") or one.get("Status") or "ACTIVE").upper()
            yield Member(Account(one["Id"], aws.access.account.partition), one.get("Name", ""), state)


def _below(aws: Aws, unit: str) -> Iterator[Member]:
    yield from _listed(aws, "organizations:ListAccountsForParent", ParentId=unit)
    for page in aws.pages("organizations:ListOrganizationalUnitsForParent", ParentId=unit):
        for one in page.get("OrganizationalUnits", []):
            yield from _below(aws, one["Id"])


class NotEntered(Exception):
    """An account cannot be entered; carries what the report says of it, and why its facts are missing."""

    def __init__(self, error: CallError, gap: Gap) -> None:
        """Keep both."""
        super().__init__(gap.detail)
        self.error, self.gap = error, gap


class Door:
    """Lets into accounts: their clients are shared, each call is signed for the account that it is about.

    Args:
        session: The caller's session, which may take the roles.
        external_id: What the roles want to hear, if anything.
        pacer: The run's pacer.
    """

    def __init__(self, session: boto3.Session, external_id: str | None, pacer: Pacer) -> None:
        """Nothing is asked yet."""
        self.pacer = pacer
        self._own, self._external_id = session, external_id
        core = botocore.session.Session(profile=_core(session).profile)
        # Reading the services' models takes longer than all else that a client needs.
        core.register_component("data_loader", _core(session).get_component("data_loader"))
        core._credentials = Borrowed()  # noqa: SLF001 - as boto3's documents do
        self._session = boto3.Session(botocore_session=core, region_name=session.region_name)
        self._clients = Clients()

    def open(self, share: Share) -> Access:
        """Return credentials for an account. They are renewed before they expire.

        Raises:
            NotEntered: the role cannot be taken.
        """
        credentials = _core(self._own).get_credentials()
        if share.role is not None:
            credentials = self._assumed(share.role)
            try:
                credentials.get_frozen_credentials()
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, *PARSER_ERRORS) as error:
                raise self._refused(share, error) from None
        return Access(
            share.resource, share.name, self._session, self.pacer, credentials=credentials, clients=self._clients
        )

    def _assumed(self, role_arn: str) -> Any:
        extra = {"RoleSessionName": SESSION_NAME} | ({"ExternalId": self._external_id} if self._external_id else {})
        own = _core(self._own)
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
            own.create_client, own.get_credentials(), role_arn, extra_args=extra
        )
        return botocore.credentials.DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")

    def _refused(self, share: Share, error: Exception) -> NotEntered:
        code, message = type(error).__name__, str(error)
        if isinstance(error, botocore.exceptions.ClientError):
            details = error.response.get("Error", {})
            code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        elif not isinstance(error, botocore.exceptions.BotoCoreError):
            code, message = UNREADABLE, "the answer could not be read"  # a parser's error quotes it
        log.warning("account %s cannot be entered: %s", share.account, message)
        reason = classify(code)
        gap = Gap(
            Reason.TRANSIENT if reason is Reason.UNSUPPORTED else reason,
            f"The account cannot be entered: {share.role} ({code}).",
            "sts:AssumeRole",
        )
        where = self._own.region_name or ""
        return NotEntered(CallError(share.account, where, "sts", "AssumeRole", code, message, "RegionScope"), gap)


def _core(session: boto3.Session) -> Any:
    return session._session  # noqa: SLF001 - boto3 gives its botocore session by no public name


def closed(door: Door, shares: Iterable[Share]) -> dict[str, NotEntered]:
    """Try to enter accounts; return those that cannot be, by number."""

    def attempt(share: Share) -> NotEntered | None:
        try:
            door.open(share)
        except NotEntered as refused:
            return refused
        return None

    shares = list(shares)
    with ThreadPoolExecutor(THREADS) as pool:
        found = zip(shares, pool.map(attempt, shares), strict=True)
        return {share.account: refused for share, refused in found if refused is not None}


def lay_out(
    access: Access,
    caller: Caller,
    found: Iterable[Member],
    role_name: str,
    wanted: Wanted,
    *,
    items_per_table: int = 0,
    asked: Mapping[str, Any] | None = None,
) -> tuple[Plan, Inventory]:
    """Return what is to be collected, and what is known of it from the organisation alone.

    The account that asks is entered without the role.

    Args:
        access: Credentials of the management account or of a delegated administrator.
        caller: Who collects.
        found: The accounts.
        role_name: Name of the role in each, with its path if it has one.
        wanted: Facts, each with the kind of resource it is wanted for.
        items_per_table: How many items may be read of a table.
        asked: The user's choice, for the plan.
    """
    base = Inventory(caller, ())
    shares = []
    for member in found:
        if member.state != "ACTIVE":
            text = f"The account is {member.state.lower().replace('_', ' ')} and is not audited."
            region = access.home_region()
            base.errors.append(
                CallError(member.account.id, region, "organizations", "ListAccounts", member.state, text, "")
            )
            continue
        arn = f"arn:{member.account.partition}:iam::{member.account.id}:role/{role_name}"
        shares.append(
            Share(
                account=member.account.id,
                name=member.name,
                partition=member.account.partition,
                role=None if member.account == access.account else arn,
            )
        )
    read_once(access, [share.resource for share in shares], {fact_type for fact_type, _ in wanted}, base)
    plan = Plan(shares=tuple(shares), wanted=names(wanted), items_per_table=items_per_table, asked=dict(asked or {}))
    return plan, base


def is_organisation_fact(fact_type: type) -> bool:
    """Tell whether a fact is read of the organisation, not of the account that it is about."""
    return all(one.startswith("organizations:") for one in RAW[fact_type].operations)


def read_once(access: Access, accounts: Iterable[Account], wanted: set[type], found: Inventory) -> None:
    """Read the organisation facts of all accounts together: units and policies are asked, not accounts one by one.

    Args:
        access: Credentials of the management account or of a delegated administrator.
        accounts: The accounts.
        wanted: Organisation facts.
        found: Where facts, gaps and errors go.
    """
    accounts = list(accounts)
    aws = Aws(access, access.home_region())
    parents: dict[str, str] = {}

    def same(value: Any) -> dict[Account, Any]:
        return dict.fromkeys(accounts, value)

    def policies(kind: str, fact_type: Any) -> dict[Account, Any]:
        ((_, root),) = organizations.organization_root(aws, accounts[0])
        if root.id is None or root.policy_types.get(kind) != "ENABLED":
            return same(fact_type(()))
        if not parents:
            parents.update(_parents(aws, root.id))
        attached = _attached(aws, kind)
        return {one: fact_type(_levels(one.id, parents, attached)) for one in accounts}

    readers: dict[type, Callable[[], dict[Account, Any]]] = {
        Organization: lambda: same(next(iter(organizations.organization(aws, accounts[0])))[1]),
        OrganizationRoot: lambda: same(next(iter(organizations.organization_root(aws, accounts[0])))[1]),
        OrganizationAccounts: lambda: same(next(iter(organizations.organization_accounts(aws, accounts[0])))[1]),
        ServiceControlPolicies: lambda: policies("SERVICE_CONTROL_POLICY", ServiceControlPolicies),
        ResourceControlPolicies: lambda: policies("RESOURCE_CONTROL_POLICY", ResourceControlPolicies),
    }
    for fact_type, read in readers.items() if accounts else ():
        if fact_type not in wanted:
            continue
        try:
            for account, value in read().items():
                found.put(account, value)
        except Missing as missing:
            _lost(aws, accounts, fact_type, missing, found)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            operation = aws.asked[-1]
            text = f"AWS's answer to {operation} could not be read ({type(error).__name__}: {error})."
            gap = Gap(Reason.UNDECIDABLE, text, operation)
            _lost(aws, accounts, fact_type, Missing(gap, type(error).__name__, operation, str(error)), found)


def _lost(aws: Aws, accounts: Iterable[Account], fact_type: type, missing: Missing, found: Inventory) -> None:
    """Note that an organisation fact is missing, for every account."""
    service, _, operation = missing.operation.partition(":")
    for account in accounts:
        found.put_gap(account, fact_type, missing.gap)
        found.errors.append(
            CallError(account.id, aws.region, service, operation, missing.code, missing.message, fact_type.__name__)
        )


def _parents(aws: Aws, above: str) -> Iterator[tuple[str, str]]:
    """Yield every unit and account below a root or unit, with what it is directly below."""
    for page in aws.pages("organizations:ListAccountsForParent", ParentId=above):
        for one in page.get("Accounts", []):
            yield one["Id"], above
    for page in aws.pages("organizations:ListOrganizationalUnitsForParent", ParentId=above):
        for one in page.get("OrganizationalUnits", []):
            yield one["Id"], above
            yield from _parents(aws, one["Id"])


def _attached(aws: Aws, kind: str) -> dict[str, list[ControlPolicy]]:
    """Return the policies of a type by what they are attached to: the root, a unit or an account."""
    attached: dict[str, list[ControlPolicy]] = {}
    for page in aws.pages("organizations:ListPolicies", Filter=kind):
        for one in page.get("Policies", []):
            targets = [
                target["TargetId"]
                for found in aws.pages("organizations:ListTargetsForPolicy", PolicyId=one["Id"])
                for target in found.get("Targets", [])
            ]
            if not targets:
                continue
            document = aws.call("organizations:DescribePolicy", PolicyId=one["Id"])["Policy"]["Content"]
            policy = ControlPolicy(one["Id"], one.get("Name", one["Id"]), bool(one.get("AwsManaged")), document)
            for target in targets:
                attached.setdefault(target, []).append(policy)
    return attached


def _levels(
    account: str, parents: Mapping[str, str], attached: Mapping[str, list[ControlPolicy]]
) -> tuple[ControlLevel, ...]:
    """Return the policies on the path from the root down to an account."""
    path = [account]
    while path[-1] in parents:
        path.append(parents[path[-1]])
    levels = [
        ControlLevel(target, tuple(sorted(attached.get(target, ()), key=lambda one: one.id)))
        for target in reversed(path)
    ]
    return tuple(levels) if any(level.policies for level in levels) else ()

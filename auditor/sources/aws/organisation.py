"""The accounts of an organisation, and the ways into them: one role of the same name in each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.credentials
import botocore.exceptions
import botocore.session

from auditor.errors import CredentialsError, UsageError
from auditor.facts import Gap, Reason
from auditor.inventory import CallError
from auditor.resources import Account
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access, Aws, Missing, classify, guard

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


@dataclass(frozen=True, slots=True)
class Closed:
    """An account that is not audited, though it is one of the organisation's.

    Attributes:
        error: What the report says of it.
        gap: Why its facts are missing; None: it is suspended, so nothing of it is owed.
    """

    member: Member
    error: CallError
    gap: Gap | None


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


def enter(
    access: Access, found: Iterable[Member], role_name: str, external_id: str | None, pacer: Pacer
) -> tuple[list[Access], list[Closed]]:
    """Return credentials for each account, and the accounts that cannot be entered.

    The account that asks is entered without the role. Credentials are renewed before they expire.

    Args:
        access: Credentials that may take the roles.
        found: The accounts.
        role_name: Name of the role in each, with its path if it has one.
        external_id: What the roles want to hear, if anything.
        pacer: The run's pacer.
    """
    open_ones: list[Access] = []
    closed: list[Closed] = []

    def one_by_one(member: Member) -> Access | Closed:
        if member.state != "ACTIVE":
            text = f"The account is {member.state.lower().replace('_', ' ')} and is not audited."
            return Closed(member, _error(access, member, "organizations", "ListAccounts", member.state, text), None)
        if member.account == access.account:
            return Access(member.account, member.name, access.session, pacer)
        arn = f"arn:{member.account.partition}:iam::{member.account.id}:role/{role_name}"
        session = assumed(access.session, arn, external_id)
        try:
            session.client("sts", region_name=access.home_region()).get_caller_identity()
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            code, message = _told(error)
            log.warning("account %s cannot be entered: %s", member.account.id, message)
            gap = Gap(classify(code), f"The account cannot be entered: {arn} ({code}).", "sts:AssumeRole")
            if gap.reason is Reason.UNSUPPORTED:
                gap = Gap(Reason.TRANSIENT, gap.detail, gap.action)
            return Closed(member, _error(access, member, "sts", "AssumeRole", code, message), gap)
        return Access(member.account, member.name, session, pacer)

    with ThreadPoolExecutor(THREADS) as pool:
        for entered in pool.map(one_by_one, found):
            if isinstance(entered, Access):
                open_ones.append(entered)
            else:
                closed.append(entered)
    return open_ones, closed


def assumed(session: boto3.Session, role_arn: str, external_id: str | None) -> boto3.Session:
    """Return a session of a role whose credentials are fetched when they are needed, and renewed before they expire."""
    extra = {"RoleSessionName": SESSION_NAME} | ({"ExternalId": external_id} if external_id else {})
    own = session._session  # noqa: SLF001 - boto3 gives its botocore session by no public name
    fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
        own.create_client, own.get_credentials(), role_arn, extra_args=extra
    )
    core = botocore.session.Session()
    core.register_component("data_loader", own.get_component("data_loader"))  # models are read once for all accounts
    core._credentials = botocore.credentials.DeferredRefreshableCredentials(  # noqa: SLF001 - as boto3's documents do
        fetcher.fetch_credentials, "assume-role"
    )
    made = boto3.Session(botocore_session=core, region_name=session.region_name)
    guard(made)
    return made


def _told(error: Exception) -> tuple[str, str]:
    if isinstance(error, botocore.exceptions.ClientError):
        details = error.response.get("Error", {})
        return str(details.get("Code", "")), str(details.get("Message", ""))
    return type(error).__name__, str(error)


def _error(access: Access, member: Member, service: str, operation: str, code: str, message: str) -> CallError:
    fact = "RegionScope" if service == "sts" else ""
    return CallError(member.account.id, access.home_region(), service, operation, code, message, fact)

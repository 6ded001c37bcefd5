"""Which accounts an account may trust."""

from __future__ import annotations

from auditor.config import Config
from auditor.facts import Gap, Organization, OrganizationAccounts, Trust, derive
from auditor.resources import Account


@derive
def trust(
    account: Account, organization: Organization | Gap, accounts: OrganizationAccounts | Gap, config: Config
) -> Trust:
    """Return which accounts are trusted: those that the configuration names, and the own organisation's.

    The organisation's accounts are known from ListAccounts. Without it the management account is still known, from
    DescribeOrganization, and an account in no organisation has no siblings.
    """
    declared = frozenset(config.accounts.trusted)
    known = None if isinstance(organization, Gap) else organization
    own_id: str | Gap | None = config.accounts.org_id or (
        organization if isinstance(organization, Gap) else organization.id
    )
    members = {} if isinstance(accounts, Gap) else dict(accounts.accounts)
    if known is not None and known.management_account:
        members.setdefault(known.management_account, "management account")
    outside = known is not None and known.id is None
    listing = accounts if isinstance(accounts, Gap) and not outside else None
    return Trust(account.id, declared, own_id, members, listing)

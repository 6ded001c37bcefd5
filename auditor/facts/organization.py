"""Facts about the organisation that an account belongs to, and the guardrails on its path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.facts.base import Gap, fact
from auditor.resources import Account


@fact(Account, "organizations:DescribeOrganization")
@dataclass(frozen=True, slots=True)
class Organization:
    """The account's organisation (organizations:DescribeOrganization).

    Attributes:
        id: ``Id``, such as o-exampleorgid; None when the account is in none (AWSOrganizationsNotInUseException).
        feature_set: ``FeatureSet``: ALL or CONSOLIDATED_BILLING; an empty text without an organisation.
        management_account: ``MasterAccountId``, or None.
    """

    id: str | None
    feature_set: str = ""
    management_account: str | None = None


@fact(Account, "organizations:ListRoots")
@dataclass(frozen=True, slots=True)
class OrganizationRoot:
    """The organisation's root (organizations:ListRoots).

    Attributes:
        id: ``Id``, such as r-abcd; None when the account is in no organisation.
        policy_types: ``PolicyTypes``: type, such as SERVICE_CONTROL_POLICY, -> status, such as ENABLED.
    """

    id: str | None
    policy_types: Mapping[str, str]


@fact(Account, "organizations:ListAccounts")
@dataclass(frozen=True, slots=True)
class OrganizationAccounts:
    """The accounts of the organisation (organizations:ListAccounts): number -> name."""

    accounts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ControlPolicy:
    """One SCP or RCP: ``Id``, ``Name``, ``AwsManaged`` and ``Content``."""

    id: str
    name: str
    aws_managed: bool
    document: str


@dataclass(frozen=True, slots=True)
class ControlLevel:
    """The policies attached to one target on the account's path.

    Attributes:
        target: Its id: of the root (r-…), of an organisational unit (ou-…) or of the account.
        policies: They, in order of id.
    """

    target: str
    policies: tuple[ControlPolicy, ...]


@fact(
    Account,
    "organizations:ListParents",
    "organizations:ListPoliciesForTarget",
    "organizations:DescribePolicy",
)
@dataclass(frozen=True, slots=True)
class ServiceControlPolicies:
    """The SCPs on the account's path, from the root down to the account.

    Attributes:
        levels: Root first, account last; empty when the account is in no organisation, or the type is not enabled.
    """

    levels: tuple[ControlLevel, ...]


@fact(
    Account,
    "organizations:ListParents",
    "organizations:ListPoliciesForTarget",
    "organizations:DescribePolicy",
)
@dataclass(frozen=True, slots=True)
class ResourceControlPolicies:
    """The RCPs on the account's path, from the root down to the account.

    Attributes:
        levels: Root first, account last; empty when the account is in no organisation, or the type is not enabled.
    """

    levels: tuple[ControlLevel, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """Which other accounts an account may trust (derived; configuration ``accounts``, and the organisation).

    Attributes:
        own: The account itself.
        declared: ``accounts.trusted``.
        organization: Id of the organisation: ``accounts.org_id``, else what AWS says; None: the account is in none;
            a gap when it is not known.
        members: Accounts of the organisation that are known: number -> name.
        listing: Why the organisation's accounts are not all known, or None.
    """

    own: str
    declared: frozenset[str]
    organization: str | Gap | None
    members: Mapping[str, str]
    listing: Gap | None = None

    def standing(self, account: str, *, same_organization: bool = True) -> bool | Gap:
        """Tell whether an account is trusted, or why that cannot be told.

        Args:
            account: Account number.
            same_organization: Accounts of the own organisation are trusted.
        """
        if account == self.own or account in self.declared:
            return True
        if not same_organization or self.organization is None:
            return False
        if account in self.members:
            return True
        if self.listing is None:
            return False
        return Gap(
            self.listing.reason,
            f"Whether account {account} belongs to the organisation is not known: {self.listing.detail}",
            self.listing.action,
        )

    def organization_standing(self, organization: str) -> bool | Gap:
        """Tell whether an organisation's id is the own one, or why that cannot be told."""
        if isinstance(self.organization, Gap):
            return self.organization
        return organization == self.organization

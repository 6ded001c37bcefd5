"""Facts about who may do what: users, groups, roles, their policies and credentials, and Cognito identity pools.

Policy documents are kept as JSON text, as AWS gave them: the access engine reads them, reports show them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from auditor.facts.base import Gap, fact
from auditor.resources import Account, Group, IdentityPool, Region, Resource, Role, User


@dataclass(frozen=True, slots=True)
class InlinePolicy:
    """An inline policy: ``PolicyName`` and ``PolicyDocument``."""

    name: str
    document: str


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    """A managed policy: its ARN, ``PolicyName``, and the document of its default version.

    Attributes:
        document: The document, or why it is not known.
    """

    arn: str
    name: str
    document: str | Gap


@dataclass(frozen=True, slots=True)
class UserInfo:
    """One user (``UserDetailList``).

    Attributes:
        inline: ``UserPolicyList``.
        attached: ARNs of ``AttachedManagedPolicies``.
        groups: Names of the groups (``GroupList``).
        boundary: ``PermissionsBoundary.PermissionsBoundaryArn``.
        tags: ``Tags``.
        unique_id: ``UserId``; an empty text in snapshots of older versions.
    """

    user: User
    inline: tuple[InlinePolicy, ...] = ()
    attached: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    boundary: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    unique_id: str = ""


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """One group (``GroupDetailList``): ``GroupPolicyList`` and the ARNs of ``AttachedManagedPolicies``."""

    group: Group
    inline: tuple[InlinePolicy, ...] = ()
    attached: tuple[str, ...] = ()
    unique_id: str = ""


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """One role (``RoleDetailList``).

    Attributes:
        trust: ``AssumeRolePolicyDocument``.
        inline: ``RolePolicyList``.
        attached: ARNs of ``AttachedManagedPolicies``.
        boundary: ``PermissionsBoundary.PermissionsBoundaryArn``.
        tags: ``Tags``.
        last_used: ``RoleLastUsed.LastUsedDate``.
        last_used_region: ``RoleLastUsed.Region``.
        profiles: ARNs of ``InstanceProfileList``.
        unique_id: ``RoleId``; an empty text in snapshots of older versions.
    """

    role: Role
    trust: str
    inline: tuple[InlinePolicy, ...] = ()
    attached: tuple[str, ...] = ()
    boundary: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    last_used: datetime | None = None
    last_used_region: str | None = None
    profiles: tuple[str, ...] = ()
    unique_id: str = ""


@fact(
    Account,
    "iam:GetAccountAuthorizationDetails",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    lists=(User, Group, Role),
)
@dataclass(frozen=True, slots=True)
class Identities:
    """All users, groups, roles and the managed policies that they use (iam:GetAccountAuthorizationDetails).

    Attributes:
        users: Sorted by ARN.
        groups: Sorted by ARN.
        roles: Sorted by ARN, service-linked ones included.
        policies: Managed policies by ARN. AWS may leave out those that are only somebody's boundary: these are
            asked for one by one (iam:GetPolicy, iam:GetPolicyVersion).
    """

    users: tuple[UserInfo, ...] = ()
    groups: tuple[GroupInfo, ...] = ()
    roles: tuple[RoleInfo, ...] = ()
    policies: Mapping[str, ManagedPolicy] = field(default_factory=dict)

    def unread(self, role: Role) -> Gap | None:
        """Return why a managed policy of a role, its boundary included, could not be had, or None."""
        for info in self.roles:
            if info.role == role:
                held = (self.policies.get(arn) for arn in (*info.attached, info.boundary) if arn)
                return next((one.document for one in held if one is not None and isinstance(one.document, Gap)), None)
        return None

    def names(self) -> Iterator[Resource]:
        """Yield the users, groups and roles."""
        yield from (one.user for one in self.users)
        yield from (one.group for one in self.groups)
        yield from (one.role for one in self.roles)


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One access key of a user in the credential report.

    Attributes:
        active: ``access_key_N_active``.
        rotated: ``access_key_N_last_rotated``; None when AWS does not say.
        used: ``access_key_N_last_used_date``; None when never, or when AWS does not say.
        used_service: ``access_key_N_last_used_service``, such as dynamodb, or None.
    """

    active: bool
    rotated: datetime | None = None
    used: datetime | None = None
    used_service: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """One row of the credential report.

    Attributes:
        password: ``password_enabled``; None where the report does not say (not_supported).
        mfa: ``mfa_active``.
        keys: The access keys that exist, in order.
        password_used: ``password_last_used``.
        created: ``user_creation_time``; for root, that of the account.
    """

    password: bool | None
    mfa: bool
    keys: tuple[AccessKey, ...] = ()
    password_used: datetime | None = None
    created: datetime | None = None


@fact(Account, "iam:GetCredentialReport", "iam:GenerateCredentialReport")
@dataclass(frozen=True, slots=True)
class CredentialReport:
    """The credential report of an account: ARN of a user, or of root, -> its row.

    Attributes:
        rows: By ``arn``.
        generated: ``GeneratedTime``.
    """

    rows: Mapping[str, Credentials]
    generated: datetime | None = None


@fact(Account, "iam:GetAccountSummary")
@dataclass(frozen=True, slots=True)
class AccountSummary:
    """What ``SummaryMap`` says of the root user (iam:GetAccountSummary); None where it lacks an entry.

    Attributes:
        root_keys: ``AccountAccessKeysPresent``: how many access keys root has.
        root_mfa: ``AccountMFAEnabled``.
        root_password: ``AccountPasswordPresent``.
    """

    root_keys: int | None = None
    root_mfa: bool | None = None
    root_password: bool | None = None


@fact(Account, "iam:ListOrganizationsFeatures")
@dataclass(frozen=True, slots=True)
class RootManagement:
    """The centralised root features of the organisation (iam:ListOrganizationsFeatures).

    Attributes:
        features: ``EnabledFeatures``, such as RootCredentialsManagement, sorted. Empty outside an organisation, and
            where the organisation cannot have them (not all of its features, or no trusted access for IAM). None: AWS
            answers only the management account and IAM's delegated administrator, and this account is neither.
    """

    features: tuple[str, ...] | None


@fact(Region, "cognito-identity:ListIdentityPools", lists=IdentityPool)
@dataclass(frozen=True, slots=True)
class IdentityPools:
    """The Cognito identity pools of a region (cognito-identity:ListIdentityPools)."""

    pools: tuple[IdentityPool, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the pools."""
        yield from self.pools


@fact(IdentityPool, "cognito-identity:DescribeIdentityPool")
@dataclass(frozen=True, slots=True)
class IdentityPoolSettings:
    """One identity pool (cognito-identity:DescribeIdentityPool).

    Attributes:
        name: ``IdentityPoolName``.
        guests: ``AllowUnauthenticatedIdentities``.
        classic_flow: ``AllowClassicFlow``; absent means off.
    """

    name: str
    guests: bool
    classic_flow: bool = False


@fact(IdentityPool, "cognito-identity:GetIdentityPoolRoles")
@dataclass(frozen=True, slots=True)
class IdentityPoolRoles:
    """The roles of an identity pool, as ARNs (cognito-identity:GetIdentityPoolRoles).

    Attributes:
        authenticated: ``Roles.authenticated``.
        unauthenticated: ``Roles.unauthenticated``.
        mapped: ``RoleMappings`` of type Rules: the roles of its rules; these are for authenticated users only.
    """

    authenticated: str | None = None
    unauthenticated: str | None = None
    mapped: tuple[str, ...] = ()

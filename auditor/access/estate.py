"""The estate: all principals, tables, keys, clusters and guardrails of some accounts, and what they add up to.

Nothing here asks AWS. What could not be read is an ``Unreadable`` or None, and becomes an assumption that answers
state; it is never taken for a denial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from auditor.access.actions import actions, find
from auditor.access.evaluate import Decision, Policies, Request, evaluate
from auditor.access.policy import Named, read

#: Item-level and stream actions, which need the table's key when it is a customer's (DynamoDB Developer Guide,
#: "DynamoDB encryption at rest: usage notes").
DATA_ACTIONS = frozenset(
    f"dynamodb:{name}"
    for name in (
        *("GetItem", "BatchGetItem", "Query", "Scan", "ConditionCheckItem", "SearchVectors", "GetRecords"),
        *("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "StartBulkPutItems"),
        *("PartiQLSelect", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"),
    )
)

#: Keys that a request may carry only with a set of tags (CreateTable, TagResource).
_TAGGING = frozenset(
    f"dynamodb:{name}"
    for name in (
        *("CreateTable", "TagResource", "UntagResource", "ImportTable"),
        *("RestoreTableFromBackup", "RestoreTableToPointInTime", "RestoreTableFromAwsBackup"),
    )
) | {"dax:CreateCluster", "dax:TagResource", "dax:UntagResource"}

#: Request keys that DynamoDB may or may not present; its others are always presented where an action has them.
_SOMETIMES = frozenset(
    {
        *("dynamodb:enclosingoperation", "dynamodb:fulltablescan"),
        *("dynamodb:secondpartitionkeyvalues", "dynamodb:thirdpartitionkeyvalues", "dynamodb:fourthpartitionkeyvalues"),
    }
)


@dataclass(frozen=True)
class Principal:
    """A user or role with everything that limits it.

    Attributes:
        arn: Its ARN.
        kind: ``user``, ``role``, ``root`` or, for a group's policies alone, ``group``.
        policies: Its identity policies, those of a user's groups included, each a ``Named``.
        boundary: Its permissions boundary (``Named`` or ``Unreadable``), or None.
        tags: Its tags.
        trust: A role's trust policy.
        session: A session policy that limits it, or None.
        caller: ARN that its requests carry: of one session of the role; empty: its own.
    """

    arn: str
    kind: str
    policies: tuple[Named, ...] = ()
    boundary: Any = None
    tags: Mapping[str, str] = field(default_factory=dict)
    trust: Any = None
    session: Any = None
    caller: str = ""

    @property
    def account(self) -> str:
        """Its account's number."""
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        """Its name without the path."""
        return self.arn.rpartition("/")[2]

    @property
    def label(self) -> str:
        """``role/orders-api``: kind and name."""
        return f"{self.kind}/{self.name}"

    @property
    def service_linked(self) -> bool:
        """It is a service-linked role."""
        return ":role/aws-service-role/" in self.arn

    @cached_property
    def may_carry_tags(self) -> bool:
        """Its sessions may have tags beside the role's: the trust policy lets somebody set them."""
        if self.kind != "role":
            return False
        policy = read(self.trust, trust=True)
        return policy.unreadable is not None or any(
            statement.allow
            and (
                statement.covers("sts:tagsession") or any(kind == "Federated" for kind, _ in statement.principals or ())
            )
            for statement in policy.statements
        )


@dataclass(frozen=True)
class Key:
    """The KMS key of a table.

    Attributes:
        arn: Its ARN.
        managed: It is the AWS managed key ``aws/dynamodb``.
        policy: The key policy's text, or ``Unreadable``.
        usable: The key is enabled; None when that is not known.
    """

    arn: str
    managed: bool = False
    policy: Any = None
    usable: bool | None = True


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        arn: Its ARN.
        indexes: Names of its indexes; None when they are not known.
        stream: ARN of its stream, or None.
        policy: Its resource policy; None: it has none.
        stream_policy: The stream's resource policy; None: it has none.
        key: Its KMS key; None: an AWS owned key, which nobody needs permission for.
        tags: Its tags, or None when they are not known.
        protected: Deletion protection is on.
        assumptions: What was assumed of it because it could not be read.
    """

    arn: str
    indexes: tuple[str, ...] | None = ()
    stream: str | None = None
    policy: Any = None
    stream_policy: Any = None
    key: Key | None = None
    tags: Mapping[str, str] | None = field(default_factory=dict)
    protected: bool = False
    assumptions: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        """Its account's number."""
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        """Its region."""
        return self.arn.split(":")[3]

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rpartition(":table/")[2]

    def policy_of(self, resource: str) -> Any:
        """Return the resource policy that speaks about a resource: the table's covers its indexes, nothing else.

        Source: Amazon DynamoDB Developer Guide, "Using resource-based policies": only tables and streams have one.
        """
        if self.stream is not None and resource == self.stream:
            return self.stream_policy
        return self.policy if resource == self.arn or resource.startswith(f"{self.arn}/index/") else None


@dataclass(frozen=True)
class Cluster:
    """A DAX cluster and the ARN of its service role."""

    arn: str
    role: str | None


@dataclass(frozen=True)
class Pool:
    """A Cognito identity pool.

    Attributes:
        arn: Its ARN.
        id: Its id, the value of ``cognito-identity.amazonaws.com:aud``.
        name: Its name.
        guests: It gives credentials to unauthenticated identities; None when that is not known.
        classic: The classic flow is on, which leaves out Cognito's session policy for guests.
        unauthenticated: ARN of the guests' role, or None.
        authenticated: ARNs of the roles of authenticated identities.
    """

    arn: str
    id: str
    name: str = ""
    guests: bool | None = False
    classic: bool = False
    unauthenticated: str | None = None
    authenticated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """A VPC endpoint of DynamoDB.

    Attributes:
        id: Its id.
        vpc: Its VPC's id.
        account: Its account's number.
        region: Its region.
        policy: The endpoint policy; None: full access.
    """

    id: str
    vpc: str
    account: str
    region: str
    policy: Any = None


@dataclass(frozen=True)
class Account:
    """What limits an account.

    Attributes:
        id: Its number.
        organization: Id of its organisation; None: it is in none; empty: not known.
        path: ``aws:PrincipalOrgPaths`` of its principals, such as ``o-a/r-b/ou-c/``; empty: not known.
        management: It is the organisation's management account, which guardrails do not bind.
        scps: Levels of SCPs; None when they could not be read.
        rcps: Levels of RCPs; None when they could not be read.
    """

    id: str
    organization: str | None = ""
    path: str = ""
    management: bool = False
    scps: Sequence[Sequence[Named]] | None = None
    rcps: Sequence[Sequence[Named]] | None = None


@dataclass(frozen=True)
class Estate:
    """Everything that is known of some accounts.

    Attributes:
        accounts: By number.
        principals: By ARN.
        tables: By ARN.
        clusters: DAX clusters.
        pools: Cognito identity pools.
        abac: DynamoDB evaluates tags of tables (attribute-based access control); None: not known, assumed on.
        now: The time for ``aws:CurrentTime``; None: not known.
        assumptions: What was assumed of the whole because it could not be read.
        endpoints: VPC endpoints of DynamoDB; None: not known.
    """

    accounts: Mapping[str, Account] = field(default_factory=dict)
    principals: Mapping[str, Principal] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    clusters: tuple[Cluster, ...] = ()
    pools: tuple[Pool, ...] = ()
    abac: bool | None = None
    now: datetime | None = None
    assumptions: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] | None = None

    def account(self, number: str) -> Account:
        """Return what is known of an account; of one outside the estate, nothing is."""
        return self.accounts.get(number) or Account(number)

    def decide(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        table: Table | None = None,
        policy: Any = None,
        guardrails: bool = True,
        abac: bool | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Decide what a principal may do directly with one resource.

        Args:
            principal: The principal.
            action: The IAM action.
            resource: The resource's ARN (or ``*``): a table, one of its indexes, a stream, a backup, a cluster, …
            table: The table that the resource is or belongs to: for its tags and, where ``policy`` is None, its
                resource policy.
            policy: The resource's policy, where it is not the table's.
            guardrails: Apply SCPs and RCPs.
            abac: DynamoDB evaluates the table's tags; None: as the estate says, and on where it does not.
            context: Condition keys that replace those derived here.
        """
        request = self.request(principal, action, resource, table=table, abac=abac, context=context)
        if policy is None and table is not None:
            policy = table.policy_of(resource)
        return evaluate(request, self.policies(principal, resource, policy, guardrails=guardrails))

    def policies(self, principal: Principal, resource: str, policy: Any, *, guardrails: bool = True) -> Policies:
        """Return the policies that speak about a principal's request to a resource."""
        own, owner = self.account(principal.account), self.account(_account_of(resource) or principal.account)
        return Policies(
            identity=principal.policies,
            boundary=principal.boundary,
            session=principal.session,
            scps=() if not guardrails or own.management else own.scps or (),
            rcps=() if not guardrails or owner.management else owner.rcps or (),
            resource=policy,
        )

    def request(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        table: Table | None = None,
        abac: bool | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Request:
        """Return the request with every condition key that can be derived; all others are open.

        Sources: IAM User Guide, "AWS global condition context keys"; Service Authorization Reference for DynamoDB.
        """
        keys = _Keys()
        self._principal_keys(keys, principal)
        self._resource_keys(keys, principal, resource)
        _service_keys(keys, action)
        _tag_keys(keys, table, on=abac if abac is not None else self.abac is not False)
        if self.now is not None:
            keys.known |= {"aws:CurrentTime": self.now.isoformat(), "aws:EpochTime": int(self.now.timestamp())}
        keys.known |= context or {}
        return Request(
            principal.caller or principal.arn,
            action,
            resource,
            _account_of(resource) or principal.account,
            keys.known,
            unknown_keys=["*"],
            supplied_keys=keys.supplied,
            absent_keys=keys.absent,
        )

    def _principal_keys(self, keys: _Keys, principal: Principal) -> None:
        keys.known |= {
            "aws:PrincipalArn": principal.arn,
            "aws:PrincipalAccount": principal.account,
            "aws:PrincipalType": _TYPES[principal.kind],
            "aws:PrincipalIsAWSService": "false",
            # Whether to use TLS is the caller's choice.
            "aws:SecureTransport": "true",
        }
        keys.known |= {f"aws:PrincipalTag/{key}": value for key, value in principal.tags.items()}
        if principal.kind == "user":
            keys.known["aws:username"] = principal.name
        else:
            keys.absent.append("aws:username")
        if not principal.may_carry_tags:
            keys.absent.append("aws:PrincipalTag/*")
        keys.supplied += ["aws:SourceIp", "aws:UserAgent", "sts:ExternalId", "sts:RoleSessionName"]
        # These speak of the service that calls on somebody's behalf.
        keys.absent += ["aws:PrincipalServiceName", "aws:PrincipalServiceNamesList", "aws:SourceAccount"]
        keys.absent += ["aws:SourceArn", "aws:SourceOrgID", "aws:SourceOrgPaths"]
        _organization_keys(keys, "Principal", self.account(principal.account))

    def _resource_keys(self, keys: _Keys, principal: Principal, resource: str) -> None:
        number = _account_of(resource) or principal.account
        keys.known["aws:ResourceAccount"] = number
        _organization_keys(keys, "Resource", self.account(number))
        segments = resource.split(":", 5)
        if len(segments) == 6 and segments[3]:
            keys.known["aws:RequestedRegion"] = segments[3]


#: ``aws:PrincipalType`` by kind of principal (IAM User Guide, "Principal key values").
_TYPES = {"user": "User", "role": "AssumedRole", "root": "Account", "group": "User"}


@dataclass
class _Keys:
    """The condition keys of a request while they are gathered."""

    known: dict[str, Any] = field(default_factory=dict)
    supplied: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def _organization_keys(keys: _Keys, who: str, account: Account) -> None:
    names = [f"aws:{who}OrgID", f"aws:{who}OrgPaths"]
    if account.organization is None:
        keys.absent += names
    elif account.organization:
        keys.known[names[0]] = account.organization
        if account.path:
            keys.known[names[1]] = [account.path]


def _service_keys(keys: _Keys, action: str) -> None:
    """Keys that DynamoDB and DAX present; where AWS contradicts itself (SearchVectors) they stay open."""
    known = find(action)
    if known is None:
        return
    service = action.partition(":")[0]
    if service not in ("dynamodb", "dax"):
        return
    sometimes = _SOMETIMES | ({"dynamodb:select"} if known.name == "dynamodb:GetItem" else frozenset())
    keys.supplied += [key for key in known.keys if key not in sometimes]
    if known.name in _TAGGING:
        keys.supplied.append("aws:TagKeys")
    else:
        keys.absent += ["aws:RequestTag/*", "aws:TagKeys"]
    if known.name != "dynamodb:SearchVectors":
        every = {key for one in actions(service) for key in one.keys}
        keys.absent += sorted(key for key in every - known.keys if key.startswith(f"{service}:"))


def _tag_keys(keys: _Keys, table: Table | None, *, on: bool) -> None:
    """Tags of the table, which its indexes share; without attribute-based access control it is as if it had none."""
    if on and table is not None and table.tags is not None:
        keys.known |= {f"aws:ResourceTag/{key}": value for key, value in table.tags.items()}
    if not on or (table is not None and table.tags is not None):
        keys.absent.append("aws:ResourceTag/*")


def _account_of(resource: str) -> str:
    segments = resource.split(":", 5)
    return segments[4] if len(segments) == 6 else ""

"""Accounts with users, roles and tables, as the facts that rules on access take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from auditor.analysis.access import account_access, holdings, table_access
from auditor.config import Config
from auditor.facts import (
    CollectionTime,
    ControlLevel,
    ControlPolicy,
    DaxClusterNames,
    Gap,
    GroupInfo,
    Holdings,
    Identities,
    InlinePolicy,
    ManagedPolicy,
    Organization,
    Reason,
    ResourcePolicy,
    RoleInfo,
    ServiceControlPolicies,
    TableNames,
    TableSettings,
    Tags,
    UserInfo,
)
from auditor.resources import Account, DaxCluster, Group, Region, Role, Stream, Table, User

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NO_ORGANIZATION = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:DescribeOrganization")


def document(*statements: Mapping[str, Any], version: str = "2012-10-17") -> str:
    """Return a policy's text."""
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(actions: str | list[str], resources: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that allows."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def deny(actions: str | list[str], resources: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that denies."""
    return {"Effect": "Deny", "Action": actions, "Resource": resources, **more}


def trust(*services: str, **condition: Any) -> str:
    """Return a trust policy for services."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": list(services)},
        "Action": "sts:AssumeRole",
    }
    return document(statement | ({"Condition": condition} if condition else {}))


@dataclass
class World:
    """An account to be, filled in step by step; :meth:`facts` makes the facts."""

    partition: str = "aws"
    region_name: str = "eu-west-1"
    users: list[UserInfo] = field(default_factory=list)
    groups: list[GroupInfo] = field(default_factory=list)
    roles: list[RoleInfo] = field(default_factory=list)
    policies: dict[str, ManagedPolicy] = field(default_factory=dict)
    tables: dict[Table, tuple[TableSettings | Gap, ResourcePolicy | Gap, Tags | Gap]] = field(default_factory=dict)
    streams: dict[Stream, ResourcePolicy | Gap] = field(default_factory=dict)
    clusters: list[DaxCluster] | Gap = field(default_factory=list)
    listing: Gap | None = None
    scps: ServiceControlPolicies | Gap = NO_ORGANIZATION
    caller: str = ""

    @property
    def account(self) -> Account:
        """The account."""
        return Account("111122223333", self.partition)

    @property
    def region(self) -> Region:
        """Its region."""
        return Region(self.account, self.region_name)

    def managed(self, name: str, *statements: Mapping[str, Any], aws: bool = False, gap: Gap | None = None) -> str:
        """Add a managed policy and return its ARN."""
        arn = f"arn:{self.partition}:iam::{'aws' if aws else self.account.id}:policy/{name}"
        self.policies[arn] = ManagedPolicy(arn, name.rpartition("/")[2], gap or document(*statements))
        return arn

    def user(self, name: str, *statements: Mapping[str, Any], text: str | None = None, **more: Any) -> User:
        """Add a user with an inline policy of these statements, if there are any."""
        user = User(self.account, name)
        self.users.append(UserInfo(user, self._inline(statements, text), **more))
        return user

    def group(self, name: str, *statements: Mapping[str, Any], text: str | None = None, **more: Any) -> Group:
        """Add a group with an inline policy."""
        group = Group(self.account, name)
        self.groups.append(GroupInfo(group, self._inline(statements, text), **more))
        return group

    def role(self, name: str, *statements: Mapping[str, Any], text: str | None = None, **more: Any) -> Role:
        """Add a role with an inline policy."""
        role = Role(self.account, name)
        more.setdefault("trust", trust("ec2.amazonaws.com"))
        self.roles.append(RoleInfo(role, inline=self._inline(statements, text), **more))
        return role

    @staticmethod
    def _inline(statements: tuple[Mapping[str, Any], ...], text: str | None) -> tuple[InlinePolicy, ...]:
        if text is None and not statements:
            return ()
        return (InlinePolicy("orders", document(*statements) if text is None else text),)

    def table(
        self,
        name: str,
        *statements: Mapping[str, Any],
        policy: Gap | str | None = None,
        tags: Mapping[str, str] | Gap | None = None,
        settings: TableSettings | Gap | None = None,
    ) -> Table:
        """Add a table, with a resource policy of these statements."""
        table = Table(self.region, name)
        text = document(*statements) if statements else policy
        held = text if isinstance(text, Gap) else ResourcePolicy(text)
        self.tables[table] = (
            settings or TableSettings("ACTIVE"),
            held,
            tags if isinstance(tags, Gap) else Tags(dict(tags or {})),
        )
        return table

    def cluster(self, name: str) -> DaxCluster:
        """Add a DAX cluster."""
        assert not isinstance(self.clusters, Gap)
        cluster = DaxCluster(self.region, name)
        self.clusters.append(cluster)
        return cluster

    def block(self, *statements: Mapping[str, Any]) -> None:
        """Put the account under an SCP that denies."""
        everything = ControlPolicy("p-FullAWSAccess", "FullAWSAccess", True, document(allow("*")))
        guard = ControlPolicy("p-guard", "guard", False, document(*statements))
        levels = (
            ControlLevel("r-1", (everything,)),
            ControlLevel(self.account.id, (everything, guard)),
        )
        self.scps = ServiceControlPolicies(levels)

    def facts(self, config: Config | None = None) -> tuple[Identities, Holdings]:
        """Return who there is, and what they hold."""
        identities = Identities(tuple(self.users), tuple(self.groups), tuple(self.roles), self.policies)
        access = account_access(
            self.account,
            identities,
            # Whose SCPs are known, its organisation is: DescribeOrganization is open to every member.
            NO_ORGANIZATION if isinstance(self.scps, Gap) else Organization("o-shop", "ALL", "999999999999"),
            self.scps,
            NO_ORGANIZATION,
            CollectionTime(NOW, self.caller),
            config or Config(),
        )
        names: TableNames | Gap = self.listing or TableNames(tuple(self.tables))
        found = DaxClusterNames(tuple(self.clusters)) if isinstance(self.clusters, list) else self.clusters
        return identities, holdings(
            self.account,
            access,
            identities,
            {table: table_access(table, *parts) for table, parts in self.tables.items()},
            self.streams,
            {self.region: names},
            {self.region: found},
        )

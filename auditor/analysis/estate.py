"""From an inventory to the whole estate, across its accounts: what ``ddbaudit access`` asks questions of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from auditor.access import Named, Unreadable
from auditor.access import estate as engine
from auditor.analysis.access import account_limits, policy_document, principals
from auditor.config import Config
from auditor.facts import (
    CollectionTime,
    DaxSettings,
    EncryptionKey,
    Gap,
    Identities,
    IdentityPoolRoles,
    IdentityPoolSettings,
    KeyPolicy,
    KeySettings,
    Organization,
    ResourceControlPolicies,
    ResourcePolicy,
    ServiceControlPolicies,
    TableSettings,
    Tags,
)
from auditor.facts.base import Signature, read_signature
from auditor.resources import Account, DaxCluster, IdentityPool, Key, Stream, Table


def account_parts(
    account: Account,
    identities: Identities | Gap,
    organization: Organization | Gap,
    scps: ServiceControlPolicies | Gap,
    rcps: ResourceControlPolicies | Gap,
    time: CollectionTime | Gap,
) -> tuple[engine.Account, dict[str, engine.Principal], list[str]]:
    """Return one account's limits and principals, and what is assumed since it could not be read."""
    del time
    limits = account_limits(account, organization, scps, rcps)
    if isinstance(identities, Gap):
        return limits, {}, [f"users and roles of account {account.id} not readable, none of them is listed"]
    return limits, principals(identities), []


def table_parts(
    tables: Mapping[Table, TableSettings | Gap],
    policies: Mapping[Table, ResourcePolicy | Gap],
    stream_policies: Mapping[Stream, ResourcePolicy | Gap],
    tags: Mapping[Table, Tags | Gap],
    keys: Mapping[Table, EncryptionKey | Gap],
    key_policies: Mapping[Key, KeyPolicy | Gap],
    key_settings: Mapping[Key, KeySettings | Gap],
) -> Iterator[engine.Table]:
    """Yield the tables with everything that decides who reaches them."""
    for table, settings in tables.items():
        assumed: list[str] = []
        stream = None if isinstance(settings, Gap) else settings.stream_arn
        tagged = tags.get(table)
        if isinstance(settings, Gap):
            assumed.append(
                f"indexes and stream of table {table.name} not readable: any index is assumed, and no stream"
            )
        if tagged is None or isinstance(tagged, Gap):
            assumed.append(f"tags of table {table.name} not readable")
        yield engine.Table(
            table.arn,
            indexes=None if isinstance(settings, Gap) else tuple(index.name for index in settings.indexes),
            stream=stream,
            policy=_policy(policies.get(table), "resource policy", f"resource policy of table {table.name}", assumed),
            stream_policy=_policy(
                stream_policies.get(Stream.from_arn(stream)),
                "stream's resource policy",
                f"resource policy of the stream of table {table.name}",
                assumed,
            )
            if stream
            else None,
            key=_key(table, keys.get(table), key_policies, key_settings, assumed),
            tags=tagged.values if isinstance(tagged, Tags) else None,
            protected=isinstance(settings, TableSettings) and settings.deletion_protection,
            assumptions=tuple(assumed),
        )


def _policy(policy: ResourcePolicy | Gap | None, name: str, words: str, assumed: list[str]) -> Any:
    """Return a policy; one that could not be read is assumed not to exist, and the assumption is stated."""
    if policy is None or isinstance(policy, Gap):
        assumed.append(f"{words} not readable, taken as none")
        return None
    return policy_document(policy, name)


def _key(
    table: Table,
    kind: EncryptionKey | Gap | None,
    key_policies: Mapping[Key, KeyPolicy | Gap],
    key_settings: Mapping[Key, KeySettings | Gap],
    assumed: list[str],
) -> engine.Key | None:
    if kind is None or isinstance(kind, Gap):
        assumed.append(f"KMS key of table {table.name} not known: permission for it is not checked")
        return None
    if kind.key is None:
        return None
    if kind.type == "aws-managed":
        return engine.Key(kind.key.arn, managed=True)
    policy, settings = key_policies.get(kind.key), key_settings.get(kind.key)
    document: Any = Unreadable("its text could not be read")
    if isinstance(policy, KeyPolicy):
        document = policy.document
    else:
        assumed.append(f"key policy of {kind.key.name} not readable: whether it lets the caller decrypt is open")
    usable = settings.state == "Enabled" if isinstance(settings, KeySettings) else None
    return engine.Key(kind.key.arn, policy=Named(f"key policy of {kind.key.name}", document), usable=usable)


def clusters(found: Mapping[DaxCluster, DaxSettings | Gap]) -> Iterator[engine.Cluster]:
    """Yield the DAX clusters."""
    for cluster, settings in found.items():
        yield engine.Cluster(cluster.arn, None if isinstance(settings, Gap) else settings.role_arn)


def pools(
    settings: Mapping[IdentityPool, IdentityPoolSettings | Gap],
    roles: Mapping[IdentityPool, IdentityPoolRoles | Gap],
) -> Iterator[engine.Pool]:
    """Yield the identity pools."""
    for pool, known in settings.items():
        held = roles.get(pool)
        given = held if isinstance(held, IdentityPoolRoles) else IdentityPoolRoles()
        signed_in = dict.fromkeys(arn for arn in (given.authenticated, *given.mapped) if arn)
        yield engine.Pool(
            pool.arn,
            pool.name,
            "" if isinstance(known, Gap) else known.name,
            None if isinstance(known, Gap) else known.guests,
            isinstance(known, IdentityPoolSettings) and known.classic_flow,
            given.unauthenticated,
            tuple(signed_in),
        )


def _all(
    account: Account,
    tables: Mapping[Table, TableSettings | Gap],
    policies: Mapping[Table, ResourcePolicy | Gap],
    stream_policies: Mapping[Stream, ResourcePolicy | Gap],
    tags: Mapping[Table, Tags | Gap],
    keys: Mapping[Table, EncryptionKey | Gap],
    key_policies: Mapping[Key, KeyPolicy | Gap],
    key_settings: Mapping[Key, KeySettings | Gap],
    dax: Mapping[DaxCluster, DaxSettings | Gap],
    pool_settings: Mapping[IdentityPool, IdentityPoolSettings | Gap],
    pool_roles: Mapping[IdentityPool, IdentityPoolRoles | Gap],
) -> engine.Estate:
    """Return the estate without its accounts; only its signature tells what must be collected."""
    del account
    return engine.Estate(
        tables={
            one.arn: one
            for one in table_parts(tables, policies, stream_policies, tags, keys, key_policies, key_settings)
        },
        clusters=tuple(clusters(dax)),
        pools=tuple(pools(pool_settings, pool_roles)),
    )


def signatures() -> list[Signature]:
    """Return what the estate is made of, so that just that is collected."""
    return [read_signature(account_parts), read_signature(_all)]


def estate(resolver: Any, config: Config) -> engine.Estate:
    """Return the estate of an inventory.

    Args:
        resolver: The engine's ``Resolver`` on the inventory.
        config: For ``abac_enabled``.
    """
    per_account, whole = signatures()
    accounts: dict[str, engine.Account] = {}
    people: dict[str, engine.Principal] = {}
    assumptions: list[str] = []
    found = engine.Estate()
    now = None
    for scope in resolver.inventory.scopes:
        arguments, _ = resolver.arguments(per_account, scope.account)
        limits, held, assumed = account_parts(scope.account, **arguments)
        accounts[limits.id] = limits
        people |= held
        assumptions += assumed
        if isinstance(arguments["time"], CollectionTime):
            now = arguments["time"].at
        # Tables, clusters and pools are looked up across all accounts at once.
        found = _all(scope.account, **resolver.arguments(whole, scope.account)[0])
    return engine.Estate(
        accounts,
        people,
        {arn: one for arn, one in found.tables.items() if resolver.inventory.in_scope(Table.from_arn(arn))},
        found.clusters,
        found.pools,
        None if config.abac_enabled == "unknown" else config.abac_enabled,
        now,
        tuple(assumptions),
    )

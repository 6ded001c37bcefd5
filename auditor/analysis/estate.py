"""From an inventory to the whole estate, across its accounts: what ``ddbaudit access`` asks questions of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditor.access import Named, Unreadable
from auditor.access import estate as engine
from auditor.analysis.access import account_limits, policy_document, principals
from auditor.config import Config
from auditor.facts import (
    CollectionTime,
    DaxClusterNames,
    DaxSettings,
    EncryptionKey,
    Gap,
    Identities,
    IdentityPoolRoles,
    IdentityPools,
    IdentityPoolSettings,
    KeyPolicy,
    KeySettings,
    Organization,
    Reason,
    ResourceControlPolicies,
    ResourcePolicy,
    ServiceControlPolicies,
    TableNames,
    TableSettings,
    Tags,
    VpcEndpoints,
)
from auditor.facts.base import Signature, read_signature
from auditor.resources import Account, DaxCluster, IdentityPool, Key, Region, Resource, Stream, Table


@dataclass(frozen=True)
class Asked:
    """What questions are asked of: an estate, and what is not known of its edges.

    Attributes:
        estate: The estate.
        unlisted: Which tables are not known, in words; a table that was not found may be one of them.
        outsiders: What is not known of those outside who may come in, in words: of identity pools.
    """

    estate: engine.Estate
    unlisted: tuple[str, ...] = ()
    outsiders: tuple[str, ...] = ()


def account_parts(
    account: Account,
    identities: Identities | Gap,
    organization: Organization | Gap,
    scps: ServiceControlPolicies | Gap,
    rcps: ResourceControlPolicies | Gap,
    time: CollectionTime | Gap,
) -> tuple[engine.Account, dict[str, engine.Principal]]:
    """Return one account's limits and principals; none where they are not known."""
    del time
    limits = account_limits(account, organization, scps, rcps)
    return limits, {} if isinstance(identities, Gap) else principals(identities)


def table_parts(
    tables: Mapping[Table, TableSettings | Gap],
    policies: Mapping[Table, ResourcePolicy | Gap],
    stream_policies: Mapping[Stream, ResourcePolicy | Gap],
    tags: Mapping[Table, Tags | Gap],
    keys: Mapping[Table, EncryptionKey | Gap],
    key_policies: Mapping[Key, KeyPolicy | Gap],
    key_settings: Mapping[Key, KeySettings | Gap],
    unseen: Mapping[str, Iterable[str]],
) -> Iterator[engine.Table]:
    """Yield the tables with everything that decides who reaches them, and what of it is not known.

    Args:
        tables: The tables.
        policies: Their resource policies.
        stream_policies: Those of their streams.
        tags: Their tags.
        keys: The kind of key that encrypts each.
        key_policies: The policies of the keys.
        key_settings: The states of the keys.
        unseen: What else is not known of the ways to the tables of a region, in words, by the region's name.
    """
    for table, settings in tables.items():
        assumed: list[str] = []
        stream = None if isinstance(settings, Gap) else settings.stream_arn
        tagged = tags.get(table)
        if isinstance(settings, Gap):
            assumed.append(
                f"settings of table {table.name} {_missing(settings)}: "
                "any index is assumed, no stream, and no deletion protection"
            )
        if not isinstance(tagged, Tags):
            assumed.append(f"tags of table {table.name} {_missing(tagged)}: they may have any value")
        policy = _policy(policies.get(table), "resource policy", f"resource policy of table {table.name}", assumed)
        stream_policy = None
        if stream:
            words = f"resource policy of the stream of table {table.name}"
            stream_policy = _policy(
                stream_policies.get(Stream.from_arn(stream)), "stream's resource policy", words, assumed
            )
        yield engine.Table(
            table.arn,
            indexes=None if isinstance(settings, Gap) else tuple(index.name for index in settings.indexes),
            stream=stream,
            policy=policy,
            stream_policy=stream_policy,
            key=_key(table, keys.get(table), key_policies, key_settings, assumed),
            tags=tagged.values if isinstance(tagged, Tags) else None,
            protected=isinstance(settings, TableSettings) and settings.deletion_protection,
            assumptions=(*assumed, *unseen.get(table.region.name, ())),
        )


def _missing(gap: Gap | None) -> str:
    """Return why something is not known, as the end of a sentence; None: nobody asked for it."""
    if gap is None or gap.reason is Reason.PARTIAL_DATA:
        return "not collected"
    if gap.reason is Reason.ACCESS_DENIED and gap.action:
        return f"not readable without {gap.action}"
    return f"not readable ({gap.detail.rstrip('.')})"


def _policy(policy: ResourcePolicy | Gap | None, name: str, words: str, assumed: list[str]) -> Any:
    """Return a policy; one that could not be read is assumed not to exist, and the assumption is stated."""
    if not isinstance(policy, ResourcePolicy):
        assumed.append(f"{words} {_missing(policy)}: taken as none")
        return None
    return policy_document(policy, name)


def _key(
    table: Table,
    kind: EncryptionKey | Gap | None,
    key_policies: Mapping[Key, KeyPolicy | Gap],
    key_settings: Mapping[Key, KeySettings | Gap],
    assumed: list[str],
) -> engine.Key | None:
    if not isinstance(kind, EncryptionKey):
        assumed.append(f"KMS key of table {table.name} {_missing(kind)}: permission for it is not checked")
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
        assumed.append(f"key policy of {kind.key.name} {_missing(policy)}: whether it lets the caller decrypt is open")
    if not isinstance(settings, KeySettings):
        assumed.append(f"state of key {kind.key.name} {_missing(settings)}: taken as enabled")
    usable = settings.state == "Enabled" if isinstance(settings, KeySettings) else None
    return engine.Key(kind.key.arn, policy=Named(f"key policy of {kind.key.name}", document), usable=usable)


def clusters(found: Mapping[DaxCluster, DaxSettings | Gap]) -> Iterator[engine.Cluster]:
    """Yield the DAX clusters."""
    for cluster, settings in found.items():
        yield engine.Cluster(cluster.arn, None if isinstance(settings, Gap) else settings.role_arn)


def unseen_clusters(
    found: Mapping[DaxCluster, DaxSettings | Gap], names: Mapping[Region, DaxClusterNames | Gap]
) -> dict[str, list[str]]:
    """Return which paths through DAX clusters are not known, in words, by the region whose tables they may lead to."""
    unseen: dict[str, list[str]] = {}
    for name in sorted({region.name for region in names}):
        here = {region: listed for region, listed in names.items() if region.name == name}
        unseen[name] = list(_unlisted("DAX clusters", here, "paths through them are left out"))
    for cluster, settings in found.items():
        if isinstance(settings, Gap):
            unseen.setdefault(cluster.region.name, []).append(
                f"role of DAX cluster {cluster.name} {_missing(settings)}: paths through it are left out"
            )
    return unseen


def pools(
    settings: Mapping[IdentityPool, IdentityPoolSettings | Gap],
    roles: Mapping[IdentityPool, IdentityPoolRoles | Gap],
) -> Iterator[engine.Pool]:
    """Yield the identity pools."""
    for pool in sorted({*settings, *roles}):
        known, held = settings.get(pool), roles.get(pool)
        given = held if isinstance(held, IdentityPoolRoles) else IdentityPoolRoles()
        signed_in = dict.fromkeys(arn for arn in (given.authenticated, *given.mapped) if arn)
        yield engine.Pool(
            pool.arn,
            pool.name,
            known.name if isinstance(known, IdentityPoolSettings) else "",
            known.guests if isinstance(known, IdentityPoolSettings) else None,
            isinstance(known, IdentityPoolSettings) and known.classic_flow,
            given.unauthenticated,
            tuple(signed_in),
        )


def endpoints(found: Mapping[Region, VpcEndpoints | Gap]) -> tuple[engine.Endpoint, ...] | None:
    """Return the available endpoints of DynamoDB; None when those of a region are not known."""
    held: list[engine.Endpoint] = []
    for region, listing in found.items():
        if isinstance(listing, Gap):
            return None
        for one in listing.endpoints:
            if one.resource is not None and one.state == "available" and not one.service.endswith("-streams"):
                policy = None if one.policy is None else Named(f"endpoint policy of {one.id}", one.policy)
                held.append(engine.Endpoint(one.id, one.vpc_id, region.account.id, region.name, policy))
    return tuple(held)


def unseen_pools(
    roles: Mapping[IdentityPool, IdentityPoolRoles | Gap], names: Mapping[Region, IdentityPools | Gap]
) -> Iterator[str]:
    """Yield whose guests and signed-in users are not known, in words."""
    yield from _unlisted("identity pools", names, "their guests and users are not listed")
    for pool, held in roles.items():
        if isinstance(held, Gap):
            yield f"roles of identity pool {pool.name} {_missing(held)}: its guests and users are not listed"


def _unlisted(what: str, names: Mapping[Region, Any], so: str) -> Iterator[str]:
    """Yield which listings are missing: one sentence for all accounts with the same reason in the same regions."""
    regions: dict[tuple[str, str], list[str]] = {}
    for region, listed in names.items():
        if isinstance(listed, Gap):
            regions.setdefault((region.account.id, _missing(listed)), []).append(region.name)
    accounts: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (account, why), there in sorted(regions.items()):
        accounts.setdefault((why, tuple(sorted(there))), []).append(account)
    for (why, places), held in accounts.items():
        where = ", ".join(places) if len(places) <= 3 else f"{len(places)} regions"
        yield f"{what} of {_accounts(held)} in {where} {why}: {so}"


def _accounts(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 3} more" if len(ids) > 4 else ""
    return f"account{'s' if len(ids) > 1 else ''} {', '.join(ids[:3] if more else ids)}{more}"


def _whole(
    account: Account,
    table_names: Mapping[Region, TableNames | Gap],
    tables: Mapping[Table, TableSettings | Gap],
    policies: Mapping[Table, ResourcePolicy | Gap],
    stream_policies: Mapping[Stream, ResourcePolicy | Gap],
    tags: Mapping[Table, Tags | Gap],
    keys: Mapping[Table, EncryptionKey | Gap],
    key_policies: Mapping[Key, KeyPolicy | Gap],
    key_settings: Mapping[Key, KeySettings | Gap],
    cluster_names: Mapping[Region, DaxClusterNames | Gap],
    dax: Mapping[DaxCluster, DaxSettings | Gap],
    pool_names: Mapping[Region, IdentityPools | Gap],
    pool_settings: Mapping[IdentityPool, IdentityPoolSettings | Gap],
    pool_roles: Mapping[IdentityPool, IdentityPoolRoles | Gap],
    vpc_endpoints: Mapping[Region, VpcEndpoints | Gap],
) -> Asked:
    """Return what there is across all accounts, without their principals."""
    del account
    unseen = unseen_clusters(dax, cluster_names)
    parts = table_parts(tables, policies, stream_policies, tags, keys, key_policies, key_settings, unseen)
    return Asked(
        engine.Estate(
            tables={one.arn: one for one in parts},
            clusters=tuple(clusters(dax)),
            pools=tuple(pools(pool_settings, pool_roles)),
            endpoints=endpoints(vpc_endpoints),
        ),
        tuple(_unlisted("tables", table_names, "not all of them are known")),
        tuple(unseen_pools(pool_roles, pool_names)),
    )


def signatures() -> list[Signature]:
    """Return what the estate is made of, so that just that is collected."""
    return [read_signature(account_parts), read_signature(_whole)]


#: What lists the resources that a fact is about: of one that is listed and without the fact, the fact is a gap.
_LISTED_BY: dict[type[Resource], type] = {Table: TableNames, DaxCluster: DaxClusterNames, IdentityPool: IdentityPools}


def _across(resolver: Any, signature: Signature) -> dict[str, Any]:
    """Return the facts about everything that exists; what an inventory made for other rules lacks is a gap.

    What was deleted during the collection is left out.
    """
    inventory = resolver.inventory
    regions = [region for scope in inventory.scopes for region in scope.regions]
    listed: dict[type[Resource], list[Resource]] = {}
    for kind, names in _LISTED_BY.items():
        held = [resolver.get(names, region) for region in regions]
        listed[kind] = [one for each in held if not isinstance(each, Gap) for one in each.names()]
    found: dict[str, Any] = {}
    for need in signature.needs:
        assert need.across is not None, "what the whole is made of is about many resources"
        known = dict(resolver.across(need.fact, need.across))
        for one in regions if need.across is Region else listed.get(need.across, []):
            known.setdefault(one, resolver.get(need.fact, one))
        found[need.name] = {one: value for one, value in known.items() if one not in inventory.vanished}
    return found


def asked(resolver: Any, config: Config) -> Asked:
    """Return the estate of an inventory, and what is not known of it.

    Args:
        resolver: The engine's ``Resolver`` on the inventory.
        config: For ``abac_enabled``.
    """
    if not resolver.inventory.scopes:
        return Asked(engine.Estate())
    per_account, across = signatures()
    accounts: dict[str, engine.Account] = {}
    people: dict[str, engine.Principal] = {}
    nameless: dict[str, list[str]] = {}
    now = None
    for scope in resolver.inventory.scopes:
        arguments, _ = resolver.arguments(per_account, scope.account)
        limits, held = account_parts(scope.account, **arguments)
        accounts[limits.id] = limits
        people |= held
        if isinstance(arguments["identities"], Gap):
            nameless.setdefault(_missing(arguments["identities"]), []).append(limits.id)
        if isinstance(arguments["time"], CollectionTime):
            now = arguments["time"].at
    whole = _whole(resolver.inventory.scopes[0].account, **_across(resolver, across))
    estate = engine.Estate(
        accounts,
        people,
        {arn: one for arn, one in whole.estate.tables.items() if resolver.inventory.in_scope(Table.from_arn(arn))},
        whole.estate.clusters,
        whole.estate.pools,
        None if config.abac_enabled == "unknown" else config.abac_enabled,
        now,
        tuple(f"users and roles of {_accounts(ids)} {why}: none of them is listed" for why, ids in nameless.items()),
        whole.estate.endpoints,
    )
    return Asked(estate, whole.unlisted, whole.outsiders)

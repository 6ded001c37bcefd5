"""From facts to the estate of the access engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from auditor.access import Named, Unreadable
from auditor.access import estate as engine
from auditor.access.search import Search
from auditor.access.subjects import PROBE, Place, probe_table
from auditor.config import Config
from auditor.facts import (
    AccountAccess,
    CollectionTime,
    ControlLevel,
    DaxClusterNames,
    Gap,
    GroupInfo,
    Holdings,
    Identities,
    InlinePolicy,
    ManagedPolicy,
    Organization,
    Reason,
    ResourceControlPolicies,
    ResourcePolicy,
    ServiceControlPolicies,
    TableAccess,
    TableNames,
    TableSettings,
    Tags,
    derive,
)
from auditor.facts.base import VANISHED
from auditor.resources import Account, Region, Stream, Table


@derive
def account_access(
    account: Account,
    identities: Identities,
    organization: Organization | Gap,
    scps: ServiceControlPolicies | Gap,
    rcps: ResourceControlPolicies | Gap,
    time: CollectionTime | Gap,
    config: Config,
) -> AccountAccess:
    """Return an account's principals with their policies, and what limits them."""
    estate = engine.Estate(
        accounts={account.id: account_limits(account, organization, scps, rcps)},
        principals=principals(identities),
        abac=None if config.abac_enabled == "unknown" else config.abac_enabled,
        now=None if isinstance(time, Gap) else time.at,
    )
    return AccountAccess(
        estate,
        {
            info.group.arn: engine.Principal(info.group.arn, "group", tuple(_of_group(info, identities.policies, "")))
            for info in identities.groups
        },
        tuple(one for one in (organization, scps, rcps) if isinstance(one, Gap)),
        "" if isinstance(time, Gap) else auditor_arn(time.caller, identities),
        organization if isinstance(organization, Gap) else None,
    )


def principals(identities: Identities) -> dict[str, engine.Principal]:
    """Return the users and roles of an account by ARN, each with all policies that speak for it."""
    groups = {info.group.name: info for info in identities.groups}
    found: dict[str, engine.Principal] = {}
    for user in identities.users:
        held = [*_own(user.inline, user.attached, identities.policies, f"user/{user.user.name}")]
        for name in user.groups:
            if name in groups:
                held += _of_group(groups[name], identities.policies, f" of group {name}")
        found[user.user.arn] = engine.Principal(
            user.user.arn, "user", tuple(held), _boundary(user.boundary, identities.policies), user.tags
        )
    for role in identities.roles:
        found[role.role.arn] = engine.Principal(
            role.role.arn,
            "role",
            tuple(_own(role.inline, role.attached, identities.policies, f"role/{role.role.name}")),
            _boundary(role.boundary, identities.policies),
            role.tags,
            Named(f"trust policy of role/{role.role.name}", role.trust),
        )
    return found


def _own(
    inline: Iterable[InlinePolicy], attached: Iterable[str], policies: Mapping[str, ManagedPolicy], owner: str
) -> Iterable[Named]:
    for one in inline:
        yield Named(f"{one.name} (inline of {owner})", one.document)
    for arn in attached:
        yield _managed(arn, policies)


def _of_group(info: GroupInfo, policies: Mapping[str, ManagedPolicy], via: str) -> Iterable[Named]:
    for one in info.inline:
        yield Named(f"{one.name} (inline of group/{info.group.name})", one.document)
    for arn in info.attached:
        managed = _managed(arn, policies)
        yield Named(managed.name + via, managed.document)


def _managed(arn: str, policies: Mapping[str, ManagedPolicy]) -> Named:
    name = arn.rpartition("/")[2]
    held = policies.get(arn)
    if held is None:
        return Named(name, Unreadable("its text was not collected"))
    return Named(name, Unreadable(held.document.detail) if isinstance(held.document, Gap) else held.document)


def _boundary(arn: str | None, policies: Mapping[str, ManagedPolicy]) -> Named | None:
    return None if arn is None else _managed(arn, policies)


def auditor_arn(caller: str, identities: Identities) -> str:
    """Return the ARN of the user or role behind a caller's ARN, or an empty text when it is of another account."""
    name = caller.split("/")[1] if ":assumed-role/" in caller else ""
    for role in identities.roles:
        if name and role.role.name == name and caller.split(":")[4] == role.role.account.id:
            return role.role.arn
    return next((user.user.arn for user in identities.users if user.user.arn == caller), "")


def account_limits(
    account: Account,
    organization: Organization | Gap,
    scps: ServiceControlPolicies | Gap,
    rcps: ResourceControlPolicies | Gap,
) -> engine.Account:
    """Return what limits an account, as far as it is known."""
    known = None if isinstance(organization, Gap) else organization
    # Without it nobody knows whether this is the management account, which no guardrail binds.
    levels = None if isinstance(scps, Gap) or known is None else scps.levels
    path = ""
    if known is not None and known.id and levels:
        path = "/".join([known.id, *(level.target for level in levels[:-1])]) + "/"
    return engine.Account(
        account.id,
        "" if known is None else known.id,
        path,
        management=known is not None and known.management_account == account.id,
        scps=None if levels is None else control_levels(levels, "SCP"),
        rcps=None if isinstance(rcps, Gap) or known is None else control_levels(rcps.levels, "RCP"),
    )


def control_levels(levels: Iterable[ControlLevel], kind: str) -> tuple[tuple[Named, ...], ...]:
    """Return the levels of SCPs or RCPs with names that say where each is attached."""
    return tuple(
        tuple(Named(f"{kind} {one.name} at {level.target}", one.document) for one in level.policies) for level in levels
    )


@derive
def table_access(
    table: Table, settings: TableSettings | Gap, policy: ResourcePolicy | Gap, tags: Tags | Gap
) -> TableAccess:
    """Return a table as the access engine sees it."""
    entry = engine.Table(
        table.arn,
        indexes=None if isinstance(settings, Gap) else tuple(index.name for index in settings.indexes),
        stream=None if isinstance(settings, Gap) else settings.stream_arn,
        policy=policy_document(policy, "resource policy"),
        tags=None if isinstance(tags, Gap) else tags.values,
    )
    return TableAccess(entry, tuple(one for one in (settings, policy, tags) if isinstance(one, Gap)))


def policy_document(policy: ResourcePolicy | Gap, name: str) -> Any:
    """Return a resource policy for the engine: None without one, unreadable when it is not known."""
    if isinstance(policy, Gap):
        return Named(name, Unreadable(policy.detail))
    return None if policy.document is None else Named(name, policy.document)


@derive
def holdings(
    account: Account,
    access: AccountAccess,
    identities: Identities,
    tables: Mapping[Table, TableAccess | Gap],
    streams: Mapping[Stream, ResourcePolicy | Gap],
    table_names: Mapping[Region, TableNames | Gap],
    cluster_names: Mapping[Region, DaxClusterNames | Gap],
) -> Holdings:
    """Return what looks through an account's tables and clusters for what its principals may do."""
    places: list[Place] = []
    for table, found in tables.items():
        # Of what is not known of a table that was deleted meanwhile nothing follows.
        if table.account == account and isinstance(found, TableAccess) and VANISHED not in found.gaps:
            places.append(_place(found, streams))
    for region, names in table_names.items():
        if region.account == account:
            places += _table_probes(region, names)
    for region, clusters in cluster_names.items():
        if region.account == account:
            places += _clusters(region, clusters)
    causes: dict[str, Any] = {arn.rpartition("/")[2]: one.document for arn, one in identities.policies.items()}
    causes["organization"] = access.organization_gap
    return Holdings(
        access, Search(access.estate, places, {name: one for name, one in causes.items() if isinstance(one, Gap)})
    )


def _place(found: TableAccess, streams: Mapping[Stream, ResourcePolicy | Gap]) -> Place:
    gaps = iter(found.gaps)
    causes: dict[str, Gap | None] = {}
    if found.entry.indexes is None:
        causes["settings"] = next(gaps, None)
    if found.entry.policy is not None and isinstance(found.entry.policy.document, Unreadable):
        causes["policy"] = next(gaps, None)
    if found.entry.tags is None:
        causes["tags"] = next(gaps, None)
    entry = found.entry
    if entry.indexes is None and entry.stream is None:
        # Whether the table has a stream, and what the stream's own policy says, is as little known.
        why = causes["settings"].detail if causes["settings"] is not None else "its stream is not known"
        hidden = Named("stream's resource policy", Unreadable(why))
        entry = replace(entry, stream=f"{entry.arn}/stream/unknown", stream_policy=hidden)
        causes.setdefault("policy", causes["settings"])
    elif entry.stream:
        policy = streams.get(Stream.from_arn(entry.stream))
        if policy is None:
            policy = Gap(Reason.PARTIAL_DATA, "The stream's resource policy was not collected.")
        if isinstance(policy, Gap):
            causes.setdefault("policy", policy)
        entry = replace(entry, stream_policy=policy_document(policy, "stream's resource policy"))
    return Place(entry.arn, entry, causes=causes)


def _table_probes(region: Region, names: TableNames | Gap) -> Iterator[Place]:
    entry = probe_table(region.account.partition, region.name, region.account.id)
    yield Place(entry.arn, entry, probe=True)
    if isinstance(names, Gap):
        hidden = replace(entry, arn=f"{entry.arn}-unlisted", policy=Named("resource policy", Unreadable(names.detail)))
        yield Place(hidden.arn, hidden, unlisted=True, causes={"listing": names})


def _clusters(region: Region, names: DaxClusterNames | Gap) -> Iterator[Place]:
    account = region.account
    probe = f"arn:{account.partition}:dax:{region.name}:{account.id}:cache/{PROBE}"
    yield Place(probe, probe=True)
    if isinstance(names, Gap):
        yield Place(f"{probe}-unlisted", unlisted=True, causes={"listing": names})
    else:
        yield from (Place(cluster.arn) for cluster in names.clusters)

"""Collects an inventory from AWS: one account or several, each through its own credentials."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import UTC, datetime

from auditor.config import NO_SAMPLING, Sampling
from auditor.facts import CollectionTime, EnabledRegions, Gap, RegionScope
from auditor.inventory import Caller, CallError, Inventory, Scope
from auditor.resources import Account, Region, Resource
from auditor.snapshot import Only
from auditor.sources.aws import (
    account,
    alarms,
    autoscaling,
    backup,
    cloudtrail,
    cognito,
    compute,
    config_service,
    dax,
    detection,
    dynamodb,
    ec2,
    exports,
    hybrid,
    iam,
    items,
    kms,
    organizations,
    streams,
)
from auditor.sources.aws.scheduler import THROTTLE_WAITS, Collection, Progress, Stop
from auditor.sources.aws.session import Access, ConfigSource

#: The modules whose collectors serve; importing them registers these.
SERVICES = (
    *(account, alarms, autoscaling, backup, cloudtrail, cognito, compute, config_service, dax, detection),
    *(dynamodb, ec2, exports, hybrid, iam, items, kms, organizations, streams),
)


def collect(
    accesses: Iterable[Access],
    caller: Caller,
    regions: list[str],
    wanted: set[tuple[type, type[Resource]]],
    *,
    now: datetime | None = None,
    progress: Progress = lambda done, total: None,
    waits: tuple[float, ...] = THROTTLE_WAITS,
    sampling: Sampling = NO_SAMPLING,
    only: Only = "everything",
    elsewhere: Container[Resource | None] = frozenset(),
    stop: Stop | None = None,
    config: ConfigSource | None = None,
    auditing: Access | None = None,
) -> Inventory:
    """Collect the wanted facts of some accounts.

    Args:
        accesses: Credentials, one for each account.
        caller: Who collects.
        regions: Names of the regions to audit; empty: all that are enabled in each account.
        wanted: Facts, each with the kind of resource it is wanted for (see ``engine.wanted``).
        now: The collection's time; default: the clock's.
        progress: Called with calls done and calls known so far.
        waits: Seconds before each further try of a call that was throttled to the end.
        sampling: How many items may be read of a table (see :class:`auditor.config.Sampling`).
        only: What is collected here of each account, if not everything: what is not of any region, or the regions.
        elsewhere: Accounts and regions whose resources somebody else asks for.
        stop: An event that ends the collection early, as an interrupt does.
        config: Where AWS Config is asked for what it recorded; None: it is not.
        auditing: Credentials of who audits, whose aggregator of AWS Config is asked; default: the account's own.

    Raises:
        UsageError: a region is not one of the account's partition.
    """
    started = (now or datetime.now(UTC)).replace(microsecond=0)
    prepared: list[tuple[type, Account, object]] = []
    scopes, kept, errors = [], [], []
    for access in accesses:
        kept.append(access)
        if sampling.items_per_table:
            access.allow_sampling()
        settled = dict(account.choose_regions(access, regions))
        defaults = settled.pop(Region, None)
        scope = settled[RegionScope]
        if isinstance(scope, RegionScope):
            audited = scope.regions
        else:
            assert isinstance(scope, Gap)
            assert isinstance(defaults, list)
            audited = tuple(defaults)
            errors.append(
                CallError(
                    access.account.id, access.home_region(), "ec2", "DescribeRegions", scope.reason, scope.detail,
                    RegionScope.__name__,
                )
            )  # fmt: skip
        scopes.append(Scope(access.account, access.name, () if only == "account" else audited))
        if only != "regions":
            prepared += [(fact_type, access.account, value) for fact_type, value in settled.items()]
    inventory = Inventory(caller, tuple(sorted(scopes, key=lambda scope: scope.account.id)), errors=errors)
    for fact_type, owner, value in prepared:
        if isinstance(value, Gap):
            inventory.put_gap(owner, fact_type, value)
        elif fact_type is RegionScope or (EnabledRegions, Account) in wanted:
            inventory.put(owner, value)
    if only != "regions":
        for scope in inventory.scopes:
            inventory.put(scope.account, CollectionTime(started, caller.arn))
    begin = None if only != "regions" else [region for scope in inventory.scopes for region in scope.regions]
    collection = Collection(
        inventory,
        kept,
        wanted,
        progress,
        waits,
        sampling,
        begin=begin,
        elsewhere=elsewhere,
        stop=stop,
        config=config,
        auditing=auditing,
    )
    collection.run()
    return inventory

"""What a rule needs, from AWS: about the one resource that has changed, or about the region of the rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from auditor import engine
from auditor.config_rule.event import Event
from auditor.config_rule.selection import Selection
from auditor.facts import CollectionTime, RegionScope, TableNames, Tags
from auditor.facts.base import DERIVED, RAW, Signature
from auditor.inventory import Caller, Inventory, Scope
from auditor.packs import Rules
from auditor.resources import Key, Resource, Stream, Table
from auditor.sources.aws.collect import collect
from auditor.sources.aws.config_items import Item
from auditor.sources.aws.scheduler import Collection
from auditor.sources.aws.session import Access, identify


@dataclass(frozen=True)
class Collected:
    """An inventory; ``narrow``: it holds one resource and what that names, and nothing else."""

    inventory: Inventory
    narrow: bool


def collect_region(access: Access, asked: Event, selection: Selection) -> Collected:
    """Collect what the rules need of the region of the AWS Config rule."""
    caller = Caller(*_caller(access))
    wanted = engine.wanted(selection.rules.values())
    sampling = selection.config.sampling
    found = collect([access], caller, [asked.region.name], wanted, now=asked.created, sampling=sampling)
    return Collected(found, narrow=False)


def collect_around(access: Access, asked: Event, item: Item, resource: Resource, selection: Selection) -> Collected:
    """Collect what the rules need of one resource.

    Rules on tables that look at nothing but the table, its stream and its key cost a few calls, fewer where the
    item tells. All others look at the region as a whole, as a scheduled event does.
    """
    if not isinstance(resource, Table) or not all(is_narrow(one) for one in about_tables(selection.rules).values()):
        return collect_region(access, asked, selection)
    caller = Caller(*_caller(access))
    inventory = Inventory(caller, (Scope(asked.account, "", (resource.region,)),))
    inventory.put(asked.account, CollectionTime(asked.created.replace(microsecond=0), caller.arn))
    inventory.put(asked.account, RegionScope((resource.region,), chosen=True))
    inventory.put(resource.region, TableNames((resource,)))
    # An item without a single tag may be one whose tags were not recorded.
    if item.tags:
        inventory.put(resource, Tags(dict(item.tags)))
    recovery = item.recovery()
    # One call is cheap: where recovery is on and the item has no window, AWS is asked.
    if recovery is not None and (recovery.days is not None or not recovery.enabled):
        inventory.put(resource, recovery)
    wanted: set[tuple[type, type[Resource]]] = {
        (fact_type, kind)
        for fact_type, kind in engine.wanted(about_tables(selection.rules).values())
        if kind in (Table, Key, Stream)
    }
    Collection(inventory, [access], wanted, sampling=selection.config.sampling, begin=[resource]).run()
    return Collected(inventory, narrow=True)


def _caller(access: Access) -> tuple[str, str]:
    account, arn = identify(access.session, None)
    return account.id, arn


def about_tables(rules: Rules) -> Rules:
    """Return the rules that say something of a table."""
    return {rule.id: rule for rule in rules.values() if Table in rule.signature.kinds}


def is_narrow(rule: object) -> bool:
    """Tell whether a rule on tables looks at nothing but the table, its stream and its key."""
    todo: list[Signature] = list(engine.signatures([rule]))  # type: ignore[list-item]
    seen = set[type]()
    while todo:
        for need in todo.pop().needs:
            if need.across is not None:
                return False
            if need.fact in seen:
                continue
            seen.add(need.fact)
            if need.fact in DERIVED:
                todo.append(DERIVED[need.fact].signature)
            elif not _near(RAW[need.fact].about) and need.fact not in (CollectionTime, RegionScope):
                return False
    return True


def _near(kinds: Iterable[type[Resource]]) -> bool:
    return any(kind in (Table, Key, Stream) for kind in kinds)

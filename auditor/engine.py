"""The engine: from an inventory and rules to findings. Pure: no calls, no clock.

Every rule is asked about every resource of its kind. What a rule needs is looked up by type; what is
missing makes the verdict ``unknown``, and a listing that is missing is itself an ``unknown`` finding, so
that nothing disappears from a report.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from auditor.acceptance import AcceptanceFile
from auditor.comparison import PreviousReport
from auditor.config import Config
from auditor.facts import (
    CollectionTime,
    Environment,
    Gap,
    PointInTimeRecovery,
    Reason,
    RegionScope,
    RegionUse,
    Sensitivity,
    Tags,
)
from auditor.facts.base import DERIVED, RAW, VANISHED, Across, Signature, about, listers, raw_closure, subject
from auditor.inventory import CallError, Inventory
from auditor.packs import Rules
from auditor.picture import picture
from auditor.report import AcceptanceUse, FactsAsOf, Finding, Gate, Recorded, Report, RunInfo, judge_gate
from auditor.resources import (
    Account,
    DaxCluster,
    Key,
    Region,
    Resource,
    Stream,
    Table,
    account_of,
    ancestor,
    region_of,
)
from auditor.rule_api import Members, Rule, Severity, Status, Verdict, not_applicable, unknown

log = logging.getLogger(__name__)

#: Severity of a failure moves with what the resource's tags say.
_CONTEXT: tuple[type, ...] = (Environment, Sensitivity)


def _context_signature(rule: Rule) -> Signature | None:
    """Return, as a signature, the facts that move the severity of a rule's failures."""
    kinds = tuple(kind for kind in rule.signature.kinds if kind in (Table, DaxCluster))
    if not kinds:
        return None
    return replace(DERIVED[Environment].signature, kinds=kinds)


def signatures(rules: Iterable[Rule]) -> Iterator[Signature]:
    """Yield what rules need: their own signatures, and that of the context which moves their severity."""
    for rule in rules:
        yield rule.signature
        yield from signatures(rule.parts.values())
        context = _context_signature(rule)
        if context is not None:
            yield context


def _asked(rules: Iterable[Rule]) -> Iterator[str]:
    """Yield the ids of the rules that some rules ask, directly or through others."""
    for rule in rules:
        yield from rule.parts
        yield from _asked(rule.parts.values())


def wanted(rules: Iterable[Rule]) -> set[tuple[type, type[Resource]]]:
    """Return the raw facts, each with the kind it is wanted for, that some rules rest on."""
    return raw_closure(signatures(rules))


#: Kinds of resources that are looked for in every region, whether it is in use or not: their own listings say what
#: may be missing.
_FOUND_ANYWHERE = {Account, Table, DaxCluster, Stream, Key}


@dataclass
class Resolver:
    """Looks facts up: raw ones in the inventory, derived ones computed once.

    Attributes:
        inventory: What was collected.
        config: Global parameters.
        asked: Ids of the rules that others ask: what these say of a resource is found out once.
    """

    inventory: Inventory
    config: Config
    asked: frozenset[str] = frozenset()
    _derived: dict[tuple[type, Resource], Any] = field(default_factory=dict)
    _across: dict[tuple[type, type[Resource]], Mapping[Resource, Any]] = field(default_factory=dict)
    _verdicts: dict[tuple[str, Resource], tuple[Verdict, ...]] = field(default_factory=dict)
    _gated: dict[str, bool] = field(default_factory=dict)

    def get(self, fact_type: type, resource: Resource) -> Any:
        """Return the fact, or the gap, of a type about a resource or the nearest one above it."""
        kind = subject(fact_type, type(resource))
        here = ancestor(resource, kind) if kind is not None else None
        if here is None:
            return Gap(Reason.UNSUPPORTED, f"{fact_type.__name__} says nothing about a {resource.noun}.")
        if fact_type in RAW:
            found = self.inventory.facts.get(fact_type, {}).get(here)
            return self._absent(fact_type, here) if found is None else found
        if (fact_type, here) not in self._derived:
            self._derived[fact_type, here] = self._derive(fact_type, here)
        return self._derived[fact_type, here]

    def _derive(self, fact_type: type, resource: Resource) -> Any:
        derivation = DERIVED[fact_type]
        arguments, gap = self.arguments(derivation.signature, resource)
        return gap if gap is not None else derivation.function(resource, **arguments)

    def _absent(self, fact_type: type, resource: Resource) -> Gap:
        if RAW[fact_type].opt_in and not self.config.sampling.items_per_table:
            return Gap(Reason.PARTIAL_DATA, "Item sampling is off: `sampling.items_per_table` turns it on.")
        if not self.inventory.in_scope(resource):
            where = f"{resource.noun} {resource.label}"
            return Gap(Reason.PARTIAL_DATA, f"The {where} is not part of this audit.")
        if self.inventory.interrupted:
            return Gap(Reason.PARTIAL_DATA, "The collection was interrupted before this was known.")
        if RAW[fact_type].opt_in:
            return Gap(Reason.PARTIAL_DATA, "The inventory was made without item sampling. Collect it again.")
        return Gap(
            Reason.PARTIAL_DATA,
            f"{fact_type.__name__} was not collected: the inventory was made for other rules. Collect it again.",
        )

    def arguments(self, signature: Signature, resource: Resource) -> tuple[dict[str, Any], Gap | None]:
        """Return what a function takes besides the resource, and the first gap that it does not handle itself."""
        arguments: dict[str, Any] = {}
        first: Gap | None = None
        if signature.takes_config:
            arguments[signature.takes_config] = self.config
        for need in signature.needs:
            if need.across is not None:
                arguments[need.name] = self.across(need.fact, need.across)
                continue
            value = self.get(need.fact, resource)
            if isinstance(value, Gap) and not need.optional and first is None:
                first = value
            arguments[need.name] = value
        return arguments, first

    def across(self, fact_type: type, kind: type[Resource]) -> Mapping[Resource, Any]:
        """Return the fact, or the gap, about every known resource of a kind."""
        if (fact_type, kind) not in self._across:
            resources = self.inventory.of_kind(kind)
            if fact_type in RAW:
                held = self.inventory.facts.get(fact_type, {})
                found = {resource: held[resource] for resource in resources if resource in held}
                found |= {one: VANISHED for one in self.inventory.vanished if isinstance(one, kind)}
            else:
                found = {resource: self.get(fact_type, resource) for resource in resources}
            self._across[fact_type, kind] = Across(found)
        return self._across[fact_type, kind]

    def verdicts(self, rule: Rule, resource: Resource) -> tuple[Verdict, ...]:
        """Return what a rule says of one resource."""
        held = self._verdicts.get((rule.id, resource))
        if held is None:
            held = tuple(self._judge(rule, resource))
            if rule.id in self.asked:
                self._verdicts[rule.id, resource] = held
        return held

    def in_use_only(self, rule: Rule) -> bool:
        """Tell whether a rule, or one that it asks, rests on what is collected only in regions in use."""
        if rule.id not in self._gated:
            self._gated[rule.id] = any(RAW[fact_type].in_use_only for fact_type, _ in wanted([rule]))
        return self._gated[rule.id]

    def _judge(self, rule: Rule, resource: Resource) -> Iterable[Verdict]:
        region = region_of(resource)
        # What another account shares stands in a region of that account, whose tables are none of our business.
        gated = self.in_use_only(rule) and region is not None and self.inventory.in_scope(region)
        gated = gated and not isinstance(resource, Table | DaxCluster | Stream)  # where one of these is, is use
        use = self.get(RegionUse, resource) if gated else None
        if isinstance(use, Gap):
            return [unknown(use)]  # without tables the rule would not apply, and whether there are any is not known
        if use is not None and not use.in_use and isinstance(resource, Region):
            return [not_applicable("The region has no tables and no DAX clusters.")]
        try:
            arguments, gap = self.arguments(rule.signature, resource)
            if gap is not None:
                return [unknown(gap)]
            if rule.signature.takes_members:
                members = Members(lambda part, where: self.verdicts(rule.parts[part], where), rule.parts)
                arguments[rule.signature.takes_members] = members
            return tuple(rule.judge(resource, arguments))
        except (Exception, SystemExit) as error:  # a broken rule spoils its own verdict, not the run
            log.debug("rule %s failed on %s", rule.id, resource.arn, exc_info=True)
            text = f"The rule itself failed: {type(error).__name__}: {error}"
            return [unknown(text, reason=Reason.RULE_ERROR)]


@dataclass(frozen=True)
class Judgement:
    """What the rules say of an inventory.

    Attributes:
        findings: Sorted: worst first, then by rule and resource.
        resources: Every resource with a finding, and every table and cluster that was found.
        tags: Tags of tables and clusters, where known.
        errors: Failed calls, each with the ids of the rules that needed what is missing.
        whole: The collection was not interrupted, and an account and region could be read.
        resolver: What the rules asked, with everything that was derived for them.
    """

    findings: tuple[Finding, ...]
    resources: tuple[Resource, ...]
    tags: Mapping[Resource, Mapping[str, str]]
    errors: tuple[tuple[CallError, tuple[str, ...]], ...]
    whole: bool
    resolver: Resolver = field(compare=False)


def judge(inventory: Inventory, rules: Rules, config: Config) -> Judgement:
    """Ask every rule about every resource of its kind."""
    resolver = Resolver(inventory, config, frozenset(_asked(rules.values())))
    findings: dict[tuple[str, str, str | None], Finding] = {}
    for rule in rules.values():
        for finding in _ask(rule, resolver):
            # One cause, one finding: a region whose two listings are denied is one unknown for a rule.
            findings.setdefault((rule.id, finding.resource.arn, finding.sub_key), finding)
    found = {resource for kind in (Table, DaxCluster) for resource in inventory.of_kind(kind)}
    shown = {finding.resource for finding in findings.values()} | {one for one in found if inventory.in_scope(one)}
    tags = {
        resource: value.values
        for resource, value in inventory.facts.get(Tags, {}).items()
        if resource in shown and not isinstance(value, Gap)
    }
    needed_by = {rule.id: {fact_type.__name__ for fact_type, _ in wanted([rule])} for rule in rules.values()}
    errors = tuple(
        (error, tuple(sorted(rule_id for rule_id, names in needed_by.items() if error.fact in names)))
        for error in sorted(set(inventory.errors))
    )
    return Judgement(
        tuple(sorted(findings.values(), key=lambda finding: finding.sort_key)),
        tuple(_by_id(shown)),
        tags,
        errors,
        not inventory.interrupted and any(scope.regions for scope in inventory.scopes),
        resolver,
    )


def _by_id(resources: Iterable[Resource]) -> list[Resource]:
    """Return resources in order, each id once: accounts that export to one bucket each name it."""
    unique: dict[str, Resource] = {}
    for one in sorted(resources, key=lambda one: (one.arn, account_of(one).id)):
        unique.setdefault(one.arn, one)
    return list(unique.values())


def judge_resource(inventory: Inventory, rules: Rules, config: Config, resource: Resource) -> tuple[Finding, ...]:
    """Ask the rules on a resource's kind about that resource alone."""
    resolver = Resolver(inventory, config, frozenset(_asked(rules.values())))
    found = [
        finding
        for rule in rules.values()
        if isinstance(resource, rule.signature.kinds)
        for finding in _findings(rule, resource, resolver.verdicts(rule, resource), resolver)
    ]
    return tuple(sorted(found, key=lambda finding: finding.sort_key))


def _ask(rule: Rule, resolver: Resolver) -> Iterator[Finding]:
    inventory = resolver.inventory
    listing_gaps = dict(_listing_gaps(rule, resolver))
    for kind in rule.signature.kinds:
        for resource in inventory.of_kind(kind):
            if inventory.in_scope(resource):
                yield from _findings(rule, resource, resolver.verdicts(rule, resource), resolver)
    if resolver.in_use_only(rule) and not set(rule.signature.kinds) <= _FOUND_ANYWHERE:
        for here in inventory.of_kind(Region):
            use = resolver.get(RegionUse, here)
            if isinstance(use, Gap) and inventory.in_scope(here):
                listing_gaps.setdefault(here, use)
    for resource, gap in sorted(listing_gaps.items()):
        yield from _findings(rule, resource, [unknown(gap)], resolver)


def _listing_gaps(rule: Rule, resolver: Resolver) -> Iterator[tuple[Resource, Gap]]:
    """Yield the resources below which a rule's resources could not be, or were not, listed, each with why."""
    inventory = resolver.inventory
    todo, seen = list(rule.signature.kinds), set[type[Resource]]()
    while todo:
        kind = todo.pop()
        if kind in seen:
            continue
        seen.add(kind)
        for lister in listers(kind):
            for resource in (one for above in about(lister) for one in inventory.of_kind(above)):
                if inventory.in_scope(resource) and _is_owed(lister, resource, resolver):
                    value = resolver.get(lister, resource)
                    if isinstance(value, Gap):
                        yield resource, value
            todo += about(lister)


def _is_owed(lister: type, resource: Resource, resolver: Resolver) -> bool:
    """Tell whether a listing must be there: the scopes name the regions, and some are for regions in use only."""
    if resource in resolver.inventory.facts.get(lister, {}):
        return True
    if lister is RegionScope:
        return False
    use = resolver.get(RegionUse, resource) if RAW[lister].in_use_only else None
    return use is None or (isinstance(use, RegionUse) and use.in_use)


def _findings(rule: Rule, resource: Resource, verdicts: Iterable[Verdict], resolver: Resolver) -> Iterator[Finding]:
    for verdict in verdicts:
        where = verdict.about or resource
        if isinstance(where, Region) and resolver.inventory.left_out(where):
            continue  # a rule on the account sees regions of the snapshot that the report is not about
        severity, evidence = rule.severity, dict(verdict.evidence)
        if verdict.severity is not None:
            severity = verdict.severity
        elif verdict.status is Status.FAIL:
            severity, notes = _moved(rule.severity, where, resolver)
            evidence |= notes
        yield Finding(
            rule.id,
            where,
            verdict.status,
            severity,
            verdict.message,
            evidence,
            verdict.sub_key,
            verdict.reason,
            verdict.missing_permission,
        )


def _moved(severity: Severity, resource: Resource, resolver: Resolver) -> tuple[Severity, dict[str, Any]]:
    """Return a failure's severity in its context, with the notes that say why it moved.

    One up for sensitive data; one down for a table outside production, or whose environment nobody tagged.
    """
    if not isinstance(resource, Table | DaxCluster):
        return severity, {}
    environment, sensitivity = (resolver.get(fact_type, resource) for fact_type in _CONTEXT)
    steps, notes = 0, {}
    if isinstance(sensitivity, Sensitivity) and sensitivity.sensitive:
        steps += 1
        notes["sensitive"] = sensitivity.source
    if isinstance(resource, Table) and isinstance(environment, Environment):
        if not environment.tagged:
            steps -= 1
            notes["environment"] = "not tagged"
        elif not environment.production:
            steps -= 1
            notes["environment"] = environment.source
    return severity.moved(steps), notes


def audit(
    inventory: Inventory,
    rules: Rules,
    config: Config,
    run: RunInfo,
    *,
    version: str,
    fail_on: Severity | None = Severity.HIGH,
    allow_incomplete: bool = False,
    exit_zero: bool = False,
    accepted: AcceptanceFile | None = None,
    previous: PreviousReport | None = None,
    new_only: bool = False,
) -> Report:
    """Return the report on an inventory.

    Args:
        inventory: What was collected.
        rules: The rules to ask, configured.
        config: Global parameters.
        run: How the inventory came about.
        version: The tool's version.
        fail_on: Lowest severity that fails the gate; None: none does.
        allow_incomplete: An incomplete run does not change the exit code.
        exit_zero: The exit code is 0 whatever is found.
        accepted: The acceptance file; an entry counts until its last day, as ``run.finished`` has it.
        previous: The report to compare with.
        new_only: What the previous run failed on already does not fail the gate.
    """
    outcome = judge(inventory, rules, config)
    findings, uses, before = outcome.findings, tuple[AcceptanceUse, ...](), None
    if accepted is not None:
        findings, uses = accepted.apply(
            findings,
            outcome.tags,
            run.finished.date(),
            rules=frozenset(rules),
            scopes=inventory.scopes,
            whole=outcome.whole,
        )
    if previous is not None:
        findings, before = previous.mark(
            findings, fail_on, rules=frozenset(rules), scopes=inventory.scopes, whole=outcome.whole
        )
    undecided = any(one.status is Status.UNKNOWN and not one.accepted for one in findings)
    complete = outcome.whole and not undecided
    gate: Gate = judge_gate(
        findings,
        fail_on,
        complete=complete,
        allow_incomplete=allow_incomplete,
        exit_zero=exit_zero,
        new_only=new_only,
    )
    return Report(
        version,
        run,
        inventory.scopes,
        tuple(rules.values()),
        outcome.resources,
        outcome.tags,
        findings,
        outcome.errors,
        complete,
        gate,
        uses,
        accepted.name if accepted is not None else None,
        before,
        picture(outcome.resolver),
        facts_as_of(inventory),
    )


def facts_as_of(inventory: Inventory) -> FactsAsOf:
    """Return which facts of the audited accounts and regions are as of when."""
    times = inventory.facts.get(CollectionTime, {})
    began = {one.account.id: times.get(one.account) for one in inventory.scopes}
    live = {account: time.at for account, time in began.items() if isinstance(time, CollectionTime)}
    found: dict[Region, list[datetime]] = {}
    for table, recovery in inventory.facts.get(PointInTimeRecovery, {}).items():
        if isinstance(recovery, PointInTimeRecovery) and recovery.recorded and inventory.in_scope(table):
            region = region_of(table)
            assert region is not None
            found.setdefault(region, []).append(recovery.recorded)
    name = PointInTimeRecovery.__name__
    recorded = [
        Recorded(region.account.id, region.name, name, min(moments), max(moments), len(moments))
        for region, moments in sorted(found.items())
    ]
    return FactsAsOf(live, tuple(recorded))

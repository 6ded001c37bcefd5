"""Who can do what to a table, by which path, and why: the questions of ``ddbaudit access``.

A path is direct (identity or resource policy), through a role that somebody may assume, or through a DAX cluster
whose service role acts for whoever may use the cluster. Every path is made of requests that the scalar evaluator
decides; the requests of one path are different requests, so their conditions are told one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

from auditor.access.actions import Action, find
from auditor.access.estate import DATA_ACTIONS, Cluster, Estate, Key, Pool, Principal, Table
from auditor.access.evaluate import RANK, Decision, Policies, Request, evaluate
from auditor.access.formula import atoms
from auditor.access.outsiders import cognito_providers, is_cognito
from auditor.access.paths import Answer, Path, Step, Way, blockers, fixed, merged, path_of
from auditor.access.policy import Named, Policy, read
from auditor.access.strangers import ALLOW_ALL, STRANGER, federation, outside_of, stranger_of
from auditor.access.verbs import actions_of, decrypt_context, resources_of

#: What copying a table out needs beside the action itself (DynamoDB Developer Guide, "Required permissions for export"
#: and "Using IAM with point-in-time restore"), as (action, resource).
PARTNERS: dict[str, tuple[tuple[str, str], ...]] = {
    "dynamodb:ExportTableToPointInTime": (("s3:PutObject", "arn:{partition}:s3:::ddbaudit-probe/export"),),
    **{
        f"dynamodb:{name}": tuple(
            (f"dynamodb:{one}", "arn:{partition}:dynamodb:{region}:{account}:table/ddbaudit-probe")
            for one in ("PutItem", "UpdateItem", "DeleteItem", "GetItem", "Query", "Scan", "BatchWriteItem")
        )
        for name in ("RestoreTableFromBackup", "RestoreTableToPointInTime", "RestoreTableFromAwsBackup")
    },
}

#: Cognito's session policies for guests in the enhanced flow let these services through, of those that matter here
#: (Amazon Cognito Developer Guide, "IAM roles: services that unauthenticated identities can access").
GUEST_SESSION = Named(
    "Cognito's session policy for guests",
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": ["dynamodb:*", "kms:Decrypt"], "Resource": "*"},
    },
)

#: Actions with which a principal may give itself more.
ESCALATIONS = (
    *("iam:PutUserPolicy", "iam:AttachUserPolicy", "iam:PutRolePolicy", "iam:AttachRolePolicy"),
    *("iam:CreatePolicyVersion", "iam:UpdateAssumeRolePolicy"),
)


class Access:
    """Answers questions about an estate.

    Args:
        estate: The estate.
        guardrails: Apply SCPs and RCPs.
    """

    def __init__(self, estate: Estate, *, guardrails: bool = True) -> None:
        """Keep the estate."""
        self.estate, self.guardrails = estate, guardrails

    # -- one principal ---------------------------------------------------------------------------------------------

    def can(self, principal: Principal, verb: str, table: Table, *, thorough: bool = False) -> Answer:
        """Return whether a principal can do something to a table.

        Args:
            principal: Who.
            verb: A verb, or an action of DynamoDB.
            table: Which table.
            thorough: Look for further paths though one without conditions is found.

        Raises:
            KeyError: unknown verb.
        """
        ways, trace = self._direct(principal, verb, table)
        paths = [self._direct_path(way) for way in ways]
        if thorough or not any(path.verdict == "allowed" for path in paths):
            paths += self._through_clusters(principal, verb, table, trace)
            paths += self._through_roles(principal, verb, table, trace)
        return self._answer(principal, paths, trace, verb, table)

    def _answer(self, principal: Principal, paths: list[Path], trace: list[Step], verb: str, table: Table) -> Answer:
        paths.sort(key=lambda path: -RANK[path.verdict])
        best = paths[0] if paths else None
        return Answer(
            principal.arn,
            best.verdict if best else "denied",
            best.conditions if best else "",
            tuple(paths),
            () if best else blockers(trace),
            tuple(dict.fromkeys([*self._assumptions(principal, table), *self._abac(principal, verb, table, best)])),
            (*self._endpoints(principal, table, best), *self._notes(principal, verb, table, best, trace)),
            tuple(trace),
        )

    def _direct(self, principal: Principal, verb: str, table: Table) -> tuple[list[Way], list[Step]]:
        """Return the best way of a direct request, if there is one, and all requests that were decided."""
        trace: list[Step] = []
        best: Way | None = None
        for action in actions_of(verb):
            for resources in resources_of(action, table):
                if resources == ("*",) and principal.account != table.account:
                    continue  # what names no resource is about the caller's own account
                way = self._request(principal, action, resources, table)
                trace += way.steps
                if way.verdict != "denied" and (best is None or RANK[way.verdict] > RANK[best.verdict]):
                    best = way
            if best is not None and best.verdict == "allowed":
                break
        return ([best] if best else []), trace

    def _request(self, principal: Principal, action: Action, resources: Iterable[str], table: Table) -> Way:
        way = Way()
        for resource in resources:
            decision = self.estate.decide(principal, action.name, resource, table=table, guardrails=self.guardrails)
            way.steps.append(Step(principal.arn, action.name, resource, decision))
            if decision.verdict == "denied":
                return way
        if action.name in DATA_ACTIONS and table.key is not None:
            way.steps.append(self._decrypt(principal, table, table.key))
        if action.name == "dynamodb:GetRecords" and table.stream:
            way.steps.append(self._step(principal, "dynamodb:GetShardIterator", table.stream, table))
        self._partners(way, principal, action, table)
        if table.protected and action.name == "dynamodb:DeleteTable":
            unprotect = self.estate.decide(
                principal, "dynamodb:UpdateTable", table.arn, table=table, guardrails=self.guardrails
            )
            if unprotect.verdict == "denied":
                way.extra.append("only once somebody turns deletion protection off")
        return way

    def _step(self, principal: Principal, action: str, resource: str, table: Table) -> Step:
        decision = self.estate.decide(principal, action, resource, table=table, guardrails=self.guardrails)
        return Step(principal.arn, action, resource, decision)

    def _partners(self, way: Way, principal: Principal, action: Action, table: Table) -> None:
        """Add what copying out needs beside: what a probe may do it may; what some statement covers it may perhaps."""
        partition = table.arn.split(":")[1]
        for partner, pattern in PARTNERS.get(action.name, ()):
            resource = pattern.format(partition=partition, region=table.region, account=table.account)
            step = Step(
                principal.arn,
                partner,
                resource,
                self.estate.decide(principal, partner, resource, guardrails=self.guardrails),
            )
            if step.decision.verdict != "denied":
                continue
            if not any(
                statement.allow and statement.covers(partner.lower())
                for document in principal.policies
                for statement in read(document).statements
            ):
                way.steps.append(step)
                return
            where = "a bucket" if partner.startswith("s3:") else "the new table"
            way.extra.append(f"needs also {partner} on {where}")

    def _decrypt(self, principal: Principal, table: Table, key: Key) -> Step:
        """Decide kms:Decrypt as DynamoDB asks for it on the caller's behalf."""
        if key.usable is False:
            return Step(principal.arn, "kms:Decrypt", key.arn, fixed("denied", "the key is not enabled"))
        if key.managed:
            same = principal.account == key.arn.split(":")[4]
            verdict, why = ("allowed", "") if same else ("denied", "aws/dynamodb serves its own account only")
            return Step(principal.arn, "kms:Decrypt", key.arn, fixed(verdict, why))
        decision = self.estate.decide(
            principal,
            "kms:Decrypt",
            key.arn,
            policy=key.policy,
            guardrails=self.guardrails,
            context=decrypt_context(principal, table),
        )
        return Step(principal.arn, "kms:Decrypt", key.arn, decision)

    def _direct_path(self, way: Way) -> Path:
        hits = way.steps[0].decision.grants
        foreign = any(hit.policy == ALLOW_ALL.name for hit in hits)
        by_resource = any(hit.kind == "resource" for hit in hits)
        own = any(hit.kind == "identity" for hit in hits) and not foreign
        return path_of("resource-policy" if by_resource and not own else "direct", way)

    # -- through others --------------------------------------------------------------------------------------------

    def _through_clusters(self, principal: Principal, verb: str, table: Table, trace: list[Step]) -> Iterator[Path]:
        """Yield paths through DAX clusters: its policies on the caller, the table's on the cluster's role only."""
        for cluster in self.estate.clusters:
            role = self.estate.principals.get(cluster.role or "")
            if role is None or not _same_region(cluster, table):
                continue
            best: Path | None = None
            for action in actions_of(verb):
                # Tagging and the like have namesakes in DAX that are about the cluster, not about its tables.
                door = find(action.name.replace("dynamodb:", "dax:")) if action.name in DATA_ACTIONS else None
                if door is None:
                    continue
                decision = self.estate.decide(principal, door.name, cluster.arn, guardrails=self.guardrails)
                step = Step(principal.arn, door.name, cluster.arn, decision)
                trace.append(step)
                if decision.verdict == "denied":
                    continue
                for resources in resources_of(action, table):
                    reached = self._request(role, action, resources, table)
                    way = Way([step, *reached.steps], reached.extra)
                    if way.verdict != "denied" and (best is None or RANK[way.verdict] > RANK[best.verdict]):
                        best = path_of(f"dax/{cluster.arn.rpartition('/')[2]}", way)
                if best is not None and best.verdict == "allowed":
                    break
            if best is not None:
                yield best

    def _through_roles(self, principal: Principal, verb: str, table: Table, trace: list[Step]) -> Iterator[Path]:
        """Yield paths through roles that the principal may assume, one hop away."""
        for role in self._reaching_roles(verb, table):
            if role.arn == principal.arn or not self._may_try(principal, role):
                continue
            edge = self.assume(principal, role)
            if edge.verdict == "denied":
                continue
            step = Step(principal.arn, "sts:AssumeRole", role.arn, edge)
            trace.append(step)
            for way in self._reach(role, verb, table):
                yield path_of(role.label, Way([step, *way.steps], way.extra))

    def _reaching_roles(self, verb: str, table: Table) -> list[Principal]:
        return [
            one
            for _, one in sorted(self.estate.principals.items())
            if one.kind == "role" and not one.service_linked and self._reach(one, verb, table)
        ]

    def _reach(self, role: Principal, verb: str, table: Table) -> list[Way]:
        """Return what a role can do directly; kept, since everybody who may assume it asks."""
        key = (role.arn, verb, table.arn)
        if key not in self._reached:
            self._reached[key] = self._direct(role, verb, table)[0]
        return self._reached[key]

    @cached_property
    def _reached(self) -> dict[tuple[str, str, str], list[Way]]:
        return {}

    def _may_try(self, principal: Principal, role: Principal) -> bool:
        """Tell cheaply whether assuming can succeed at all: named by the trust policy, or allowed by its own."""
        trust = read(role.trust, trust=True)
        if trust.unreadable is not None or _covers(principal, "sts:assumerole"):
            return True
        values = {value for statement in trust.statements for _, value in statement.principals or ()}
        sessions = f":assumed-role/{principal.name}/"
        if principal.kind == "role" and any(sessions in value for value in values):
            return True
        return principal.arn in values or "*" in values or any(one.not_principal for one in trust.statements)

    def assume(self, principal: Principal, role: Principal) -> Decision:
        """Decide whether a principal may assume a role (sts:AssumeRole)."""
        request = self.estate.request(principal, "sts:AssumeRole", role.arn)
        policies = self.estate.policies(principal, role.arn, role.trust, guardrails=self.guardrails)
        return evaluate(request, policies)

    # -- everybody -------------------------------------------------------------------------------------------------

    def who_can(self, verb: str, table: Table) -> list[Answer]:
        """Return everybody who can do something to a table: principals of the estate, then those outside.

        Raises:
            KeyError: unknown verb.
        """
        answers = [
            self.can(principal, verb, table)
            for _, principal in sorted(self.estate.principals.items())
            if not principal.service_linked
        ]
        answers += self._outsiders(verb, table)
        found: dict[str, Answer] = {}
        for one in answers:
            found[one.principal] = merged(found[one.principal], one) if one.principal in found else one
        return sorted(
            (one for one in found.values() if one.verdict != "denied"),
            key=lambda one: (not one.principal.startswith("public"), one.principal.startswith("arn"), one.principal),
        )

    def _outsiders(self, verb: str, table: Table) -> Iterator[Answer]:
        assumptions = tuple(self._table_assumptions(table))
        for name, principal in self._named_outside([read(table.policy or {}), read(table.stream_policy or {})], table):
            answer = self.can(principal, verb, table)
            if answer.verdict != "denied":
                via = "public" if name.startswith("public") else "resource-policy"
                yield replace(answer, principal=name, paths=tuple(replace(one, via=via) for one in answer.paths))
        for role in self._reaching_roles(verb, table):
            ways = self._reach(role, verb, table)
            for name, edge in self._who_else_assumes(role):
                step = Step(name, "sts:AssumeRole", role.arn, edge)
                paths = tuple(path_of(role.label, Way([step, *way.steps], way.extra)) for way in ways)
                yield Answer(name, paths[0].verdict, paths[0].conditions, paths, assumptions=assumptions)
        for pool in self.estate.pools:
            yield from self._pool(pool, verb, table, assumptions)

    def _named_outside(self, policies: Iterable[Policy], table: Table) -> Iterator[tuple[str, Principal]]:
        """Yield principals outside the estate that a policy names, and an outsider where it names everybody."""
        found: dict[str, Principal] = {}
        for policy in policies:
            for statement in policy.statements:
                if not statement.allow:
                    continue
                if statement.not_principal:
                    found.setdefault("public: any AWS principal", stranger_of(STRANGER, table))
                for kind, value in statement.principals or ():
                    name, principal = outside_of(kind, value, table)
                    if principal is not None and principal.arn not in self.estate.principals:
                        found.setdefault(name, principal)
        yield from found.items()

    def _who_else_assumes(self, role: Principal) -> Iterator[tuple[str, Decision]]:
        """Yield those outside the estate who may assume a role: other accounts and federated identities."""
        trust = read(role.trust, trust=True)
        for name, principal in self._named_outside([trust], Table(role.arn)):
            if principal.account in self.estate.accounts and name.startswith("any"):
                continue
            edge = self.assume(principal, role)
            if edge.verdict != "denied":
                yield name, edge
        for statement in trust.statements:
            for kind, value in statement.principals or ():
                if kind != "Federated" or not statement.allow or self._told_for_its_pool(role, value):
                    continue
                name, action = federation(value, {condition.key for condition in statement.conditions})
                # Whoever asks the provider for a token names the audience.
                audience = {
                    condition.key: condition.values[0]
                    for condition in statement.conditions
                    if condition.key.endswith(":aud") and condition.values
                }
                request = Request(value, action, role.arn, context=audience, unknown_keys=["*"])
                edge = evaluate(request, Policies(resource=role.trust))
                if edge.verdict != "denied":
                    yield name, edge

    def _told_for_its_pool(self, role: Principal, provider: str) -> bool:
        pools = [one for one in self.estate.pools if role.arn in (one.unauthenticated, *one.authenticated)]
        return is_cognito(provider) and bool(pools)

    def _pool(self, pool: Pool, verb: str, table: Table, assumptions: tuple[str, ...]) -> Iterator[Answer]:
        for guests in (True, False):
            roles = [pool.unauthenticated] if guests else list(pool.authenticated)
            if guests and pool.guests is False:
                continue
            for arn in roles:
                role = self.estate.principals.get(arn or "")
                if role is None:
                    continue
                answer = self._federated(pool, role, verb, table, guests=guests)
                if answer is not None:
                    more = ("whether the pool lets guests in is not known",) if guests and pool.guests is None else ()
                    yield replace(answer, assumptions=(*answer.assumptions, *assumptions, *more))

    def _federated(self, pool: Pool, role: Principal, verb: str, table: Table, *, guests: bool) -> Answer | None:
        segments = pool.arn.split(":")
        edges = [
            evaluate(
                Request(
                    provider,
                    "sts:AssumeRoleWithWebIdentity",
                    role.arn,
                    context={
                        f"{provider}:aud": pool.id,
                        f"{provider}:amr": ["unauthenticated"] if guests else ["authenticated"],
                        "aws:FederatedProvider": provider,
                    },
                    unknown_keys=[f"{provider}:sub"],
                ),
                Policies(resource=role.trust),
            )
            for provider in cognito_providers(segments[1], segments[3])
        ]
        edge = max(edges, key=lambda one: RANK[one.verdict])
        if edge.verdict == "denied":
            return None
        session = GUEST_SESSION if guests and not pool.classic else None
        limited = replace(role, session=session) if session else role
        who = "guests" if guests else "signed-in users"
        name = f"{'public' if guests else 'federated'}: {who} of identity pool {pool.name or pool.id}"
        step = Step(name, "sts:AssumeRoleWithWebIdentity", role.arn, edge)
        ways = self._direct(limited, verb, table)[0]
        paths = [path_of(role.label, Way([step, *way.steps], way.extra)) for way in ways]
        paths += self._through_clusters(limited, verb, table, [])
        if not paths:
            return None
        paths.sort(key=lambda path: -RANK[path.verdict])
        return Answer(name, paths[0].verdict, paths[0].conditions, tuple(paths))

    # -- what is assumed and noted ---------------------------------------------------------------------------------

    def _assumptions(self, principal: Principal, table: Table) -> Iterator[str]:
        if principal.policies == (ALLOW_ALL,):
            if principal.account == STRANGER:
                return
            yield f"the policies of account {principal.account} allow it; they were not read"
        elif self.estate.account(principal.account).scps is None and self.guardrails:
            yield f"SCPs of account {principal.account} not readable, taken to allow"
        if self.estate.account(table.account).rcps is None and self.guardrails:
            yield f"RCPs of account {table.account} not readable, taken to allow"
        yield from self._table_assumptions(table)

    def _table_assumptions(self, table: Table) -> Iterator[str]:
        yield from table.assumptions
        yield from self.estate.assumptions

    def _abac(self, principal: Principal, verb: str, table: Table, best: Path | None) -> Iterator[str]:
        """Say so when the answer hangs on whether DynamoDB evaluates tags, which no API tells."""
        if self.estate.abac is not None or not table.tags or not self._mentions_tags(principal, table):
            return
        without = Access(replace(self.estate, abac=False), guardrails=self.guardrails)
        ways, _ = without._direct(principal, verb, table)
        if (ways[0].verdict if ways else "denied") != (best.verdict if best else "denied"):
            yield "attribute-based access control of DynamoDB is on"

    def _mentions_tags(self, principal: Principal, table: Table) -> bool:
        documents = [*principal.policies, principal.boundary, table.policy]
        account = self.estate.account(principal.account)
        documents += [one for level in account.scps or () for one in level]
        return any(_mentions(document, "aws:resourcetag/") for document in documents if document is not None)

    def _endpoints(self, principal: Principal, table: Table, best: Path | None) -> Iterator[str]:
        """Say where the way through a VPC endpoint makes a difference: its policy limits what passes through it."""
        if best is None or self.estate.endpoints is None or best.via not in ("direct", "resource-policy"):
            return
        first = best.steps[0]
        for endpoint in self.estate.endpoints:
            if (endpoint.account, endpoint.region) != (principal.account, table.region):
                continue
            context = {"aws:SourceVpce": endpoint.id, "aws:SourceVpc": endpoint.vpc, "aws:ViaAWSService": "false"}
            request = self.estate.request(principal, first.action, first.resource, table=table, context=context)
            policy = table.policy_of(first.resource)
            policies = self.estate.policies(principal, first.resource, policy, guardrails=self.guardrails)
            through = evaluate(request, replace(policies, endpoint=endpoint.policy))
            if through.verdict == first.decision.verdict == "allowed":
                continue
            why = f" ({through.conditions})" if through.conditions else ""
            by = " by its endpoint policy" if "endpoint" in through.blocked_by else ""
            yield f"through {endpoint.id}: {through.verdict}{by}{why}"
        known = {endpoint.id for endpoint in self.estate.endpoints}
        named = {
            value
            for step in best.steps
            for atom in atoms(step.decision.formula)
            if atom.key == "aws:sourcevpce"
            for value in atom.values
        }
        for value in sorted(named - known):
            if value.startswith("vpce-") and "*" not in value:
                yield f"{value} is no endpoint of an audited account"

    def _notes(
        self, principal: Principal, verb: str, table: Table, best: Path | None, trace: list[Step]
    ) -> Iterator[str]:
        if (best is not None and best.verdict == "allowed") or principal.policies == (ALLOW_ALL,):
            return
        # A resource policy of one's own making does not get around a guardrail or an identity policy's Deny.
        barred = {kind for step in trace for kind in step.decision.blocked_by} - {"resource"}
        if barred:
            return
        if verb != "permissions" and principal.account == table.account:
            grant = self.estate.decide(
                principal, "dynamodb:PutResourcePolicy", table.arn, table=table, guardrails=self.guardrails
            )
            if grant.verdict != "denied":
                yield "may grant itself access with dynamodb:PutResourcePolicy"
        for action in ESCALATIONS:
            if _covers(principal, action.lower()):
                own = self.estate.decide(principal, action, principal.arn, guardrails=self.guardrails)
                if own.verdict != "denied":
                    yield f"administers IAM ({action} on itself)"
                    return


@lru_cache(maxsize=16384)
def _action_covered(policy: Policy, action: str) -> bool:
    return policy.unreadable is not None or any(one.allow and one.covers(action) for one in policy.statements)


def _covers(principal: Principal, action: str) -> bool:
    """Tell whether any statement of a principal's policies allows an action on something."""
    return any(_action_covered(read(document), action) for document in principal.policies)


def _mentions(document: Any, prefix: str) -> bool:
    return any(
        condition.key.startswith(prefix)
        for statement in read(document).statements
        for condition in statement.conditions
    )


def _same_region(cluster: Cluster, table: Table) -> bool:
    """A cluster serves tables of its own region."""
    return cluster.arn.split(":")[3] == table.region

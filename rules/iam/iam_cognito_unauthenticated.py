from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, passed, rule, unknown
from auditor.access import Decision, Policies, Policy, Request, evaluate, read
from auditor.access.answers import GUEST_SESSION
from auditor.access.estate import Principal
from auditor.access.estate import Table as TableEntry
from auditor.access.grants import (
    conditions_of,
    covered,
    granted_by,
    mentions_tags,
    policies,
    probes,
    samples,
    statements,
    told_apart,
)
from auditor.access.holdings import DATA_READ, DATA_WRITE, DAX_DATA, DESTRUCTIVE, PERMISSION, weigh
from auditor.access.outsiders import cognito_providers
from auditor.facts import AccountAccess, Gap, IdentityPoolRoles, IdentityPoolSettings, TableAccess
from auditor.resources import IdentityPool, Table

JUDGED = DATA_READ | DATA_WRITE | DAX_DATA | DESTRUCTIVE | PERMISSION

#: Reads that need the key of an item: guests must know or guess it.
BY_KEY = frozenset(
    f"{service}:{name}" for service in ("dynamodb", "dax") for name in ("GetItem", "BatchGetItem", "ConditionCheckItem")
)

#: An identity of the pool, as Cognito makes one for whoever asks.
GUEST = "ddbaudit-guest"


@rule(
    severity=Severity.CRITICAL,
    side=Side.CLIENT,
    practices=["P14", "P15"],
    controls={"AWS FSBP": ["Cognito.2"], "NIST 800-53 r5": ["AC-3", "AC-14", "IA-8"]},
    remediation=Remediation(
        text="Take the role from guests, or turn guest access off (an update of a pool replaces all its settings, its "
        "identity providers too: give them all). Where guests are wanted, take every DynamoDB and DAX permission from "
        "their role. With the classic flow off they can take no other role.",
        cli="aws cognito-identity set-identity-pool-roles --identity-pool-id $POOL "
        "--roles authenticated=$AUTHENTICATED_ROLE_ARN --region $REGION",
        terraform="""\
resource "aws_cognito_identity_pool" "app" {
  identity_pool_name               = "app"
  allow_unauthenticated_identities = false
  allow_classic_flow               = false
}""",
        cloudformation="""\
Resources:
  AppPool:
    Type: AWS::Cognito::IdentityPool
    Properties:
      AllowUnauthenticatedIdentities: false
      AllowClassicFlow: false""",
    ),
    references=["https://docs.aws.amazon.com/cognito/latest/developerguide/iam-roles.html"],
)
def iam_cognito_unauthenticated(
    pool: IdentityPool,
    settings: IdentityPoolSettings,
    roles: IdentityPoolRoles | Gap,
    access: AccountAccess | Gap,
    tables: Mapping[Table, TableAccess | Gap],
) -> Verdict:
    """Guest identities of Cognito pools cannot reach DynamoDB.

    A guest is anybody on the internet who knows the pool's id, which every client of the application carries. Cognito
    narrows what guests may do with a session policy of its own, and DynamoDB is among the services that it lets
    through.

    Judged are the roles that a guest of the pool can take: the one that the pool gives guests, where its trust policy
    lets it; and with the classic flow, in which the guest asks for the role, every role of the account whose trust
    policy accepts an unauthenticated identity of this pool. Any action on items, and any that deletes tables or
    changes their policies, on any table or DAX cluster fails, conditions or not. Identity policies, boundary, Cognito's
    session policy (in the enhanced flow; it leaves DAX out, and the classic flow does not have it) and the resource
    policies of the account's tables are evaluated together. Writing, Scan, Query and everything else that takes no
    knowledge of keys is critical, reading single items by key is high; what SCPs or RCPs turn down is one lower.

    Role mappings are for signed-in users and are not looked at. Roles that accept identities of any pool, since their
    trust policy has no `aud`, are reported by iam-role-trust. A role of another account is unknown.
    """
    evidence: dict[str, Any] = {
        "IdentityPoolName": settings.name,
        "AllowUnauthenticatedIdentities": settings.guests,
        "AllowClassicFlow": settings.classic_flow,
    }
    if not settings.guests:
        return passed("The pool gives no credentials to guests.", **evidence)
    if isinstance(access, Gap):
        return unknown(access, **evidence)
    configured = None if isinstance(roles, Gap) else roles.unauthenticated
    if not isinstance(roles, Gap):
        evidence["unauthenticatedRole"] = configured
    found: list[tuple[Principal, str, str, Decision]] = []
    doubts: list[str] = []
    causes: list[Gap | None] = []
    known = {table.arn: held for table, held in tables.items() if table.account == pool.account}
    for role in _roles(pool, configured, access, classic=settings.classic_flow):
        edge = _assumes(pool, role)
        if edge.verdict == "denied":
            continue
        sure = weigh(edge.formula) == "granted"
        for action, resource, decision, certain in _held(pool, role, access, known, classic=settings.classic_flow):
            if certain and sure:
                found.append((role, action, resource, decision))
            else:
                doubts.append(f"{action} for {role.label}: {decision.conditions or edge.conditions}")
                causes.append(access.cause_of(decision))
    if found:
        return _failed(access, known, found, evidence)
    if isinstance(roles, Gap):
        return unknown(roles, **evidence)
    if configured is not None and configured.split(":")[4:5] != [pool.account.id]:
        return unknown("The guests' role is in another account, whose roles were not read.", **evidence)
    if doubts:
        first = next((gap for held in known.values() for gap in _hidden_policy(held)), None)
        if causes[0] is not None:
            return unknown(causes[0], doubts=doubts[:10], **evidence)
        if first is not None and all("resource policy" in one for one in doubts):
            return unknown(first, doubts=doubts[:10], **evidence)
        return unknown(
            f"It cannot be decided whether guests may use DynamoDB: {doubts[0]}.", doubts=doubts[:10], **evidence
        )
    if configured is None:
        return passed("The pool has no role for guests.", **evidence)
    if access.principal(configured) is None:
        return passed("The role for guests does not exist.", **evidence)
    return passed("No role that guests can take may use DynamoDB or DAX.", **evidence)


def _hidden_policy(held: TableAccess | Gap) -> Iterator[Gap]:
    """Yield why a table's resource policy is not known, if it is not."""
    if isinstance(held, Gap):
        yield held
    elif held.entry.policy is not None:
        reason = read(held.entry.policy).unreadable
        yield from (gap for gap in held.gaps if gap.detail == reason)


def _roles(pool: IdentityPool, configured: str | None, access: AccountAccess, *, classic: bool) -> list[Principal]:
    """Return the roles that guests may get, the configured one first."""
    named = access.principal(configured) if configured else None
    first = [named] if named is not None and named.kind == "role" else []
    rest = access.judged if classic else []
    return first + [one for one in rest if one.kind == "role" and one is not named and _names_pools(pool, one)]


def _providers(pool: IdentityPool) -> list[str]:
    """Return the provider's names in the pool's partition."""
    return list(cognito_providers(pool.account.partition, pool.region.name))


def _names_pools(pool: IdentityPool, role: Principal) -> bool:
    """Tell whether a trust policy says which identity pools it accepts: those that do not are another rule's."""
    return any(
        statement.allow
        and ("Federated", provider) in (statement.principals or ())
        and any(condition.key == f"{provider}:aud" for condition in statement.conditions)
        for statement in read(role.trust, trust=True).statements
        for provider in _providers(pool)
    )


def _identity(pool: IdentityPool) -> dict[str, Any]:
    """Return the condition keys of a guest's token, which its session keeps."""
    claims = {"aud": pool.name, "amr": ["unauthenticated"], "sub": f"{pool.region.name}:{GUEST}"}
    found: dict[str, Any] = {
        f"{provider}:{claim}": value for provider in _providers(pool) for claim, value in claims.items()
    }
    return found | {"aws:FederatedProvider": _providers(pool)[-1]}


def _assumes(pool: IdentityPool, role: Principal) -> Decision:
    """Decide whether a guest gets the role, by whichever name of the provider lets it."""
    action = "sts:AssumeRoleWithWebIdentity"
    decisions = [
        evaluate(
            Request(
                provider,
                action,
                role.arn,
                context=_identity(pool) | {"aws:FederatedProvider": provider},
                unknown_keys=["*"],
            ),
            Policies(resource=role.trust),
        )
        for provider in _providers(pool)
    ]
    return next((one for one in decisions if one.verdict != "denied"), decisions[0])


def _held(
    pool: IdentityPool,
    role: Principal,
    access: AccountAccess,
    tables: Mapping[str, TableAccess | Gap],
    *,
    classic: bool,
) -> Iterator[tuple[str, str, Decision, bool]]:
    """Yield what a guest with the role may do, and whether that is certain."""
    guest = role if classic else replace(role, session=GUEST_SESSION)
    held = policies(role)
    partition = role.arn.split(":")[1]
    subjects = {key: value for key, value in _identity(pool).items() if key.endswith(":sub")}
    own = samples(held, JUDGED, role.account, partition, subjects)
    tagged = mentions_tags([*role.policies, role.boundary])
    wanted = covered(held, JUDGED)
    for base in dict.fromkeys([*own, *_telling(tables, [*role.policies, role.boundary], tagged=tagged)]):
        known = tables.get(base)
        entry = known.entry if isinstance(known, TableAccess) else TableEntry(base, tags=None if known else {})
        policy_matters = entry.policy is not None and covered([read(entry.policy)], JUDGED)
        for action in sorted(JUDGED) if policy_matters else wanted:
            for resource in _resources(base, action, entry, held):
                decision = _decide(access, pool, guest, action, resource, entry)
                if decision.verdict == "denied":
                    continue
                certain = weigh(decision.formula, tags_known=entry.tags is not None) == "granted"
                if certain and tagged and access.estate.abac is None and entry.tags:
                    off = _decide(access, pool, guest, action, resource, entry, abac=False)
                    certain = weigh(off.formula) == "granted"
                yield action, resource, decision, certain


def _telling(tables: Mapping[str, TableAccess | Gap], documents: list[Any], *, tagged: bool) -> list[str]:
    """Return the tables whose resource policy may grant something, and those of each kind that tags tell apart."""
    entries = [held.entry for held in tables.values() if isinstance(held, TableAccess)]
    policed = [one for one in entries if one.policy is not None and covered([read(one.policy)], JUDGED)]
    hidden = [one for one in policed if read(one.policy).unreadable is not None]
    found = [one.arn for one in policed if read(one.policy).unreadable is None] + told_apart(hidden, documents)
    return found + (told_apart(entries, documents) if tagged else [])


def _resources(base: str, action: str, entry: TableEntry, held: list[Policy]) -> list[str]:
    if ":cache/" in base:
        return [base] if action.startswith("dax:") else []
    return [] if action.startswith("dax:") else probes(base, action, held, entry.indexes or ())


def _decide(
    access: AccountAccess,
    pool: IdentityPool,
    guest: Principal,
    action: str,
    resource: str,
    entry: TableEntry,
    *,
    abac: bool | None = None,
) -> Decision:
    table = entry if ":table/" in resource else None
    return access.own(guest, action, resource, table=table, abac=abac, context=_identity(pool))


def _failed(
    access: AccountAccess,
    tables: Mapping[str, TableAccess | Gap],
    found: list[tuple[Principal, str, str, Decision]],
    evidence: dict[str, Any],
) -> Verdict:
    severity = Severity.INFORMATIONAL
    blocked: dict[str, None] = {}
    for role, action, resource, _ in found:
        base = Severity.HIGH if action in BY_KEY else Severity.CRITICAL
        blocks = access.blocked_by(role, action, resource, table=_entry(tables, resource))
        severity = max(severity, base.moved(-1) if blocks else base)
        blocked |= dict.fromkeys(blocks)
    decisions = [one for *_, one in found]
    evidence |= {
        "role": _unique(role.arn for role, *_ in found),
        "actions": sorted({action for _, action, *_ in found}),
        "resources": _unique(resource for _, _, resource, _ in found)[:10],
        "statements": statements(decisions),
    }
    if conditions_of(decisions):
        evidence["conditions"] = conditions_of(decisions)
    if blocked:
        evidence["blockedBy"] = list(blocked)
    role, action, _, decision = max(found, key=lambda one: one[1] not in BY_KEY)
    under = f" ({decision.conditions})" if decision.conditions else ""
    more = f" and {len(evidence['actions']) - 1} more actions" if len(evidence["actions"]) > 1 else ""
    return failed(
        f"Guests of the pool may do {action}{more} as {role.label}: {granted_by([decision])}{under}.",
        severity=severity,
        **evidence,
    )


def _entry(tables: Mapping[str, TableAccess | Gap], resource: str) -> TableEntry | None:
    known = tables.get("/".join(resource.split("/")[:2]))
    return known.entry if isinstance(known, TableAccess) else None


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))

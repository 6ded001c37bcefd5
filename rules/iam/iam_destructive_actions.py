from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Decision, Statement, read
from auditor.access.estate import Principal
from auditor.access.estate import Table as TableEntry
from auditor.access.grants import (
    conditions_of,
    covered,
    granted_by,
    may_allow,
    mentions_tags,
    policies,
    probes,
    statements,
    tag_keys,
    tags_of,
)
from auditor.access.holdings import weigh
from auditor.access.patterns import arn_segments, glob
from auditor.config import Config
from auditor.facts import AccountAccess, Environment, Gap, TableAccess
from auditor.resources import Table

JUDGED = tuple(
    f"dynamodb:{name}"
    for name in (
        *("DeleteTable", "DeleteBackup", "UpdateTable", "UpdateContinuousBackups", "PutResourcePolicy"),
        *("DeleteResourcePolicy", "DisableKinesisStreamingDestination", "DeleteTableReplica"),
    )
)

#: Services that run code of an account's own: whoever takes over the code has the role.
WORKLOADS = frozenset({"ec2.amazonaws.com", "ec2.amazonaws.com.cn", "lambda.amazonaws.com", "ecs-tasks.amazonaws.com"})

#: How many principals the evidence lists.
LISTED = 20


@rule(
    severity=Severity.MEDIUM,
    side=Side.CLIENT,
    practices=["P15", "P9"],
    controls={"NIST 800-53 r5": ["AC-5", "AC-6", "AC-6(5)", "CM-5"]},
    remediation=Remediation(
        text="Take the actions from users and from the roles of workloads, which need them never; leave them to one "
        "deployment role and to break-glass roles. A permissions boundary does it for many roles at once.",
        cli="aws iam create-policy --policy-name no-table-destruction "
        "--policy-document file://no-table-destruction.json\n"
        "aws iam put-role-permissions-boundary --role-name $ROLE_NAME "
        "--permissions-boundary arn:aws:iam::$ACCOUNT:policy/no-table-destruction",
        terraform="""\
resource "aws_iam_policy" "no_table_destruction" {
  name = "no-table-destruction"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "Everything", Effect = "Allow", Action = "*", Resource = "*" },
      {
        Sid    = "ButTables"
        Effect = "Deny"
        Action = [
          "dynamodb:DeleteTable", "dynamodb:DeleteTableReplica", "dynamodb:DeleteBackup", "dynamodb:UpdateTable",
          "dynamodb:UpdateContinuousBackups", "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy",
        ]
        Resource = "*"
      },
    ]
  })
}""",
        cloudformation="""\
Resources:
  NoTableDestruction:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Sid: Everything
            Effect: Allow
            Action: "*"
            Resource: "*"
          - Sid: ButTables
            Effect: Deny
            Action:
              - dynamodb:DeleteTable
              - dynamodb:DeleteTableReplica
              - dynamodb:DeleteBackup
              - dynamodb:UpdateTable
              - dynamodb:UpdateContinuousBackups
              - dynamodb:PutResourcePolicy
              - dynamodb:DeleteResourcePolicy
            Resource: "*\"""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/security_iam_service-with-iam.html"],
)
def iam_destructive_actions(
    table: Table,
    environment: Environment | Gap,
    access: AccountAccess,
    target: TableAccess,
    config: Config,
    *,
    max_destructive_principals: Annotated[
        int, "How many principals, administrators and pipelines aside, may delete or weaken a production table."
    ] = 5,
) -> Verdict:
    """Few principals can delete or weaken production tables.

    Everybody who may delete a table, its backups or its replicas, change its settings (one `UpdateTable` turns
    deletion protection off), end its point-in-time recovery or its Kinesis stream, or rewrite its resource policy, is
    one stolen credential from its loss.

    Counted are the users and roles of the account that may do any of that to this table or its backups: identity
    policies, boundary and the table's resource policy evaluated together, access under conditions (a network, MFA)
    included. More than `max_destructive_principals` fail (medium). A single IAM user, or a single role that EC2, Lambda
    or ECS tasks take, fails as well (high): keys of users leak, and workloads run code that strangers talk to. Roles
    in `admin_roles` and `pipeline_roles` are named in the evidence and not counted. Who may become one of the roles is
    iam-role-trust's matter.

    A principal whose rights cannot be decided (a policy that cannot be read; a tag, where it is not known whether
    attribute-based access control is on) counts only where it would change the verdict, which is then unknown. Where
    SCPs or RCPs turn so many grants down that the rest would pass, the failure is one severity lower.
    """
    if isinstance(environment, Gap):
        return unknown(environment)
    if not environment.production:
        return not_applicable("The table is not a production table.", environment=environment.source)
    policy = read(target.entry.policy) if target.entry.policy is not None else None
    if policy is not None and policy.unreadable is not None:
        # It may deny everybody, and it may allow anybody.
        gap = next((one for one in target.gaps if one.detail == policy.unreadable), None)
        return unknown(gap or f"The table's resource policy cannot be read: {policy.unreadable}.")
    plan = _plan(_Same(access))
    held = plan.holders(target.entry)
    exempt = [one.principal.arn for one in held if one.sure and _is_exempt(config, one.principal.arn)]
    counted = [one for one in held if not _is_exempt(config, one.principal.arn)]
    sure = [one for one in counted if one.sure]
    doubtful = [one for one in counted if not one.sure or one.workload is None]
    evidence: dict[str, Any] = {
        "count": len(sure),
        "max_destructive_principals": max_destructive_principals,
        "principals": [
            {"arn": one.principal.arn, "actions": sorted(one.decisions), **({"workload": True} if one.workload else {})}
            for one in sorted(sure, key=lambda one: (not one.exposed, one.principal.arn))[:LISTED]
        ],
        "environment": environment.source,
    }
    if exempt:
        evidence["exempt"] = exempt[:LISTED]
    if _fails(sure, max_destructive_principals):
        return _failed(access, target.entry, sure, max_destructive_principals, evidence)
    if _fails(counted, max_destructive_principals, doubt=True):
        evidence["doubtful"] = [one.principal.arn for one in doubtful[:LISTED]]
        gap = next(iter(target.gaps), None) if target.entry.tags is None else None
        if gap is not None and any("ResourceTag" in text for text in _doubts(doubtful)):
            return unknown(gap, **evidence)
        first = doubtful[0]
        cause = next((access.cause_of(one) for one in first.decisions.values()), None)
        if cause is not None:
            return unknown(cause, **evidence)
        why = "its trust policy cannot be read" if first.sure else next(_doubts([first]))
        return unknown(f"What {first.principal.label} may do to the table cannot be decided: {why}.", **evidence)
    noun = "principal" if len(sure) == 1 else "principals"
    return passed(f"{len(sure) or 'No'} {noun} may delete or weaken the table, none a user or a workload.", **evidence)


@dataclass(frozen=True)
class _Holder:
    """A principal that may do, or perhaps may do, some of the actions to a table.

    Attributes:
        decisions: By action, those that grant for certain; all that grant when none does.
        sure: Some grant is certain.
        workload: EC2, Lambda or ECS take the role; None when the trust policy cannot be read.
    """

    principal: Principal
    decisions: dict[str, Decision]
    sure: bool
    workload: bool | None

    @property
    def exposed(self) -> bool:
        """It is a user or a role of a workload."""
        return self.principal.kind == "user" or self.workload is True


def _fails(held: list[_Holder], limit: int, *, doubt: bool = False) -> bool:
    return len(held) > limit or any(one.exposed or (doubt and one.workload is None) for one in held)


def _doubts(held: Iterable[_Holder]) -> Iterator[str]:
    for one in held:
        for decision in one.decisions.values():
            yield decision.conditions or "attribute-based access control decides"


def _failed(
    access: AccountAccess, entry: TableEntry, sure: list[_Holder], limit: int, evidence: dict[str, Any]
) -> Verdict:
    exposed = [one for one in sure if one.exposed]
    free: list[_Holder] = []
    blocks: dict[str, None] = {}
    # The users and workloads first: one that no guardrail stops settles the severity.
    for one in [*exposed, *(one for one in sure if not one.exposed)]:
        blocked = True
        for action in one.decisions:
            found = access.blocked_by(one.principal, action, probes(entry.arn, action)[0], table=entry)
            blocks |= dict.fromkeys(found)
            if not found:
                blocked = False
                break
        if not blocked:
            free.append(one)
            if one.exposed or len(free) > limit:
                break
    severity = Severity.HIGH if exposed else Severity.MEDIUM
    if any(one.exposed for one in free):
        severity = Severity.HIGH
    elif len(free) > limit:
        severity = Severity.MEDIUM
    else:
        severity = severity.moved(-1)
    if blocks:
        evidence["blockedBy"] = list(blocks)
    shown = exposed[0] if exposed else sure[0]
    decisions = [decision for one in [*exposed, *sure][:LISTED] for decision in one.decisions.values()]
    evidence["statements"] = statements(decisions)[:LISTED]
    if conditions_of(decisions):
        evidence["conditions"] = conditions_of(decisions)[:LISTED]
    kind = f"{shown.principal.label}{', a workload,' if shown.workload else ''}"
    action = min(shown.decisions, key=JUDGED.index)
    named = granted_by([shown.decisions[action]])
    if exposed:
        more = f" {len(exposed)} such principals in all." if len(exposed) > 1 else ""
        return failed(f"{kind} may {action}: {named}.{more}", severity=severity, **evidence)
    return failed(
        f"{len(sure)} principals may delete or weaken the table, and {limit} are accepted; {kind} by {named}.",
        severity=severity,
        **evidence,
    )


def _is_exempt(config: Config, arn: str) -> bool:
    return _named((*config.admin_roles, *config.pipeline_roles), arn)


@lru_cache(maxsize=65536)
def _named(roles: tuple[str, ...], arn: str) -> bool:
    """Tell whether globs name a role; kept, since the same principals are asked about for every table."""
    return Config(admin_roles=roles).is_admin(arn)


class _Same:
    """The key of a plan: the same object, whatever it holds."""

    def __init__(self, access: AccountAccess) -> None:
        self.access = access

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.access is other.access

    def __hash__(self) -> int:
        return id(self.access)


@lru_cache(maxsize=4)
def _plan(same: _Same) -> "_Plan":
    return _Plan(same.access)


@dataclass
class _Plan:
    """Sorts the principals of an account by which tables their statements name, once for all its tables.

    Whose statements speak of all tables of a region alike is decided once for all that have the same tags; who names
    tables is asked about those only; who has no statement about the actions matters where a
    table's policy grants something.
    """

    access: AccountAccess
    _alike: list[Principal] = field(default_factory=list)
    _named: dict[str, list[Principal]] = field(default_factory=dict)
    _patterns: list[tuple[str, Principal]] = field(default_factory=list)
    _others: list[Principal] = field(default_factory=list)
    _tags: frozenset[str] = frozenset()
    _answers: dict[Any, list[_Holder]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for principal in self.access.judged:
            held = policies(principal)
            if not covered(held, JUDGED):
                self._others.append(principal)
                continue
            limits = [*held, *([read(principal.boundary)] if principal.boundary is not None else [])]
            about = [
                one
                for policy in limits
                for one in policy.statements
                if any(one.covers(action.lower()) for action in JUDGED)
            ]
            if all(map(_speaks_of_all, about)):
                self._alike.append(principal)
                self._tags |= tag_keys([*principal.policies, principal.boundary])
            else:
                self._sort(
                    principal, [one for policy in held for one in policy.statements if one in about and one.allow]
                )

    def _sort(self, principal: Principal, about: list[Statement]) -> None:
        names: dict[str, None] = {}
        for statement in about:
            for text in ("*",) if statement.not_resource else statement.resources or ("*",):
                segment = arn_segments(text)[5]
                kind, _, rest = segment.partition("/")
                name = rest.partition("/")[0]
                exact = kind == "table" and name and not any(sign in name for sign in "*?$")
                names[name if exact else "*" if "$" in segment else segment] = None
        for name in names:
            if "*" in name or "?" in name:
                self._patterns.append((name, principal))
            else:
                self._named.setdefault(name, []).append(principal)

    def _candidates(self, entry: TableEntry) -> list[Principal]:
        found = {one.arn: one for one in self._named.get(entry.name, ())}
        resources = (f"table/{entry.name}", f"table/{entry.name}/backup/01700000000000-ddbaudit")
        for pattern, principal in self._patterns:
            if principal.arn not in found and any(glob(pattern).matches(one) for one in resources):
                found[principal.arn] = principal
        return list(found.values())

    def _held(self, entry: TableEntry) -> list[_Holder]:
        policy = read(entry.policy) if entry.policy is not None else None
        if policy is not None and any(one.covers(action.lower()) for one in policy.statements for action in JUDGED):
            everyone = [*self._alike, *self._candidates(entry)]
            everyone += self._others if covered([policy], JUDGED) else []
            return _holders(self.access, everyone, entry)
        kind = (entry.region, tags_of(entry, self._tags))
        if kind not in self._answers:
            self._answers[kind] = _holders(self.access, self._alike, entry)
        return [*self._answers[kind], *_holders(self.access, self._candidates(entry), entry)]

    def holders(self, entry: TableEntry) -> list[_Holder]:
        """Return who may, or perhaps may, do some of the actions to a table, in order of ARN."""
        found = {one.principal.arn: one for one in self._held(entry)}
        return [found[arn] for arn in sorted(found)]


def _speaks_of_all(statement: Statement) -> bool:
    """Tell whether a statement is about all tables of a region alike, or about none."""
    for text in statement.resources or ("*",):
        segments = arn_segments(text)
        if "${" in text:
            return False
        if not glob(segments[2].lower()).matches("dynamodb"):
            continue
        kind, _, rest = segments[5].partition("/")
        if segments[5] != "*" and (kind != "table" or rest.partition("/")[0] != "*"):
            return False
    return True


def _holders(access: AccountAccess, principals: Iterable[Principal], entry: TableEntry) -> list[_Holder]:
    found = []
    for principal in principals:
        held = policies(principal)
        wanted = JUDGED if entry.policy is not None else covered(held, JUDGED)
        tagged = (
            bool(entry.tags)
            and access.estate.abac is None
            and mentions_tags([*principal.policies, principal.boundary, entry.policy])
        )
        certain: dict[str, Decision] = {}
        doubtful: dict[str, Decision] = {}
        for action in wanted:
            for resource in probes(entry.arn, action):
                if entry.policy is None and not may_allow(held, action, resource):
                    continue
                # The policy of a table does not speak for its backups.
                table = entry if resource == entry.arn else replace(entry, policy=None)
                decision = access.own(principal, action, resource, table=table)
                outcomes = {weigh(decision.formula, tags_known=entry.tags is not None)}
                if tagged:
                    off = access.own(principal, action, resource, table=table, abac=False)
                    outcomes.add(weigh(off.formula))
                if outcomes == {"granted"}:
                    certain[action] = decision
                elif outcomes != {"denied"}:
                    doubtful[action] = decision
        if certain or doubtful:
            found.append(_Holder(principal, certain or doubtful, bool(certain), _workload(principal)))
    return found


def _workload(principal: Principal) -> bool | None:
    if principal.kind != "role":
        return False
    trust = read(principal.trust, trust=True)
    if trust.unreadable is not None:
        return None
    return any(
        statement.allow
        and statement.covers("sts:assumerole")
        and any(kind == "Service" and value.lower() in WORKLOADS for kind, value in statement.principals or ())
        for statement in trust.statements
    )

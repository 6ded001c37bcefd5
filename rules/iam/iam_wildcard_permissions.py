from collections.abc import Iterator
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Decision
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
    regions_of,
    speaks,
    statements,
)
from auditor.access.holdings import DATA_READ, DATA_WRITE, DESTRUCTIVE, PERMISSION, weigh
from auditor.access.patterns import arn_segments, glob
from auditor.access.subjects import PROBE
from auditor.config import Config
from auditor.facts import AccountAccess
from auditor.resources import Group, Role, User

#: Tagging is left out: tools that tag resources of every kind need it on everything, and it reaches no item.
PERMISSIONS = PERMISSION - {"dynamodb:TagResource", "dynamodb:UntagResource"}
JUDGED = DATA_READ | DATA_WRITE | DESTRUCTIVE | PERMISSIONS


@rule(
    severity=Severity.HIGH,
    side=Side.CLIENT,
    practices=["P15"],
    controls={
        "AWS FSBP": ["IAM.1", "IAM.21"],
        "CIS AWS Foundations 6.0": ["2.15"],
        "NIST 800-53 r5": ["AC-3", "AC-6", "AC-6(1)"],
    },
    remediation=Remediation(
        text="Name the tables in the statement instead of a wildcard. What the principal used in the last weeks tells "
        "which ones: IAM Access Analyzer makes a policy of it.",
        cli="aws accessanalyzer start-policy-generation --policy-generation-details principalArn=$PRINCIPAL_ARN "
        "--cloud-trail-details file://trail.json\n"
        "aws iam create-policy-version --policy-arn $POLICY_ARN --policy-document file://named-tables.json "
        "--set-as-default",
        terraform="""\
data "aws_iam_policy_document" "orders" {
  statement {
    sid     = "OrdersOnly"
    actions = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"]
    resources = [
      aws_dynamodb_table.orders.arn,
      "${aws_dynamodb_table.orders.arn}/index/*",
    ]
  }
}

resource "aws_iam_policy" "orders" {
  name   = "orders-only"
  policy = data.aws_iam_policy_document.orders.json
}""",
        cloudformation="""\
Resources:
  OrdersOnly:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Sid: OrdersOnly
            Effect: Allow
            Action: ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"]
            Resource:
              - !Sub "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders"
              - !Sub "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders/index/*\"""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/security_iam_id-based-policy-examples.html"
    ],
)
def iam_wildcard_permissions(
    who: User | Group | Role,
    access: AccountAccess,
    config: Config,
    *,
    service_prefix_ok: Annotated[
        tuple[str, ...],
        "Resources of statements that are accepted though they hold a wildcard, such as table/orders-*.",
    ] = (),
) -> Verdict | None:
    """No principal has DynamoDB permissions on every table.

    A statement with `Resource: "*"` reaches every table of the account, those of other teams and those that somebody
    makes tomorrow. What one application leaks is then everything.

    The rule asks the policies about a table that does not exist, in every region that they tell apart: who may use
    that one was granted a wildcard. Asked are the actions that read or write items, delete tables, weaken their
    protection or change their policies, each on the table, an index, a stream or a backup of it. Identity policies,
    permissions boundaries and every Deny count; access under conditions (a network, MFA, own items only) counts as
    access.

    What needs `*` since AWS knows no finer resource (ListTables, DescribeLimits, …) is no failure, and neither are
    metadata and tagging. A name with a wildcard in it, such as `table/app-*`, is a scope and passes, as does a grant
    that asks for a tag of the table: with attribute-based access control it reaches tables with that tag only, and
    without it no table has tags, so that it grants nothing. A grant by wildcard whose resource is in
    `service_prefix_ok` is accepted. Roles in `admin_roles` pass with a note. Reading alone is a medium finding; a
    grant that SCPs or RCPs turn down stays one, a severity lower. A policy that cannot be read, or a policy variable
    in a resource whose value is not known, leaves the verdict unknown unless another statement decides.
    """
    principal = access.principal(who.arn)
    if principal is None or principal.service_linked or who.arn == access.auditor:
        return None
    if not speaks(principal):
        return not_applicable("No policy allows anything of DynamoDB or DAX.")
    grants: dict[str, tuple[str, list[Decision]]] = {}
    doubts: dict[str, tuple[str, Decision]] = {}
    accepted: list[Decision] = []
    for action, resource, decision in _decided(principal, access):
        if decision.verdict == "denied":
            continue
        if weigh(decision.formula) == "open":
            doubts.setdefault(action, (resource, decision))
        elif _accepted(principal, decision, resource, service_prefix_ok):
            accepted.append(decision)
        else:
            grants.setdefault(action, (resource, []))[1].append(decision)
    evidence: dict[str, Any] = {}
    if accepted:
        evidence["accepted"] = statements(accepted)
    if grants:
        return _found(principal, access, config, grants, evidence)
    if doubts:
        resource, decision = next(iter(doubts.values()))
        cause = access.cause_of(decision)
        if cause is not None:
            return unknown(cause, actions=sorted(doubts), probe=resource, **evidence)
        return unknown(
            f"Whether {next(iter(doubts))} is allowed on every table cannot be decided: {decision.conditions}.",
            statements=statements(one for _, one in doubts.values()),
            actions=sorted(doubts),
            conditions=conditions_of(one for _, one in doubts.values()),
            probe=resource,
            **evidence,
        )
    scoped = _scopes(principal)
    if scoped:
        evidence["scopes"] = scoped
    if mentions_tags(principal.policies):
        evidence["tags"] = "Some statements ask for tags of the table, which takes attribute-based access control."
    return passed("No statement allows using a table that none of them names.", **evidence)


def _decided(principal: Principal, access: AccountAccess) -> Iterator[tuple[str, str, Decision]]:
    """Yield what is decided of every action on a table without tags that does not exist, and on its parts."""
    partition, account = principal.arn.split(":")[1], principal.account
    documents = [*principal.policies, *([principal.boundary] if principal.boundary is not None else [])]
    held = policies(principal)
    wanted = covered(held, JUDGED)
    for region in regions_of(documents, partition) if wanted else ():
        table = TableEntry(f"arn:{partition}:dynamodb:{region}:{account}:table/{PROBE}")
        for action in wanted:
            for resource in probes(table.arn, action):
                if may_allow(held, action, resource):
                    yield action, resource, access.own(principal, action, resource, table=table)


def _found(
    principal: Principal,
    access: AccountAccess,
    config: Config,
    grants: dict[str, tuple[str, list[Decision]]],
    evidence: dict[str, Any],
) -> Verdict:
    decisions = [one for _, held in grants.values() for one in held]
    evidence |= {
        "actions": sorted(grants),
        "statements": statements(decisions),
        "probe": next(iter(grants.values()))[0],
    }
    if conditions_of(decisions):
        evidence["conditions"] = conditions_of(decisions)
    if config.is_admin(principal.arn):
        return passed("The role may use every table, as admin_roles says.", admin_role=principal.arn, **evidence)
    severity = Severity.INFORMATIONAL
    blocked: dict[str, None] = {}
    for action, (resource, _) in grants.items():
        table = TableEntry(resource.partition(f"/{PROBE}")[0] + f"/{PROBE}")
        blocks = access.blocked_by(principal, action, resource, table=table)
        base = Severity.MEDIUM if action in DATA_READ else Severity.HIGH
        severity = max(severity, base.moved(-1) if blocks else base)
        blocked |= dict.fromkeys(blocks)
    if blocked:
        evidence["blockedBy"] = list(blocked)
    named = sorted(grants, key=lambda action: action in DATA_READ)
    more = f" and {len(named) - 2} more actions" if len(named) > 2 else ""
    under = f", {evidence['conditions'][0]}" if "conditions" in evidence else ""
    return failed(
        f"{', '.join(named[:2])}{more} on every table: {granted_by(decisions)}{under}.", severity=severity, **evidence
    )


def _accepted(principal: Principal, decision: Decision, resource: str, prefixes: tuple[str, ...]) -> bool:
    """Tell whether every statement that grants does so for resources that are accepted."""
    if not prefixes:
        return False
    hits = {(hit.policy, hit.index) for hit in decision.grants}
    found = [
        text
        for policy in policies(principal)
        for statement in policy.statements
        if (policy.name, statement.index) in hits
        for text in (("*",) if statement.not_resource else statement.resources or ("*",))
        if text.strip("*") == "" or glob(arn_segments(text)[5]).matches(resource.split(":", 5)[5])
    ]
    return bool(found) and all(
        any(glob(prefix).matches(arn_segments(text)[5]) for prefix in prefixes) for text in found if text
    )


def _scopes(principal: Principal) -> list[str]:
    """Return the resources with wildcards that statements on DynamoDB name: scopes by the table's name."""
    found = [
        text
        for policy in policies(principal)
        for statement in policy.statements
        if statement.allow and not statement.not_resource
        for text in statement.resources or ()
        if arn_segments(text)[2] == "dynamodb" and "*" in arn_segments(text)[5].partition("/")[2].partition("/")[0]
    ]
    return list(dict.fromkeys(found))

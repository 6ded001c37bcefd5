import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Named, Policies, Policy, Request, evaluate, read
from auditor.access.estate import Principal
from auditor.access.holdings import DATA_READ, DATA_WRITE, DESTRUCTIVE, PERMISSION, weigh
from auditor.access.policy import DELETED
from auditor.config import Config
from auditor.facts import DaxSettings, Gap, Holdings, Identities, Reason
from auditor.resources import DaxCluster, Region, Role

#: The service that a DAX cluster's role is for, also in the partition of China.
SERVICES = ("dax.amazonaws.com", "dax.amazonaws.com.cn")
ASSUMING = ("sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity")
#: Ways to items that DAX and DynamoDB name alike.
DOORS = ("GetItem", "Query", "Scan")
#: An account, and an organisation, that are nobody's.
STRANGER = "000000000000"


@rule(
    severity=Severity.HIGH,
    side=Side.BOTH,
    practices=["P15", "P16"],
    controls={"NIST 800-53 r5": ["AC-3", "AC-6", "CM-7"]},
    remediation=Remediation(
        text="Let only DAX assume the role, for clusters of this account; name the cluster's tables in its policy; "
        "give access to the cluster only to those who may read the tables, or declare it as their door.",
        cli="aws iam update-assume-role-policy --role-name $ROLE_NAME --policy-document file://dax-trust.json\n"
        "aws iam put-role-policy --role-name $ROLE_NAME --policy-name read-tables "
        "--policy-document file://read-tables.json\n"
        "aws iam detach-role-policy --role-name $ROLE_NAME --policy-arn $POLICY_ARN",
        terraform="""\
data "aws_caller_identity" "this" {}

resource "aws_iam_role" "dax" {
  name = "orders-dax"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "dax.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
    }]
  })
}""",
        cloudformation="""\
Resources:
  DaxRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: dax.amazonaws.com}
            Action: "sts:AssumeRole"
            Condition: {StringEquals: {"aws:SourceAccount": !Ref "AWS::AccountId"}}""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DAX.access-control.html"],
)
def dax_role_scope(
    cluster: DaxCluster,
    settings: DaxSettings,
    clusters: Mapping[DaxCluster, DaxSettings | Gap],
    identities: Identities | Gap,
    holdings: Holdings | Gap,
    config: Config,
    *,
    accept_dax_as_door: Annotated[
        tuple[str, ...], "Globs on the names of clusters that are meant as the only door to their tables."
    ] = (),
) -> Verdict | None:
    """The role of a DAX cluster reaches only named tables, only DAX may assume it, and nobody gets past IAM by it.

    Whoever may use the cluster acts on the tables with this role; whoever else may assume it does so without the
    cluster.

    Fails as high when the trust policy names anybody but dax.amazonaws.com, or when a destructive action is granted on
    a table that does not exist, that is, by a wildcard; as medium when other actions are. Fails as medium when somebody
    may get, query or scan items through the cluster who may not do so with a table that the role reaches, unless all of
    the role's clusters are declared in `accept_dax_as_door`; access under a condition counts as access on both sides.
    Fails as low when the trust policy would let DAX assume the role on behalf of another account: `aws:SourceAccount`
    or `aws:SourceArn` should confine it.

    Principals that were deleted count as nobody. `admin_roles`, service-linked roles and whoever audits are left out of
    those who get past IAM. The finding is about the role, once for all its clusters. Where something else fails, what
    cannot be decided makes the failure as grave as it may turn out; otherwise it leaves the answer unknown. A role of
    another account is unknown unless a cluster of that account has it, too, and is judged; one that was deleted is not
    judged. What a service or resource control policy blocks is one level milder; the trust policy is not subject to
    this.
    """
    arn = settings.role_arn
    if not arn:
        return unknown("DAX did not say which role the cluster has.", IamRoleArn=arn)
    sharing = settings.sharing(cluster, clusters)
    if sharing[0] != cluster:
        # The role has one finding, made when its first cluster was judged.
        return None
    evidence: dict[str, Any] = {"IamRoleArn": arn, "clusters": [one.name for one in sharing]}
    try:
        role = Role.from_arn(arn)
    except ValueError:
        return unknown("The ARN of the cluster's role is not one of a role.", **evidence)
    if role.account != cluster.account:
        return unknown(
            f"The role is of account {role.account.id}, whose policies are not asked about here.",
            reason=Reason.PARTIAL_DATA,
            about=role,
            **evidence,
        )
    for gap in (identities, holdings):
        if isinstance(gap, Gap):
            return unknown(gap, about=role, **evidence)
    assert isinstance(identities, Identities)
    assert isinstance(holdings, Holdings)
    principal = holdings.access.principal(arn)
    if principal is None:
        return not_applicable(
            "The role does not exist any more, and grants the cluster nothing.", about=role, **evidence
        )
    info = next(one for one in identities.roles if one.role.arn == arn)
    evidence["LastUsedDate"] = info.last_used.isoformat() if info.last_used else None
    judged = _Judged(evidence)
    _trust(judged, role, read(Named("trust policy", info.trust), trust=True))
    _wildcards(judged, principal, holdings)
    doors = [one for one in sharing if not any(fnmatch.fnmatchcase(one.name, glob) for glob in accept_dax_as_door)]
    if doors:
        _bypass(judged, principal, doors, holdings, config)
    else:
        evidence["declaredAsDoor"] = True
    return judged.verdict(role)


@dataclass
class _Judged:
    """What is wrong with a role, and what may be.

    Attributes:
        evidence: Grows with what is found.
        problems: Severity and sentence of each.
        doubts: How grave each may turn out, and why it is one.
    """

    evidence: dict[str, Any]
    problems: list[tuple[Severity, str]] = field(default_factory=list)
    doubts: list[tuple[Severity, Gap | str]] = field(default_factory=list)

    def verdict(self, role: Role) -> Verdict:
        if self.doubts:
            self.evidence["undecided"] = [why.detail if isinstance(why, Gap) else why for _, why in self.doubts]
        if self.problems:
            worst = max(severity for severity, _ in (*self.problems, *self.doubts))
            ordered = sorted(self.problems, key=lambda one: -one[0])
            message = " ".join(text for _, text in ordered)
            return failed(message, severity=worst, about=role, **self.evidence)
        if self.doubts:
            # A missing permission is what somebody can do something about.
            why = min((why for _, why in self.doubts), key=lambda one: not isinstance(one, Gap))
            return unknown(why, about=role, **self.evidence)
        return passed(
            f"Only DAX may assume the role {role.name}, which reaches only named tables.", about=role, **self.evidence
        )


def _trust(judged: _Judged, role: Role, policy: Policy) -> None:
    if policy.unreadable is not None:
        judged.doubts.append((Severity.HIGH, f"The trust policy of the role cannot be read: {policy.unreadable}."))
        return
    others: list[str] = []
    for statement in policy.statements:
        if not statement.allow or not any(statement.covers(action) for action in ASSUMING):
            continue
        if statement.not_principal:
            others.append("everyone whom a NotPrincipal does not name")
            continue
        for kind, value in statement.principals or ():
            if DELETED.match(value) or (kind == "Service" and value.lower() in SERVICES):
                continue
            others.append(value)
    if others:
        judged.evidence["trustedPrincipals"] = sorted(set(others))
        judged.problems.append(
            (Severity.HIGH, f"The trust policy of the role {role.name} also lets {', '.join(sorted(set(others)))} in.")
        )
    # Would DAX get the role while it acts for somebody else's account?
    strange = f"arn:{role.account.partition}:dax:us-east-1:{STRANGER}:cache/{STRANGER}"
    verdicts = [
        weigh(
            evaluate(
                Request(
                    service,
                    "sts:AssumeRole",
                    role.arn,
                    context={
                        "aws:SourceAccount": STRANGER,
                        "aws:SourceArn": strange,
                        "aws:SourceOrgID": f"o-{STRANGER}",
                        "aws:SourceOrgPaths": [f"o-{STRANGER}/r-0000/"],
                        "aws:PrincipalIsAWSService": "true",
                        "aws:SecureTransport": "true",
                    },
                    unknown_keys=["*"],
                ),
                Policies(resource=Named("trust policy", policy)),
            ).formula
        )
        for service in SERVICES
    ]
    if "granted" in verdicts:
        judged.evidence["confinedToAccount"] = False
        judged.problems.append(
            (Severity.LOW, f"The trust policy of the role {role.name} lacks a condition on aws:SourceAccount.")
        )
    elif "open" in verdicts:
        text = "Whether DAX may assume the role on behalf of another account cannot be decided."
        judged.doubts.append((Severity.LOW, text))


def _wildcards(judged: _Judged, principal: Principal, holdings: Holdings) -> None:
    # UpdateAbacStatus names no table, so that a wildcard says nothing about how far it reaches.
    asked = (DATA_READ | DATA_WRITE | DESTRUCTIVE | PERMISSION) - {"dynamodb:UpdateAbacStatus"}
    held = holdings.of(principal, asked, probes_only=True)
    judged.doubts += [
        (
            Severity.HIGH if doubt.action in DESTRUCTIVE else Severity.MEDIUM,
            doubt.cause if isinstance(doubt.cause, Gap) else f"Whether {doubt.action} is allowed is open: {doubt.why}",
        )
        for doubt in held.doubts
    ]
    if not held.holdings:
        return
    judged.evidence |= held.evidence
    graver = [one for one in held.holdings if one.action in DESTRUCTIVE]
    loose = [one for one in (graver or held.holdings) if not one.blocked_by]
    severity = Severity.HIGH if graver else Severity.MEDIUM
    if not loose:
        unblocked = [one for one in held.holdings if not one.blocked_by]
        severity = max(severity.moved(-1), Severity.MEDIUM if unblocked else Severity.INFORMATIONAL)
        blocked = {text for one in graver or held.holdings for text in one.blocked_by}
        judged.evidence["blockedBy"] = sorted(blocked)
    message = f"Its policies reach tables that do not exist: {held.example}"
    if graver and not held.example.startswith(graver[0].action):
        message += f", and {graver[0].action}"
    judged.problems.append((severity, f"{message}."))


def _bypass(judged: _Judged, role: Principal, doors: list[DaxCluster], holdings: Holdings, config: Config) -> None:
    """Find who may do through a cluster what they may not do with a table that its role reaches."""
    found: list[dict[str, str]] = []
    blockers: set[str] = set()
    free = False
    entered: set[Region] = set()
    for who in holdings.access.judged:
        if who.arn == role.arn or config.is_admin(who.arn):
            continue
        for door in doors:
            for operation in DOORS:
                passage = holdings.verdict(who, f"dax:{operation}", door.arn)
                if passage == "denied":
                    continue
                entered.add(door.region)
                past = _past(judged, role, who, f"dynamodb:{operation}", door, holdings, certain=passage == "granted")
                if past is None:
                    continue
                found.append({"principal": who.arn, "action": f"dax:{operation}", "cluster": door.name, "table": past})
                blocked = holdings.access.blocked_by(who, f"dax:{operation}", door.arn)
                blockers.update(blocked)
                free = free or not blocked
    for region in sorted(entered):
        gap = holdings.unlisted(region)
        if gap is not None:
            judged.doubts.append((Severity.MEDIUM, gap))
    if found:
        judged.evidence["bypass"] = found
        first = found[0]
        names = sorted({one["principal"].rpartition(":")[2] for one in found})
        severity = Severity.MEDIUM
        if not free:
            severity = severity.moved(-1)
            judged.evidence["blockedBy"] = sorted({*judged.evidence.get("blockedBy", ()), *blockers})
        judged.problems.append(
            (
                severity,
                f"DAX lets {', '.join(names)} past IAM: {first['action']} on the cluster {first['cluster']} reads "
                f"{first['table']}, which they may not read themselves.",
            )
        )


def _past(
    judged: _Judged,
    role: Principal,
    who: Principal,
    action: str,
    door: DaxCluster,
    holdings: Holdings,
    *,
    certain: bool,
) -> str | None:
    """Return a table that the role reaches and somebody does not, or None; what is open becomes a doubt."""
    opened: str | None = None
    for table in holdings.tables(door.region):
        reach = holdings.verdict(role, action, table)
        own = holdings.verdict(who, action, table) if reach != "denied" else "granted"
        if own == "granted":
            continue
        if certain and reach == "granted" and own == "denied":
            return table
        opened = opened or table
    if opened is not None:
        name = who.arn.rpartition(":")[2]
        text = f"Whether {name} may do through DAX what {name} may not do with {opened} cannot be decided."
        place = next(one for one in holdings.search.places if one.arn == opened)
        cause = place.causes.get("policy") if place.hidden else None
        doubt = Gap(cause.reason, f"{text} {cause.detail}", cause.action) if isinstance(cause, Gap) else text
        judged.doubts.append((Severity.MEDIUM, doubt))
    return None

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Decision, Named, Policies, Request, evaluate, read
from auditor.access.estate import Estate, Principal
from auditor.access.formula import atoms
from auditor.access.policy import EVERYTHING
from auditor.config import Config
from auditor.facts import AccountAccess, Gap, ResourcePolicy, Sensitivity, TableAccess, VpcEndpoints
from auditor.resources import Region, Table

ACTIONS = tuple(
    f"dynamodb:{name}"
    for name in (
        *("GetItem", "BatchGetItem", "Query", "Scan", "PartiQLSelect"),
        *("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"),
    )
)
ON_INDEXES = ("dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect")

ANYTHING = Named("everything", EVERYTHING)

#: Keys that say from where a request comes.
NETWORK = ("aws:sourcevpce", "aws:sourcevpc", "aws:sourceip", "aws:vpcsourceip")
VPC_ONLY = ("aws:SourceVpce", "aws:SourceVpc", "aws:VpcSourceIp", "aws:SourceVpcArn", "aws:Vpce*")

#: A request over the internet (an address of RFC 5737), and one through an endpoint in a stranger's VPC.
INTERNET = "the internet"
STRANGER = "another account's VPC"


@rule(
    severity=Severity.MEDIUM,
    side=Side.BOTH,
    practices=["P2"],
    controls={"NIST 800-53 r5": ["AC-3", "AC-4", "AC-17(3)", "SC-7(11)"]},
    remediation=Remediation(
        text="Deny data access from outside the expected networks in the table's resource policy. Except "
        "aws:ViaAWSService, aws:PrincipalIsAWSService, the DAX role and a break-glass role: without these exceptions "
        "the console, functions outside the VPC, exports, backups and DAX stop working.",
        cli="aws dynamodb put-resource-policy --resource-arn $TABLE_ARN --policy file://expected-networks.json",
        terraform="""\
resource "aws_dynamodb_resource_policy" "expected_networks" {
  resource_arn = aws_dynamodb_table.orders.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ExpectedNetworks"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["dynamodb:*Item", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQL*"]
      Resource  = "*"
      Condition = {
        StringNotEqualsIfExists = { "aws:SourceVpce" = aws_vpc_endpoint.dynamodb.id }
        BoolIfExists            = { "aws:ViaAWSService" = "false", "aws:PrincipalIsAWSService" = "false" }
        ArnNotLikeIfExists      = { "aws:PrincipalArn" = [var.break_glass_role, var.dax_role] }
      }
    }]
  })
}""",
        cloudformation="""\
Parameters:
  Endpoint: {Type: String}
  BreakGlassRole: {Type: String}
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      ResourcePolicy:
        PolicyDocument:
          Version: "2012-10-17"
          Statement:
            - Sid: ExpectedNetworks
              Effect: Deny
              Principal: "*"
              Action: ["dynamodb:*Item", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQL*"]
              Resource: "*"
              Condition:
                StringNotEqualsIfExists: {"aws:SourceVpce": !Ref Endpoint}
                BoolIfExists: {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}
                ArnNotLikeIfExists: {"aws:PrincipalArn": !Ref BreakGlassRole}""",
    ),
    references=["https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-ddb.html#iam-policies-ddb"],
)
def network_vpce_enforced(
    table: Table,
    policy: ResourcePolicy | Gap,
    entry: TableAccess,
    sensitivity: Sensitivity | Gap,
    endpoints: Mapping[Region, VpcEndpoints | Gap],
    access: AccountAccess | Gap,
    config: Config,
    *,
    require_for: Annotated[Literal["sensitive", "all"], "Which tables must be pinned to a network."] = "sensitive",
    expected_networks: Annotated[
        tuple[str, ...], "The only networks that policies may name: VPC ids, endpoint ids, CIDR blocks; globs allowed."
    ] = (),
    check_identity_policies: Annotated[
        bool, "Identity policies may do it, too, when every user and role but administrators is denied."
    ] = False,
) -> Verdict:
    """Access to important tables is pinned to the expected network.

    Stolen credentials work from anywhere. A denial of requests from outside the expected network makes them worthless
    elsewhere.

    The table's resource policy is evaluated for a role of the account whose own policies allow everything: reading and
    writing items, on the table and its indexes, must be denied over the internet and through an endpoint in a VPC of
    somebody else, unless a service acts (`aws:ViaAWSService`). Conditions that a caller can meet there let it through.
    With `check_identity_policies` it is enough that the account's own policies deny it to every user and role that has
    such access; `admin_roles` are left out, and named. The endpoints that the denial names must exist in an audited
    account, or be among `expected_networks`: an id that is gone locks everybody out. With `expected_networks` the
    denial must not name other networks.

    Sensitive tables fail with medium, others, if `require_for` is `all`, as information, never higher: a network denial
    can break the console, functions outside the VPC, exports, backups and DAX. Resource control policies that do the
    same leave the failure and make it one level milder. What hangs on tags of the table while it is not known whether
    DynamoDB evaluates them (`abac_enabled`) is unknown.
    """
    if require_for == "sensitive" and isinstance(sensitivity, Sensitivity) and not sensitivity.sensitive:
        return not_applicable("The table is not tagged as sensitive.")
    verdict = _judge(
        table,
        policy,
        entry,
        endpoints,
        access,
        config,
        expected=expected_networks,
        identities=check_identity_policies,
        severity=Severity.MEDIUM if isinstance(sensitivity, Gap) or sensitivity.sensitive else Severity.INFORMATIONAL,
    )
    if require_for == "sensitive" and isinstance(sensitivity, Gap) and verdict.status != "pass":
        return unknown(sensitivity, **verdict.evidence)
    return verdict


def _judge(
    table: Table,
    policy: ResourcePolicy | Gap,
    entry: TableAccess,
    endpoints: Mapping[Region, VpcEndpoints | Gap],
    access: AccountAccess | Gap,
    config: Config,
    *,
    expected: tuple[str, ...],
    identities: bool,
    severity: Severity,
) -> Verdict:
    if isinstance(policy, Gap):
        return unknown(policy)
    probe = Principal(f"arn:{table.account.partition}:iam::{table.account.id}:role/ddbaudit-probe", "role", (ANYTHING,))
    abac = None if config.abac_enabled == "unknown" else config.abac_enabled
    estate = Estate(abac=abac) if isinstance(access, Gap) else access.estate
    through, doubtful, denials = _ask(estate, probe, table, entry)
    evidence: dict[str, Any] = {"statements": denials}
    documents = [policy.document] if policy.document is not None else []
    if through or doubtful:
        if identities:
            held = _by_identities(table, entry, access, config)
            if isinstance(held, Verdict):
                return held
            if held is not None:
                documents += held[0]
                evidence |= {"deniedPrincipals": held[1], "exemptPrincipals": held[2]}
                through, doubtful = [], []
        if through and entry.entry.indexes is None and not _ask_table_only(estate, probe, table, entry):
            # What gets through does so on an index that may not exist.
            settings = next(iter(entry.gaps), None)
            why = "Which indexes the table has is not known, and its policy does not cover them all."
            return unknown(why, **evidence) if settings is None else unknown(settings, **evidence)
        if through:
            action, origin, conditions = through[0]
            under = f" ({conditions})" if conditions else ""
            blocked = _blocked_by(access, probe, table, entry, through)
            evidence |= {"notDenied": sorted({f"{one[0]} from {one[1]}" for one in through})}
            if blocked:
                severity = severity.moved(-1)
                evidence["blockedBy"] = blocked
            what = "has no resource policy, so" if policy.document is None else "has a resource policy, but"
            return failed(
                f"The table {what} {action} is not denied from {origin}{under}.", severity=severity, **evidence
            )
        if doubtful:
            gap = next((one for one in entry.gaps if one.action and "Tag" in one.action), None)
            why = f"Whether {doubtful[0][0]} is denied from {doubtful[0][1]} cannot be decided: {doubtful[0][2]}."
            hidden = gap is not None and "tag" in doubtful[0][2].lower()
            return unknown(gap, **evidence) if hidden and gap is not None else unknown(why, **evidence)
    networks = sorted({value for one in documents for value in _networks(one)})
    evidence["networks"] = networks
    if expected:
        strange = [one for one in networks if not any(fnmatchcase(one, pattern) for pattern in expected)]
        if strange:
            return failed(
                f"Access is pinned to networks that are not expected: {', '.join(strange)}.",
                severity=severity,
                expected_networks=list(expected),
                **evidence,
            )
    known = {one.id for held in endpoints.values() if isinstance(held, VpcEndpoints) for one in held.endpoints}
    dangling = [
        one
        for one in networks
        if one.startswith("vpce-")
        and not any(fnmatchcase(real, one) for real in known)
        and not any(fnmatchcase(one, pattern) for pattern in expected)
    ]
    if dangling:
        here = endpoints.get(table.region)
        if not isinstance(here, VpcEndpoints):
            return unknown("The region's endpoints are not known." if here is None else here, **evidence)
        return failed(
            f"Access is pinned to an endpoint that no audited account has: {', '.join(dangling)}.",
            severity=severity,
            dangling=dangling,
            **evidence,
        )
    return passed("Access from outside the named networks is denied.", **evidence)


_Finding = tuple[str, str, str]


def _ask(
    estate: Estate, principal: Principal, table: Table, entry: TableAccess
) -> tuple[list[_Finding], list[_Finding], list[dict[str, Any]]]:
    """Put all data requests from outside to the account's own policies.

    Returns: What gets through and what cannot be told, each as action, origin and conditions; and the statements that
    deny.
    """
    through: list[_Finding] = []
    doubtful: list[_Finding] = []
    denials: dict[tuple[str, int], dict[str, Any]] = {}
    modes = (True, False) if estate.abac is None else (estate.abac,)
    policies = Policies(identity=principal.policies, boundary=principal.boundary, resource=entry.entry.policy)
    for action, resource in _requests(table, entry):
        for origin in (INTERNET, STRANGER):
            told = []
            for mode in modes:
                request = _request(estate, principal, action, resource, entry, origin, abac=mode)
                decision = evaluate(request, policies)
                told.append((_outcome(decision), decision.conditions))
                if decision.verdict == "denied":
                    for hit in decision.denials:
                        shown = {"policy": hit.policy, "sid": hit.sid, "index": hit.index}
                        denials.setdefault((hit.policy, hit.index), shown)
            outcomes = {outcome for outcome, _ in told}
            if outcomes == {"allowed"}:
                through.append((action, origin, told[0][1]))
            elif outcomes != {"denied"}:
                why = next((words for outcome, words in told if outcome == "undecidable"), "")
                doubtful.append((action, origin, why or "that depends on ABAC, and abac_enabled is not declared"))
    return through, doubtful, list(denials.values())


def _ask_table_only(estate: Estate, principal: Principal, table: Table, entry: TableAccess) -> bool:
    """Tell whether something gets through to the table itself, its indexes left out."""
    return bool(_ask(estate, principal, table, replace(entry, entry=replace(entry.entry, indexes=())))[0])


def _requests(table: Table, entry: TableAccess) -> Iterator[tuple[str, str]]:
    for action in ACTIONS:
        yield action, table.arn
    known = entry.entry.indexes
    for index in ("ddbaudit-probe",) if known is None else known:
        for action in ON_INDEXES:
            yield action, f"{table.arn}/index/{index}"


def _request(
    estate: Estate,
    principal: Principal,
    action: str,
    resource: str,
    entry: TableAccess,
    origin: str,
    *,
    abac: bool | None = None,
) -> Request:
    """Return a request from outside, to which no service is a party."""
    context = {
        "aws:PrincipalIsAWSService": "false",
        "aws:ViaAWSService": "false",
        "aws:SecureTransport": "true",
    }
    absent = ["aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast"]
    supplied: list[str] = []
    if origin == INTERNET:
        context["aws:SourceIp"] = "203.0.113.7"
        absent += VPC_ONLY
    else:
        context |= {
            "aws:SourceVpce": "vpce-0ddba0d1ddba0d1dd",
            "aws:SourceVpc": "vpc-0ddba0d1ddba0d1dd",
            "aws:VpceAccount": "999999999999",
            "aws:VpceOrgID": "o-ddbauditforeign",
        }
        absent.append("aws:SourceIp")
        supplied.append("aws:VpcSourceIp")
    made = estate.request(principal, action, resource, table=entry.entry, abac=abac, context=context)
    gone = {one.lower() for one in absent}
    return replace(
        made,
        supplied_keys=[*(one for one in made.supplied_keys if one.lower() not in gone), *supplied],
        absent_keys=[*made.absent_keys, *absent],
    )


def _outcome(decision: Decision) -> Literal["denied", "allowed", "undecidable"]:
    if decision.verdict == "denied":
        return "denied"
    # Nobody chooses the table's tags in a request.
    if any(one.test == "note" or one.key.startswith("aws:resourcetag/") for one in atoms(decision.formula)):
        return "undecidable"
    return "allowed"


def _by_identities(
    table: Table, entry: TableAccess, access: AccountAccess | Gap, config: Config
) -> Verdict | tuple[list[Any], list[str], list[str]] | None:
    """Tell whether every user and role but administrators is kept out by the account's own policies.

    Returns: The policies that do it, who is denied and who is exempt; None where somebody gets through; a verdict where
    that cannot be told.
    """
    if isinstance(access, Gap):
        return unknown(access)
    documents: list[Any] = []
    denied: list[str] = []
    exempt: list[str] = []
    doubt: Verdict | None = None
    for principal in access.judged:
        if config.is_admin(principal.arn):
            exempt.append(principal.arn)
            continue
        through, doubtful, denials = _ask(access.estate, principal, table, entry)
        if through:
            return None
        if doubtful:
            action, origin, why = doubtful[0]
            doubt = doubt or unknown(f"Whether {action} is denied to {principal.label} from {origin} is open: {why}.")
        elif denials:
            denied.append(principal.arn)
            documents += [one for one in (*principal.policies, principal.boundary) if one is not None]
    if doubt is not None:
        return doubt
    # Nobody with access, and nobody denied it: nothing is pinned to a network.
    return (documents, denied, exempt) if denied else None


def _blocked_by(
    access: AccountAccess | Gap, probe: Principal, table: Table, entry: TableAccess, through: list[_Finding]
) -> list[str]:
    """Return which resource control policies refuse everything that gets through; none where they are not known."""
    if isinstance(access, Gap):
        return []
    policies = access.estate.policies(probe, table.arn, None)
    if not policies.rcps:
        return []
    limited = Policies(identity=probe.policies, resource=entry.entry.policy, rcps=policies.rcps)
    found: dict[str, None] = {}
    for action, resource in _requests(table, entry):
        for origin in (INTERNET, STRANGER):
            if not any(one[:2] == (action, origin) for one in through):
                continue
            request = _request(access.estate, probe, action, resource, entry, origin)
            decision = evaluate(request, limited)
            if decision.verdict != "denied":
                return []
            found |= {f"{hit.kind}: {hit.statement}": None for hit in decision.denials if hit.kind == "rcp"}
    return list(found)


def _networks(document: Any) -> Iterator[str]:
    """Yield the networks that the statements of a policy which deny name."""
    for statement in read(document).statements:
        if not statement.allow:
            for condition in statement.conditions:
                if condition.key in NETWORK:
                    yield from condition.values

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Decision, Policies, Policy, Request, evaluate, read
from auditor.access.formula import atoms
from auditor.access.patterns import arn_segments, glob
from auditor.access.policy import EVERYTHING
from auditor.config import Config
from auditor.facts import Endpoint, Gap, Organization, Sensitivity, VpcCoverage, VpcEndpoints
from auditor.resources import Table, Vpc, VpcEndpoint

ACCOUNT = re.compile(r"\d{12}")

FOREIGN_ACCOUNT, FOREIGN_ORGANIZATION = "999999999999", "o-ddbauditforeign"

#: What carries data out of the VPC, and, through an endpoint for streams, into it.
WRITES = (
    *("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem"),
    *("dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"),
)
STREAM_READS = ("dynamodb:GetRecords",)

#: What the caller's own policies and the foreign table's policy say: everything, so that the endpoint's decides.
ANYBODY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}],
}

#: Through an endpoint a request has no public source address, and no service makes these requests for somebody.
ABSENT = (
    *("aws:SourceIp", "aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast"),
    *("aws:PrincipalServiceName", "aws:PrincipalServiceNamesList"),
    *("aws:SourceAccount", "aws:SourceArn", "aws:SourceOrgID", "aws:SourceOrgPaths"),
)


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P2", "P15"],
    controls={"NIST 800-53 r5": ["AC-4", "AC-6", "SC-7(8)", "SC-7(10)"]},
    remediation=Remediation(
        text="Limit the endpoint's policy to principals and to tables of the own organisation; keep "
        "dynamodb:DescribeEndpoints, and name the accounts of AWS services whose tables the workloads need.",
        cli="aws ec2 modify-vpc-endpoint --vpc-endpoint-id $ENDPOINT --policy-document file://endpoint-policy.json "
        "--region $REGION",
        terraform="""\
resource "aws_vpc_endpoint_policy" "dynamodb" {
  vpc_endpoint_id = aws_vpc_endpoint.dynamodb.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OwnOrganizationOnly"
      Effect    = "Allow"
      Principal = "*"
      Action    = "dynamodb:*"
      Resource  = "*"
      Condition = {
        StringEquals = { "aws:PrincipalOrgID" = var.organization_id, "aws:ResourceOrgID" = var.organization_id }
      }
    }]
  })
}""",
        cloudformation="""\
Parameters:
  Vpc: {Type: "AWS::EC2::VPC::Id"}
  RouteTable: {Type: String}
Resources:
  DynamoDBEndpoint:
    Type: AWS::EC2::VPCEndpoint
    Properties:
      VpcId: !Ref Vpc
      ServiceName: !Sub "com.amazonaws.${AWS::Region}.dynamodb"
      RouteTableIds: [!Ref RouteTable]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: "*"
            Action: "dynamodb:*"
            Resource: "*"
            Condition:
              StringEquals:
                aws:PrincipalAccount: !Ref AWS::AccountId
                aws:ResourceAccount: !Ref AWS::AccountId""",
    ),
    references=["https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html"],
)
def network_endpoint_policy(
    resource: VpcEndpoint,
    endpoints: VpcEndpoints,
    organization: Organization | Gap,
    sensitivities: Mapping[Table, Sensitivity | Gap],
    coverages: Mapping[Vpc, VpcCoverage | Gap],
    config: Config,
) -> Verdict | None:
    """DynamoDB endpoint policies are not the default full access.

    With the default policy, an intruder in the VPC can write stolen data to a table of an account of his own, through
    the private path and with credentials of his own, and no firewall sees it.

    The policy is evaluated, not compared with the default one: an endpoint without a document has the default. Two
    requests must be refused: one of an own principal that writes to a foreign account's table, and one of a foreign
    principal that does, each where the foreign account is in another organisation and where it is in none
    (StringEqualsIfExists lets the latter through). Tried are a table of no special name and those that the policy names
    in any account, since everybody may call a table so; principals of no special name, and those that the policy names.
    An endpoint for streams is asked about reading a foreign stream. Conditions that the caller can meet, such as a tag
    of the principal's, let the request through. Whether an own principal reaches any table of the own account is
    reported: limiting that is a matter of choice.

    Endpoints that are not in the state available are not applicable. The failure is high where workloads are in the VPC
    and the region holds a table that is tagged as sensitive, or where that cannot be told. Policies that cannot be read
    are unknown, and those whose answer hangs on the own organisation's id while that is not known.
    """
    endpoint = next((one for one in endpoints.endpoints if one.id == resource.name), None)
    if endpoint is None or endpoint.for_dax:
        return None
    if endpoint.state != "available":
        return not_applicable(f"The endpoint's state is {endpoint.state}.", State=endpoint.state)
    evidence: dict[str, Any] = {
        "VpcEndpointId": endpoint.id,
        "VpcEndpointType": endpoint.type,
        "VpcId": endpoint.vpc_id,
        "ServiceName": endpoint.service,
    }
    severity = _severity(resource, endpoint, sensitivities, coverages)
    if not endpoint.policy:
        return failed(
            "The endpoint has no policy of its own, so the default lets everybody reach every table.",
            severity=severity,
            PolicyDocument=None,
            **evidence,
        )
    own = config.accounts.org_id or (organization if isinstance(organization, Gap) else organization.id)
    evidence["reachesAnyOwnTable"] = _decide(resource, endpoint, own, foreign_caller=False).allowed
    undecided: list[str] = []
    blind = False
    for name, decision in _probes(resource, endpoint, own):
        if not decision.allowed:
            continue
        keys = {one.key for one in atoms(decision.formula)}
        notes = any(one.test == "note" for one in atoms(decision.formula))
        hidden = isinstance(own, Gap) and any(key.startswith("aws:principalorg") for key in keys)
        if notes or hidden:
            blind = blind or (hidden and not notes)
            undecided.append(f"{name}, {decision.conditions}")
            continue
        hits = [hit for hit in decision.trace if hit.kind == "endpoint" and hit.allow]
        statement = hits[0].statement if hits else "the policy"
        under = f" ({decision.conditions})" if decision.conditions else ""
        return failed(
            f"{statement[0].upper()}{statement[1:]} lets {name}{under}.",
            severity=severity,
            statements=[{"policy": hit.policy, "sid": hit.sid, "index": hit.index} for hit in hits],
            conditions=decision.conditions,
            **evidence,
        )
    if undecided and blind and isinstance(own, Gap):
        return unknown(own, undecided=undecided, **evidence)
    if undecided:
        return unknown(f"It cannot be decided whether the policy lets {undecided[0]}.", undecided=undecided, **evidence)
    return passed("The policy refuses foreign tables to own and to foreign principals.", **evidence)


def _severity(
    resource: VpcEndpoint,
    endpoint: Endpoint,
    sensitivities: Mapping[Table, Sensitivity | Gap],
    coverages: Mapping[Vpc, VpcCoverage | Gap],
) -> Severity | None:
    """High where workloads may use sensitive tables; what is not known does not make a failure milder."""
    coverage = coverages.get(Vpc(resource.region, endpoint.vpc_id))
    if isinstance(coverage, VpcCoverage) and not coverage.workload_subnets:
        return None
    here = [held for table, held in sensitivities.items() if table.region == resource.region]
    return Severity.HIGH if any(isinstance(one, Gap) or one.sensitive for one in here) else None


def _probes(resource: VpcEndpoint, endpoint: Endpoint, own: str | Gap | None) -> Iterator[tuple[str, Decision]]:
    account = resource.account.id
    policy = read(endpoint.policy)
    named = _named(policy, resource.account.partition)
    for foreign_caller in (False, True):
        arns = [one for one in named if (arn_segments(one)[4] != account) is foreign_caller]
        for organization in (FOREIGN_ORGANIZATION, None):
            who = "a foreign principal" if foreign_caller else "an own principal"
            where = "another organisation" if organization else "no organisation"
            for arn, action, table in product(("", *arns), _actions(endpoint, policy), _tables(policy)):
                yield (
                    f"{arn or who} use a table of an account in {where}",
                    _decide(
                        resource,
                        endpoint,
                        own,
                        foreign_caller=foreign_caller,
                        owner=(FOREIGN_ACCOUNT, organization),
                        arn=arn,
                        action=action,
                        table=table,
                    ),
                )


def _unlike(marks: Iterable[tuple[str, object]]) -> list[str]:
    """Return one of all names that have the same mark."""
    found: dict[object, str] = {}
    for name, mark in marks:
        found.setdefault(mark, name)
    return list(found.values())


def _named(policy: Policy, partition: str) -> list[str]:
    """Return the ARNs of the roles, users and accounts that a policy names; of those named together one."""
    held: dict[str, list[int]] = {}
    for statement in policy.statements:
        for kind, value in statement.principals or ():
            arn = f"arn:{partition}:iam::{value}:root" if ACCOUNT.fullmatch(value) else value
            if kind == "AWS" and arn_segments(arn)[5].startswith(("role/", "user/", "assumed-role/", "root")):
                held.setdefault(arn, []).append(statement.index)
    return _unlike((arn, (arn_segments(arn)[4], *indexes)) for arn, indexes in held.items())


def _actions(endpoint: Endpoint, policy: Policy) -> list[str]:
    """Return the actions that are asked about; of those that the same statements speak of one."""
    asked = STREAM_READS if _is_for_streams(endpoint) else WRITES
    return _unlike(
        (one, tuple(statement.index for statement in policy.statements if statement.covers(one.lower())))
        for one in asked
    )


def _tables(policy: Policy) -> list[str]:
    """Return names of tables: one that no policy names, and such as the policy's resources let anybody have."""
    paths: list[tuple[int, str]] = []
    names = ["ddbaudit-probe"]
    for statement in policy.statements:
        for text in statement.resources or ():
            _, _, service, _, owner, path = arn_segments(text)
            kind, _, rest = path.partition("/")
            name = rest.partition("/")[0]
            anybodys = glob(service).matches("dynamodb") and glob(owner).matches(FOREIGN_ACCOUNT)
            if kind == "table" and name and "$" not in text and anybodys:
                paths.append((statement.index, name))
                names.append(name.replace("*", "x").replace("?", "x"))
    return _unlike((name, tuple({index: None for index, held in paths if glob(held).matches(name)})) for name in names)


def _is_for_streams(endpoint: Endpoint) -> bool:
    return endpoint.service.endswith("-streams")


def _decide(
    resource: VpcEndpoint,
    endpoint: Endpoint,
    own: str | Gap | None,
    *,
    foreign_caller: bool,
    owner: tuple[str, str | None] | None = None,
    arn: str = "",
    action: str = "",
    table: str = "ddbaudit-probe",
) -> Decision:
    """Decide a request through the endpoint that the caller's and the table's owners allow.

    Args: resource: The endpoint. endpoint: What is known of it. own: Id of the own organisation; None: there is none.
    foreign_caller: The caller is of the foreign account, else of the endpoint's. owner: The table's account and
    organisation; None: the endpoint's own. arn: The caller; empty: one whom no policy names. action: The IAM action;
    empty: the first of those that are asked about. table: The table's name.
    """
    account, partition, region = resource.account.id, resource.account.partition, resource.region.name
    number, organization = owner or (account, own)
    caller, callers = (number, organization) if foreign_caller else (account, own)
    caller = arn_segments(arn)[4] if arn else caller
    known: dict[str, Any] = {
        "aws:PrincipalAccount": caller,
        "aws:PrincipalIsAWSService": "false",
        "aws:ResourceAccount": number,
        "aws:RequestedRegion": region,
        "aws:SecureTransport": "true",
        "aws:SourceVpc": endpoint.vpc_id,
        "aws:SourceVpce": endpoint.id,
        "aws:ViaAWSService": "false",
    }
    absent = list(ABSENT)
    for prefix, value in (("Principal", callers), ("Resource", organization)):
        if isinstance(value, str):
            known[f"aws:{prefix}OrgID"] = value
        elif value is None:
            absent += [f"aws:{prefix}OrgID", f"aws:{prefix}OrgPaths"]
    if organization == FOREIGN_ORGANIZATION:
        known["aws:ResourceOrgPaths"] = [f"{FOREIGN_ORGANIZATION}/r-ddba/ou-ddba-foreign00/"]
        if foreign_caller:
            known["aws:PrincipalOrgPaths"] = known["aws:ResourceOrgPaths"]
    target = f"arn:{partition}:dynamodb:{region}:{number}:table/{table}"
    streams = _is_for_streams(endpoint)
    request = Request(
        arn or f"arn:{partition}:iam::{caller}:role/ddbaudit-probe",
        action or (STREAM_READS if streams else WRITES)[0],
        f"{target}/stream/2026-01-31T09:30:00.000" if streams else target,
        context=known,
        unknown_keys=["*"],
        supplied_keys=["aws:PrincipalArn", "aws:userid", "aws:VpcSourceIp", "aws:UserAgent"],
        absent_keys=absent,
    )
    return evaluate(request, Policies(identity=[EVERYTHING], resource=ANYBODY, endpoint=endpoint.policy))

from collections.abc import Iterator, Mapping
from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Decision, Policies, Request, evaluate
from auditor.access.formula import atoms
from auditor.config import Config
from auditor.facts import Endpoint, Gap, Organization, Sensitivity, VpcCoverage, VpcEndpoints
from auditor.resources import Table, Vpc, VpcEndpoint

FOREIGN_ACCOUNT, FOREIGN_ORGANIZATION = "999999999999", "o-ddbauditforeign"

#: What the caller's own policies and the foreign table's policy say: everything, so that the endpoint's decides.
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
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
    requests must be refused: one of an own principal to a foreign account's table, and one of a foreign principal to a
    foreign account's table, each where the foreign account is in another organisation and where it is in none
    (StringEqualsIfExists lets the latter through). An endpoint for streams is asked about reading a foreign stream.
    Conditions that the caller can meet, such as a tag of the principal's, let the request through. Whether an own
    principal reaches any table of the own account is reported: limiting that is a matter of choice.

    Endpoints that are not in the state available are not applicable. The failure is high where workloads are in the VPC
    and the region holds a table that is tagged as sensitive, or where that cannot be told. Policies that cannot be read
    are unknown, and those whose answer hangs on the own organisation's id while that is not known.
    """
    endpoint = next((one for one in endpoints.endpoints if one.id == resource.name), None)
    if endpoint is None:
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
    for foreign_caller in (False, True):
        for organization in (FOREIGN_ORGANIZATION, None):
            who = "a foreign principal" if foreign_caller else "an own principal"
            where = "another organisation" if organization else "no organisation"
            yield (
                f"{who} use a table of an account in {where}",
                _decide(resource, endpoint, own, foreign_caller=foreign_caller, owner=(FOREIGN_ACCOUNT, organization)),
            )


def _decide(
    resource: VpcEndpoint,
    endpoint: Endpoint,
    own: str | Gap | None,
    *,
    foreign_caller: bool,
    owner: tuple[str, str | None] | None = None,
) -> Decision:
    """Decide a request through the endpoint that the caller's and the table's owners allow.

    Args: resource: The endpoint. endpoint: What is known of it. own: Id of the own organisation; None: there is none.
    foreign_caller: The caller is of the foreign account, else of the endpoint's. owner: The table's account and
    organisation; None: the endpoint's own.
    """
    account, partition, region = resource.account.id, resource.account.partition, resource.region.name
    number, organization = owner or (account, own)
    caller, callers = (number, organization) if foreign_caller else (account, own)
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
    table = f"arn:{partition}:dynamodb:{region}:{number}:table/ddbaudit-probe"
    streams = endpoint.service.endswith("-streams")
    request = Request(
        f"arn:{partition}:iam::{caller}:role/ddbaudit-probe",
        "dynamodb:GetRecords" if streams else "dynamodb:PutItem",
        f"{table}/stream/2026-01-31T09:30:00.000" if streams else table,
        context=known,
        unknown_keys=["*"],
        supplied_keys=["aws:PrincipalArn", "aws:userid", "aws:VpcSourceIp", "aws:UserAgent"],
        absent_keys=absent,
    )
    return evaluate(request, Policies(identity=[ANYTHING], resource=ANYBODY, endpoint=endpoint.policy))

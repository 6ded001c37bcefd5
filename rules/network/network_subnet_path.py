from typing import Annotated, Any, Literal

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import Gap, SubnetPath, Subnets
from auditor.resources import Subnet


@rule(
    severity=Severity.HIGH,
    side=Side.CLIENT,
    practices=["P1"],
    controls={
        "CIS AWS Foundations 7.0": ["6.8"],
        "NIST 800-53 r5": ["AC-4", "AC-17", "SC-7", "SC-7(4)"],
        "ISO 27001:2022": ["A.8.20", "A.8.22"],
    },
    remediation=Remediation(
        text="Add a DynamoDB gateway endpoint (it costs nothing) and associate every route table that workloads use.",
        cli="aws ec2 create-vpc-endpoint --vpc-id $VPC --vpc-endpoint-type Gateway "
        "--service-name com.amazonaws.$REGION.dynamodb --route-table-ids $ROUTE_TABLES --region $REGION",
        terraform="""\
resource "aws_vpc_endpoint" "dynamodb" {
  vpc_id            = aws_vpc.main.id
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${data.aws_region.current.region}.dynamodb"
  route_table_ids   = [for table in aws_route_table.workload : table.id]
  policy            = data.aws_iam_policy_document.dynamodb_endpoint.json
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
      VpcEndpointType: Gateway
      ServiceName: !Sub "com.amazonaws.${AWS::Region}.dynamodb"
      RouteTableIds: [!Ref RouteTable]""",
    ),
    references=[
        "https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-ddb.html",
        "https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html#route-tables-priority",
    ],
)
def network_subnet_path(
    subnet: Subnet,
    way: SubnetPath | Gap,
    subnets: Subnets | Gap,
    *,
    exclude_vpcs: Annotated[tuple[str, ...], "VPC ids that are not judged."] = (),
    nat_is: Annotated[Literal["fail", "pass"], "What a path through a NAT gateway is."] = "fail",
) -> Verdict | None:
    """Workload subnets reach DynamoDB through a VPC endpoint.

    Worst is the internet gateway: the workload has a public address and a public route. A NAT gateway lets nothing in,
    yet data leaves through a public exit that reaches any account's tables. Through an endpoint nothing leaves AWS's
    network, the endpoint's policy says which tables, and table policies can insist on it (`aws:SourceVpce`).

    The path is evaluated, not guessed: DynamoDB's address ranges in the region are looked up in the subnet's effective
    route table by longest prefix, and the worst way that any part takes counts. A public subnet whose workloads have no
    public address has no way out by its internet gateway; VPC Block Public Access closes it too. An interface endpoint
    alone changes nothing for clients that use the default host name, since DynamoDB's has no private DNS, unless the
    configuration's `clients_use_interface_endpoint` lists the VPC. Where a route leaves what the API shows (transit
    gateway, peering, firewall), the answer is unknown, unless `trusted_egress` says what is behind. Subnets without
    workloads have no finding; those that cannot reach DynamoDB at all are not applicable. IPv6 is evidence only:
    gateway endpoints do not carry it, and only dual-stack clients use it.
    """
    if isinstance(way, Gap):
        listed = () if isinstance(subnets, Gap) else subnets.subnets
        if any(info.subnet == subnet and info.vpc_id in exclude_vpcs for info in listed):
            return None
        return unknown(way)
    if not way.workload or way.vpc_id in exclude_vpcs:
        return None
    evidence: dict[str, Any] = {"VpcId": way.vpc_id, "path": way.path, **way.evidence}
    if "igw" in way.paths:
        return failed("Workloads reach DynamoDB through an internet gateway.", severity=Severity.HIGH, **evidence)
    if "nat" in way.paths and nat_is == "fail":
        return failed("Workloads reach DynamoDB through a NAT gateway.", severity=Severity.MEDIUM, **evidence)
    if way.gap is not None:
        return unknown(way.gap, **evidence)
    if "other" in way.paths:
        return unknown("The way to DynamoDB leaves what the API shows; declare the hop in trusted_egress.", **evidence)
    if "nat" in way.paths:
        return passed("Workloads reach DynamoDB through a NAT gateway, which is accepted.", **evidence)
    if "endpoint" in way.paths:
        return passed("Workloads reach DynamoDB through a VPC endpoint.", **evidence)
    return not_applicable("Workloads in this subnet have no way to DynamoDB.", **evidence)

from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import Gap, VpcCoverage, VpcDns
from auditor.resources import Vpc


@rule(
    severity=Severity.MEDIUM,
    side=Side.CLIENT,
    practices=["P2"],
    controls={"CIS AWS Foundations 7.0": ["6.8"], "NIST 800-53 r5": ["SC-7"], "ISO 27001:2022": ["A.8.20", "A.8.22"]},
    remediation=Remediation(
        text="Associate the gateway endpoint with every route table that workloads use, not only with the main one.",
        cli="aws ec2 modify-vpc-endpoint --vpc-endpoint-id $ENDPOINT --add-route-table-ids $ROUTE_TABLE "
        "--region $REGION",
        terraform="""\
resource "aws_vpc_endpoint_route_table_association" "dynamodb" {
  vpc_endpoint_id = aws_vpc_endpoint.dynamodb.id
  route_table_id  = aws_route_table.private_c.id
}""",
        cloudformation="""\
Parameters:
  Vpc: {Type: "AWS::EC2::VPC::Id"}
  RouteTables: {Type: CommaDelimitedList}
Resources:
  DynamoDBEndpoint:
    Type: AWS::EC2::VPCEndpoint
    Properties:
      VpcId: !Ref Vpc
      VpcEndpointType: Gateway
      ServiceName: !Sub "com.amazonaws.${AWS::Region}.dynamodb"
      RouteTableIds: !Ref RouteTables""",
    ),
    references=["https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html"],
)
def network_vpc_endpoint(
    vpc: Vpc,
    coverage: VpcCoverage | Gap,
    dns: VpcDns | Gap,
    config: Config,
    *,
    exclude_vpcs: Annotated[tuple[str, ...], "VPC ids that are not judged."] = (),
) -> Verdict | None:
    """Every VPC with workloads has a DynamoDB endpoint that all its workload route tables use.

    A gateway endpoint protects only the subnets whose route tables it is associated with. The classic mistake is an
    endpoint on the main route table while the workloads' subnets have tables of their own.

    Passes when a DynamoDB gateway endpoint of this region is available, every effective route table of a subnet with
    workloads uses it, and the VPC's DNS attributes are on. An endpoint that failed or was rejected is no endpoint. An
    interface endpoint alone fails (low), since clients must be told to use it: list the VPC in
    `clients_use_interface_endpoint` when they are. VPCs without workloads have no finding; where all workload subnets
    are cut off from DynamoDB there is nothing to protect. A gateway endpoint serves its own region only.
    """
    if vpc.name in exclude_vpcs:
        return None
    if isinstance(coverage, Gap):
        return unknown(coverage)
    if not coverage.workload_subnets:
        return None
    serving = [endpoint.id for endpoint in coverage.gateway_endpoints if endpoint.state == "available"]
    evidence: dict[str, Any] = {
        "workloadSubnets": list(coverage.workload_subnets),
        "routeTables": list(coverage.route_tables),
        "uncovered": list(coverage.uncovered),
        "gatewayEndpoints": {endpoint.id: endpoint.state for endpoint in coverage.gateway_endpoints},
        "interfaceEndpoints": {endpoint.id: endpoint.state for endpoint in coverage.interface_endpoints},
    }
    if serving and not coverage.uncovered:
        if isinstance(dns, Gap):
            return unknown(dns, **evidence)
        evidence |= {"EnableDnsSupport": dns.support, "EnableDnsHostnames": dns.hostnames}
        if not dns.support or not dns.hostnames:
            return failed("The VPC's DNS attributes are not both on.", severity=Severity.LOW, **evidence)
        return passed("Every workload route table uses a DynamoDB gateway endpoint.", **evidence)
    interface = [endpoint.id for endpoint in coverage.interface_endpoints if endpoint.state == "available"]
    if interface and vpc.name in config.clients_use_interface_endpoint:
        return passed("Clients are declared to use the interface endpoint.", attested=vpc.name, **evidence)
    if isinstance(coverage.isolated, Gap):
        return unknown(coverage.isolated, **evidence)
    if coverage.isolated:
        return not_applicable("No workload subnet of the VPC has a way to DynamoDB.", **evidence)
    if serving:
        return failed("Some workload route tables do not use the DynamoDB endpoint.", **evidence)
    if coverage.gateway_endpoints:
        return failed("The VPC's DynamoDB gateway endpoint is not available.", **evidence)
    if interface:
        return failed("The VPC has an interface endpoint only.", severity=Severity.LOW, **evidence)
    return failed("The VPC has no DynamoDB endpoint.", **evidence)

import re
from collections.abc import Iterator
from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.analysis.security_groups import openings
from auditor.facts import Endpoint, Gap, PrefixLists, PrivateZones, Reason, SecurityGroups, VpcEndpoints
from auditor.resources import VpcEndpoint

#: Domain names that AWS's endpoints have, by partition (botocore's endpoint data).
SUFFIXES = {
    "aws-cn": ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    "aws-eusc": ("amazonaws.eu", "api.amazonwebservices.eu"),
    "aws-iso": ("c2s.ic.gov", "api.aws.ic.gov"),
    "aws-iso-b": ("sc2s.sgov.gov", "api.aws.scloud"),
    "aws-iso-e": ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    "aws-iso-f": ("csp.hci.ic.gov", "api.aws.hci.ic.gov"),
}
COMMON = ("amazonaws.com", "api.aws")

#: What stands before region and domain in the names of DynamoDB and its Streams (their endpoint rule sets in botocore).
HOSTS = (
    "dynamodb",
    "dynamodb-fips",
    "search-dynamodb",
    "search-dynamodb-fips",
    "streams.dynamodb",
    "streams.dynamodb-fips",
    "streams-dynamodb",
    "streams-dynamodb-fips",
)
#: The same of names that begin with an account's number.
ACCOUNT_HOSTS = ("ddb", "search-ddb", "streams-ddb", "streams-ddb-fips")


@rule(
    severity=Severity.MEDIUM,
    side=Side.CLIENT,
    practices=["P2", "P17"],
    controls={"NIST 800-53 r5": ["AC-17", "SC-7"]},
    remediation=Remediation(
        text="Let only clients in on port 443, take hosted zones for DynamoDB's own names away and give clients the "
        "endpoint's name as endpoint_url instead, and put the endpoint into three Availability Zones.",
        cli="aws ec2 revoke-security-group-ingress --group-id $SECURITY_GROUP --region $REGION "
        "--ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=0.0.0.0/0}]'\n"
        "aws ec2 authorize-security-group-ingress --group-id $SECURITY_GROUP --region $REGION "
        "--ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp='$VPC_CIDR'}]'\n"
        "aws route53 disassociate-vpc-from-hosted-zone --hosted-zone-id $HOSTED_ZONE "
        "--vpc VPCRegion=$REGION,VPCId=$VPC\n"
        "# Its last VPC a zone does not let go: then the zone itself has to go.\n"
        "aws route53 delete-hosted-zone --id $HOSTED_ZONE\n"
        "aws ec2 modify-vpc-endpoint --vpc-endpoint-id $ENDPOINT --add-subnet-ids $SUBNET_B $SUBNET_C "
        "--region $REGION",
        terraform="""\
resource "aws_vpc_security_group_ingress_rule" "dynamodb_from_vpc" {
  security_group_id = aws_security_group.dynamodb_endpoint.id
  cidr_ipv4         = aws_vpc.main.cidr_block
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_endpoint" "dynamodb_interface" {
  vpc_id              = aws_vpc.main.id
  vpc_endpoint_type   = "Interface"
  service_name        = "com.amazonaws.eu-west-1.dynamodb"
  subnet_ids          = [aws_subnet.private_a.id, aws_subnet.private_b.id, aws_subnet.private_c.id]
  security_group_ids  = [aws_security_group.dynamodb_endpoint.id]
  private_dns_enabled = false
}""",
        cloudformation="""\
Parameters:
  Vpc: {Type: "AWS::EC2::VPC::Id"}
  VpcCidr: {Type: String}
  PrivateSubnets: {Type: "List<AWS::EC2::Subnet::Id>"}
Resources:
  EndpointAccess:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: Clients of the DynamoDB endpoint
      VpcId: !Ref Vpc
      SecurityGroupIngress:
        - {IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: !Ref VpcCidr}
  DynamoDBInterface:
    Type: AWS::EC2::VPCEndpoint
    Properties:
      VpcId: !Ref Vpc
      VpcEndpointType: Interface
      ServiceName: !Sub "com.amazonaws.${AWS::Region}.dynamodb"
      SubnetIds: !Ref PrivateSubnets
      SecurityGroupIds: [!Ref EndpointAccess]""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/privatelink-interface-endpoints.html",
        "https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html",
    ],
)
def network_interface_endpoint(
    resource: VpcEndpoint,
    endpoints: VpcEndpoints,
    groups: SecurityGroups | Gap,
    lists: PrefixLists | Gap,
    zones: PrivateZones | Gap,
) -> Verdict | None:
    """PrivateLink endpoints for DynamoDB are usable and confined.

    An interface endpoint is a door into DynamoDB with an address inside the VPC, for networks that a gateway endpoint
    cannot serve, such as an office behind a VPN. Open to all addresses it serves whoever gets a route to it; in one
    Availability Zone it goes down with it.

    Passes when the security groups of the endpoint, taken together, let somebody in on port 443 but not everybody, no
    private hosted zone of its VPC overrides a name of DynamoDB, and it has subnets in at least two Availability Zones
    (AWS recommends three). Everybody is 0.0.0.0/0, the IPv6 internet, or ranges and prefix lists that together make up
    one of them. Ranges of a network on premises are what such an endpoint is for and pass; other public ranges are
    evidence. Letting nobody in, and a single Availability Zone, fail with severity low: an endpoint has at most one
    subnet in each.

    DynamoDB's endpoints have no private DNS, and AWS advises against hosted zones in its place: one named like a host
    of DynamoDB, or like a parent such as `eu-west-1.amazonaws.com`, sends clients astray as soon as AWS answers with
    another name. Judged are endpoints of DynamoDB, its Streams and FIPS hosts, and of DAX's management API; the last
    one supports private DNS, so hosted zones are no matter there. The policy is `network-endpoint-policy`'s matter.
    What clients must set is evidence: without an endpoint_url they do not use the endpoint. It takes 50,000 requests a
    second. Gateway endpoints have no finding. A VPC that another account shares may hide its hosted zones: unknown.
    """
    endpoint = next((one for one in endpoints.endpoints if one.id == resource.name), None)
    if endpoint is None or endpoint.type.lower() != "interface":
        return None
    if endpoint.state != "available":
        return not_applicable(f"The endpoint's state is {endpoint.state}.", State=endpoint.state)
    evidence: dict[str, Any] = {
        "VpcEndpointId": endpoint.id,
        "VpcId": endpoint.vpc_id,
        "ServiceName": endpoint.service,
        "Groups": list(endpoint.security_groups),
        "SubnetIds": list(endpoint.subnet_ids),
    }
    if endpoint.dns_name and not endpoint.private_dns:
        evidence["endpoint_url"] = f"https://{endpoint.dns_name}"
    problems = list(_problems(resource, endpoint, groups, lists, zones, evidence))
    proven = [(severity, text) for severity, text in problems if isinstance(text, str)]
    if proven:
        severity, text = max(proven, key=lambda one: one[0])
        return failed(text, severity=severity, problems=[text for _, text in proven], **evidence)
    for _, gap in problems:
        if isinstance(gap, Gap):
            return unknown(gap, **evidence)
    return passed("The endpoint is confined to its clients and stands in several Availability Zones.", **evidence)


def _problems(
    resource: VpcEndpoint,
    endpoint: Endpoint,
    groups: SecurityGroups | Gap,
    lists: PrefixLists | Gap,
    zones: PrivateZones | Gap,
    evidence: dict[str, Any],
) -> Iterator[tuple[Severity, str | Gap]]:
    """Yield what is wrong with an endpoint and what could not be found out; adds to the evidence."""
    opened = openings(endpoint.security_groups, (443,), groups, lists)
    evidence["admitted"] = [one.evidence() for one in opened.admissions][:20]
    world = opened.worldwide()
    if world:
        names = f"{', '.join(sorted({one.group for one in world}))} lets {' and '.join(_sources(world))}"
        yield Severity.MEDIUM, f"The security group {names} reach the endpoint on port 443."
    elif opened.gap is not None:
        yield Severity.MEDIUM, opened.gap
    elif not opened.admissions:
        yield Severity.LOW, "The endpoint's security groups let nobody in on port 443: it cannot be used."
    if not endpoint.for_dax:
        yield from _overrides(resource, endpoint, zones, evidence)
    if len(endpoint.subnet_ids) < 2:
        places = "in a single Availability Zone" if endpoint.subnet_ids else "in no subnet"
        yield Severity.LOW, f"The endpoint stands {places}: AWS recommends three Availability Zones."


def _sources(world: tuple[Any, ...]) -> list[str]:
    return sorted({one.source for one in world})


def _overrides(
    resource: VpcEndpoint, endpoint: Endpoint, zones: PrivateZones | Gap, evidence: dict[str, Any]
) -> Iterator[tuple[Severity, str | Gap]]:
    if isinstance(zones, Gap):
        yield Severity.MEDIUM, zones
        return
    if endpoint.vpc_id in zones.unread:
        yield Severity.MEDIUM, zones.unread[endpoint.vpc_id]
        return
    held = zones.zones.get(endpoint.vpc_id)
    if held is None:
        text = "The private hosted zones of the endpoint's VPC were not returned."
        yield Severity.MEDIUM, Gap(Reason.PARTIAL_DATA, text, "route53:ListHostedZonesByVPC")
        return
    # An endpoint may be for the service of another region: then clients look up the names of that one.
    regions = {resource.region.name, endpoint.service_region or resource.region.name}
    found = [(name, zone) for name, zone in held if any(_is_dynamodbs(name, resource, one) for one in regions)]
    evidence["HostedZones"] = [{"Name": name, "HostedZoneId": zone} for name, zone in found]
    if found:
        name, zone = found[0]
        yield (
            Severity.MEDIUM,
            f"The private hosted zone {name} ({zone}) of the VPC overrides names of DynamoDB, "
            "which AWS advises against: requests can fall back to public addresses.",
        )


def _is_dynamodbs(zone: str, resource: VpcEndpoint, region: str) -> bool:
    """Tell whether a hosted zone answers for a name that clients of DynamoDB look up: it is that or a parent."""
    for suffix in SUFFIXES.get(resource.account.partition, COMMON):
        domain = f"{region}.{suffix}"
        hosts = [f"{host}.{domain}" for host in HOSTS]
        hosts += [f"{resource.account.id}.{host}.{domain}" for host in ACCOUNT_HOSTS]
        if any(host == zone or host.endswith(f".{zone}") for host in hosts):
            return True
        # Names of the tables of another account.
        if re.fullmatch(rf"\d{{12}}\.({'|'.join(ACCOUNT_HOSTS)})\.{re.escape(domain)}", zone):
            return True
    return False

from collections.abc import Iterator
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.analysis.security_groups import Admission, Network, Openings, blocks, covers, openings
from auditor.config import Config
from auditor.facts import DaxSettings, Gap, PrefixLists, Reason, SecurityGroup, SecurityGroups, Vpcs
from auditor.resources import DaxCluster

#: Where the nodes listen: without TLS, with TLS (Amazon DynamoDB Developer Guide, DAX).
PLAIN, ENCRYPTED = 8111, 9111


@rule(
    severity=Severity.HIGH,
    side=Side.CLIENT,
    practices=["P3", "P15"],
    controls={"NIST 800-53 r5": ["AC-4", "SC-7", "SC-7(5)"]},
    remediation=Remediation(
        text="Give the cluster a security group of its own that lets in the clients' security groups on port 9111 "
        "(8111 without TLS), and take every other way in away. update-cluster changes the groups of a running cluster.",
        cli="aws ec2 authorize-security-group-ingress --group-id $DAX_GROUP --region $REGION "
        "--ip-permissions 'IpProtocol=tcp,FromPort=9111,ToPort=9111,UserIdGroupPairs=[{GroupId='$CLIENT_GROUP'}]'\n"
        "aws ec2 revoke-security-group-ingress --group-id $DAX_GROUP --region $REGION "
        "--ip-permissions 'IpProtocol=tcp,FromPort='$PORT',ToPort='$PORT',IpRanges=[{CidrIp=0.0.0.0/0}]'\n"
        "aws dax update-cluster --cluster-name $CLUSTER --security-group-ids $DAX_GROUP --region $REGION",
        terraform="""\
resource "aws_vpc_security_group_ingress_rule" "cache_from_orders" {
  security_group_id            = aws_security_group.dax.id
  referenced_security_group_id = aws_security_group.orders.id
  ip_protocol                  = "tcp"
  from_port                    = 9111
  to_port                      = 9111
}""",
        cloudformation="""\
Parameters:
  CacheGroup: {Type: "AWS::EC2::SecurityGroup::Id"}
  ClientGroup: {Type: "AWS::EC2::SecurityGroup::Id"}
Resources:
  CacheFromClients:
    Type: AWS::EC2::SecurityGroupIngress
    Properties:
      GroupId: !Ref CacheGroup
      SourceSecurityGroupId: !Ref ClientGroup
      IpProtocol: tcp
      FromPort: 9111
      ToPort: 9111""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DAX.create-cluster.cli.configure-inbound-rules.html"
    ],
)
def dax_security_group(
    cluster: DaxCluster,
    settings: DaxSettings,
    groups: SecurityGroups | Gap,
    lists: PrefixLists | Gap,
    vpcs: Vpcs | Gap,
    config: Config,
    *,
    peer_cidrs: Annotated[
        tuple[str, ...], "Blocks of peered networks whose clients use clusters, such as 10.8.0.0/16."
    ] = (),
) -> Verdict:
    """DAX ports are open only to the client security groups.

    Whoever reaches a cluster's port only needs credentials for DAX to read what is cached, and a cluster without TLS
    shows what passes. The security group is the only wall around it.

    Judged is what all security groups of the cluster together let in on ports 8111 (without TLS) and 9111 (with TLS).
    Sources that pass are security groups, those of peered VPCs and their accounts included, and blocks or prefix lists
    inside the blocks of the cluster's own VPC, of `on_prem_access.cidrs` or of the setting `peer_cidrs`; a security
    group that lets nobody in passes too. Everybody (0.0.0.0/0, the IPv6 internet, or ranges that make up one of them)
    fails with severity high, whichever of the two ports it is. With medium fail: another block, since private addresses
    of unknown networks are no clients; a rule for all ports; and the VPC's `default` group as the only one, which DAX
    takes when none is given (low where it lets nobody in). A cluster with TLS that still opens 8111 fails (low).

    A security group or prefix list that was not returned makes the answer unknown unless something else is wrong. The
    entries of AWS's own prefix lists are not read. A cluster that is being deleted is not judged.
    """
    if settings.status == "deleting":
        return not_applicable("The cluster is being deleted.", Status=settings.status)
    opened = openings(settings.security_groups, (PLAIN, ENCRYPTED), groups, lists)
    held = [] if isinstance(groups, Gap) else [groups.groups.get(one) for one in settings.security_groups]
    attached = [one for one in held if one is not None]
    evidence: dict[str, Any] = {
        "SecurityGroups": dict.fromkeys(settings.security_groups) | {group.id: group.name for group in attached},
        "ClusterEndpointEncryptionType": settings.endpoint_encryption,
        "admitted": [one.evidence() for one in opened.admissions][:20],
    }
    complete = bool(attached) and len(attached) == len(settings.security_groups)
    trusted = blocks((*config.on_prem_access.cidrs, *peer_cidrs))
    vpc = _vpc_blocks(cluster, attached, vpcs)
    inside = trusted if isinstance(vpc, Gap) else (*vpc, *trusted)
    strangers = [one for one in opened.admissions if not all(covers(inside, network) for network in one.networks)]
    proven = list(_problems(settings, opened, strangers, vpc, attached if complete else []))
    if proven:
        severity, text = max(proven, key=lambda one: one[0] or Severity.HIGH)
        return failed(text, severity=severity, problems=[text for _, text in proven], **evidence)
    if opened.gap is not None:
        return unknown(opened.gap, **evidence)
    if strangers and isinstance(vpc, Gap):
        return unknown(vpc, **evidence)
    if not opened.admissions:
        return passed("The cluster's security groups let nobody in on its ports.", **evidence)
    return passed("The cluster's ports are open to security groups and networks of clients only.", **evidence)


def _vpc_blocks(cluster: DaxCluster, attached: list[SecurityGroup], vpcs: Vpcs | Gap) -> tuple[Network, ...] | Gap:
    """Return the blocks of the cluster's VPC, which is that of its security groups."""
    if isinstance(vpcs, Gap):
        return vpcs
    vpc_id = next((group.vpc_id for group in attached), "")
    for info in vpcs.vpcs:
        if info.vpc.name == vpc_id and info.vpc.region.name == cluster.region.name and info.cidrs:
            return blocks(info.cidrs)
    return Gap(Reason.PARTIAL_DATA, f"The blocks of VPC {vpc_id} were not returned.", "ec2:DescribeVpcs")


def _problems(
    settings: DaxSettings,
    opened: Openings,
    strangers: list[Admission],
    vpc: tuple[Network, ...] | Gap,
    attached: list[SecurityGroup],
) -> Iterator[tuple[Severity | None, str]]:
    """Yield what is proven wrong, each with its severity; None is the rule's own, which moves with the context."""
    world = opened.worldwide()
    if world:
        ports = " and ".join(str(port) for port in sorted({one.port for one in world}))
        yield None, f"{_names(world)} everybody in on port {ports}."
    broad = [one for one in strangers if one not in world]
    if broad and not isinstance(vpc, Gap):
        sources = ", ".join(sorted({one.source for one in broad}))
        where = f"{sources} in, which is outside the cluster's VPC and what is declared"
        yield Severity.MEDIUM, f"{_names(broad)} {where}."
    if attached and all(group.name == "default" for group in attached):
        text = "The cluster has only the VPC's default security group, which is everybody's."
        yield Severity.MEDIUM if opened.admissions else Severity.LOW, text
    every = [one for one in opened.admissions if one.all_ports]
    if every:
        sources = ", ".join(sorted({one.source for one in every}))
        yield Severity.MEDIUM, f"{_names(every)} {sources} in on all ports."
    plain = [one for one in opened.admissions if one.port == PLAIN]
    if plain and settings.endpoint_encryption == "TLS":
        yield Severity.LOW, f"The cluster uses TLS, and {_names(plain, start=False)} {PLAIN} through all the same."


def _names(admissions: list[Admission] | tuple[Admission, ...], *, start: bool = True) -> str:
    names = ", ".join(sorted({one.group for one in admissions}))
    return f"{'The' if start else 'the'} security group {names} lets"

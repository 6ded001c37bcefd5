from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import DaxPlacement, DaxSettings, Gap
from auditor.resources import DaxCluster


@rule(
    severity=Severity.MEDIUM,
    side=Side.CLIENT,
    practices=["P3"],
    controls={"NIST 800-53 r5": ["AC-4", "SC-7"]},
    remediation=Remediation(
        text="The subnet group is fixed when a cluster is made: make one of private subnets, and a new cluster in it.",
        cli="aws dax create-subnet-group --subnet-group-name $SUBNET_GROUP --subnet-ids $SUBNET_A $SUBNET_B $SUBNET_C "
        "--region $REGION",
        terraform="""\
resource "aws_dax_subnet_group" "private" {
  name       = "private"
  subnet_ids = [aws_subnet.private_a.id, aws_subnet.private_b.id, aws_subnet.private_c.id]
}""",
        cloudformation="""\
Parameters:
  PrivateSubnets: {Type: "List<AWS::EC2::Subnet::Id>"}
Resources:
  CacheSubnets:
    Type: AWS::DAX::SubnetGroup
    Properties: {SubnetIds: !Ref PrivateSubnets}""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DAX.concepts.cluster.html"],
)
def dax_vpc_placement(cluster: DaxCluster, settings: DaxSettings, placement: DaxPlacement | Gap) -> Verdict:
    """DAX clusters sit in private subnets of a VPC the clients use.

    A cluster answers whoever reaches it inside the VPC. In a public subnet one wrong security group or address exposes
    the cached items.

    Every subnet of the cluster's subnet group must have an effective route table without an active default route to an
    internet gateway. DAX nodes get no public address, so a public subnet is a mistake waiting to happen rather than an
    exposure: medium. The region's default VPC fails with severity low: it is everybody's. Whether clients use the VPC
    is not looked at. A subnet group that DescribeSubnetGroups does not return leaves the answer unknown.
    """
    if settings.status == "deleting":
        return not_applicable("The cluster is being deleted.", Status=settings.status)
    if isinstance(placement, Gap):
        return unknown(placement, SubnetGroup=settings.subnet_group)
    evidence: dict[str, Any] = {
        "SubnetGroup": settings.subnet_group,
        "VpcId": placement.vpc_id,
        "Subnets": list(placement.subnets),
    }
    if placement.public_subnets:
        names = ("SubnetId", "RouteTableId", "destination", "GatewayId")
        evidence["public"] = [dict(zip(names, one, strict=True)) for one in placement.public_subnets]
        return failed("The cluster's subnet group has public subnets.", **evidence)
    if placement.default_vpc is True:
        return failed("The cluster is in the region's default VPC.", severity=Severity.LOW, IsDefault=True, **evidence)
    for gap in (placement.gap, placement.default_vpc):
        if isinstance(gap, Gap):
            return unknown(gap, **evidence)
    return passed("All subnets of the cluster are private.", **evidence)

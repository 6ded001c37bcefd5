from typing import Annotated, Any

from msgspec import Meta, Struct

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import AvailabilityZones, DaxSettings, Environment, Gap, Reason
from auditor.resources import DaxCluster

Count = Annotated[int, Meta(ge=1)]


class MinAzs(Struct, frozen=True, forbid_unknown_fields=True):
    """In how many Availability Zones a cluster's nodes must be."""

    production: Count = 3
    default: Count = 2


DEFAULTS = MinAzs()


@rule(
    severity=Severity.LOW,
    side=Side.AMAZON,
    practices=["P3", "B"],
    controls={"NIST 800-53 r5": ["CP-10", "SC-36"], "ISO 27001:2022": ["A.8.14"], "AWS Control Tower": ["CT.DAX.PR.2"]},
    remediation=Remediation(
        text="Add read replicas in the Availability Zones that are missing. The subnet group must have a subnet there.",
        cli="aws dax increase-replication-factor --cluster-name $CLUSTER --new-replication-factor 3 "
        "--availability-zones ${REGION}a ${REGION}b ${REGION}c --region $REGION",
        terraform="""\
resource "aws_dax_cluster" "orders" {
  cluster_name       = "orders"
  iam_role_arn       = aws_iam_role.dax.arn
  node_type          = "dax.r5.large"
  replication_factor = 3
  availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
  subnet_group_name  = aws_dax_subnet_group.private.name
}""",
        cloudformation="""\
Parameters:
  Role: {Type: String}
  SubnetGroup: {Type: String}
Resources:
  Cache:
    Type: AWS::DAX::Cluster
    Properties:
      IAMRoleARN: !Ref Role
      NodeType: dax.r5.large
      ReplicationFactor: 3
      AvailabilityZones: [eu-west-1a, eu-west-1b, eu-west-1c]
      SubnetGroupName: !Ref SubnetGroup""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DAX.concepts.cluster.html"],
)
def dax_multi_az(
    cluster: DaxCluster,
    settings: DaxSettings,
    environment: Environment | Gap,
    zones: AvailabilityZones | Gap,
    *,
    min_azs: Annotated[
        MinAzs, "In how many Availability Zones nodes must be: those of production clusters, those of others."
    ] = DEFAULTS,
) -> Verdict:
    """Production DAX clusters span Availability Zones.

    A cache whose nodes are in one Availability Zone is gone when that zone fails, and all its reads fall on the table
    at once. AWS recommends three nodes in three zones for production.

    Distinct Availability Zones of the nodes are counted, not nodes: three nodes in one zone fail. A production cluster
    needs `min_azs.production`, another one `min_azs.default`; where the environment cannot be read only what holds for
    both is judged. Where the account has fewer zones in the region than that, nodes must be in all of them; how many
    there are DescribeAvailabilityZones says, and not the subnet group, which the client chose. The failure is medium
    for a cluster that is known to be production and low for others. A single node outside production does not count as
    a mistake when `min_azs.default` is 1.

    Nodes that are being made or replaced lower `ActiveNodes` for a while, so a cluster that spans enough zones and has
    fewer active nodes than nodes is unknown: look again. Clusters that are being created or deleted are not judged.
    """
    if settings.status in ("creating", "deleting"):
        return not_applicable(f"The cluster's status is {settings.status}.", Status=settings.status)
    named = sorted({zone for zone in settings.node_zones if zone})
    listed = sum(1 for zone in settings.node_zones if zone)
    hidden = max(settings.total_nodes, len(settings.node_zones)) - listed
    production = None if isinstance(environment, Gap) else environment.production
    known = zones.zones if isinstance(zones, AvailabilityZones) else ()
    evidence: dict[str, Any] = {
        "AvailabilityZones": named,
        "TotalNodes": settings.total_nodes,
        "ActiveNodes": settings.active_nodes,
        "NodeStatus": list(settings.node_states),
        "min_azs": {"production": min_azs.production, "default": min_azs.default},
        "production": production,
    }
    if not settings.total_nodes and not settings.node_zones:
        text = "The nodes of the cluster were not returned."
        return unknown(text, reason=Reason.PARTIAL_DATA, **evidence)
    if production is False and settings.total_nodes == 1 and min_azs.default == 1:
        return not_applicable("The cluster has one node, which is enough outside production.", **evidence)
    either = {True: (min_azs.production,), False: (min_azs.default,), None: (min_azs.production, min_azs.default)}
    needs = sorted(either[production])
    if known:
        evidence["zonesOfRegion"] = list(known)
        needs = [min(need, len(known)) for need in needs]
    if len(named) + hidden < needs[0]:
        if not known and len(named) + hidden > 1:  # the region may have no more than these; one zone is none
            missing = Gap(Reason.PARTIAL_DATA, "The region's Availability Zones were not returned.")
            return unknown(zones if isinstance(zones, Gap) else missing, **evidence)
        severity = (
            Severity.MEDIUM if production and isinstance(environment, Environment) and environment.tagged else None
        )
        count = f"{len(named)} Availability Zone{'' if len(named) == 1 else 's'}"
        return failed(f"The cluster's nodes are in {count}, and {needs[0]} are needed.", severity=severity, **evidence)
    if len(named) < needs[-1]:
        if len(named) + hidden < needs[-1] and isinstance(environment, Gap):
            return unknown(environment, **evidence)
        text = "The Availability Zones of some nodes were not returned."
        return unknown(text, reason=Reason.PARTIAL_DATA, **evidence)
    if settings.active_nodes is None and set(settings.node_states) != {"available"}:
        return unknown("Whether all nodes are active was not returned.", reason=Reason.PARTIAL_DATA, **evidence)
    if settings.active_nodes is not None and settings.active_nodes < settings.total_nodes:
        text = "Some nodes are not active, as while they are made or replaced: look again later."
        return unknown(text, reason=Reason.TRANSIENT, **evidence)
    return passed(f"The cluster's nodes are in {len(named)} Availability Zones.", **evidence)

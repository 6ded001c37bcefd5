"""Facts about DAX clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.facts.base import Gap, fact
from auditor.resources import DaxCluster, Region


@fact(DaxCluster, "dax:DescribeClusters")
@dataclass(frozen=True, slots=True)
class DaxSettings:
    """What DescribeClusters says of a cluster.

    Attributes:
        status: ``Status``, lower case, such as available, creating, deleting.
        sse_status: ``SSEDescription.Status``, upper case; absent means DISABLED.
        endpoint_encryption: ``ClusterEndpointEncryptionType``, upper case; absent means NONE.
        endpoint_url: ``ClusterDiscoveryEndpoint.URL``.
        subnet_group: ``SubnetGroup`` (its name).
        security_groups: ``SecurityGroups[].SecurityGroupIdentifier``.
        role_arn: ``IamRoleArn``.
        network_type: ``NetworkType``; absent means ipv4.
        node_zones: ``Nodes[].AvailabilityZone``, one entry a node.
        total_nodes: ``TotalNodes``.
        active_nodes: ``ActiveNodes``; None when absent.
        node_states: ``Nodes[].NodeStatus``, lower case, one entry a node.
    """

    status: str
    sse_status: str = "DISABLED"
    endpoint_encryption: str = "NONE"
    endpoint_url: str | None = None
    subnet_group: str | None = None
    security_groups: tuple[str, ...] = ()
    role_arn: str | None = None
    network_type: str = "ipv4"
    node_zones: tuple[str, ...] = ()
    total_nodes: int = 0
    active_nodes: int | None = None
    node_states: tuple[str, ...] = ()

    def sharing(self, cluster: DaxCluster, clusters: Mapping[DaxCluster, DaxSettings | Gap]) -> list[DaxCluster]:
        """Return the clusters that have this cluster's role, in order: a finding on the role is made at the first.

        Clusters of other accounts are not seen from the role's account, so that its own, where there are any, are all.

        Args:
            cluster: The cluster that these settings are of.
            clusters: All known ones.
        """
        same = {
            one for one, known in clusters.items() if isinstance(known, DaxSettings) and known.role_arn == self.role_arn
        }
        same.add(cluster)
        at_home = {one for one in same if (self.role_arn or "").split(":")[4:5] == [one.account.id]}
        return sorted(at_home or same)


@dataclass(frozen=True, slots=True)
class DaxSubnetGroup:
    """One subnet group: its VPC and, per subnet id, the Availability Zone."""

    vpc_id: str
    subnets: Mapping[str, str]


@fact(Region, "dax:DescribeSubnetGroups", in_use_only=True)
@dataclass(frozen=True, slots=True)
class DaxSubnetGroups:
    """The region's DAX subnet groups by name (dax:DescribeSubnetGroups)."""

    groups: Mapping[str, DaxSubnetGroup]


@dataclass(frozen=True, slots=True)
class DaxPlacement:
    """Where a cluster's nodes are (derived).

    Attributes:
        vpc_id: The VPC of the subnet group.
        default_vpc: It is the region's default VPC.
        public_subnets: The subnets whose effective route table has an active default route to an internet
            gateway, each as ``subnet-id``, route table id, destination and gateway id.
        subnets: All subnet ids of the group, sorted.
        gap: Why it is not known of every subnet whether it is public; None when it is.
    """

    vpc_id: str
    default_vpc: bool | Gap
    public_subnets: tuple[tuple[str, str, str, str], ...]
    subnets: tuple[str, ...]
    gap: Gap | None = None

"""DAX clusters, their tags and their subnet groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.facts import DaxClusterNames, DaxSettings, DaxSubnetGroup, DaxSubnetGroups, Tags
from auditor.resources import DaxCluster, Region
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing


@collects(DaxClusterNames, DaxSettings, about=Region)
def dax_clusters(aws: Aws, region: Region) -> Yield:
    """Yield the region's clusters and the settings of each.

    Where botocore's endpoint data does not list DAX for the region, an endpoint that cannot be reached
    means that there is no DAX, hence no cluster.
    """
    clusters = []
    try:
        for page in aws.pages("dax:DescribeClusters"):
            for description in page.get("Clusters", []):
                cluster = DaxCluster.from_arn(description["ClusterArn"])
                clusters.append(cluster)
                yield cluster, read_cluster(description)
    except Missing as missing:
        if not aws.lacks("dax", missing):
            raise
    yield region, DaxClusterNames(tuple(sorted(clusters)))


def read_cluster(description: Mapping[str, Any]) -> DaxSettings:
    """Return a ``Cluster`` with AWS's omissions made explicit."""
    endpoint = description.get("ClusterDiscoveryEndpoint") or {}
    return DaxSettings(
        status=description.get("Status", "").lower(),
        sse_status=(description.get("SSEDescription") or {}).get("Status", "DISABLED").upper(),
        endpoint_encryption=description.get("ClusterEndpointEncryptionType", "NONE").upper(),
        endpoint_url=endpoint.get("URL"),
        subnet_group=description.get("SubnetGroup"),
        security_groups=tuple(
            group["SecurityGroupIdentifier"]
            for group in description.get("SecurityGroups", [])
            if group.get("SecurityGroupIdentifier")
        ),
        role_arn=description.get("IamRoleArn"),
        network_type=description.get("NetworkType", "ipv4").lower(),
        node_zones=tuple(node.get("AvailabilityZone", "") for node in description.get("Nodes", [])),
        total_nodes=description.get("TotalNodes", 0),
        active_nodes=description.get("ActiveNodes"),
        node_states=tuple(node.get("NodeStatus", "").lower() for node in description.get("Nodes", [])),
    )


@collects(Tags, about=DaxCluster, lane="dax:ListTags")
def cluster_tags(aws: Aws, cluster: DaxCluster) -> Yield:
    """Yield the tags of a cluster; the operation wants its ARN, not its name."""
    values: dict[str, str] = {}
    for page in aws.pages("dax:ListTags", gone=("ClusterNotFoundFault",), ResourceName=cluster.arn):
        values |= {tag["Key"]: tag.get("Value", "") for tag in page.get("Tags", [])}
    yield cluster, Tags(values)


@collects(DaxSubnetGroups, about=Region)
def subnet_groups(aws: Aws, region: Region) -> Yield:
    """Yield the region's DAX subnet groups."""
    groups: dict[str, DaxSubnetGroup] = {}
    for page in aws.pages("dax:DescribeSubnetGroups"):
        for group in page.get("SubnetGroups", []):
            groups[group["SubnetGroupName"]] = DaxSubnetGroup(
                group.get("VpcId", ""),
                {one["SubnetIdentifier"]: one.get("SubnetAvailabilityZone", "") for one in group.get("Subnets", [])},
            )
    yield region, DaxSubnetGroups(groups)

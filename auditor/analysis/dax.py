"""Where the nodes of DAX clusters are."""

from __future__ import annotations

from auditor.analysis.network import effective_table
from auditor.facts import DaxPlacement, DaxSettings, DaxSubnetGroups, Gap, Reason, RouteTables, Vpcs, derive
from auditor.resources import DaxCluster

DEFAULT_ROUTES = ("0.0.0.0/0", "::/0")


@derive
def dax_placement(
    cluster: DaxCluster, settings: DaxSettings, groups: DaxSubnetGroups, tables: RouteTables | Gap, vpcs: Vpcs | Gap
) -> DaxPlacement | Gap:
    """Look up a cluster's subnets and which of them have a default route to an internet gateway."""
    group = groups.groups.get(settings.subnet_group or "")
    if group is None:
        text = f"The subnet group {settings.subnet_group!r} of the cluster was not returned."
        return Gap(Reason.PARTIAL_DATA, text, "dax:DescribeSubnetGroups")
    public: list[tuple[str, str, str, str]] = []
    gap: Gap | None = None
    if not group.subnets:
        text = f"The subnets of the subnet group {settings.subnet_group} were not returned."
        gap = Gap(Reason.PARTIAL_DATA, text, "dax:DescribeSubnetGroups")
    for subnet_id in sorted(group.subnets):
        if isinstance(tables, Gap):
            gap = tables
            break
        table = effective_table(tables, group.vpc_id, subnet_id)
        if table is None:
            text = f"No route table of VPC {group.vpc_id} was returned."
            gap = Gap(Reason.PARTIAL_DATA, text, "ec2:DescribeRouteTables")
            continue
        public += [
            (subnet_id, table.id, route.destination, route.target)
            for route in table.routes
            if route.active and route.destination in DEFAULT_ROUTES and route.target.startswith("igw-")
        ]
    default = vpcs if isinstance(vpcs, Gap) else _is_default(vpcs, group.vpc_id)
    return DaxPlacement(group.vpc_id, default, tuple(public), tuple(sorted(group.subnets)), gap)


def _is_default(vpcs: Vpcs, vpc_id: str) -> bool | Gap:
    missing = Gap(Reason.PARTIAL_DATA, f"VPC {vpc_id} was not returned.", "ec2:DescribeVpcs")
    return next((info.default for info in vpcs.vpcs if info.vpc.name == vpc_id), missing)

"""Which roles the workloads of a subnet run as."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.analysis.network import WORKLOAD_DESCRIPTION, is_workload
from auditor.facts import (
    FunctionInfo,
    Functions,
    Gap,
    Identities,
    InstanceInfo,
    Instances,
    NetworkInterface,
    NetworkInterfaces,
    RoleInfo,
    SubnetWorkloads,
    Workloads,
    derive,
)
from auditor.resources import Region

#: Managed policies of the roles of container hosts: what runs there has roles of its own (AWS Managed Policy
#: Reference Guide).
_HOST_POLICIES = (
    "AmazonEC2ContainerServiceforEC2Role",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKSWorkerNodeMinimalPolicy",
)

#: Beginnings of the keys of tags that ECS, EKS and Kubernetes put on container hosts.
_HOST_TAGS = ("kubernetes.io/cluster/", "eks:", "aws:eks:", "aws:ecs:", "AmazonECSManaged")


def role_of(profile_arn: str, identities: Identities) -> RoleInfo | None:
    """Return the role in an instance profile, or None where it holds none or does not exist any more."""
    return next((one for one in identities.roles if profile_arn in one.profiles), None)


def hosts_containers(
    instance: InstanceInfo, interfaces: Iterable[NetworkInterface], role: RoleInfo | None = None
) -> bool:
    """Tell whether an instance is known to run containers of ECS or EKS, which may have roles of their own.

    Args:
        instance: The instance.
        interfaces: The network interfaces of its region.
        role: The role that it runs as.
    """
    return (
        any(key.startswith(_HOST_TAGS) for key in instance.tags)
        or (role is not None and any(arn.rpartition("/")[2] in _HOST_POLICIES for arn in role.attached))
        or any(
            WORKLOAD_DESCRIPTION.match(one.description) or one.type.lower() == "trunk"
            for one in interfaces
            if one.instance_id == instance.instance.name
        )
    )


@derive
def workloads(
    region: Region,
    interfaces: NetworkInterfaces,
    instances: Instances | Gap,
    functions: Functions | Gap,
    identities: Identities | Gap,
) -> Workloads:
    """Find the roles behind the workload interfaces in a region's subnets.

    Lambda shares the interfaces of a subnet between its functions: they are explained where a function is known to be
    in that subnet. An instance without a role, or of another account, leaves its interfaces unexplained. A function
    that was not called for weeks has no interface and may have one again with the next call: without the functions no
    subnet is complete.
    """
    del region
    in_subnet: dict[str, list[FunctionInfo]] = {}
    for function in () if isinstance(functions, Gap) else functions.functions:
        for subnet_id in function.subnet_ids:
            in_subnet.setdefault(subnet_id, []).append(function)
    attached: dict[str, list[NetworkInterface]] = {}
    held: dict[str, list[NetworkInterface]] = {}
    for one in interfaces.interfaces:
        if one.instance_id is not None:
            attached.setdefault(one.instance_id, []).append(one)
        if is_workload(one):
            held.setdefault(one.subnet.name, []).append(one)
    roles: dict[str, RoleInfo] = {}
    hosts: set[str] = set()
    by_profile = {} if isinstance(identities, Gap) else {arn: one for one in identities.roles for arn in one.profiles}
    for info in () if isinstance(instances, Gap) else instances.instances:
        name = info.instance.name
        if info.profile_arn in by_profile:
            roles[name] = by_profile[info.profile_arn]
        if hosts_containers(info, attached.get(name, []), roles.get(name)):
            hosts.add(name)
    causes = [one for one in (instances, identities) if isinstance(one, Gap)]
    found: dict[str, SubnetWorkloads] = {}
    for name, here in sorted(held.items()):
        users = in_subnet.get(name, [])
        arns = {one.role_arn for one in users if one.role_arn is not None}
        unexplained: list[str] = []
        gaps: list[Gap] = []
        for one in here:
            known = one.instance_id or ""
            if known in roles:
                arns.add(roles[known].role.arn)
            if one.type.lower() == "lambda":
                explained = bool(users) and all(user.role_arn is not None for user in users)
            else:
                explained = known in roles and known not in hosts and not WORKLOAD_DESCRIPTION.match(one.description)
                gaps += causes if known and not explained else []
            if not explained:
                unexplained.append(one.id)
        gaps += [functions] if isinstance(functions, Gap) else []
        complete = not unexplained and isinstance(functions, Functions)
        found[name] = SubnetWorkloads(
            tuple(sorted(arns)), complete, tuple(sorted(unexplained)), gaps[0] if gaps else None
        )
    return Workloads(found)

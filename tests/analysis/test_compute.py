"""Which roles run in a subnet, and whether that is all that runs there."""

from typing import Any

import pytest

from auditor.analysis.compute import workloads
from auditor.facts import (
    FunctionInfo,
    Functions,
    Gap,
    Identities,
    InstanceInfo,
    Instances,
    NetworkInterface,
    NetworkInterfaces,
    Reason,
    RoleInfo,
    SubnetWorkloads,
)
from auditor.resources import Function, Instance, Role, Subnet
from tests.rules import ACCOUNT, REGION

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "aws:Nothing")
API, JOBS = "arn:aws:iam::111122223333:role/api", "arn:aws:iam::111122223333:role/jobs"


def profile(name: str) -> str:
    return f"arn:aws:iam::111122223333:instance-profile/{name}"


def eni(name: str, instance: str | None = "i-1", subnet: str = "subnet-1", **more: Any) -> NetworkInterface:
    given: dict[str, Any] = {"type": "interface", "status": "in-use", "instance_id": instance}
    return NetworkInterface(name, Subnet(REGION, subnet), "vpc-1", **given | more)


def vm(name: str = "i-1", held: str | None = "api", **tags: str) -> InstanceInfo:
    return InstanceInfo(Instance(REGION, name), "running", profile(held) if held else None, tags=tags)


def role(name: str, *, attached: tuple[str, ...] = ()) -> RoleInfo:
    return RoleInfo(Role(ACCOUNT, name), "{}", attached=attached, profiles=(profile(name),))


def fn(name: str, arn: str | None, *subnets: str) -> FunctionInfo:
    return FunctionInfo(Function(REGION, name), arn, subnets, "vpc-1" if subnets else None)


def found(
    *interfaces: NetworkInterface,
    instances: tuple[InstanceInfo, ...] | Gap = (),
    functions: tuple[FunctionInfo, ...] | Gap = (),
    roles: tuple[RoleInfo, ...] | Gap | None = None,
) -> dict[str, SubnetWorkloads]:
    known = (role("api"), role("jobs")) if roles is None else roles
    return dict(
        workloads(
            REGION,
            NetworkInterfaces(interfaces),
            instances if isinstance(instances, Gap) else Instances(instances),
            functions if isinstance(functions, Gap) else Functions(functions),
            known if isinstance(known, Gap) else Identities(roles=known),
        ).subnets
    )


def test_the_roles_of_instances_and_functions() -> None:
    assert found(
        eni("eni-1"),
        eni("eni-2", "i-2"),
        eni("eni-3", "i-3", subnet="subnet-2"),
        eni("eni-4", None, type="lambda", requester_managed=True, description="AWS Lambda VPC ENI-nightly-1"),
        instances=(vm("i-1"), vm("i-2"), vm("i-3")),
        functions=(fn("nightly", JOBS, "subnet-1"), fn("outside", "arn:aws:iam::111122223333:role/outside")),
    ) == {
        "subnet-1": SubnetWorkloads((API, JOBS), complete=True),
        "subnet-2": SubnetWorkloads((API,), complete=True),
    }


def test_subnets_without_workloads_are_left_out() -> None:
    assert found(eni("eni-1", None, type="nat_gateway"), eni("eni-2", status="available")) == {}


@pytest.mark.parametrize(
    "instance",
    [vm(held=None), vm(held="gone"), vm("i-other")],
    ids=["no profile", "a profile without a role", "an instance of another account"],
)
def test_an_instance_whose_role_is_not_known_is_unexplained(instance: InstanceInfo) -> None:
    held = found(eni("eni-2", "i-2"), eni("eni-1"), instances=(instance, vm("i-2")))
    assert held == {"subnet-1": SubnetWorkloads((API,), complete=False, unexplained=("eni-1",))}


def test_tasks_of_ecs_are_unexplained() -> None:
    task: dict[str, Any] = {
        "description": "arn:aws:ecs:eu-west-1:111122223333:attachment/0a1b",
        "requester_managed": True,
    }
    held = found(eni("eni-1", None, **task), eni("eni-2", None, type="branch"))
    assert held["subnet-1"] == SubnetWorkloads((), complete=False, unexplained=("eni-1", "eni-2"))


@pytest.mark.parametrize(
    ("instance", "attached", "description"),
    [
        (vm(**{"kubernetes.io/cluster/shop": "owned"}), (), ""),
        (vm(**{"aws:eks:cluster-name": "shop"}), (), ""),
        (vm(), ("arn:aws-cn:iam::aws:policy/AmazonEKSWorkerNodePolicy",), ""),
        (vm(), ("arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",), ""),
        (vm(), (), "aws-K8S-i-1"),
    ],
)
def test_containers_on_a_host_may_have_other_roles_than_the_host(
    instance: InstanceInfo, attached: tuple[str, ...], description: str
) -> None:
    held = found(
        eni("eni-1"),
        eni("eni-2", description=description),
        instances=(instance,),
        roles=(role("api", attached=attached),),
    )
    assert held["subnet-1"] == SubnetWorkloads((API,), complete=False, unexplained=("eni-1", "eni-2"))


def test_a_function_interface_needs_a_function_in_its_subnet() -> None:
    shared = eni("eni-1", None, type="lambda")
    assert not found(shared, functions=(fn("a", JOBS, "subnet-2"),))["subnet-1"].complete
    assert not found(shared, functions=(fn("a", JOBS, "subnet-1"), fn("b", None, "subnet-1")))["subnet-1"].complete


def test_what_could_not_be_read_is_told_where_it_matters() -> None:
    both = (eni("eni-1"), eni("eni-2", None, subnet="subnet-2", type="lambda"))
    jobs, one = fn("a", JOBS, "subnet-2"), vm()
    unread = SubnetWorkloads((), complete=False, unexplained=("eni-1",), gap=DENIED)
    for held in (
        found(*both, instances=DENIED, functions=(jobs,)),
        found(*both, instances=(one,), functions=(jobs,), roles=DENIED),
    ):
        assert held["subnet-1"] == unread
        assert held["subnet-2"] == SubnetWorkloads((JOBS,), complete=True)
    held = found(*both, instances=(one,), functions=DENIED)
    assert held["subnet-2"] == SubnetWorkloads((), complete=False, unexplained=("eni-2",), gap=DENIED)
    # An idle function has no interface.
    assert held["subnet-1"] == SubnetWorkloads((API,), complete=False, gap=DENIED)
    assert found(eni("eni-1"), instances=(one,), functions=(fn("idle", JOBS, "subnet-1"),))["subnet-1"] == (
        SubnetWorkloads((API, JOBS), complete=True)
    )

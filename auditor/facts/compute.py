"""Facts about what runs in an account: EC2 instances and Lambda functions, and with which credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from auditor.facts.base import Gap, fact
from auditor.resources import Function, Instance, Region, Resource


@dataclass(frozen=True, slots=True)
class InstanceInfo:
    """One EC2 instance.

    Attributes:
        state: ``State.Name``, lower case.
        profile_arn: ``IamInstanceProfile.Arn``.
        subnet_ids: ``SubnetId`` and ``NetworkInterfaces[].SubnetId``, sorted.
        vpc_id: ``VpcId``.
        http_tokens: ``MetadataOptions.HttpTokens``, lower case: required or optional; None when absent.
        http_endpoint: ``MetadataOptions.HttpEndpoint``, lower case; None when absent.
        tags: ``Tags``.
    """

    instance: Instance
    state: str
    profile_arn: str | None = None
    subnet_ids: tuple[str, ...] = ()
    vpc_id: str | None = None
    http_tokens: str | None = None
    http_endpoint: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@fact(Region, "ec2:DescribeInstances", lists=Instance, in_use_only=True)
@dataclass(frozen=True, slots=True)
class Instances:
    """The instances of a region that are not terminated (ec2:DescribeInstances)."""

    instances: tuple[InstanceInfo, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the instances."""
        yield from (one.instance for one in self.instances)


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """One Lambda function. Values of environment variables are looked at where the answer is read, and dropped.

    Attributes:
        role_arn: ``Role``.
        subnet_ids: ``VpcConfig.SubnetIds``, sorted.
        vpc_id: ``VpcConfig.VpcId``; None outside a VPC.
        key_variables: Names of environment variables that hold what looks like an access key, or whose names say
            that they hold a secret key.
        variables_unread: ``Environment.Error.ErrorCode``: AWS could not show the variables.
    """

    function: Function
    role_arn: str | None
    subnet_ids: tuple[str, ...] = ()
    vpc_id: str | None = None
    key_variables: tuple[str, ...] = ()
    variables_unread: str | None = None


@fact(Region, "lambda:ListFunctions", lists=Function, in_use_only=True)
@dataclass(frozen=True, slots=True)
class Functions:
    """The Lambda functions of a region (lambda:ListFunctions)."""

    functions: tuple[FunctionInfo, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the functions."""
        yield from (one.function for one in self.functions)


@dataclass(frozen=True, slots=True)
class SubnetWorkloads:
    """The roles that the workloads of a subnet run as.

    Attributes:
        roles: ARNs of the roles of its instances' profiles and of its functions, sorted.
        complete: The region's functions are known, every workload interface of the subnet belongs to an instance or a
            function whose role is known, and nothing else is known to run there, such as containers on the instance.
        unexplained: Ids of the other workload interfaces (such as those of ECS tasks), sorted.
        gap: What could not be read, where that leaves an interface unexplained or the functions unknown.
    """

    roles: tuple[str, ...]
    complete: bool
    unexplained: tuple[str, ...] = ()
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class Workloads:
    """Which roles the workloads of a region's subnets run as (derived).

    Attributes:
        subnets: By id: the subnets that hold network interfaces of workloads.
    """

    subnets: Mapping[str, SubnetWorkloads]

"""EC2 instances and Lambda functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from auditor.facts import FunctionInfo, Functions, InstanceInfo, Instances
from auditor.resources import Function, Instance, Region
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing


@collects(Instances, about=Region)
def instances(aws: Aws, region: Region) -> Yield:
    """Yield the instances, those that AWS manages too where the account may hide them."""
    try:
        found = _instances(aws, region, IncludeManagedResources=True)
    except Missing as missing:
        if missing.code not in ("InvalidParameter", "UnknownParameter", "ParamValidationError"):
            raise
        found = _instances(aws, region)
    yield region, Instances(tuple(sorted(found, key=lambda one: one.instance.arn)))


def _instances(aws: Aws, region: Region, **params: Any) -> list[InstanceInfo]:
    return [
        _instance(region, entry)
        for page in aws.pages("ec2:DescribeInstances", **params)
        for reservation in page.get("Reservations", [])
        for entry in reservation.get("Instances", [])
        # EC2 lists an instance for about an hour after it is gone.
        if _state(entry) != "terminated"
    ]


def _state(entry: Mapping[str, Any]) -> str:
    state: str = (entry.get("State") or {}).get("Name", "")
    return state.lower()


def _instance(region: Region, entry: Mapping[str, Any]) -> InstanceInfo:
    options = entry.get("MetadataOptions") or {}
    return InstanceInfo(
        instance=Instance(region, entry["InstanceId"]),
        state=_state(entry),
        profile_arn=(entry.get("IamInstanceProfile") or {}).get("Arn"),
        subnet_ids=tuple(sorted({one["SubnetId"] for one in _placed(entry) if one.get("SubnetId")})),
        vpc_id=entry.get("VpcId") or None,
        http_tokens=_lower(options.get("HttpTokens")),
        http_endpoint=_lower(options.get("HttpEndpoint")),
        tags={one["Key"]: one.get("Value", "") for one in entry.get("Tags") or []},
    )


def _placed(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what of an instance is in a subnet: itself and its interfaces, which may be in other ones."""
    yield entry
    yield from entry.get("NetworkInterfaces") or []


def _lower(value: str | None) -> str | None:
    return value.lower() if value else None


@collects(Functions, about=Region)
def functions(aws: Aws, region: Region) -> Yield:
    """Yield the functions, as their unpublished versions are configured."""
    found = [
        _function(region, entry)
        for page in aws.pages("lambda:ListFunctions")
        # An answer without the list says nothing, and not that there are no functions.
        for entry in page["Functions"]
    ]
    yield region, Functions(tuple(sorted(found, key=lambda one: one.function.arn)))


def _function(region: Region, entry: Mapping[str, Any]) -> FunctionInfo:
    # The values of the variables must not leave this function, nor stand in a message.
    network, environment = entry.get("VpcConfig") or {}, entry.get("Environment") or {}
    error = environment.get("Error")
    return FunctionInfo(
        function=Function(region, entry["FunctionName"]),
        role_arn=entry.get("Role") or None,
        subnet_ids=tuple(sorted(network.get("SubnetIds") or [])),
        vpc_id=network.get("VpcId") or None,
        key_variables=tuple(sorted(_key_variables(environment.get("Variables") or {}))),
        variables_unread=None if error is None else error.get("ErrorCode") or "unknown",
    )


#: An access key id, long-lived (AKIA) or temporary (ASIA), anywhere in a value (IAM User Guide, "IAM identifiers").
_KEY_ID = re.compile(r"(?<![A-Za-z0-9])A(?:K|S)IA[A-Z0-9]{16}(?![A-Za-z0-9])")

#: What says where a secret is kept instead of being one: the name of a parameter or secret.
_REFERENCE = re.compile(r"arn:.*|[\w.-]*/[\w./-]*", re.DOTALL)

#: Characters of a secret access key.
_SECRET_LENGTH = 40


def _key_variables(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of variables that hold an access key id, or whose names say that they hold a secret key."""
    for name, value in variables.items():
        text = str(value)
        named = "secretaccesskey" in re.sub(r"[^a-z]", "", name.lower())
        elsewhere = len(text) != _SECRET_LENGTH and _REFERENCE.fullmatch(text)
        if _KEY_ID.search(text) or (named and text.strip() and not elsewhere):
            yield name

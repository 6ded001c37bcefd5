"""VPC endpoints of DynamoDB as resources of their own."""

import json
from typing import Any

import boto3
import pytest

from auditor.facts import Endpoint, Gap, VpcEndpoints
from auditor.inventory import dumps, loads
from auditor.resources import Region, VpcEndpoint
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer, create_table

HERE = Region(ACCOUNT, "eu-west-1")
LIST = "ec2:DescribeVpcEndpoints"


@pytest.fixture(autouse=True)
def table(moto: None) -> None:
    """The network is read where there are tables."""
    create_table("orders")


def entry(number: int, service: str, **members: Any) -> dict[str, Any]:
    named = {"VpcEndpointId": f"vpce-{number}", "VpcId": "vpc-1", "State": "available"}
    return named | {"VpcEndpointType": "Interface", "ServiceName": f"com.amazonaws.eu-west-1.{service}"} | members


def endpoints(*numbers: int) -> list[VpcEndpoint]:
    return [VpcEndpoint(HERE, f"vpce-{number}") for number in numbers]


def test_only_the_endpoints_of_dynamodb_are_resources_and_stay_so_in_a_snapshot(
    gather_facts: Gather, access: Access
) -> None:
    services = ["dynamodb", "dynamodb-fips", "dynamodb-streams", "s3", "dynamodb-extra", "not-dynamodb"]
    answer(access, LIST, {"VpcEndpoints": [entry(number, service) for number, service in enumerate(services)]})
    inventory = gather_facts(VpcEndpoint, VpcEndpoints)
    assert inventory.of_kind(VpcEndpoint) == endpoints(0, 1, 2)
    assert len(inventory.facts[VpcEndpoints][HERE].endpoints) == len(services)
    again = loads(dumps(inventory, "1"))
    assert again.of_kind(VpcEndpoint) == endpoints(0, 1, 2)
    assert again.facts == inventory.facts


def test_services_of_other_partitions_and_of_somebody_else(gather_facts: Gather, access: Access) -> None:
    china = entry(0, "", ServiceName="cn.com.amazonaws.cn-north-1.dynamodb")
    customer = entry(1, "", ServiceName="com.amazonaws.vpce.eu-west-1.vpce-svc-0123456789abcdef0")
    answer(access, LIST, {"VpcEndpoints": [china, customer]})
    assert gather_facts(VpcEndpoint, VpcEndpoints).of_kind(VpcEndpoint) == endpoints(0)


def test_endpoints_of_the_pages_before_a_denied_one_stay_known(gather_facts: Gather, access: Access) -> None:
    first = {"VpcEndpoints": [entry(0, "dynamodb")], "NextToken": "next"}
    answer(access, LIST, first, "UnauthorizedOperation")
    inventory = gather_facts(VpcEndpoint, VpcEndpoints)
    gap = inventory.facts[VpcEndpoints][HERE]
    assert isinstance(gap, Gap)
    assert gap.action == LIST
    assert inventory.of_kind(VpcEndpoint) == endpoints(0)


def test_an_endpoints_policy_is_kept_as_text(gather_facts: Gather) -> None:
    client = boto3.client("ec2")
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = client.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.eu-west-1.dynamodb", PolicyDocument=policy)[
        "VpcEndpoint"
    ]["VpcEndpointId"]
    inventory = gather_facts(VpcEndpoint, VpcEndpoints)
    assert inventory.of_kind(VpcEndpoint) == [VpcEndpoint(HERE, made)]
    (found,) = inventory.facts[VpcEndpoints][HERE].endpoints
    assert isinstance(found, Endpoint)
    assert found.policy is not None
    assert json.loads(found.policy) == json.loads(policy)

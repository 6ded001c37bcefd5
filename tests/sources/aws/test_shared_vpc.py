"""A VPC that a network account without tables shares: its routes decide, and it is asked for them."""

from typing import Any

from botocore.loaders import Loader

from auditor import engine
from auditor.facts import RouteTables
from auditor.inventory import Caller
from auditor.resources import Account, Region, Subnet, Vpc
from auditor.rule_api import Status
from auditor.sources.aws.collect import collect
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access
from auditor.sources.demo import _session
from tests.example import settings
from tests.sources.aws.conftest import chosen

PARTICIPANT, OWNER = Account("111122223333"), Account("444455556666")
WHERE = "eu-west-1"


def test_the_owner_of_a_shared_vpc_is_asked_for_its_routes_though_it_has_no_tables(moto: None) -> None:
    loader = Loader()
    user, owner = (_session(account.id, loader) for account in (PARTICIPANT, OWNER))
    ec2 = owner.client("ec2", region_name=WHERE)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    ec2.create_route(RouteTableId=tables[0]["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    user.client("dynamodb", region_name=WHERE).create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    accesses = [Access(PARTICIPANT, "user", user, Pacer("off")), Access(OWNER, "network", owner, Pacer("off"))]
    seen: dict[str, tuple[str, dict[str, Any]]] = {
        "DescribeVpcs": ("Vpcs", {"VpcId": vpc, "OwnerId": OWNER.id}),
        "DescribeSubnets": (
            "Subnets",
            {
                "SubnetId": subnet, "VpcId": vpc, "OwnerId": OWNER.id,
                "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
            },
        ),
        "DescribeNetworkInterfaces": (
            "NetworkInterfaces",
            {
                "NetworkInterfaceId": "eni-1", "SubnetId": subnet, "VpcId": vpc, "Status": "in-use",
                "InterfaceType": "interface", "Attachment": {"InstanceId": "i-1"},
                "Association": {"PublicIp": "192.0.2.1"},
            },
        ),
    }  # fmt: skip

    def share(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        if model.name in seen:
            name, entry = seen[model.name]
            parsed[name] = [entry]

    accesses[0].client("ec2", WHERE).meta.events.register("after-call.ec2", share)
    accesses[1].client("ec2", WHERE).meta.events.register("after-call.ec2.DescribeSubnets", share)
    rules = chosen("network-*")
    inventory = collect(accesses, Caller(PARTICIPANT.id, "arn"), [WHERE], engine.wanted(rules.values()), waits=())
    assert isinstance(inventory.facts[RouteTables][Region(OWNER, WHERE)], RouteTables)
    findings = {one.resource: one for one in engine.judge(inventory, rules, settings()).findings}
    region = Region(OWNER, WHERE)
    assert findings[Subnet(region, subnet)].status is Status.FAIL
    assert findings[Subnet(region, subnet)].evidence["path"] == "igw"
    assert findings[Vpc(region, vpc)].status is Status.FAIL

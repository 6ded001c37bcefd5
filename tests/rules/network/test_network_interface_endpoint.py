"""network-interface-endpoint: who gets in, whose names are overridden, how many zones, and what is not known."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import (
    Endpoint,
    Gap,
    Permission,
    PrefixLists,
    PrivateZones,
    Reason,
    SecurityGroup,
    SecurityGroups,
    VpcEndpoints,
)
from auditor.resources import Account, Region, VpcEndpoint
from tests.rules import REGION, load

judge: Any = load("network-interface-endpoint")

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeSecurityGroups")
ZONES_DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "route53:ListHostedZonesByVPC")
HTTPS = Permission("tcp", 443, 443, ("10.0.0.0/16",))
NO_ZONES = PrivateZones({"vpc-1": ()})


def ask(
    *ingress: Permission,
    groups: SecurityGroups | Gap | None = None,
    zones: PrivateZones | Gap = NO_ZONES,
    region: Region = REGION,
    service: str = "com.amazonaws.eu-west-1.dynamodb",
    **members: Any,
) -> Verdict | None:
    given: dict[str, Any] = {
        "type": "Interface",
        "state": "available",
        "subnet_ids": ("subnet-1", "subnet-2"),
        "security_groups": ("sg-1",),
        "dns_name": "vpce-1-0a1b.dynamodb.eu-west-1.vpce.amazonaws.com",
        **members,
    }
    resource = VpcEndpoint(region, "vpce-1")
    endpoint = Endpoint("vpce-1", "vpc-1", service=service, resource=resource, **given)
    held = groups or SecurityGroups({"sg-1": SecurityGroup("sg-1", "endpoint", "vpc-1", ingress)})
    answer: Verdict | None = judge(resource, VpcEndpoints((endpoint,)), held, PrefixLists(()), zones)
    return answer


def decided(*ingress: Permission, **given: Any) -> Verdict:
    verdict = ask(*(ingress or (HTTPS,)), **given)
    assert verdict is not None
    return verdict


def test_a_confined_endpoint_in_two_zones_passes_and_says_what_clients_must_set() -> None:
    verdict = decided()
    assert verdict.status is Status.PASS
    assert verdict.evidence["endpoint_url"] == "https://vpce-1-0a1b.dynamodb.eu-west-1.vpce.amazonaws.com"
    assert verdict.evidence["admitted"][0]["source"] == "10.0.0.0/16"


@pytest.mark.parametrize("block", ["0.0.0.0/0", "::/0"])
def test_open_to_everybody_fails_with_medium(block: str) -> None:
    verdict = decided(Permission("tcp", 443, 443, ("10.0.0.0/16", block)))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert "sg-1" in verdict.message
    assert block in verdict.message
    assert decided(Permission("-1", None, None, (block,))).severity is Severity.MEDIUM


@pytest.mark.parametrize(
    "permission",
    [
        # The addresses of an office behind a VPN are what such an endpoint is for.
        Permission("tcp", 443, 443, ("172.16.0.0/12", "198.51.100.0/24")),
        Permission("tcp", 443, 443, groups=(("", "sg-app"),)),
        Permission("tcp", 22, 22, ("0.0.0.0/0",)),
    ],
)
def test_networks_on_premises_and_security_groups_are_clients(permission: Permission) -> None:
    assert decided(HTTPS, permission).status is Status.PASS


@pytest.mark.parametrize("permission", [Permission("tcp", 80, 80, ("0.0.0.0/0",)), Permission("udp", 443, 443)])
def test_letting_nobody_in_fails_low(permission: Permission) -> None:
    verdict = decided(permission)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert "nobody" in verdict.message


@pytest.mark.parametrize(
    ("subnets", "status"), [(3, Status.PASS), (2, Status.PASS), (1, Status.FAIL), (0, Status.FAIL)]
)
def test_a_single_zone_fails_low(subnets: int, status: Status) -> None:
    verdict = decided(subnet_ids=tuple(f"subnet-{number}" for number in range(subnets)))
    assert verdict.status is status
    assert verdict.severity is (Severity.LOW if status is Status.FAIL else None)


OVERRIDING = [
    "dynamodb.eu-west-1.amazonaws.com",
    "eu-west-1.amazonaws.com",
    "amazonaws.com",
    "streams.dynamodb.eu-west-1.amazonaws.com",
    "dynamodb-fips.eu-west-1.amazonaws.com",
    "111122223333.ddb.eu-west-1.amazonaws.com",
    "999988887777.ddb.eu-west-1.amazonaws.com",
    "ddb.eu-west-1.amazonaws.com",
    "dynamodb.eu-west-1.api.aws",
    "api.aws",
    "dynamodb-fips.eu-west-1.api.aws",
    "999988887777.ddb.eu-west-1.api.aws",
    "ddb.eu-west-1.api.aws",
    "streams.dynamodb-fips.eu-west-1.amazonaws.com",
    "streams-dynamodb.eu-west-1.api.aws",
    "999988887777.streams-ddb.eu-west-1.amazonaws.com",
    "streams-ddb.eu-west-1.amazonaws.com",
    "search-dynamodb.eu-west-1.amazonaws.com",
    "111122223333.search-ddb.eu-west-1.api.aws",
]
HARMLESS = [
    "shop.internal",
    "dynamodb.eu-central-1.amazonaws.com",
    "s3.eu-west-1.amazonaws.com",
    "orders.dynamodb.eu-west-1.amazonaws.com",
    "xdynamodb.eu-west-1.amazonaws.com",
    "b.eu-west-1.amazonaws.com",
    "1.ddb.eu-west-1.amazonaws.com",
    "999988887777.xddb.eu-west-1.amazonaws.com",
    "xstreams-dynamodb.eu-west-1.api.aws",
    "vpce.amazonaws.com",
]


@pytest.mark.parametrize("name", OVERRIDING)
def test_a_hosted_zone_for_a_name_of_dynamodb_or_a_parent_fails_with_medium(name: str) -> None:
    verdict = decided(zones=PrivateZones({"vpc-1": (("shop.internal", "Z1"), (name, "Z2"))}))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert f"{name} (Z2)" in verdict.message
    assert verdict.evidence["HostedZones"] == [{"Name": name, "HostedZoneId": "Z2"}]


@pytest.mark.parametrize("name", HARMLESS)
def test_other_hosted_zones_do_not_matter(name: str) -> None:
    assert decided(zones=PrivateZones({"vpc-1": ((name, "Z1"),)})).status is Status.PASS


def test_an_endpoint_for_another_region_has_the_names_of_both() -> None:
    members: dict[str, Any] = {"service": "com.amazonaws.us-east-1.dynamodb", "service_region": "us-east-1"}
    for name, status in (
        ("dynamodb.us-east-1.amazonaws.com", Status.FAIL),
        ("dynamodb.eu-west-1.amazonaws.com", Status.FAIL),
        ("dynamodb.us-west-2.amazonaws.com", Status.PASS),
    ):
        assert decided(zones=PrivateZones({"vpc-1": ((name, "Z1"),)}), **members).status is status


def test_zones_that_were_not_returned_are_unknown() -> None:
    verdict = decided(zones=PrivateZones({"vpc-2": ()}))
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "partial_data")


def test_a_hosted_zone_of_another_vpc_does_not_matter() -> None:
    zones = PrivateZones({"vpc-1": (), "vpc-2": ((OVERRIDING[0], "Z1"),)})
    assert decided(zones=zones).status is Status.PASS


@pytest.mark.parametrize(
    ("partition", "region", "name", "other"),
    [
        ("aws-cn", "cn-north-1", "dynamodb.cn-north-1.amazonaws.com.cn", "dynamodb.cn-north-1.amazonaws.com"),
        ("aws-cn", "cn-north-1", "dynamodb.cn-north-1.api.amazonwebservices.com.cn", "api.aws"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.amazonaws.com", "us-gov-west-1.amazonaws.com.cn"),
        ("aws-iso", "us-iso-east-1", "dynamodb.us-iso-east-1.c2s.ic.gov", "dynamodb.us-iso-east-1.amazonaws.com"),
        ("aws-iso-b", "us-isob-east-1", "us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1.c2s.ic.gov"),
        ("aws-iso-e", "eu-isoe-west-1", "dynamodb.eu-isoe-west-1.cloud.adc-e.uk", "api.aws"),
        ("aws-iso-f", "us-isof-south-1", "dynamodb.us-isof-south-1.api.aws.hci.ic.gov", "api.aws"),
        ("aws-eusc", "eusc-de-east-1", "dynamodb.eusc-de-east-1.amazonaws.eu", "amazonaws.com"),
    ],
)
def test_names_of_other_partitions(partition: str, region: str, name: str, other: str) -> None:
    where = Region(Account("111122223333", partition), region)
    prefix = "cn.com.amazonaws" if partition == "aws-cn" else "com.amazonaws"
    for zone, status in ((name, Status.FAIL), (other, Status.PASS)):
        zones = PrivateZones({"vpc-1": ((zone, "Z1"),)})
        assert decided(zones=zones, region=where, service=f"{prefix}.{region}.dynamodb").status is status


def test_an_endpoint_of_daxs_management_api_supports_private_dns_so_zones_are_no_matter() -> None:
    service = "com.amazonaws.eu-west-1.dax"
    for zones in (PrivateZones({"vpc-1": ((OVERRIDING[1], "Z1"),)}), PrivateZones(), ZONES_DENIED):
        assert decided(zones=zones, service=service).status is Status.PASS
    assert decided(Permission("tcp", 443, 443, ("0.0.0.0/0",)), service=service).status is Status.FAIL
    assert "endpoint_url" not in decided(service=service, private_dns=True).evidence


def test_the_worst_problem_decides_and_all_are_evidence() -> None:
    zones = PrivateZones({"vpc-1": ((OVERRIDING[0], "Z1"),)})
    verdict = decided(Permission("tcp", 80, 80), zones=zones, subnet_ids=("subnet-1",))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert len(verdict.evidence["problems"]) == 3


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({"groups": DENIED}, "ec2:DescribeSecurityGroups"),
        ({"security_groups": ("sg-1", "sg-gone")}, "ec2:DescribeSecurityGroups"),
        ({"security_groups": ()}, None),
        ({"zones": ZONES_DENIED}, "route53:ListHostedZonesByVPC"),
        ({"zones": PrivateZones({}, {"vpc-1": ZONES_DENIED})}, "route53:ListHostedZonesByVPC"),
    ],
)
def test_what_was_not_returned_makes_it_unknown_unless_something_is_wrong(
    given: dict[str, Any], action: str | None
) -> None:
    verdict = decided(**given)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, action)
    assert decided(subnet_ids=("subnet-1",), **given).status is Status.FAIL


def test_gateway_endpoints_have_no_finding_and_those_that_are_not_available_are_not_judged() -> None:
    assert ask(HTTPS, type="Gateway") is None
    assert decided(state="pendingacceptance").status is Status.NOT_APPLICABLE
    assert judge(VpcEndpoint(REGION, "vpce-2"), VpcEndpoints(()), DENIED, PrefixLists(()), ZONES_DENIED) is None

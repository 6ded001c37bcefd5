"""AWS's answers about networks, trails, DAX and Config: what is left out, spelled otherwise or another's."""

from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from auditor.facts import (
    BlockPublicAccess,
    ConfigDelivery,
    ConfigRecorder,
    ConfigRecorders,
    DaxSubnetGroup,
    DaxSubnetGroups,
    EventDataStore,
    EventDataStores,
    FieldSelector,
    Gap,
    NatGateway,
    PrefixList,
    Reason,
    RecorderStatus,
    Route,
    SubnetInfo,
    TrailSelectors,
    TrailStatus,
    Vpcs,
)
from auditor.resources import Account, Region, Subnet, Trail, Vpc
from auditor.sources.aws import cloudtrail, config_service, dax, ec2
from auditor.sources.aws.session import Missing

REGION = Region(Account("111122223333"), "eu-west-1")
OWNER = Region(Account("444455556666"), "eu-west-1")
DDB = "com.amazonaws.eu-west-1.dynamodb"
MODELS = botocore.session.get_session()


class Canned:
    """Answers operations with what a test gives, in AWS's shapes; an exception is raised, None is "there is none"."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers, self.asked = answers, list[tuple[str, dict[str, Any]]]()

    def call(self, operation: str, **params: Any) -> Any:
        self.asked.append((operation, params))
        answer = self.answers[operation]
        if callable(answer):
            answer = answer(params)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            assert params["absent"], "only an error code that means so makes an answer None"
            return None
        service, _, name = operation.partition(":")
        shape = MODELS.get_service_model(service).operation_model(name).output_shape
        report = ParamValidator().validate(answer, shape)
        assert not report.has_errors(), report.generate_report()
        return answer

    def pages(self, operation: str, **params: Any) -> list[Any]:
        return [self.call(operation, **params)]


def ask(collector: Callable[..., Any], resource: Any = REGION, **answers: Any) -> Any:
    """Return the first fact that a collector yields; answers are keyed ``service__Operation``."""
    canned = Canned({key.replace("__", ":"): value for key, value in answers.items()})
    return next(fact for _, fact in collector(canned, resource) if fact is not None)


def denied(operation: str) -> Missing:
    return Missing(Gap(Reason.ACCESS_DENIED, "Not allowed.", operation), "UnauthorizedOperation", operation, "")


def test_what_another_account_shares_keeps_its_owners_arn() -> None:
    entries = [{"VpcId": "vpc-1", "OwnerId": "444455556666"}, {"VpcId": "vpc-2", "IsDefault": True}]
    found = ask(ec2.vpcs, ec2__DescribeVpcs={"Vpcs": entries})
    assert isinstance(found, Vpcs)
    assert {one.vpc: one.default for one in found.vpcs} == {Vpc(OWNER, "vpc-1"): False, Vpc(REGION, "vpc-2"): True}


def test_subnets_and_their_block_public_access() -> None:
    own = {"SubnetId": "subnet-1", "VpcId": "vpc-1", "OwnerId": "444455556666"}
    stated = {"SubnetId": "subnet-2", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "eu-west-1a"}
    stated |= {"BlockPublicAccessStates": {"InternetGatewayBlockMode": "Block-Ingress"}}  # type: ignore[dict-item]
    canned = Canned(
        {
            "ec2:DescribeSubnets": {"Subnets": [own, stated]},
            "ec2:DescribeVpcBlockPublicAccessOptions": {
                "VpcBlockPublicAccessOptions": {"InternetGatewayBlockMode": "block-bidirectional"}
            },
        }
    )
    (_, found), (_, region) = ec2.subnets(canned, REGION)
    assert set(found.subnets) == {
        SubnetInfo(Subnet(OWNER, "subnet-1"), "vpc-1"),
        SubnetInfo(Subnet(REGION, "subnet-2"), "vpc-1", "10.0.0.0/24", False, "eu-west-1a", "block-ingress"),
    }
    assert region == BlockPublicAccess("block-bidirectional")
    only = Canned({"ec2:DescribeSubnets": {"Subnets": [stated]}})
    assert [fact for _, fact in ec2.subnets(only, REGION)][1] == BlockPublicAccess("off")


@pytest.mark.parametrize(
    ("entry", "route"),
    [
        ({"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}, Route("10.0.0.0/16", "local")),
        ({"DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1", "State": "active"}, Route("pl-1", "vpce-1")),
        (
            {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"},
            Route("0.0.0.0/0", "nat-1", active=False),
        ),
        (
            {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "n", "State": "filtered"},
            Route("0.0.0.0/0", "n", False),
        ),
        (
            {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "Active"},
            Route("::/0", "eigw-1"),
        ),
        (
            {"DestinationCidrBlock": "0.0.0.0/0", "InstanceId": "i-1", "NetworkInterfaceId": "eni-1"},
            Route("0.0.0.0/0", "eni-1"),
        ),
        (
            {"DestinationCidrBlock": "52.0.0.0/8", "GatewayId": "vgw-1", "Origin": "EnableVgwRoutePropagation"},
            Route("52.0.0.0/8", "vgw-1", propagated=True),
        ),
        (
            {"DestinationCidrBlock": "52.0.0.0/8", "NetworkInterfaceId": "eni-1", "Origin": "Advertisement"},
            Route("52.0.0.0/8", "eni-1", propagated=True),
        ),
        ({"DestinationCidrBlock": "0.0.0.0/0", "TransitGatewayId": "tgw-1"}, Route("0.0.0.0/0", "tgw-1")),
        ({"DestinationCidrBlock": "0.0.0.0/0"}, Route("0.0.0.0/0", "")),
    ],
)
def test_routes(entry: dict[str, Any], route: Route) -> None:
    answer = {"RouteTables": [{"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Routes": [entry]}]}
    assert ask(ec2.route_tables, ec2__DescribeRouteTables=answer).tables[0].routes == (route,)


def test_only_associations_in_force_with_subnets_or_the_vpc_count() -> None:
    associations = [
        {"Main": True, "AssociationState": {"State": "associated"}},
        {"SubnetId": "subnet-1"},
        {"SubnetId": "subnet-2", "AssociationState": {"State": "Associated"}},
        {"SubnetId": "subnet-3", "AssociationState": {"State": "disassociated"}},
        {"GatewayId": "igw-1", "AssociationState": {"State": "associated"}},
    ]
    tables = [
        {"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Associations": associations},
        {"RouteTableId": "rtb-2", "VpcId": "vpc-1"},
    ]
    first, second = ask(ec2.route_tables, ec2__DescribeRouteTables={"RouteTables": tables}).tables
    assert (first.main, first.subnet_ids) == (True, ("subnet-1", "subnet-2"))
    assert (second.main, second.subnet_ids, second.routes) == (False, (), ())


def test_endpoints_fold_their_state_and_private_dns_for_resolvers_only_is_none() -> None:
    entries = [
        {"VpcEndpointId": "vpce-1", "VpcId": "vpc-1", "ServiceName": DDB, "State": "Available"},
        {
            "VpcEndpointId": "vpce-2",
            "VpcEndpointType": "Interface",
            "State": "pendingAcceptance",
            "PrivateDnsEnabled": True,
            "DnsOptions": {"PrivateDnsOnlyForInboundResolverEndpoint": True},
        },
        {"VpcEndpointId": "vpce-3", "VpcEndpointType": "Interface", "PrivateDnsEnabled": True},
    ]
    found = ask(ec2.vpc_endpoints, ec2__DescribeVpcEndpoints={"VpcEndpoints": entries}).endpoints
    assert [(one.type, one.state, one.private_dns, one.service_region) for one in found] == [
        ("Gateway", "available", False, None),
        ("Interface", "pendingacceptance", False, None),
        ("Interface", "", True, None),
    ]


def test_a_nat_gateway_is_public_by_default_and_a_regional_one_has_no_subnet() -> None:
    entries = [{"NatGatewayId": "nat-1"}, {"NatGatewayId": "nat-2", "ConnectivityType": "Private", "SubnetId": "s"}]
    found = ask(ec2.nat_gateways, ec2__DescribeNatGateways={"NatGateways": entries}).gateways
    assert found == (NatGateway("nat-1", "", "public", "", None), NatGateway("nat-2", "", "private", "", "s"))


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ({}, None),
        ({"Association": {"PublicIp": "198.51.100.7"}}, "198.51.100.7"),
        ({"PrivateIpAddresses": [{"Primary": True}, {"Association": {"PublicIp": "198.51.100.8"}}]}, "198.51.100.8"),
    ],
)
def test_an_interface_is_public_by_any_of_its_addresses(entry: dict[str, Any], address: str | None) -> None:
    entries = [{"NetworkInterfaceId": "eni-1", "SubnetId": "subnet-1", **entry}, {"NetworkInterfaceId": "eni-2"}]
    answer = {"NetworkInterfaces": entries}
    (found,) = ask(ec2.network_interfaces, ec2__DescribeNetworkInterfaces=answer).interfaces
    assert (found.type, found.source_dest_check, found.public_ip) == ("interface", True, address)


def test_interfaces_are_asked_again_without_a_parameter_that_is_not_known() -> None:
    def answer(params: dict[str, Any]) -> Any:
        if "IncludeManagedResources" in params:
            return Missing(Gap(Reason.TRANSIENT, ""), "UnknownParameter", "ec2:DescribeNetworkInterfaces", "")
        return {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "SubnetId": "subnet-1"}]}

    assert len(ask(ec2.network_interfaces, ec2__DescribeNetworkInterfaces=answer).interfaces) == 1
    with pytest.raises(Missing):
        ask(ec2.network_interfaces, ec2__DescribeNetworkInterfaces=denied("ec2:DescribeNetworkInterfaces"))


MANAGED = {
    "PrefixLists": [
        {"PrefixListId": "pl-1", "PrefixListName": DDB, "OwnerId": "AWS"},
        {"PrefixListId": "pl-2", "PrefixListName": "com.amazonaws.eu-west-1.s3", "OwnerId": "AWS"},
        {"PrefixListId": "pl-3", "PrefixListName": "partners", "OwnerId": "111122223333"},
    ]
}
PLAIN = {"PrefixLists": [{"PrefixListId": "pl-1", "PrefixListName": DDB, "Cidrs": ["52.94.0.0/22"]}]}


def test_entries_are_read_of_dynamodbs_list_and_the_customers_only() -> None:
    entries = {"Entries": [{"Cidr": "52.94.4.0/22"}, {"Cidr": "52.94.0.0/22"}]}
    found = ask(
        ec2.prefix_lists, ec2__DescribeManagedPrefixLists=MANAGED, ec2__GetManagedPrefixListEntries=entries
    ).lists
    cidrs = ("52.94.0.0/22", "52.94.4.0/22")
    assert found == (
        PrefixList("pl-1", DDB, "AWS", cidrs),
        PrefixList("pl-2", "com.amazonaws.eu-west-1.s3", "AWS", ()),
        PrefixList("pl-3", "partners", "111122223333", cidrs),
    )


def test_where_managed_lists_are_denied_awss_plain_ones_serve_and_the_first_denial_is_named() -> None:
    first, second = denied("ec2:DescribeManagedPrefixLists"), denied("ec2:DescribePrefixLists")
    found = ask(ec2.prefix_lists, ec2__DescribeManagedPrefixLists=first, ec2__DescribePrefixLists=PLAIN)
    assert found.lists == (PrefixList("pl-1", DDB, "AWS", ("52.94.0.0/22",)),)
    with pytest.raises(Missing) as raised:
        ask(ec2.prefix_lists, ec2__DescribeManagedPrefixLists=first, ec2__DescribePrefixLists=second)
    assert raised.value.gap.action == "ec2:DescribeManagedPrefixLists"


TRAIL = Trail(Region(Account("444455556666"), "us-east-1"), "org")


def test_shadow_trails_are_asked_for_and_stand_at_home_with_their_owner() -> None:
    canned = Canned(
        {"cloudtrail:DescribeTrails": {"trailList": [{"TrailARN": TRAIL.arn, "IsOrganizationTrail": True}]}}
    )
    ((_, found),) = cloudtrail.trails(canned, REGION)
    assert canned.asked == [("cloudtrail:DescribeTrails", {"includeShadowTrails": True})]
    (one,) = found.trails
    assert (one.trail, one.multi_region, one.validation, one.organization, one.kms_key) == (
        TRAIL, False, False, True, None,
    )  # fmt: skip


def test_empty_delivery_errors_are_none_and_the_trail_is_asked_by_arn() -> None:
    answer = {"IsLogging": True, "LatestDeliveryError": "", "LatestDigestDeliveryError": "NoSuchBucket"}
    canned = Canned({"cloudtrail:GetTrailStatus": answer})
    assert list(cloudtrail.trail_status(canned, TRAIL)) == [(TRAIL, TrailStatus(True, None, "NoSuchBucket"))]
    assert canned.asked == [("cloudtrail:GetTrailStatus", {"Name": TRAIL.arn})]


def test_selectors_of_both_kinds() -> None:
    assert ask(cloudtrail.trail_selectors, TRAIL, cloudtrail__GetEventSelectors={}) == TrailSelectors()
    plain = ask(cloudtrail.trail_selectors, TRAIL, cloudtrail__GetEventSelectors={"EventSelectors": [{}]}).classic[0]
    assert (plain.read_write, plain.management, plain.excluded_sources) == ("All", True, ())
    named = [("AWS::DynamoDB::Table", "a"), ("AWS::S3::Object", "b"), ("AWS::DynamoDB::Table", "c")]
    answer: dict[str, Any] = {
        "EventSelectors": [{"DataResources": [{"Type": kind, "Values": [arn]} for kind, arn in named]}]
    }
    (plain,) = ask(cloudtrail.trail_selectors, TRAIL, cloudtrail__GetEventSelectors=answer).classic
    assert plain.data_resources == {"AWS::DynamoDB::Table": ("a", "c"), "AWS::S3::Object": ("b",)}
    fields = [{"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]}]
    answer = {"AdvancedEventSelectors": [{"FieldSelectors": fields}]}
    ((field,),) = ask(cloudtrail.trail_selectors, TRAIL, cloudtrail__GetEventSelectors=answer).advanced
    assert (field.field, field.not_equals, field.equals) == ("eventSource", ("kms.amazonaws.com",), ())


STORE = "arn:aws:cloudtrail:eu-west-1:111122223333:eventdatastore/"
LIST, GET = "cloudtrail:ListEventDataStores", "cloudtrail:GetEventDataStore"


def listed(*names: str, token: str | None = None) -> dict[str, Any]:
    entries = [{"EventDataStoreArn": STORE + name, "Name": name} for name in names]
    return {"EventDataStores": entries} | ({"NextToken": token} if token else {})


def test_every_page_of_event_data_stores_is_read_and_each_is_asked_by_arn() -> None:
    pages = {None: listed("backup", token="next"), "next": listed("archive")}
    fields = [{"Field": "eventCategory", "Equals": ["Management"]}]
    details = {
        STORE + "archive": {"Name": "archive", "Status": "Stopped_Ingestion"},
        STORE + "backup": {
            "Name": "backup",
            "Status": "ENABLED",
            "MultiRegionEnabled": True,
            "OrganizationEnabled": True,
            "AdvancedEventSelectors": [{"FieldSelectors": fields}],
        },
    }
    canned = Canned(
        {
            LIST: lambda params: pages[params.get("NextToken")],
            GET: lambda params: details[params["EventDataStore"]],
        }
    )
    selectors = ((FieldSelector("eventCategory", equals=("Management",)),),)
    assert list(cloudtrail.event_data_stores(canned, REGION)) == [
        (
            REGION,
            EventDataStores(
                (
                    EventDataStore(STORE + "archive", "archive", "STOPPED_INGESTION", False, False, ()),
                    EventDataStore(STORE + "backup", "backup", "ENABLED", True, True, selectors),
                )
            ),
        )
    ]


def test_no_event_data_stores_is_an_answer_and_a_denied_listing_is_none() -> None:
    assert ask(cloudtrail.event_data_stores, cloudtrail__ListEventDataStores={}) == EventDataStores()
    with pytest.raises(Missing) as raised:
        ask(cloudtrail.event_data_stores, cloudtrail__ListEventDataStores=denied(LIST))
    assert raised.value.gap.action == LIST


def test_an_event_data_store_that_cannot_be_read_hides_no_other_and_the_failure_is_reported() -> None:
    answers = {STORE + "archive": denied(GET), STORE + "backup": {"Name": "backup", "Status": "ENABLED"}}
    canned = Canned({LIST: listed("archive", "backup"), GET: lambda params: answers[params["EventDataStore"]]})
    found = iter(cloudtrail.event_data_stores(canned, REGION))
    _, fact = next(found)
    assert [one.name for one in fact.stores] == ["backup"]
    assert {arn: gap.action for arn, gap in fact.unread.items()} == {STORE + "archive": GET}
    with pytest.raises(Missing):
        next(found)


def test_an_event_data_store_that_went_away_is_left_out() -> None:
    canned = Canned({LIST: listed("archive"), GET: None})
    assert list(cloudtrail.event_data_stores(canned, REGION)) == [(REGION, EventDataStores())]
    assert canned.asked[-1][1]["absent"] == ("EventDataStoreNotFoundException",)


TABLES, ALL = "AWS::DynamoDB::Table", "ALL_SUPPORTED_RESOURCE_TYPES"


@pytest.mark.parametrize(
    ("entry", "recorder"),
    [
        ({}, ConfigRecorder("default", False, ALL)),
        ({"recordingGroup": {"allSupported": True}}, ConfigRecorder("default", False, ALL)),
        (
            {"recordingGroup": {"allSupported": False, "resourceTypes": [TABLES]}},
            ConfigRecorder("default", False, "INCLUSION_BY_RESOURCE_TYPES", (TABLES,)),
        ),
        (
            {
                "recordingGroup": {
                    "recordingStrategy": {"useOnly": "exclusion_by_resource_types"},
                    "exclusionByResourceTypes": {"resourceTypes": [TABLES]},
                }
            },
            ConfigRecorder("default", False, "EXCLUSION_BY_RESOURCE_TYPES", (), (TABLES,)),
        ),
        ({"servicePrincipal": "securityhub.amazonaws.com"}, ConfigRecorder("default", True, ALL)),
        ({"recordingScope": "internal"}, ConfigRecorder("default", True, ALL)),
        ({"recordingScope": "PAID"}, ConfigRecorder("default", False, ALL)),
        (
            {
                "recordingMode": {
                    "recordingFrequency": "CONTINUOUS",
                    "recordingModeOverrides": [{"resourceTypes": [TABLES], "recordingFrequency": "daily"}],
                }
            },
            ConfigRecorder("default", False, ALL, frequency="DAILY"),
        ),
        (
            {
                "recordingMode": {
                    "recordingFrequency": "DAILY",
                    "recordingModeOverrides": [{"resourceTypes": [], "recordingFrequency": "CONTINUOUS"}],
                }
            },
            ConfigRecorder("default", False, ALL, frequency="DAILY"),
        ),
    ],
)
def test_recorders(entry: dict[str, Any], recorder: ConfigRecorder) -> None:
    answer = {"ConfigurationRecorders": [entry]}
    found = ask(config_service.recorders, config__DescribeConfigurationRecorders=answer)
    assert found == ConfigRecorders((recorder,))


def test_recorder_states_fold_their_case_and_channels_give_their_buckets() -> None:
    answer = {"ConfigurationRecordersStatus": [{"name": "default", "recording": True, "lastStatus": "Failure"}]}
    found = ask(config_service.recorder_statuses, config__DescribeConfigurationRecorderStatus=answer)
    assert found.statuses == (("default", RecorderStatus(True, "FAILURE")),)
    channels = {"DeliveryChannels": [{"name": "default", "s3BucketName": "logs"}]}
    assert ask(config_service.delivery_channels, config__DescribeDeliveryChannels=channels) == ConfigDelivery(("logs",))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, ("", "DISABLED", "NONE", None, "ipv4")),
        ({"Status": "Available", "SSEDescription": {}}, ("available", "DISABLED", "NONE", None, "ipv4")),
        (
            {
                "SSEDescription": {"Status": "enabled"},
                "ClusterEndpointEncryptionType": "tls",
                "ClusterDiscoveryEndpoint": {"URL": "daxs://x"},
                "NetworkType": "DUAL_STACK",
            },
            ("", "ENABLED", "TLS", "daxs://x", "dual_stack"),
        ),
    ],
)
def test_dax_clusters(entry: dict[str, Any], expected: tuple[str | None, ...]) -> None:
    found = dax.read_cluster(entry)
    assert expected == (
        found.status, found.sse_status, found.endpoint_encryption, found.endpoint_url, found.network_type,
    )  # fmt: skip


def test_dax_subnet_groups() -> None:
    subnets = [
        {"SubnetIdentifier": "subnet-1", "SubnetAvailabilityZone": "eu-west-1a"},
        {"SubnetIdentifier": "subnet-2"},
    ]
    groups = [{"SubnetGroupName": "private", "VpcId": "vpc-1", "Subnets": subnets}, {"SubnetGroupName": "empty"}]
    assert ask(dax.subnet_groups, dax__DescribeSubnetGroups={"SubnetGroups": groups}) == DaxSubnetGroups(
        {
            "private": DaxSubnetGroup("vpc-1", {"subnet-1": "eu-west-1a", "subnet-2": ""}),
            "empty": DaxSubnetGroup("", {}),
        }
    )

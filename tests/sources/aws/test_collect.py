"""Collecting on moto: what is asked, what a failure costs, and what it does not."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.awsrequest import AWSResponse
from moto.dynamodb.models import dynamodb_backends

from auditor.facts import (
    BlockPublicAccess,
    DaxClusterNames,
    EnabledRegions,
    EventDataStores,
    Gap,
    KeySettings,
    NetworkInterfaces,
    Reason,
    RegionScope,
    Subnets,
    TableNames,
    TableSettings,
    Tags,
    VpcEndpoints,
)
from auditor.inventory import Inventory
from auditor.resources import Account, DaxCluster, Key, Region, Resource, Table
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, create_table

HERE, THERE = Region(ACCOUNT, "eu-west-1"), Region(ACCOUNT, "us-east-1")
PROTECTION = "table-deletion-protection"


def deny(
    access: Access, operation: str, code: str = "AccessDeniedException", when: Callable[[Any], bool] | None = None
) -> list[str]:
    """Answer an operation with an error before it leaves; returns the calls that met it."""
    service, _, name = operation.partition(":")
    met: list[str] = []

    def handler(request: Any, **_: Any) -> AWSResponse | None:
        if when is not None and not when(request):
            return None
        met.append(request.url)
        body = f'{{"__type": "{code}", "message": "no"}}'.encode()
        if "xml" in request.headers.get("Content-Type", b"").decode() or service in ("ec2", "sts"):
            error = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
            body = f"<Response><Errors>{error}</Errors></Response>".encode()

        class Raw:
            def stream(self, **_: Any) -> list[bytes]:
                return [body]

        return AWSResponse(request.url, 400, {"x-amzn-errortype": code}, Raw())

    for region in ("eu-west-1", "us-east-1"):
        client = access.client(service, region)
        client.meta.events.register_first(
            f"before-send.{client.meta.service_model.service_id.hyphenize()}.{name}", handler
        )
    return met


def names(table: str) -> Callable[[Any], bool]:
    return lambda request: f'"{table}"'.encode() in request.body


def held(inventory: Inventory, fact_type: type) -> dict[str, Any]:
    return {resource.label: value for resource, value in inventory.facts.get(fact_type, {}).items()}


def test_three_hundred_tables_are_listed_and_described(gather: Gather, access: Access) -> None:
    for number in range(300):
        create_table(f"t{number:03}")
    inventory = gather(PROTECTION)
    assert len(inventory.of_kind(Table)) == 300
    assert len(held(inventory, TableSettings)) == 300
    assert access.calls == {"dynamodb:ListTables": 3, "dynamodb:DescribeTable": 300, "tag:GetResources": 1}


def test_tables_of_the_first_page_are_asked_about_before_the_last_page_is_there(gather: Gather, access: Access) -> None:
    for number in range(150):
        create_table(f"t{number:03}")
    described = threading.Event()
    waited: list[bool] = []

    def second_page(request: Any, **_: Any) -> None:
        if b"ExclusiveStartTableName" in request.body:
            waited.append(described.wait(20))

    events = access.client("dynamodb", "eu-west-1").meta.events
    events.register_first("before-send.dynamodb.ListTables", second_page)
    events.register_first("before-send.dynamodb.DescribeTable", lambda **_: described.set())
    inventory = gather(PROTECTION)
    assert waited == [True]
    assert len(held(inventory, TableSettings)) == 150
    assert access.calls == {"dynamodb:ListTables": 2, "dynamodb:DescribeTable": 150, "tag:GetResources": 1}


def test_one_rule_makes_only_its_own_calls(gather: Gather, access: Access) -> None:
    create_table("orders")
    gather(PROTECTION, regions=("eu-west-1", "us-east-1"))
    assert access.calls == {"dynamodb:ListTables": 2, "dynamodb:DescribeTable": 1, "tag:GetResources": 1}


def test_names_with_every_legal_character(gather: Gather) -> None:
    name = "aZ9_-.aZ9_-." * 20
    create_table(name)
    assert list(held(gather(PROTECTION), TableSettings)) == [name]


def test_tags_come_in_bulk_and_absence_means_none(gather: Gather, access: Access) -> None:
    create_table("orders", Tags=[{"Key": "env", "Value": "prod"}])
    create_table("carts")
    inventory = gather(PROTECTION)
    assert held(inventory, Tags) == {"orders": Tags({"env": "prod"}), "carts": Tags({})}
    assert "dynamodb:ListTagsOfResource" not in access.calls


def test_where_the_bulk_call_is_denied_each_table_is_asked(gather: Gather, access: Access) -> None:
    many = [{"Key": f"k{number}", "Value": str(number)} for number in range(25)]
    create_table("orders", Tags=many)
    create_table("carts")
    deny(access, "tag:GetResources")
    inventory = gather(PROTECTION)
    assert held(inventory, Tags)["orders"] == Tags({tag["Key"]: tag["Value"] for tag in many})
    assert held(inventory, Tags)["carts"] == Tags({})
    assert access.calls["dynamodb:ListTagsOfResource"] == 4


def test_where_both_tag_calls_are_denied_the_gap_names_the_tables_own(gather: Gather, access: Access) -> None:
    create_table("orders")
    deny(access, "tag:GetResources")
    deny(access, "dynamodb:ListTagsOfResource")
    gap = held(gather(PROTECTION), Tags)["orders"]
    assert isinstance(gap, Gap)
    assert gap.action == "dynamodb:ListTagsOfResource"


def test_where_the_listing_is_denied_tables_that_tags_name_are_still_known(gather: Gather, access: Access) -> None:
    create_table("orders", Tags=[{"Key": "env", "Value": "prod"}])
    deny(access, "dynamodb:ListTables")
    inventory = gather(PROTECTION)
    assert isinstance(inventory.facts[TableNames][HERE], Gap)
    assert held(inventory, TableSettings)["orders"].status == "ACTIVE"


def test_pages_before_a_failed_page_stay_known(gather: Gather, access: Access) -> None:
    for number in range(150):
        create_table(f"t{number:03}")
    deny(access, "dynamodb:ListTables", when=lambda request: b"ExclusiveStartTableName" in request.body)
    deny(access, "tag:GetResources")
    inventory = gather(PROTECTION)
    assert isinstance(inventory.facts[TableNames][HERE], Gap)
    assert len(held(inventory, TableSettings)) == 100


def test_one_denied_describe_costs_that_table_only(gather: Gather, access: Access) -> None:
    for name in ("a01", "b01", "c01", "d01"):
        create_table(name)
    deny(access, "dynamodb:DescribeTable", when=names("b01"))
    settings = held(gather(PROTECTION), TableSettings)
    assert {name: isinstance(value, Gap) for name, value in settings.items()} == {
        "a01": False, "b01": True, "c01": False, "d01": False,
    }  # fmt: skip


def test_a_table_deleted_between_list_and_describe_is_noted_and_dropped(gather: Gather, access: Access) -> None:
    create_table("orders")
    create_table("brief")

    def delete(**_: Any) -> None:
        dynamodb_backends[ACCOUNT.id]["eu-west-1"].tables.pop("brief", None)

    access.client("dynamodb", "eu-west-1").meta.events.register_first("before-send.dynamodb.DescribeTable", delete)
    inventory = gather(PROTECTION)
    assert [table.label for table in inventory.of_kind(Table)] == ["orders"]
    assert [(error.operation, error.code) for error in inventory.errors] == [
        ("DescribeTable", "ResourceNotFoundException")
    ]


def test_a_throttled_call_is_tried_again_later_and_nothing_is_lost(gather: Gather, access: Access) -> None:
    create_table("orders")
    left = [1, 1]
    deny(access, "dynamodb:DescribeTable", "ThrottlingException", when=lambda _: bool(left) and bool(left.pop()))
    inventory = gather(PROTECTION, waits=(0.0, 0.0, 0.0))
    assert held(inventory, TableSettings)["orders"].status == "ACTIVE"
    assert inventory.errors == []


def test_throttling_that_never_ends_is_a_gap_that_says_so(gather: Gather, access: Access) -> None:
    create_table("orders")
    met = deny(access, "dynamodb:DescribeTable", "ThrottlingException")
    gap = held(gather(PROTECTION, waits=(0.0, 0.0)), TableSettings)["orders"]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.THROTTLED, "dynamodb:DescribeTable")
    assert len(met) == 3


def test_when_one_call_is_refused_through_all_waits_the_others_of_its_operation_do_not_wait_as_long(
    gather: Gather, access: Access
) -> None:
    for number in range(60):
        create_table(f"orders-{number}")
    met = deny(access, "dynamodb:DescribeTable", "ThrottlingException")
    facts = held(gather(PROTECTION, waits=(0.0,) * 5), TableSettings)
    assert len(facts) == 60
    assert all(isinstance(one, Gap) and one.reason is Reason.THROTTLED for one in facts.values())
    assert len(met) < 60 * 6 / 2


def test_an_interrupt_in_the_middle_of_an_answer_does_not_lose_it(
    gather: Gather, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table("orders")
    put, struck = Inventory.put, list[bool]()

    def interrupted(self: Inventory, resource: Resource, value: Any) -> list[Resource]:
        if isinstance(value, TableSettings) and not struck:
            struck.append(True)
            raise KeyboardInterrupt
        return put(self, resource, value)

    monkeypatch.setattr(Inventory, "put", interrupted)
    inventory = gather(PROTECTION)
    assert inventory.interrupted
    assert held(inventory, TableSettings)["orders"].status == "ACTIVE"


def test_a_long_message_is_cut(gather: Gather, access: Access) -> None:
    create_table("orders")

    def page(**_: Any) -> tuple[Any, dict[str, Any]]:
        return SimpleNamespace(status_code=502), {"Error": {"Code": "502", "Message": "<p>" + "x" * 50_000}}

    access.client("dynamodb", "eu-west-1").meta.events.register("before-call.dynamodb.DescribeTable", page)
    (error,) = gather(PROTECTION).errors
    assert error.message.startswith("<p>xxx")
    assert len(error.message) < 1000


def test_an_account_that_may_not_use_lake_has_no_event_data_store(gather: Gather, access: Access) -> None:
    create_table("orders")

    def closed(**_: Any) -> tuple[Any, dict[str, Any]]:
        return SimpleNamespace(status_code=400), {"Error": {"Code": "UnsupportedOperationException", "Message": "no"}}

    access.client("cloudtrail", "eu-west-1").meta.events.register("before-call.cloudtrail.ListEventDataStores", closed)
    inventory = gather("trail-management-logging")
    assert list(inventory.facts[EventDataStores].values()) == [EventDataStores()]
    assert inventory.errors == []


def test_keys_of_tables_are_asked_once_each(gather: Gather, access: Access) -> None:
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    for name in ("orders", "carts", "users"):
        create_table(name, SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key})
    inventory = gather("kms-key-usable")
    assert inventory.of_kind(Key) == [Key.from_arn(key)]
    assert access.calls["kms:DescribeKey"] == 1


def test_a_key_that_kms_does_not_find_is_a_fact_not_a_race(gather: Gather) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    create_table("orders", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key})
    inventory = gather("kms-key-usable")
    assert inventory.facts[KeySettings][Key.from_arn(key)] == KeySettings("NotFound")
    assert inventory.errors == []


def test_a_region_without_tables_costs_two_calls_for_the_rules_on_its_network(gather: Gather, access: Access) -> None:
    create_table("orders", region="us-east-1")
    inventory = gather("network-*", regions=("eu-west-1", "us-east-1"))
    assert VpcEndpoints in inventory.facts
    assert HERE not in inventory.facts[VpcEndpoints]
    assert THERE in inventory.facts[VpcEndpoints]


def test_where_the_tables_of_a_region_are_unknown_its_network_is_read(gather: Gather, access: Access) -> None:
    deny(access, "dynamodb:ListTables")
    inventory = gather("network-*")
    assert HERE in inventory.facts[VpcEndpoints]


def test_the_accounts_block_public_access_is_asked_only_where_subnets_are_silent(
    gather: Gather, access: Access
) -> None:
    create_table("orders")
    inventory = gather("network-subnet-path")
    # moto's subnets say nothing of it, and moto does not know the operation: a gap of its own, beside the subnets.
    assert isinstance(inventory.facts[BlockPublicAccess][HERE], Gap)
    assert isinstance(inventory.facts[Subnets][HERE], Subnets)


def test_a_parameter_that_an_older_endpoint_refuses_is_left_out(gather: Gather, access: Access) -> None:
    create_table("orders")
    deny(
        access,
        "ec2:DescribeNetworkInterfaces",
        "UnknownParameter",
        when=lambda request: "IncludeManagedResources" in str(request.body),
    )
    assert isinstance(gather("network-subnet-path").facts[NetworkInterfaces][HERE], NetworkInterfaces)


def test_an_answer_of_an_unexpected_shape_is_undecidable_and_costs_one_fact(gather: Gather, access: Access) -> None:
    create_table("orders")
    create_table("carts")

    def empty(params: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        class Http:
            status_code = 200

        return (Http, {"Table": {}}) if b"orders" in params["body"] else None

    access.client("dynamodb", "eu-west-1").meta.events.register("before-call.dynamodb.DescribeTable", empty)
    settings = held(gather(PROTECTION), TableSettings)
    assert isinstance(settings["orders"], Gap)
    assert settings["orders"].reason is Reason.UNDECIDABLE
    assert settings["carts"].status == "ACTIVE"


def test_a_region_that_the_account_has_not_enabled_is_noted_and_skipped(gather: Gather, access: Access) -> None:
    create_table("orders", region="us-east-1")
    deny(access, "dynamodb:ListTables", "UnrecognizedClientException", when=lambda request: "eu-west-1" in request.url)
    inventory = gather(PROTECTION, regions=("eu-west-1", "us-east-1"))
    assert inventory.of_kind(Region) == [THERE]
    assert [error.code for error in inventory.errors] == ["UnrecognizedClientException"]


def test_credentials_that_ceased_to_work_leave_no_region_out(gather: Gather, access: Access) -> None:
    create_table("orders", region="us-east-1")
    deny(access, "dynamodb:ListTables", "UnrecognizedClientException", when=lambda request: "eu-west-1" in request.url)
    deny(access, "sts:GetCallerIdentity", "InvalidClientTokenId")
    inventory = gather(PROTECTION, regions=("eu-west-1", "us-east-1"))
    assert inventory.of_kind(Region) == [HERE, THERE]
    assert isinstance(inventory.facts[TableNames][HERE], Gap)
    assert isinstance(inventory.facts[TableNames][THERE], TableNames)


def test_a_region_that_aws_just_called_enabled_is_a_gap_when_it_refuses_the_credentials(
    gather: Gather, access: Access
) -> None:
    deny(access, "dynamodb:ListTables", "UnrecognizedClientException", when=lambda request: "eu-west-1" in request.url)
    inventory = gather(PROTECTION, regions=())
    assert HERE in inventory.of_kind(Region)
    assert isinstance(inventory.facts[TableNames][HERE], Gap)


def test_a_replica_of_an_account_without_credentials_is_not_taken_for_the_own_table_of_that_name(
    gather: Gather, access: Access
) -> None:
    create_table("orders")
    create_table("orders", region="us-east-1")
    foreign = Table(Region(Account("444455556666"), "us-east-1"), "orders")

    def replicate(parsed: dict[str, Any], **_: Any) -> None:
        replica = {"RegionName": "us-east-1", "ReplicaArn": foreign.arn, "ReplicaStatus": "ACTIVE"}
        parsed["Table"]["Replicas"] = [replica]

    access.client("dynamodb", "eu-west-1").meta.events.register("after-call.dynamodb.DescribeTable", replicate)
    inventory = gather("table-replica-parity", regions=("eu-west-1", "us-east-1"))
    assert foreign in inventory.of_kind(Table)
    assert foreign not in inventory.facts[TableSettings]
    assert access.calls["dynamodb:DescribeTable"] == 2
    assert "DescribeTable" not in {error.operation for error in inventory.errors}


def test_a_cluster_deleted_before_its_tags_are_read_is_noted_and_dropped(gather: Gather, access: Access) -> None:
    create_table("orders")
    dax = boto3.client("dax", region_name="eu-west-1")
    dax.create_cluster(
        ClusterName="cache", NodeType="dax.r5.large", ReplicationFactor=1, IamRoleArn="arn:aws:iam::123456789012:role/d"
    )
    deny(access, "dax:ListTags", "ClusterNotFoundFault")
    inventory = gather("table-required-tags")
    assert inventory.of_kind(DaxCluster) == []
    assert [(error.operation, error.code) for error in inventory.errors] == [("ListTags", "ClusterNotFoundFault")]


def test_when_every_region_looks_disabled_nothing_was_found_out(gather: Gather, access: Access) -> None:
    deny(access, "dynamodb:ListTables", "UnrecognizedClientException")
    inventory = gather(PROTECTION, regions=("eu-west-1", "us-east-1"))
    assert inventory.of_kind(Region) == [HERE, THERE]
    assert all(isinstance(value, Gap) for value in inventory.facts[TableNames].values())


def test_dax_where_it_is_not_offered_has_no_clusters(gather: Gather, access: Access) -> None:
    def unreachable(request: Any, **_: Any) -> None:
        raise botocore.exceptions.EndpointConnectionError(endpoint_url=request.url)

    for region in ("me-central-1", "eu-west-1"):
        access.client("dax", region).meta.events.register_first("before-send.dax", unreachable)
    inventory = gather("dax-encryption-at-rest", regions=("me-central-1", "eu-west-1"))
    gaps = {resource.label: isinstance(value, Gap) for resource, value in inventory.facts[DaxClusterNames].items()}
    assert gaps == {"me-central-1": False, "eu-west-1": True}


def test_without_names_all_enabled_regions_are_audited(gather: Gather) -> None:
    inventory = gather(PROTECTION, regions=())
    audited = {region.name for region in inventory.scopes[0].regions}
    assert {"eu-west-1", "us-east-1"} <= audited
    assert "ap-east-1" not in audited  # opt-in, and not opted in
    scope = inventory.facts[RegionScope][ACCOUNT]
    assert scope.chosen is False


def test_where_regions_cannot_be_read_the_default_ones_are_audited_and_that_is_said(
    gather: Gather, access: Access
) -> None:
    deny(access, "ec2:DescribeRegions", "UnauthorizedOperation")
    inventory = gather("residency-table-region", regions=())
    gap = inventory.facts[RegionScope][ACCOUNT]
    assert isinstance(gap, Gap)
    assert gap.action == "ec2:DescribeRegions"
    assert len(inventory.scopes[0].regions) == 17
    assert isinstance(inventory.facts[EnabledRegions][ACCOUNT], Gap)


def test_an_interrupt_keeps_what_is_there_and_says_so(gather: Gather, access: Access) -> None:
    for number in range(30):
        create_table(f"t{number:03}")
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 5:
            raise KeyboardInterrupt

    inventory = gather(PROTECTION, progress=stop)
    assert inventory.interrupted
    assert 0 < len(held(inventory, TableSettings)) < 30
    assert len(inventory.of_kind(Table)) == 30


def test_progress_ends_with_everything_done(gather: Gather) -> None:
    create_table("orders")
    seen: list[tuple[int, int]] = []
    gather(PROTECTION, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == len(seen)

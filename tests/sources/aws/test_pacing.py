"""Token buckets: evenly spaced, never above the rate, the same for many threads. A fake clock, no waiting."""

import threading

import pytest

from auditor.sources.aws.pacing import CEILING, DEFAULT_RATE, DOCUMENTED_RATES, MARGIN, Bucket, Pacer
from auditor.sources.aws.session import declared_operations


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def departures(bucket: Bucket, clock: Clock, count: int) -> list[float]:
    moments = []
    for _ in range(count):
        bucket.take()
        moments.append(clock.now)
    return moments


def test_no_second_holds_more_calls_than_the_rate() -> None:
    clock = Clock()
    moments = departures(Bucket(10, clock=clock, sleep=clock.sleep), clock, 200)
    for start in moments:
        assert sum(start <= moment < start + 1 for moment in moments) <= 10
    assert moments[-1] == pytest.approx(199 / (10 * MARGIN))


def test_a_pause_earns_no_burst() -> None:
    clock = Clock()
    bucket = Bucket(10, clock=clock, sleep=clock.sleep)
    departures(bucket, clock, 5)
    clock.now += 60
    moments = departures(bucket, clock, 20)
    assert sum(moment < moments[0] + 1 for moment in moments) <= 10


def test_adaptive_rises_and_falls_back_when_throttled() -> None:
    clock = Clock()
    bucket = Bucket(10, adaptive=True, clock=clock, sleep=clock.sleep)
    departures(bucket, clock, 1000)
    assert clock.now < 6
    assert bucket.rate == 10 * MARGIN * CEILING
    bucket.throttled()
    assert bucket.rate == 10 * MARGIN
    before = clock.now
    bucket.take()
    assert clock.now > before
    departures(bucket, clock, 100)
    assert 10 < bucket.rate < 11


def test_documented_never_rises() -> None:
    clock = Clock()
    bucket = Bucket(10, clock=clock, sleep=clock.sleep)
    departures(bucket, clock, 500)
    assert bucket.rate == 10 * MARGIN


def test_threads_share_a_bucket() -> None:
    slept: list[float] = []
    bucket = Bucket(10, clock=lambda: 0.0, sleep=slept.append)
    threads = [threading.Thread(target=bucket.take) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slept) == pytest.approx([index / (10 * MARGIN) for index in range(1, 50)])


def test_each_account_region_and_operation_has_its_own_bucket() -> None:
    pacer = Pacer()
    first = pacer.bucket("1", "eu-west-1", "dynamodb:DescribeContinuousBackups")
    assert first is pacer.bucket("1", "eu-west-1", "dynamodb:DescribeContinuousBackups")
    assert first is not pacer.bucket("2", "eu-west-1", "dynamodb:DescribeContinuousBackups")
    assert first is not pacer.bucket("1", "us-east-1", "dynamodb:DescribeContinuousBackups")
    other = pacer.bucket("1", "eu-west-1", "dynamodb:ListGlobalTables")
    assert other is not None
    assert other.rate == DEFAULT_RATE * MARGIN
    assert Pacer("off").bucket("1", "eu-west-1", "dynamodb:ListTables") is None


def test_rates_are_of_operations_that_the_auditor_makes_or_will_make() -> None:
    future = {"dynamodb:ListBackups"}
    assert set(DOCUMENTED_RATES) <= declared_operations() | future


def test_a_global_services_rate_holds_for_all_regions_together() -> None:
    pacer = Pacer("documented")
    zones = "route53:ListHostedZonesByVPC"
    assert pacer.bucket("1", "eu-west-1", zones) is pacer.bucket("1", "us-east-1", zones)
    assert pacer.bucket("1", "eu-west-1", zones) is not pacer.bucket("2", "eu-west-1", zones)
    tables = "dynamodb:ListTables"
    assert pacer.bucket("1", "eu-west-1", tables) is not pacer.bucket("1", "us-east-1", tables)

"""Rates that AWS documents, and the buckets that keep below them.

AWS limits most control-plane operations per account and region. Waiting for a token costs nothing; being
throttled costs retries, and in the end lost answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Calls a second, per account and region, with the document that says so.
DOCUMENTED_RATES: dict[str, float] = {
    # Amazon DynamoDB API Reference, DescribeContinuousBackups: "up to 10 times a second".
    "dynamodb:DescribeContinuousBackups": 10,
    # Amazon DynamoDB API Reference, ListTagsOfResource: "up to 10 times per second, per account".
    "dynamodb:ListTagsOfResource": 10,
    # Amazon DynamoDB API Reference, ListBackups: "a maximum of five times per second".
    "dynamodb:ListBackups": 5,
    # Amazon DynamoDB Developer Guide, Service quotas: 2,500 control-plane reads a second, of which this takes few.
    "dynamodb:DescribeTable": 500,
    "dynamodb:ListTables": 50,
    # AWS CloudTrail User Guide, Quotas: Describe, Get and List operations 10 a second.
    "cloudtrail:DescribeTrails": 10,
    "cloudtrail:GetTrailStatus": 10,
    "cloudtrail:GetEventSelectors": 10,
    "cloudtrail:ListEventDataStores": 10,
    "cloudtrail:GetEventDataStore": 10,
    # AWS KMS Developer Guide, Request quotas: DescribeKey 2,000, GetKeyRotationStatus 1,000, ListAliases 500.
    "kms:DescribeKey": 200,
    "kms:GetKeyRotationStatus": 100,
    "kms:ListAliases": 50,
    # The same document: GetKeyPolicy 1,000, ListGrants 100.
    "kms:GetKeyPolicy": 100,
    "kms:ListGrants": 50,
    # Amazon DynamoDB Developer Guide, Service quotas: control-plane reads, as above.
    "dynamodb:GetResourcePolicy": 300,
    # AWS Organizations User Guide names no rates for reads; these stay well below what is seen to be throttled.
    "organizations:DescribeOrganization": 2,
    "organizations:ListRoots": 2,
    "organizations:ListAccounts": 4,
    "organizations:ListParents": 4,
    "organizations:ListPoliciesForTarget": 4,
    "organizations:DescribePolicy": 2,
    "organizations:ListAccountsForParent": 4,
    "organizations:ListOrganizationalUnitsForParent": 4,
    "organizations:ListPolicies": 4,
    "organizations:ListTargetsForPolicy": 4,
    # Amazon Cognito Developer Guide, Quotas: management calls of identity pools, 10 a second and less.
    "cognito-identity:ListIdentityPools": 5,
    "cognito-identity:DescribeIdentityPool": 5,
    "cognito-identity:GetIdentityPoolRoles": 5,
    # Amazon Route 53 Developer Guide, Quotas: five requests a second, for the account as a whole.
    "route53:ListHostedZonesByVPC": 4,
    # Amazon DynamoDB Developer Guide, Service quotas: control-plane reads, as above.
    "dynamodb:DescribeKinesisStreamingDestination": 300,
    "dynamodb:ListExports": 10,
    "dynamodb:DescribeExport": 50,
    "dynamodb:ListBulkOperations": 10,
    "dynamodb:DescribeBulkOperation": 50,
    # Reads of items consume the table's own capacity: one after the other does least harm.
    "dynamodb:Scan": 10,
    # Amazon CloudWatch Logs quotas: DescribeMetricFilters 5 a second.
    "logs:DescribeMetricFilters": 5,
    # Amazon CloudWatch service quotas: DescribeAlarms 9 a second.
    "cloudwatch:DescribeAlarms": 9,
    # Amazon SNS endpoints and quotas: ListSubscriptionsByTopic 30 a second.
    "sns:ListSubscriptionsByTopic": 30,
    # AWS Lambda quotas: control-plane API requests 15 a second in total.
    "lambda:ListEventSourceMappings": 5,
    "lambda:ListFunctions": 5,
    # Amazon Kinesis Data Streams API Reference, DescribeStreamSummary: 20 a second.
    "kinesis:DescribeStreamSummary": 20,
    # AWS Config API Reference names no rates; these stay below what is seen to be throttled.
    "config:DescribeConfigRules": 5,
    "config:DescribeComplianceByConfigRule": 5,
    # Amazon EC2 API Reference, Request throttling: non-mutating calls refill 20 a second or more.
    "ec2:DescribeNetworkInterfaces": 10,
}

#: Services whose rates hold for the account as a whole, whichever region's facts a call is for.
GLOBAL_SERVICES = ("iam", "organizations", "route53")

#: For operations without a documented rate.
DEFAULT_RATE = 20.0

#: A call that reaches AWS a little early must not count in the second before.
MARGIN = 0.99

#: How far `adaptive` goes above a documented rate.
CEILING = 50

#: By how much `adaptive` rises with each call: fast until AWS refuses one for the first time, carefully from then on.
RISE, CAREFUL_RISE = 0.1, 0.0005


class Bucket:
    """Hands out moments at which a call may leave, evenly spaced.

    Args:
        rate: Calls a second.
        adaptive: Rise while nothing is throttled, fall back when something is.
        clock: Returns seconds; for tests.
        sleep: Waits; for tests.
    """

    def __init__(
        self,
        rate: float,
        *,
        adaptive: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start full: the first call need not wait."""
        self._floor = self._rate = rate * MARGIN
        self._adaptive, self._rise = adaptive, RISE
        self._clock, self._sleep = clock, sleep
        self._next = clock()
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """The present rate in calls a second."""
        return self._rate

    def take(self) -> None:
        """Wait until the next call may leave."""
        with self._lock:
            now = self._clock()
            at = max(now, self._next)
            self._next = at + 1 / self._rate
            if self._adaptive:
                self._rate = min(self._rate * (1 + self._rise), self._floor * CEILING)
        if at > now:
            self._sleep(at - now)

    def throttled(self) -> None:
        """Note that AWS refused a call: go back to the documented rate and leave AWS a moment's rest."""
        with self._lock:
            self._rate, self._rise = self._floor, CAREFUL_RISE
            self._next = max(self._next, self._clock() + 1 / self._rate)


class Pacer:
    """The buckets of one run, one for each account, region and operation.

    Args:
        pace: ``documented``, ``adaptive`` or ``off``.
    """

    def __init__(self, pace: str = "documented") -> None:
        """Start without buckets; each appears with its first call."""
        self.pace = pace
        self._buckets: dict[tuple[str, str, str], Bucket] = {}
        self._lock = threading.Lock()

    def bucket(self, account: str, region: str, operation: str) -> Bucket | None:
        """Return the bucket of an operation, or None when there is no pacing."""
        if self.pace == "off":
            return None
        key = (account, "" if operation.partition(":")[0] in GLOBAL_SERVICES else region, operation)
        with self._lock:
            if key not in self._buckets:
                rate = DOCUMENTED_RATES.get(operation, DEFAULT_RATE)
                self._buckets[key] = Bucket(rate, adaptive=self.pace == "adaptive")
            return self._buckets[key]

    def forget(self, account: str) -> None:
        """Drop the buckets of an account that nothing will be asked of any more."""
        with self._lock:
            for key in [key for key in self._buckets if key[0] == account]:
                del self._buckets[key]

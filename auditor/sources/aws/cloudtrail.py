"""CloudTrail trails and event data stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from auditor.facts import (
    ClassicSelector,
    EventDataStore,
    EventDataStores,
    FieldSelector,
    Gap,
    TrailInfo,
    Trails,
    TrailSelectors,
    TrailStatus,
)
from auditor.resources import Region, Trail
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing, utc


@collects(Trails, about=Region)
def trails(aws: Aws, region: Region) -> Yield:
    """Yield the trails that reach the region, shadow copies included: members see organisation trails so."""
    answer = aws.call("cloudtrail:DescribeTrails", includeShadowTrails=True)
    found = [
        TrailInfo(
            trail=Trail.from_arn(entry["TrailARN"]),
            multi_region=entry.get("IsMultiRegionTrail", False),
            validation=entry.get("LogFileValidationEnabled", False),
            organization=entry.get("IsOrganizationTrail", False),
            kms_key=entry.get("KmsKeyId"),
            bucket=entry.get("S3BucketName"),
            log_group=entry.get("CloudWatchLogsLogGroupArn"),
        )
        for entry in answer.get("trailList", [])
    ]
    yield region, Trails(tuple(sorted(found, key=lambda info: info.trail.arn)))


@collects(TrailStatus, about=Trail)
def trail_status(aws: Aws, trail: Trail) -> Yield:
    """Yield whether a trail records; asked by ARN in its home region."""
    answer = aws.call("cloudtrail:GetTrailStatus", Name=trail.arn)
    yield (
        trail,
        TrailStatus(
            logging=answer.get("IsLogging", False),
            delivery_error=answer.get("LatestDeliveryError") or None,
            digest_error=answer.get("LatestDigestDeliveryError") or None,
            last_delivery=utc(answer.get("LatestDeliveryTime") or None),
            log_group_error=answer.get("LatestCloudWatchLogsDeliveryError") or None,
        ),
    )


@collects(TrailSelectors, about=Trail)
def trail_selectors(aws: Aws, trail: Trail) -> Yield:
    """Yield which events a trail records; asked by ARN in its home region."""
    answer = aws.call("cloudtrail:GetEventSelectors", TrailName=trail.arn)
    yield (
        trail,
        TrailSelectors(
            classic=tuple(_classic(entry) for entry in answer.get("EventSelectors") or []),
            advanced=_advanced(answer),
        ),
    )


@collects(EventDataStores, about=Region)
def event_data_stores(aws: Aws, region: Region) -> Yield:
    """Yield the event data stores with their home in the region; one that cannot be read does not hide the others."""
    stores: list[EventDataStore] = []
    unread: dict[str, Gap] = {}
    first: Missing | None = None
    for arn in _store_arns(aws):
        try:
            # The listing gives no more than ARNs and names. A store that went away since then keeps nothing.
            answer = aws.call(
                "cloudtrail:GetEventDataStore", absent=("EventDataStoreNotFoundException",), EventDataStore=arn
            )
        except Missing as missing:
            first = first or missing
            unread[arn] = missing.gap
            continue
        if answer is not None:
            stores.append(_store(arn, answer))
    yield region, EventDataStores(tuple(sorted(stores, key=lambda store: store.arn)), unread)
    if first is not None:
        raise first


def _store_arns(aws: Aws) -> Iterator[str]:
    """Yield what ListEventDataStores lists; boto3 has no paginator for it.

    Lake is closed to new customers: an account that may not use it has no store.
    """
    token: dict[str, Any] = {}
    while True:
        answer = aws.call("cloudtrail:ListEventDataStores", absent=("UnsupportedOperationException",), **token)
        if answer is None:
            return
        for entry in answer.get("EventDataStores") or []:
            yield entry["EventDataStoreArn"]
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def _store(arn: str, answer: Mapping[str, Any]) -> EventDataStore:
    return EventDataStore(
        arn=arn,
        name=answer.get("Name", ""),
        status=answer.get("Status", "").upper(),
        multi_region=answer.get("MultiRegionEnabled", False),
        organization=answer.get("OrganizationEnabled", False),
        selectors=_advanced(answer),
    )


def _advanced(answer: Mapping[str, Any]) -> tuple[tuple[FieldSelector, ...], ...]:
    return tuple(
        tuple(_field(one) for one in entry["FieldSelectors"]) for entry in answer.get("AdvancedEventSelectors") or []
    )


def _classic(entry: Mapping[str, Any]) -> ClassicSelector:
    # A selector may name a type several times, each time with further values.
    resources: dict[str, tuple[str, ...]] = {}
    for one in entry.get("DataResources") or []:
        resources[one["Type"]] = (*resources.get(one["Type"], ()), *(one.get("Values") or []))
    return ClassicSelector(
        read_write=entry.get("ReadWriteType", "All"),
        management=entry.get("IncludeManagementEvents", True),
        excluded_sources=tuple(entry.get("ExcludeManagementEventSources") or []),
        data_resources=resources,
    )


def _field(entry: Mapping[str, Any]) -> FieldSelector:
    return FieldSelector(
        field=entry["Field"],
        equals=tuple(entry.get("Equals") or []),
        not_equals=tuple(entry.get("NotEquals") or []),
        starts_with=tuple(entry.get("StartsWith") or []),
        not_starts_with=tuple(entry.get("NotStartsWith") or []),
        ends_with=tuple(entry.get("EndsWith") or []),
        not_ends_with=tuple(entry.get("NotEndsWith") or []),
    )

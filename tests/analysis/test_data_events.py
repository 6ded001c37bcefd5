"""Which data events of a table trails and event data stores log together, and what of it is not known."""

from typing import Any

import pytest

from auditor.analysis.trails import (
    READS,
    WRITES,
    DataCoverage,
    data_coverage,
    data_logging,
    lake_data_logging,
    selected_types,
)
from auditor.facts import (
    ClassicSelector,
    DataRecorder,
    EnabledRegions,
    EventDataStore,
    EventDataStores,
    FieldSelector,
    Gap,
    Reason,
    RegionStatus,
    TrailInfo,
    Trails,
    TrailSelectors,
    TrailStatus,
)
from auditor.resources import Account, Region, Trail
from tests.rules import REGION, TABLE, TRAIL

TABLES, STREAMS = "AWS::DynamoDB::Table", "AWS::DynamoDB::Stream"
AWAY = Region(Account("444455556666"), "us-east-1")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cloudtrail:GetEventSelectors")
DATA = (FieldSelector("eventCategory", equals=("Data",)), FieldSelector("resources.type", equals=(TABLES,)))
READ_ONLY, WRITE_ONLY = (FieldSelector("readOnly", equals=(text,)) for text in ("true", "false"))
ROLE = "arn:aws:sts::111122223333:assumed-role/orders-api/session"


def advanced(*fields: FieldSelector, name: str = "audit", **more: Any) -> DataRecorder:
    return DataRecorder(f"arn:{name}", name, TrailSelectors(advanced=((*DATA, *fields),)), **more)


def classic(*values: str, kind: str = "All", of: str = TABLES) -> DataRecorder:
    selector = ClassicSelector(kind, management=True, data_resources={of: values})
    return DataRecorder("arn:classic", "classic", TrailSelectors(classic=(selector,)))


def logged(*recorders: DataRecorder, arn: str = TABLE.arn) -> tuple[bool | None, bool | None]:
    """Return whether reads and writes are logged."""
    reads, writes = (data_coverage(arn, recorders, read_only=one).logged for one in (True, False))
    return reads, writes


BOTH, NEITHER, OPEN = (True, True), (False, False), (None, None)


@pytest.mark.parametrize(
    ("recorder", "expected"),
    [
        (classic("arn:aws:dynamodb"), BOTH),
        (classic(TABLE.arn), BOTH),
        (classic("arn:aws:dynamodb:eu-west-1:111122223333:table/carts", TABLE.arn), BOTH),
        (classic(TABLE.arn, kind="ReadOnly"), (True, False)),
        (classic(TABLE.arn, kind="writeonly"), (False, True)),
        (classic(f"{TABLE.arn}-archive"), NEITHER),
        (classic("arn:aws:dynamodb", of="AWS::S3::Object"), NEITHER),
        (classic(), NEITHER),
        (classic(""), NEITHER),
        # What other beginnings of an ARN select is documented for S3 only.
        (classic("arn:aws:dynamodb:eu-west-1"), OPEN),
        (classic(TABLE.arn[:-2], "arn:aws:dynamodb"), BOTH),
        (classic("arn:aws:dynamodb:", kind="ReadOnly"), (None, False)),
    ],
)
def test_classic_selectors_name_all_tables_or_exact_ones(
    recorder: DataRecorder, expected: tuple[bool | None, bool | None]
) -> None:
    assert logged(recorder) == expected


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov"])
def test_all_tables_are_named_by_the_partition(partition: str) -> None:
    arn = TABLE.arn.replace("arn:aws:", f"arn:{partition}:")
    assert logged(classic(f"arn:{partition}:dynamodb"), arn=arn) == BOTH
    assert logged(classic("arn:aws:dynamodb"), arn=arn) == NEITHER


@pytest.mark.parametrize("selectors", [TrailSelectors(), TrailSelectors(classic=(ClassicSelector("All", True),))])
def test_a_trail_logs_no_data_events_unless_told_to(selectors: TrailSelectors) -> None:
    assert logged(DataRecorder("arn:audit", "audit", selectors)) == NEITHER


def field(name: str, **operators: tuple[str, ...]) -> FieldSelector:
    return FieldSelector(name, **operators)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), BOTH),
        ((READ_ONLY,), (True, False)),
        ((WRITE_ONLY,), (False, True)),
        ((field("readOnly", not_equals=("true",)),), (False, True)),
        ((field("resources.ARN", equals=(TABLE.arn,)),), BOTH),
        ((field("resources.ARN", equals=("arn:aws:dynamodb:eu-west-1:111122223333:table/carts",)),), NEITHER),
        ((field("resources.ARN", not_equals=(TABLE.arn,)),), NEITHER),
        ((field("resources.ARN", starts_with=("arn:aws:dynamodb:eu-west-1:",)),), BOTH),
        ((field("resources.ARN", starts_with=("arn:aws:dynamodb:us-east-1:",)),), NEITHER),
        ((field("resources.ARN", not_starts_with=(TABLE.arn[:-1],)),), NEITHER),
        ((field("resources.ARN", ends_with=("/orders",)),), BOTH),
        ((field("resources.ARN", not_ends_with=("/orders", "/carts")),), NEITHER),
        ((field("resources.ARN", starts_with=("arn:aws:dynamodb:",), not_ends_with=("/carts",)),), BOTH),
        # Of several operators that include one is enough; one that excludes is too.
        ((field("resources.ARN", equals=("arn:aws:dynamodb:eu-west-1:1:table/a",), ends_with=("/orders",)),), BOTH),
        ((field("resources.ARN", equals=(TABLE.arn,), starts_with=("arn:aws:dynamodb:us-east-1:",)),), BOTH),
        ((field("resources.ARN", starts_with=("arn:aws:s3:",), ends_with=("/carts",)),), NEITHER),
        ((field("resources.ARN", equals=(TABLE.arn,), not_starts_with=(TABLE.arn[:-1],)),), NEITHER),
        ((field("eventName", equals=("GetRecords",), not_equals=("Scan",)),), NEITHER),
        ((field("eventSource", equals=("dynamodb.amazonaws.com",)),), BOTH),
        ((field("eventSource", not_equals=("dynamodb.amazonaws.com",)),), NEITHER),
        ((field("eventType", equals=("AwsApiCall",)),), BOTH),
        ((field("eventType", not_equals=("AwsApiCall",)),), NEITHER),
        # Filters on the operation and on callers leave some out.
        ((field("eventName", equals=("GetItem", "PutItem")),), NEITHER),
        ((field("eventName", not_equals=("Scan",)),), (False, True)),
        ((field("eventName", not_starts_with=("Transact",)),), NEITHER),
        ((field("eventName", ends_with=("Item",)),), NEITHER),
        ((field("eventName", not_equals=("GetRecords", "GetShardIterator")),), BOTH),
        ((field("eventName", equals=READS),), (True, False)),
        ((field("eventName", equals=tuple({*READS, *WRITES})),), BOTH),
        ((field("userIdentity.arn", equals=(ROLE,)),), NEITHER),
        ((field("userIdentity.arn", not_equals=(ROLE,)),), NEITHER),
        ((field("userIdentity.arn", starts_with=("arn:aws:sts::111122223333:",)),), NEITHER),
        ((field("userIdentity.arn", not_ends_with=("/session",)),), NEITHER),
        ((field("sessionCredentialFromConsole", equals=("true",)),), NEITHER),
        ((field("sessionCredentialFromConsole", not_equals=("true",)),), NEITHER),
        # Fields that nobody here knows.
        ((field("vpcEndpointId", equals=("vpce-1",)),), OPEN),
        ((field("vpcEndpointId", equals=("vpce-1",)), READ_ONLY), (None, False)),
        ((field("vpcEndpointId", equals=("vpce-1",)), field("eventName", equals=("Scan",))), NEITHER),
    ],
)
def test_every_operator_of_every_field_is_evaluated(fields: Any, expected: tuple[bool | None, bool | None]) -> None:
    assert logged(advanced(*fields)) == expected


@pytest.mark.parametrize(
    "selector",
    [
        (FieldSelector("eventCategory", equals=("Management",)),),
        (FieldSelector("eventCategory", equals=("NetworkActivity",)), field("eventSource", equals=("dynamodb",))),
        (DATA[0], FieldSelector("resources.type", equals=(STREAMS,))),
        (DATA[0], FieldSelector("resources.type", equals=("AWS::S3::Object",))),
    ],
)
def test_selectors_of_other_events_log_none_of_a_table(selector: Any) -> None:
    assert logged(DataRecorder("arn:audit", "audit", TrailSelectors(advanced=(selector,)))) == NEITHER


NO_SCAN, SCAN = field("eventName", not_equals=("Scan",)), field("eventName", equals=("Scan",))


@pytest.mark.parametrize(
    ("recorders", "expected"),
    [
        ((advanced(READ_ONLY), classic(TABLE.arn, kind="WriteOnly")), BOTH),
        ((advanced(READ_ONLY), advanced(WRITE_ONLY)), BOTH),
        ((advanced(NO_SCAN), advanced(SCAN)), BOTH),
        ((advanced(NO_SCAN), advanced(SCAN, WRITE_ONLY)), (False, True)),
        (
            (
                advanced(field("userIdentity.arn", equals=(ROLE,))),
                advanced(field("userIdentity.arn", not_equals=(ROLE,))),
            ),
            BOTH,
        ),
        (
            (
                advanced(field("userIdentity.arn", starts_with=("arn:aws:sts",))),
                advanced(field("userIdentity.arn", not_starts_with=("arn:aws:sts::111122223333",))),
            ),
            BOTH,
        ),
        (
            (
                advanced(field("userIdentity.arn", starts_with=("arn:aws:sts",))),
                advanced(field("userIdentity.arn", not_starts_with=("arn:aws",), not_ends_with=("/session",))),
            ),
            NEITHER,
        ),
        (
            (
                advanced(field("sessionCredentialFromConsole", equals=("true",))),
                advanced(field("sessionCredentialFromConsole", not_equals=("true",))),
            ),
            BOTH,
        ),
        ((advanced(problem="It is not logging."), advanced(READ_ONLY)), (True, False)),
        ((advanced(gap=DENIED), advanced(READ_ONLY)), (True, None)),
        ((DataRecorder("arn:org", "org", DENIED), advanced(WRITE_ONLY)), (None, True)),
        ((DataRecorder("arn:org", "org", DENIED, problem="It is not logging."),), NEITHER),
        # What cannot log the table anyway need not be known to be logging.
        ((advanced(READ_ONLY, gap=DENIED),), (None, False)),
        ((), NEITHER),
    ],
)
def test_trails_count_together(recorders: Any, expected: tuple[bool | None, bool | None]) -> None:
    assert logged(*recorders) == logged(*recorders[::-1]) == expected


def test_what_is_left_out_is_named() -> None:
    found = data_coverage(TABLE.arn, [advanced(field("eventName", not_equals=("Scan", "Query")))], read_only=True)
    assert found == DataCoverage(False, some=True, names=("Query", "Scan"))
    found = data_coverage(TABLE.arn, [advanced(field("userIdentity.arn", equals=(ROLE,)))], read_only=False)
    assert found == DataCoverage(False, some=True, callers=True)
    assert data_coverage(TABLE.arn, [], read_only=True) == DataCoverage(False)
    assert data_coverage(TABLE.arn, [advanced(field("eventName", equals=("PutItem",)))], read_only=True) == (
        DataCoverage(False)
    )


def test_a_missing_permission_is_named_before_what_cannot_be_decided() -> None:
    odd = advanced(field("vpcEndpointId", equals=("vpce-1",)))
    for recorders in ([odd, DataRecorder("arn:org", "org", DENIED)], [DataRecorder("arn:org", "org", DENIED), odd]):
        assert data_coverage(TABLE.arn, recorders, read_only=True).gap == DENIED
    gap = data_coverage(TABLE.arn, [odd], read_only=True).gap
    assert gap is not None
    assert gap.reason is Reason.UNDECIDABLE
    assert "audit" in gap.detail


def test_so_many_callers_that_nobody_decides_are_unknown() -> None:
    starts = tuple(f"arn:aws:sts::{number:012}:" for number in range(40))
    ends = tuple(f"/{number}" for number in range(40))
    one = advanced(field("userIdentity.arn", starts_with=starts, not_ends_with=ends))
    assert logged(one) == OPEN
    assert logged(one, advanced()) == BOTH


# What reaches a region


def info(trail: Trail, *, multi: bool = True) -> TrailInfo:
    return TrailInfo(trail, multi, True, False, None, "logs", None)


ORG, ELSEWHERE = Trail(AWAY, "org"), Trail(Region(REGION.account, "us-east-1"), "elsewhere")
EVERYTHING = TrailSelectors(advanced=(DATA,))


def test_trails_reach_their_home_or_all_regions_and_shadow_copies_count_once() -> None:
    infos = (info(TRAIL, multi=False), info(ORG), info(ORG), info(ELSEWHERE, multi=False))
    held = data_logging(
        REGION,
        Trails(infos),
        dict.fromkeys((TRAIL, ORG, ELSEWHERE), TrailStatus(True)),
        {TRAIL: EVERYTHING, ORG: DENIED},
    )
    assert [(one.arn, one.selectors) for one in held.trails] == [(TRAIL.arn, EVERYTHING), (ORG.arn, DENIED)]


@pytest.mark.parametrize(
    ("status", "problem", "gap"),
    [
        (TrailStatus(True), None, None),
        (TrailStatus(True, None, "DigestError"), None, None),
        (TrailStatus(False), "It is not logging.", None),
        (TrailStatus(True, "NoSuchBucket"), "Its logs cannot be delivered: NoSuchBucket.", None),
        (DENIED, None, DENIED),
    ],
)
def test_a_trail_must_be_logging_and_deliver(status: Any, problem: str | None, gap: Gap | None) -> None:
    held = data_logging(REGION, Trails((info(TRAIL),)), {TRAIL: status}, {TRAIL: EVERYTHING})
    assert held.trails == (DataRecorder(TRAIL.arn, "audit", EVERYTHING, problem, gap),)


def test_a_trail_that_was_not_asked_at_home_is_not_known() -> None:
    (found,) = data_logging(REGION, Trails((info(ORG),)), {}, {}).trails
    assert isinstance(found.selectors, Gap)
    assert found.selectors.reason is Reason.PARTIAL_DATA


def store(name: str, **members: Any) -> EventDataStore:
    given: dict[str, Any] = {
        "status": "ENABLED",
        "multi_region": True,
        "organization": False,
        "selectors": (DATA,),
    } | members
    return EventDataStore(name, name, **given)


def test_event_data_stores_of_the_region_the_account_and_the_organisation() -> None:
    own, there = Region(REGION.account, "us-east-1"), AWAY
    held = {
        REGION: EventDataStores(
            (store("a"), store("b", status="STOPPED_INGESTION"), store("c", selectors=())), {"d": DENIED}
        ),
        own: EventDataStores((store("e", multi_region=False), store("f"))),
        there: EventDataStores((store("g"), store("h", organization=True))),
    }
    enabled = EnabledRegions((RegionStatus("eu-west-1", opt_in=False), RegionStatus("eu-west-3", opt_in=False)))
    found = lake_data_logging(REGION, held, enabled)
    known = {one.arn: one for one in found.stores}
    assert list(known) == ["a", "b", "c", "d", "f", "h"]
    assert logged(known["a"]) == logged(known["f"]) == BOTH
    assert known["b"].problem == "Its status is STOPPED_INGESTION."
    assert logged(known["c"]) == logged(known["d"]) == logged(known["h"]) == OPEN
    assert known["d"].selectors == DENIED
    assert [(gap.reason, "eu-west-3" in gap.detail) for gap in found.gaps] == [(Reason.PARTIAL_DATA, True)]
    assert lake_data_logging(REGION, {REGION: DENIED}, DENIED).gaps == (DENIED, DENIED)


def test_what_a_trail_selects_is_evidence() -> None:
    network = (
        FieldSelector("eventCategory", equals=("NetworkActivity",)),
        FieldSelector("eventSource", equals=("dynamodb.amazonaws.com",)),
        FieldSelector("errorCode", equals=("VpceAccessDenied",)),
    )
    stream = (DATA[0], FieldSelector("resources.type", equals=(STREAMS,)))
    assert selected_types(TrailSelectors(advanced=(DATA, stream, network))) == {
        "tables": True,
        "streams": True,
        "networkActivity": True,
    }
    other = (network[0], FieldSelector("eventSource", equals=("s3.amazonaws.com",)))
    assert not any(selected_types(TrailSelectors(advanced=(other,))).values())
    held = classic(TABLE.arn).selectors
    assert isinstance(held, TrailSelectors)
    assert selected_types(held) == {"tables": True, "streams": False, "networkActivity": False}

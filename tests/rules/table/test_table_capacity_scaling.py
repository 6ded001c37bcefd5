"""table-capacity-scaling by plain calls."""

from auditor import Status, Verdict
from auditor.facts import Gap, Index, Reason, ScalableTarget, ScalableTargets, TableSettings
from tests.rules import TABLE, load

judge = load("table-capacity-scaling")

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "application-autoscaling:DescribeScalableTargets")
INDEXES = (
    Index("by-day", "local", ("pk",)),
    Index("by-status", "global", ("status",)),
    Index("near", "vector"),
)


def targets(*names: str, suspended: str = "") -> ScalableTargets:
    """Scale reads and writes of resources, such as ``table/orders``."""
    return ScalableTargets(
        tuple(
            ScalableTarget(name, f"dynamodb:{'index' if '/index/' in name else 'table'}:{dimension}", name == suspended)
            for name in names
            for dimension in ("ReadCapacityUnits", "WriteCapacityUnits")
        )
    )


def verdict(scaling: ScalableTargets | Gap, **settings: object) -> Verdict:
    answer = judge(TABLE, TableSettings(status="ACTIVE", **settings), scaling)  # type: ignore[arg-type]
    assert isinstance(answer, Verdict)
    return answer


def test_on_demand_passes_whatever_is_scaled_and_an_open_bill_is_noted() -> None:
    found = verdict(DENIED, billing_mode="PAY_PER_REQUEST")
    assert found.status is Status.PASS
    assert "note" in found.evidence
    bounded = verdict(DENIED, billing_mode="PAY_PER_REQUEST", max_read_units=10, max_write_units=10)
    assert "note" not in bounded.evidence


def test_an_absent_billing_mode_is_provisioned_and_needs_both_dimensions() -> None:
    assert verdict(targets()).status is Status.FAIL
    assert verdict(targets("table/orders")).status is Status.PASS
    reads = ScalableTargets((ScalableTarget("table/orders", "dynamodb:table:ReadCapacityUnits"),))
    found = verdict(reads)
    assert found.status is Status.FAIL
    assert found.evidence["missing"] == ["table/orders dynamodb:table:WriteCapacityUnits"]


def test_every_global_index_is_scaled_and_no_other_kind_has_capacity() -> None:
    assert verdict(targets("table/orders"), indexes=INDEXES).status is Status.FAIL
    assert verdict(targets("table/orders", "table/orders/index/by-status"), indexes=INDEXES).status is Status.PASS
    # The index is scaled, the table is not.
    assert verdict(targets("table/orders/index/by-status"), indexes=INDEXES).status is Status.FAIL


def test_suspended_scaling_is_none() -> None:
    found = verdict(targets("table/orders", suspended="table/orders"))
    assert found.status is Status.FAIL
    assert "suspended" in found.message


def test_another_tables_targets_do_not_count() -> None:
    assert verdict(targets("table/orders-archive", "table/order")).status is Status.FAIL


def test_what_cannot_be_listed_is_unknown() -> None:
    found = verdict(DENIED)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, DENIED.action)


def test_tables_that_go_or_are_archived_are_not_judged() -> None:
    for status in ("CREATING", "DELETING", "ARCHIVED"):
        assert judge(TABLE, TableSettings(status=status), targets()).status is Status.NOT_APPLICABLE

from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import Gap, ScalableTargets, TableSettings
from auditor.resources import Table

DIMENSIONS = ("ReadCapacityUnits", "WriteCapacityUnits")


@rule(
    severity=Severity.LOW,
    side=Side.AMAZON,
    practices=["B"],
    controls={"AWS FSBP": ["DynamoDB.1"], "NIST 800-53 r5": ["CP-2(2)", "CP-10", "SC-5(2)", "SC-36"]},
    remediation=Remediation(
        text="Use on-demand capacity, with a maximum that bounds the bill; or register both dimensions of the table "
        "and of each index with Application Auto Scaling.",
        cli="aws dynamodb update-table --table-name $TABLE --billing-mode PAY_PER_REQUEST --region $REGION",
        terraform="""\
resource "aws_appautoscaling_target" "read" {
  service_namespace  = "dynamodb"
  resource_id        = "table/orders"
  scalable_dimension = "dynamodb:table:ReadCapacityUnits"
  min_capacity       = 5
  max_capacity       = 500
}

resource "aws_appautoscaling_policy" "read" {
  name               = "orders-read"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.read.service_namespace
  resource_id        = aws_appautoscaling_target.read.resource_id
  scalable_dimension = aws_appautoscaling_target.read.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = 70

    predefined_metric_specification {
      predefined_metric_type = "DynamoDBReadCapacityUtilization"
    }
  }
}""",
        cloudformation="""\
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BillingMode: PAY_PER_REQUEST
      OnDemandThroughput: {MaxReadRequestUnits: 10000, MaxWriteRequestUnits: 5000}
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/AutoScaling.html"],
)
def table_capacity_scaling(table: Table, settings: TableSettings, scaling: ScalableTargets | Gap) -> Verdict:
    """Tables scale with demand.

    A table with fixed capacity throttles its clients when traffic grows, and an attacker needs no more than traffic to
    make it so.

    Passes for on-demand capacity (`PAY_PER_REQUEST`; an absent `BillingModeSummary` means PROVISIONED), and for
    provisioned capacity when Application Auto Scaling scales reads and writes of the table and of every global
    secondary index, none of them suspended. Local and vector indexes have no capacity of their own. Targets are looked
    for in the table's own region: a replica's are not its siblings'. A registered target that no policy moves is not
    told from one that is. An on-demand table without a maximum can run up a bill: that is noted and not held against
    it.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    evidence: dict[str, Any] = {"BillingMode": settings.billing_mode}
    if settings.billing_mode == "PAY_PER_REQUEST":
        evidence |= {
            "MaxReadRequestUnits": settings.max_read_units,
            "MaxWriteRequestUnits": settings.max_write_units,
        }
        if settings.max_read_units is None or settings.max_write_units is None:
            evidence["note"] = "No maximum bounds what on-demand capacity may cost."
        return passed("The table has on-demand capacity.", **evidence)
    if isinstance(scaling, Gap):
        return unknown(scaling, **evidence)
    held = {(one.resource_id, one.dimension): one.suspended for one in scaling.targets}
    wanted = [(f"table/{table.name}", f"dynamodb:table:{dimension}") for dimension in DIMENSIONS]
    wanted += [
        (f"table/{table.name}/index/{index.name}", f"dynamodb:index:{dimension}")
        for index in settings.indexes
        if index.kind == "global"
        for dimension in DIMENSIONS
    ]
    missing = [f"{where} {dimension}" for where, dimension in wanted if (where, dimension) not in held]
    suspended = [f"{where} {dimension}" for where, dimension in wanted if held.get((where, dimension))]
    evidence |= {"missing": missing, "suspended": suspended}
    if not missing and not suspended:
        return passed("Auto scaling covers the table and its indexes.", **evidence)
    if missing:
        return failed(f"Auto scaling does not cover {_listed(missing)}.", **evidence)
    return failed(f"Auto scaling is suspended for {_listed(suspended)}.", **evidence)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown

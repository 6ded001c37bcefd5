from typing import Annotated, Literal

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import Environment, Gap, TableSettings
from auditor.resources import Table


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["P5"],
    controls={
        "AWS FSBP": ["DynamoDB.6"],
        "NIST 800-53 r5": ["CA-9(1)", "CM-2", "CM-2(2)", "CM-3", "SC-5(2)"],
    },
    remediation=Remediation(
        text="Turn deletion protection on, in every region that holds a replica: it is a setting of each replica.",
        cli="aws dynamodb update-table --table-name $TABLE --deletion-protection-enabled --region $REGION",
        terraform="""\
resource "aws_dynamodb_table" "orders" {
  name                        = "orders"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  deletion_protection_enabled = true

  attribute {
    name = "pk"
    type = "S"
  }
}""",
        cloudformation="""\
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      DeletionProtectionEnabled: true
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithTables.Basics.html#WorkingWithTables.Basics.DeletionProtection",
    ],
)
def table_deletion_protection(
    table: Table,
    settings: TableSettings,
    environment: Environment | Gap,
    *,
    require_for: Annotated[Literal["production", "all"], "Which tables must be protected."] = "production",
) -> Verdict:
    """Production tables have deletion protection on.

    One `DeleteTable` call, or one `terraform destroy` in the wrong workspace, removes a table with its items and
    indexes. With deletion protection on, DynamoDB refuses that call until someone turns the protection off first,
    which is a second, visible step.

    Every replica of a global table has its own setting, which DynamoDB never synchronises, so each is judged by
    itself. A restored table starts with protection off. Tables being created or deleted and archived tables are not
    judged; tables outside production only with `require_for: all`, and then with severity low.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    if settings.deletion_protection:
        return passed("Deletion protection is on.", DeletionProtectionEnabled=True)
    production = None if isinstance(environment, Gap) else environment.production
    if require_for == "production":
        if isinstance(environment, Gap):
            return unknown(environment, DeletionProtectionEnabled=False)
        if not production:
            return not_applicable("The table is not a production table.", decidedBy=environment.source)
    return failed(
        "Deletion protection is off.",
        severity=Severity.LOW if production is False else None,
        DeletionProtectionEnabled=False,
    )

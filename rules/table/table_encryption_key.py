from collections.abc import Mapping
from typing import Annotated, Any, Literal

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import EncryptionKey, Environment, Gap, Sensitivity, TableSettings, Tags
from auditor.resources import Table

KeyType = Literal["aws-owned", "aws-managed", "customer-managed"]
STRENGTH = {"aws-owned": 0, "aws-managed": 1, "customer-managed": 2}


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["P6"],
    controls={
        "NIST 800-53 r5": ["AU-9(3)", "SC-12", "SC-13", "SC-28", "SC-28(1)"],
        "PCI DSS 4.0.1": ["3.5.1"],
        "ISO 27001:2022": ["A.8.24"],
    },
    remediation=Remediation(
        text="Give the table a customer managed key, or record in a tag that another kind of key was chosen.",
        cli="aws dynamodb update-table --table-name $TABLE --region $REGION "
        "--sse-specification Enabled=true,SSEType=KMS,KMSMasterKeyId=$NEW_KEY_ARN",
        terraform="""\
resource "aws_dynamodb_table" "orders" {
  name         = "orders"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"

  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.tables.arn
  }

  attribute {
    name = "pk"
    type = "S"
  }
}""",
        cloudformation="""\
Parameters:
  KeyArn: {Type: String}
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      SSESpecification: {SSEEnabled: true, SSEType: KMS, KMSMasterKeyId: !Ref KeyArn}
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html"],
)
def table_encryption_key(
    table: Table,
    settings: TableSettings,
    key: EncryptionKey | Gap,
    sensitivity: Sensitivity | Gap,
    environment: Environment | Gap,
    tags: Tags | Gap,
    *,
    min_key_type: Annotated[
        Mapping[Literal["sensitive", "production", "default"], KeyType],
        "Weakest kind of key for sensitive tables, production tables and others.",
    ] = {"sensitive": "customer-managed", "production": "aws-managed", "default": "aws-owned"},
    decision_tag: Annotated[
        str, "Tag whose value names the kind of key that was chosen on purpose."
    ] = "encryption-key",
) -> Verdict:
    """The encryption key type was considered and is strong enough.

    Every table is encrypted; the question is who controls the key. One that AWS owns leaves no trace and cannot be
    revoked. One that AWS manages shows its use in CloudTrail. A customer managed key adds a key policy, rotation and
    the power to revoke.

    The kind is decided by KMS (`KeyManager`), since `SSEType: KMS` alone says nothing: an AWS managed key is not a
    customer key, and the ARN in `SSEDescription` is a key's, never an alias. Each member of a global table is judged by
    itself. The tag `encryption-key` with the actual kind as its value records a considered choice, which counts for
    tables that are not sensitive. A key that AWS owns with neither that tag nor a classification fails (low): nobody
    wrote the choice down. Global tables of version 2017.11.29 cannot have a customer key: bring them to the current
    version first.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    if isinstance(key, Gap):
        return unknown(key)
    evidence: dict[str, Any] = {
        "SSEType": settings.sse_type,
        "KMSMasterKeyArn": key.key.arn if key.key else None,
        "keyType": key.type,
        "decidedBy": key.proof,
    }
    if settings.global_table_version is not None:
        evidence["GlobalTableVersion"] = settings.global_table_version
    if STRENGTH[key.type] >= max(STRENGTH[kind] for kind in min_key_type.values()) and key.type != "aws-owned":
        return passed(f"The key is {key.type}.", **evidence)
    if isinstance(tags, Gap) or isinstance(sensitivity, Gap) or isinstance(environment, Gap):
        gap = next(one for one in (tags, sensitivity, environment) if isinstance(one, Gap))
        return unknown(gap, **evidence)
    classes = {"default": True, "production": environment.production, "sensitive": sensitivity.sensitive}
    needed = max((kind for name, kind in min_key_type.items() if classes[name]), key=STRENGTH.__getitem__)
    decided = (tags.get(decision_tag) or "").strip().casefold() == key.type
    evidence["required"] = needed
    if STRENGTH[key.type] < STRENGTH[needed]:
        if decided and not sensitivity.sensitive:
            return passed(
                f"The key is {key.type}, a recorded choice.", attested=f"{decision_tag}={key.type}", **evidence
            )
        severity = Severity.HIGH if sensitivity.sensitive and key.type == "aws-owned" else Severity.MEDIUM
        return failed(f"The key is {key.type}, and {needed} is required.", severity=severity, **evidence)
    if key.type == "aws-owned" and not decided and not sensitivity.classified:
        return failed(
            f"The key is {key.type}, and neither a classification nor a {decision_tag} tag shows that this was chosen.",
            severity=Severity.LOW,
            **evidence,
        )
    return passed(f"The key is {key.type}.", **evidence)

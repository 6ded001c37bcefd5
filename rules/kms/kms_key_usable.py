from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, passed, rule, unknown
from auditor.facts import CollectionTime, Gap, KeySettings, KeyUse
from auditor.resources import Account, Key

LOST = ("PendingDeletion", "PendingReplicaDeletion", "NotFound")
UNUSABLE = ("Disabled", "PendingImport", "Unavailable")
TRANSIENT = ("Creating", "Updating")
TABLE_WITHOUT_KEY = ("INACCESSIBLE_ENCRYPTION_CREDENTIALS", "ARCHIVING", "ARCHIVED")


@rule(
    severity=Severity.CRITICAL,
    side=Side.AMAZON,
    practices=["P6"],
    controls={"AWS FSBP": ["KMS.3"], "NIST 800-53 r5": ["CP-9", "SC-12", "SC-12(2)"], "ISO 27001:2022": ["A.8.24"]},
    remediation=Remediation(
        text="Cancel the deletion and enable the key at once; a table without its key is archived after seven days.",
        cli="aws kms cancel-key-deletion --key-id $KEY_ID --region $REGION\n"
        "aws kms enable-key --key-id $KEY_ID --region $REGION",
        terraform="""\
resource "aws_kms_key" "tables" {
  description             = "DynamoDB tables"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  lifecycle {
    prevent_destroy = true
  }
}""",
        cloudformation="""\
Resources:
  TableKey:
    Type: AWS::KMS::Key
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      Enabled: true
      EnableKeyRotation: true
      PendingWindowInDays: 30
      KeyPolicy:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
            Action: "kms:*"
            Resource: "*\"""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html"],
)
def kms_key_usable(
    key: Key,
    settings: KeySettings | Gap,
    use: KeyUse,
    times: Mapping[Account, CollectionTime | Gap],
    *,
    expiry_days: Annotated[int, "Imported key material that expires within so many days fails."] = 30,
) -> Verdict:
    """The key of every table is enabled and not scheduled for deletion.

    Without its key a table cannot be read. After seven days DynamoDB archives it; a replica leaves its global table
    after twenty hours. Once the key is deleted the data is lost for ever, backups with the same key included.

    Judged is every key that an audited table names: its `KeyState`, the expiry of imported key material, and whether
    DynamoDB already reports a table as inaccessible (`TableStatus`, `InaccessibleEncryptionDateTime`) or archived. A
    key that KMS does not find although a table names it is lost. Where the settings of a table in the key's account and
    region are not known, it may be one that lost the key, and nothing passes. Keys of other accounts are judged where
    KMS answers, and are unknown where it does not. `Creating` and `Updating` pass by themselves and are not held
    against a key. Keys of on-demand backups are not looked at.
    """
    evidence: dict[str, Any] = {"tables": [table.arn for table, _ in use.tables]}
    if isinstance(settings, KeySettings):
        evidence |= {
            "KeyState": settings.state,
            "KeyManager": settings.manager,
            "DeletionDate": f"{settings.deletion_date:%Y-%m-%dT%H:%M:%SZ}" if settings.deletion_date else None,
            "ValidTo": f"{settings.valid_to:%Y-%m-%dT%H:%M:%SZ}" if settings.valid_to else None,
        }
    stricken = {
        table.arn: {
            "TableStatus": held.status,
            "InaccessibleEncryptionDateTime": f"{held.inaccessible_since:%Y-%m-%dT%H:%M:%SZ}"
            if held.inaccessible_since
            else None,
            "ArchivalReason": held.archival_reason,
        }
        for table, held in use.tables
        if held.status in TABLE_WITHOUT_KEY or held.inaccessible_since is not None
    }
    if stricken:
        return failed("A table cannot be used for want of this key.", stricken=stricken, **evidence)
    if isinstance(settings, Gap):
        return unknown(settings, **evidence)
    if settings.state in LOST:
        return failed(f"The key's state is {settings.state}.", severity=Severity.CRITICAL, **evidence)
    if settings.state in UNUSABLE:
        return failed(f"The key's state is {settings.state}.", severity=Severity.HIGH, **evidence)
    if settings.valid_to is not None:
        known = [time.at for time in times.values() if isinstance(time, CollectionTime)]
        if not known:
            return unknown("The time of the collection is not known, so neither is what is left.", **evidence)
        if settings.valid_to - max(known) <= timedelta(days=expiry_days):
            return failed(
                f"The imported key material expires within {expiry_days} days.", severity=Severity.HIGH, **evidence
            )
    if use.unread is not None:
        return unknown(use.unread, **evidence)  # DynamoDB may say there that the table lost this key
    if settings.state == "Enabled":
        return passed("The key is enabled.", **evidence)
    if settings.state in TRANSIENT:
        return passed(f"The key is {settings.state}, which passes by itself.", **evidence)
    return unknown(f"The key's state is {settings.state}, which this rule does not know.", **evidence)

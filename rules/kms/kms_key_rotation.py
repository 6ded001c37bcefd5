from collections.abc import Mapping
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import CollectionTime, Gap, KeyRotation, KeySettings, Reason
from auditor.resources import Account, Key


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P6"],
    controls={
        "AWS FSBP": ["KMS.4"],
        "CIS AWS Foundations 6.0": ["4.6"],
        "NIST 800-53 r5": ["SC-12", "SC-12(2)", "SC-28(3)"],
        "PCI DSS 4.0.1": ["3.7.4"],
    },
    remediation=Remediation(
        text="Turn automatic rotation on; tables keep working, and KMS keeps the old material for what it encrypted.",
        cli="aws kms enable-key-rotation --key-id $KEY_ARN --rotation-period-in-days 365 --region $REGION",
        terraform="""\
resource "aws_kms_key" "tables" {
  enable_key_rotation     = true
  rotation_period_in_days = 365
}""",
        cloudformation="""\
Resources:
  TableKey:
    Type: AWS::KMS::Key
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      EnableKeyRotation: true
      RotationPeriodInDays: 365
      KeyPolicy:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
            Action: "kms:*"
            Resource: "*\"""",
    ),
    references=["https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html"],
)
def kms_key_rotation(
    key: Key,
    settings: KeySettings | Gap,
    rotation: KeyRotation | Gap,
    audited: Mapping[Account, CollectionTime | Gap],
    *,
    max_rotation_days: Annotated[int, "Longest period between two rotations."] = 365,
) -> Verdict:
    """Customer-managed table keys rotate automatically.

    Rotation bounds how much data one piece of key material protects, and shows an auditor that keys are looked after.

    Judged are customer managed keys of tables with material that KMS made. AWS managed keys rotate every year by
    themselves; imported material, CloudHSM and external key stores cannot rotate automatically; a key that is pending
    deletion is past it. Rotation is a property of a multi-Region primary, so it is not judged on a replica: ask about
    the primary in its region. Rotation on demand without automatic rotation is not enough. A disabled key with rotation
    off fails. Keys of accounts that are not audited are unknown: who rotates them is not ours to read.
    """
    if isinstance(settings, Gap):
        return unknown(settings)
    evidence: dict[str, Any] = {"KeyManager": settings.manager, "Origin": settings.origin, "KeyState": settings.state}
    if settings.manager == "AWS":
        return not_applicable("AWS rotates its managed keys every year.", **evidence)
    if settings.state in ("PendingDeletion", "PendingReplicaDeletion", "NotFound"):
        return not_applicable(f"The key's state is {settings.state}.", **evidence)
    if settings.origin != "AWS_KMS":
        return not_applicable("Key material of this origin is rotated by hand.", **evidence)
    if settings.multi_region_type == "REPLICA":
        primary = settings.primary.arn if settings.primary else None
        return not_applicable("Rotation is a property of the multi-Region primary.", PrimaryKey=primary, **evidence)
    if key.account not in audited:
        text = f"The key belongs to account {key.account.id}, which is not audited."
        return unknown(text, reason=Reason.PARTIAL_DATA, **evidence)
    if isinstance(rotation, Gap):
        return unknown(rotation, **evidence)
    evidence |= {
        "KeyRotationEnabled": rotation.enabled,
        "RotationPeriodInDays": rotation.days if rotation.enabled else None,
    }
    if not rotation.enabled:
        return failed("Automatic rotation is off.", **evidence)
    if rotation.days > max_rotation_days:
        return failed(f"The key rotates every {rotation.days} days, more than {max_rotation_days}.", **evidence)
    return passed(f"The key rotates every {rotation.days} days.", **evidence)

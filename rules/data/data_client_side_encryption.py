import fnmatch
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from msgspec import Meta

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import Gap, ItemSample, Reason, Sensitivity, TableSettings, Tags
from auditor.resources import Table

from ._sample import is_empty

ATTESTING_TAG = "client-side-encryption"
NOT_ENCRYPTED = ("", "none", "false", "no", "off")


@rule(
    severity=Severity.HIGH,
    side=Side.CLIENT,
    practices=["P12"],
    controls={
        "NIST 800-53 r5": ["SC-8(1)", "SC-13", "SC-28(1)"],
        "PCI DSS 4.0.1": ["3.5.1"],
        "ISO 27001:2022": ["A.8.24"],
        "GDPR": ["Art. 32(1)(a)", "Art. 34(3)(a)"],
    },
    remediation=Remediation(
        text="Write items through the AWS Database Encryption SDK, with a key that DynamoDB does not use, and write "
        "the old ones anew. Where the application encrypts in a way of its own, say so in the tag.",
        cli="# The key with which the SDK's keyring wraps its data keys.\n"
        'aws kms create-key --description "Wrapping key of the application" --region $REGION\n'
        "# Whether items carry the SDK's header and footer, without reading anything else of them.\n"
        "aws dynamodb scan --table-name $TABLE --region $REGION --limit 25 --projection-expression '#h,#f' "
        '--expression-attribute-names \'{"#h": "aws_dbe_head", "#f": "aws_dbe_foot"}\' '
        "--return-consumed-capacity TOTAL\n"
        "# Only where the application encrypts in a way of its own, which no auditor can recognise.\n"
        "aws dynamodb tag-resource --resource-arn $TABLE_ARN --region $REGION "
        f"--tags Key={ATTESTING_TAG},Value=$HOW_IT_ENCRYPTS",
        terraform="""\
resource "aws_kms_key" "client_side" {
  description         = "Wrapping key of the application's AWS Database Encryption SDK, not used by DynamoDB"
  enable_key_rotation = true
}""",
        cloudformation="""\
Resources:
  ClientSideKey:
    Type: AWS::KMS::Key
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      Description: Wrapping key of the application's AWS Database Encryption SDK
      EnableKeyRotation: true
      KeyPolicy:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
            Action: "kms:*"
            Resource: "*\"""",
    ),
    references=[
        "https://docs.aws.amazon.com/database-encryption-sdk/latest/devguide/what-is-database-encryption-sdk.html",
        "https://docs.aws.amazon.com/database-encryption-sdk/latest/devguide/reference.html",
    ],
)
def data_client_side_encryption(
    table: Table,
    settings: TableSettings,
    sensitivity: Sensitivity | Gap,
    tags: Tags | Gap,
    sample: ItemSample | Gap,
    *,
    require_for: Annotated[
        Literal["sensitive", "all"], "Which tables must hold encrypted items: those tagged as sensitive, or all."
    ] = "sensitive",
    min_encrypted_ratio: Annotated[
        float, Meta(gt=0, le=1), "Least share of the sampled items that must be encrypted."
    ] = 1.0,
    declared: Annotated[
        Mapping[str, str], "Tables that the application encrypts in a way of its own: glob on the name or ARN -> how."
    ] = {},
    legacy: Annotated[
        Literal["warn", "fail"],
        "What items of the legacy DynamoDB Encryption Client are: encrypted, with a note, or not encrypted.",
    ] = "warn",
) -> Verdict:
    """Tables that need it hold client-side-encrypted items.

    Encryption at rest protects the disks; whoever may read the table reads plain text all the same. What the
    application encrypts before it sends it stays closed to everyone without its key: to administrators, to stolen
    credentials with access to the table only, to copies and exports.

    Only items prove it, so the rule needs `sampling.items_per_table`; without, it is unknown. Reading the attributes
    that encryption adds is enough. An item counts as encrypted when it has the header `aws_dbe_head` and the footer
    `aws_dbe_foot` of the AWS Database Encryption SDK, both binary, and the header says of at least one attribute that
    it is encrypted: the SDK also writes items in which everything is merely signed. Of the legacy DynamoDB Encryption
    Client the material description and the signature count, not the signature alone; with the default names, since its
    Java version can be given others. Such items count, with a note: move to the current SDK.

    Every sampled item must be encrypted (`min_encrypted_ratio`). A mixed table fails with its ratio: items from before
    the migration, or a client that still writes plain text. What the application encrypts in a way of its own looks
    like any other data: name it in `declared`, or in the table's tag `client-side-encryption` (any value but none,
    false, no or off), and it passes as attested. Tables that are not sensitive, empty ones and those being created,
    deleted or archived are not applicable. Emptiness is the Scan's word; while nothing is sampled it is that of
    `ItemCount`, up to six hours old. Where the Scan is refused, by IAM or by the key's policy, the rule is unknown. A
    sample is a sample: the evidence says how many items were seen.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    evidence = _evidence(sample)
    if is_empty(sample, settings):
        return not_applicable("The table has no items.", ItemCount=settings.item_count, **evidence)
    if isinstance(sensitivity, Gap) and require_for == "sensitive":
        return unknown(sensitivity, **evidence)
    sensitive = isinstance(sensitivity, Sensitivity) and sensitivity.sensitive
    if require_for == "sensitive" and not sensitive:
        return not_applicable("The table is not tagged as holding sensitive data.", **evidence)
    if isinstance(sensitivity, Sensitivity) and sensitivity.source:
        evidence["classification"] = sensitivity.source
    attested = _attested(table, tags, declared)
    if attested:
        return passed(f"The application encrypts items in a way of its own: {attested}.", attested=attested, **evidence)
    if isinstance(sample, Gap):
        hint = f" Or declare it: the tag {ATTESTING_TAG}, or `declared`." if sample.action is None else ""
        return unknown(replace(sample, detail=sample.detail + hint), **evidence)
    if not sample.items:
        why = sample.skipped or f"reading stopped at {sample.stopped}"
        return unknown(f"No item was read: {why}.", reason=Reason.PARTIAL_DATA, **evidence)
    current, old = sample.kinds.get("encrypted", 0), sample.kinds.get("legacy", 0)
    encrypted = current + (0 if legacy == "fail" else old)
    ratio = encrypted / sample.items
    evidence["encryptedRatio"] = round(ratio, 4)
    if ratio >= min_encrypted_ratio:
        text = f"Of {sample.items} sampled items {encrypted} are encrypted by the client"
        if old and legacy == "warn":
            text += f", {old} of them by the legacy DynamoDB Encryption Client: migrate to the current SDK"
            evidence["note"] = "The legacy DynamoDB Encryption Client is at, or near, the end of its support."
        return passed(f"{text}.", **evidence)
    if isinstance(tags, Gap):
        return unknown(tags, **evidence)  # a tag may attest
    severity = Severity.HIGH if sensitive else Severity.INFORMATIONAL
    return failed(_shortfall(sample, current, old, legacy), severity=severity, **evidence)


def _shortfall(sample: ItemSample, current: int, old: int, legacy: str) -> str:
    """Return the sentence of a failure."""
    encrypted = current + (0 if legacy == "fail" else old)
    signed = sample.kinds.get("signed", 0) + sample.kinds.get("legacy-signed", 0)
    if encrypted:
        return f"Only {encrypted} of {sample.items} sampled items are encrypted by the client."
    if legacy == "fail" and old:
        return f"Of {sample.items} sampled items {old} are encrypted by the legacy client, which is not accepted."
    if signed:
        return f"None of {sample.items} sampled items is encrypted by the client; {signed} are merely signed."
    return f"None of {sample.items} sampled items is encrypted by the client."


def _attested(table: Table, tags: Tags | Gap, declared: Mapping[str, str]) -> str:
    """Return what says that the application encrypts by itself, or an empty text."""
    for pattern, how in declared.items():
        if any(fnmatch.fnmatchcase(one, pattern) for one in (table.name, table.arn)):
            return f"declared as {how}" if how.strip() else "declared"
    value = (tags.get(ATTESTING_TAG) or "").strip() if isinstance(tags, Tags) else ""
    return "" if value.casefold() in NOT_ENCRYPTED else f"tag {ATTESTING_TAG}={value}"


def _evidence(sample: ItemSample | Gap) -> dict[str, Any]:
    if isinstance(sample, Gap):
        return {}
    return {
        "sampledItems": sample.items,
        "kinds": dict(sample.kinds),
        "CapacityUnits": sample.consumed,
        "wholeTable": sample.exhausted,
        **({"stopped": sample.stopped} if sample.stopped else {}),
        **({"skipped": sample.skipped} if sample.skipped else {}),
    }

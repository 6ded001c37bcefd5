import fnmatch
import re
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta

from auditor import Members, Remediation, Severity, Side, Status, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import Gap, Hit, ItemSample, Reason, Sensitivity, TableSettings
from auditor.resources import Table

from ._sample import is_empty

ENCRYPTION = "data-client-side-encryption"

#: Words, as attributes are named, that speak of sensitive data -> whether value detectors look for it.
WORDS = {
    **dict.fromkeys(("ssn", "iban", "card", "cardnumber", "creditcard", "email", "emails", "mail"), True),
    **dict.fromkeys(("passport", "cvv", "cvc", "dob", "birth", "birthdate", "birthday", "dateofbirth"), False),
    **dict.fromkeys(("salary", "salaries", "diagnosis", "diagnoses", "phone", "phonenumber", "password"), False),
    **dict.fromkeys(("passwords", "secret", "secrets", "token", "tokens"), False),
}
#: Detectors that find credentials, which belong into no database.
CREDENTIALS = ("aws-access-key-id", "jwt", "private-key")
#: Words that say no more than that it is the thing itself: `email_address`, but not `email_template`.
QUALIFIERS = {"address", "number", "no", "nr", "num", "date", "day", "value", "text", "plain", "raw"}
#: The same for vectors, which are made of a text.
EMBEDDINGS = {"embedding", "embeddings", "vector", "vectors", "vec"}


@rule(
    severity=Severity.HIGH,
    side=Side.CLIENT,
    practices=["P13", "P12"],
    controls={
        "NIST 800-53 r5": ["PM-22", "RA-2", "SC-28", "SI-12"],
        "PCI DSS 4.0.1": ["3.3.1", "3.5.1"],
        "ISO 27001:2022": ["A.5.12", "A.8.11", "A.8.12"],
        "GDPR": ["Art. 5(1)(f)", "Art. 32(1)(a)"],
    },
    remediation=Remediation(
        text="Move the sensitive attributes to Amazon RDS or Aurora, or encrypt them in the application; then classify "
        "the table.",
        cli="# What the data is, so that everything that protects it follows.\n"
        "aws dynamodb tag-resource --resource-arn $TABLE_ARN --region $REGION "
        "--tags Key=data-classification,Value=confidential\n"
        "# A database with row-level security, IAM authentication and a key of its own.\n"
        "aws rds create-db-cluster --db-cluster-identifier customers --engine aurora-postgresql --region $REGION "
        "--storage-encrypted --kms-key-id $NEW_KEY_ARN --enable-iam-database-authentication --deletion-protection "
        "--master-username app_admin --manage-master-user-password",
        terraform="""\
resource "aws_rds_cluster" "customers" {
  cluster_identifier                  = "customers"
  engine                              = "aurora-postgresql"
  storage_encrypted                   = true
  kms_key_id                          = aws_kms_key.customers.arn
  iam_database_authentication_enabled = true
  deletion_protection                 = true
  master_username                     = "app_admin"
  manage_master_user_password         = true
}""",
        cloudformation="""\
Resources:
  Customers:
    Type: AWS::RDS::DBCluster
    DeletionPolicy: Snapshot
    UpdateReplacePolicy: Snapshot
    Properties:
      Engine: aurora-postgresql
      StorageEncrypted: true
      EnableIAMDatabaseAuthentication: true
      DeletionProtection: true
      ManageMasterUserPassword: true
      MasterUsername: app_admin""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/best-practices-security-preventative.html",
        "https://docs.aws.amazon.com/database-encryption-sdk/latest/devguide/ddb-searchable-encryption.html",
    ],
    asks=[ENCRYPTION],
)
def data_sensitive_storage(
    table: Table,
    settings: TableSettings,
    sensitivity: Sensitivity | Gap,
    sample: ItemSample | Gap,
    members: Members,
    *,
    min_hits: Annotated[int, Meta(ge=1), "In so many sampled items a kind of value must stand to count."] = 3,
    min_ratio: Annotated[
        float, Meta(gt=0, le=1), "In this share of the items that have the attribute it must stand to count."
    ] = 0.05,
    accepted_sensitive_tables: Annotated[
        tuple[str, ...], "Tables whose plain sensitive data is an accepted risk: globs on the name or ARN."
    ] = (),
    rds_alternative: Annotated[bool, "Findings name Amazon RDS as an alternative."] = True,
) -> Verdict:
    """Sensitive data is not kept in plain DynamoDB items.

    Whoever may read a table reads whole items. Amazon RDS and Aurora separate rows and columns by database users;
    encryption in the application closes the values even to the table's administrators. Amazon Macie looks at S3 only,
    so nothing of AWS notices that a card number has found its way into a table.

    The strongest signal decides. Values: with `sampling.values` e-mail addresses (not of example domains), payment
    cards (range, length and checksum), US social security numbers, IBANs (length and checksum), AWS access keys,
    private keys and JSON web tokens are looked for. A kind counts when it stands in `min_hits` items and `min_ratio`
    of those that have the attribute, and when at least half of what has the shape also has the checksum: long numbers
    that are ids pass it by chance. Findings name attributes, kinds and counts, never a value. A value that was found
    stands there in plain text, so it fails even in a table whose other attributes are encrypted, and whatever the tag
    says; in a key it cannot be helped by encryption at all, since keys are only ever signed.

    Tags: a table classified as sensitive passes when data-client-side-encryption passes, and fails where that fails.
    One classified otherwise passes when no values were found. Names: where nothing is classified and no values are
    sampled, an attribute of a key, of an index or of a projection that is named like sensitive data fails (low):
    confirm the classification. `email_template` is no such name. A sample settles that for the kinds it looks for, not
    for birth dates and the like. A vector's name counts like that of the text it was made of, which it can reveal.
    With none of these signals the table is unclassified: it passes when values were sampled, else it is unknown.

    Hits too few for want of items are unknown, and so is everything where the Scan was tried and refused. Empty tables
    are not applicable. Accepted tables pass as attested. Failures do not move with the context, which they already
    express: real personal data in a test table is as bad.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    hits = sample.hits if isinstance(sample, ItemSample) else ()
    proven = [one for one in hits if one.count >= min_hits and _is_frequent(one, min_ratio)]
    thin = [one for one in hits if one.of < min_hits and _is_frequent(one, min_ratio)]
    evidence = _evidence(sample, hits, settings)
    if is_empty(sample, settings):
        return not_applicable("The table has no items.", **evidence)
    if isinstance(sensitivity, Sensitivity) and sensitivity.source:
        evidence["classification"] = sensitivity.source
    advice = " Move it to Amazon RDS or encrypt it in the application." if rds_alternative else ""
    if proven and all(one.detector in CREDENTIALS for one in proven):
        advice = " Keep credentials in AWS Secrets Manager, or a hash of them."
    for pattern in accepted_sensitive_tables:
        if any(fnmatch.fnmatchcase(one, pattern) for one in (table.name, table.arn)):
            accepted = f"accepted_sensitive_tables: {pattern}"
            return passed("What the table holds is an accepted risk.", attested=accepted, **evidence)
    if proven:
        return failed(_found(proven) + advice, severity=Severity.HIGH, **evidence)
    if isinstance(sample, Gap) and sample.action is not None:
        return unknown(sample, **evidence)  # it may have shown values
    if isinstance(sensitivity, Gap):
        return unknown(sensitivity, **evidence)
    if sensitivity.sensitive:
        verdict = _by_encryption(members, table, advice, evidence)
        if verdict.status is not Status.PASS:
            return verdict
    if thin:
        text = f"{_found(thin)} That is too little to tell: fewer than {min_hits} items have the attribute."
        return unknown(text, reason=Reason.PARTIAL_DATA, **evidence)
    if sensitivity.sensitive:
        return verdict
    sampled = isinstance(sample, ItemSample) and sample.values and sample.items > 0
    seen = f"{'too few' if hits else 'none'} of {evidence['sampledItems']} sampled items" if sampled else ""
    if sensitivity.classified:
        without = f", and {seen} show such data" if sampled else ""
        return passed(f"The table is not classified as sensitive{without}.", **evidence)
    named = [one for one, looked_for in _suspicious(settings) if not (sampled and looked_for)]
    if named:
        text = f"Nothing classifies the table, and attributes are named like sensitive data: {', '.join(named)}."
        return failed(text, severity=Severity.LOW, suspiciousNames=named, **evidence)
    if sampled:
        return passed(f"{seen.capitalize()} show sensitive data.", **evidence)
    return _unclassified(sample, evidence)


def _by_encryption(members: Members, table: Table, advice: str, evidence: dict[str, Any]) -> Verdict:
    """Judge a table that is classified as sensitive: what matters is whether the client encrypts its items."""
    said = next((one for one in members.of(ENCRYPTION, table) if one.sub_key is None), None)
    if said is None or said.status is Status.NOT_APPLICABLE:
        return unknown(f"The table is sensitive, and {ENCRYPTION} does not judge it.", **evidence)
    evidence["clientSideEncryption"] = {"status": said.status.value, "message": said.message}
    if said.status is Status.UNKNOWN:
        return Verdict(
            Status.UNKNOWN,
            f"Whether the client encrypts the sensitive items is not known: {said.message}",
            evidence,
            reason=said.reason,
            missing_permission=said.missing_permission,
        )
    if said.status is Status.FAIL:
        text = f"The table is classified as sensitive, and its items are in plain text: {said.message}{advice}"
        return failed(text, severity=Severity.HIGH, **evidence)
    if "attested" in said.evidence:
        evidence["attested"] = said.evidence["attested"]
    return passed("The table is classified as sensitive, and the client encrypts its items.", **evidence)


def _unclassified(sample: ItemSample | Gap, evidence: dict[str, Any]) -> Verdict:
    why = "values are not sampled (`sampling.values`)"
    if isinstance(sample, Gap):
        why = "no items are sampled (`sampling.items_per_table` and `sampling.values`)"
    elif not sample.items:
        why = f"no item was read: {sample.skipped or f'reading stopped at {sample.stopped}'}"
    return unknown(
        f"Nothing classifies the table (a tag of `sensitive.tags` would), and {why}.",
        reason=Reason.PARTIAL_DATA,
        **evidence,
    )


def _is_frequent(hit: Hit, min_ratio: float) -> bool:
    return hit.count / max(1, hit.of) >= min_ratio and hit.count * 2 >= hit.shaped


def _found(hits: list[Hit]) -> str:
    """Return what was found as a sentence, without a value."""
    shown = [
        f"{one.detector} in {one.count} of {one.of} items in the {'key ' if one.key else ''}attribute {one.attribute}"
        for one in hits
    ]
    keys = " Keys cannot be encrypted." if any(one.key for one in hits) else ""
    return f"Plain values look sensitive: {'; '.join(shown)}.{keys}"


def _suspicious(settings: TableSettings) -> Iterator[tuple[str, bool]]:
    """Yield the attributes known from DescribeTable that are named like sensitive data.

    Each with whether the value detectors look for that kind of data.
    """
    names = dict.fromkeys([*settings.partition_keys, *settings.sort_keys], False)
    for index in settings.indexes:
        names |= dict.fromkeys([*index.partition_keys, *index.sort_keys, *index.projected], False)
        if index.vector is not None:
            names[index.vector] = True
    for name, is_vector in sorted(names.items()):
        word = _sensitive_word(name, QUALIFIERS | EMBEDDINGS if is_vector else QUALIFIERS)
        if word is not None:
            yield name, WORDS[word] and not is_vector


def _sensitive_word(name: str, qualifiers: set[str]) -> str | None:
    """Return which word of ``WORDS`` a name ends in, qualifiers aside, or None."""
    words = [one.casefold() for one in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    while len(words) > 1 and words[-1] in qualifiers and words[-1] not in WORDS:
        del words[-1]
    if words[-2:] == ["e", "mail"]:
        return "email"
    return words[-1] if words and words[-1] in WORDS else None


def _evidence(sample: ItemSample | Gap, hits: tuple[Hit, ...], settings: TableSettings) -> dict[str, Any]:
    found: dict[str, Any] = {"ItemCount": settings.item_count}
    if isinstance(sample, ItemSample):
        found |= {
            "sampledItems": sample.items,
            "valuesSampled": sample.values,
            "CapacityUnits": sample.consumed,
            "wholeTable": sample.exhausted,
        }
        found |= {name: value for name, value in (("stopped", sample.stopped), ("skipped", sample.skipped)) if value}
    if hits:
        found["hits"] = [
            {"attribute": one.attribute, "detector": one.detector, "items": one.count, "of": one.of, "key": one.key}
            for one in hits
        ]
    vectors = [one.vector for one in settings.indexes if one.vector is not None]
    if vectors:
        found["VectorAttribute"] = vectors
        found["note"] = "Vectors can reveal the text that they were made of: classify them like it."
    return found

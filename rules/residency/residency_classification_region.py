from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config, ResidencyRule
from auditor.facts import (
    BulkOperations,
    Export,
    ExportBuckets,
    Exports,
    Gap,
    KinesisDestinations,
    LegacyGlobalTables,
    ProtectedResources,
    Reason,
    Sensitivity,
    TableSettings,
    Tags,
)
from auditor.resources import Table


@rule(
    severity=Severity.CRITICAL,
    side=Side.AMAZON,
    practices=["P4"],
    controls={"NIST 800-53 r5": ["SA-9(5)", "RA-2"], "GDPR": ["Art. 5", "Art. 32", "Art. 44"]},
    remediation=Remediation(
        text="Move what is outside: delete the replica, export to a bucket of the jurisdiction, end the stream. A "
        "sensitive table without a residency tag gets one.",
        cli="aws dynamodb tag-resource --resource-arn $TABLE_ARN --tags Key=data-residency,Value=eu --region $REGION",
        terraform="""\
resource "aws_dynamodb_tag" "residency" {
  resource_arn = aws_dynamodb_table.orders.arn
  key          = "data-residency"
  value        = "eu"
}""",
        cloudformation="""\
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      Tags: [{Key: data-residency, Value: eu}]
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/best-practices-security-detective.html"
    ],
)
def residency_classification_region(
    table: Table,
    settings: TableSettings,
    tags: Tags | Gap,
    sensitivity: Sensitivity | Gap,
    legacy: LegacyGlobalTables | Gap,
    exports: Exports | Gap,
    bulk: BulkOperations | Gap,
    buckets: ExportBuckets | Gap,
    destinations: KinesisDestinations | Gap,
    backups: ProtectedResources | Gap,
    config: Config,
) -> Verdict:
    """Data classified for a jurisdiction stays in it.

    A promise of residency is about the data, not about one table: a replica, a backup, a stream or an export takes it
    elsewhere just as well.

    Each entry of `residency_rules` whose tag the table has names the regions where its data may be. Compared with them
    are the table's own region, its replicas and witnesses, the Kinesis data streams that its changes go to, the vault
    of its latest AWS Backup, and the buckets of its exports (a bucket's region is told even to those whom it refuses).
    A bulk operation's output bucket counts too: its reports on failed conditions have items of the table in them.
    Keys and values of tags are compared without regard to case, regions are globs, and where several entries match all
    of them must hold. One location outside fails, whatever is not known of others; otherwise one that could not be read
    is unknown. A sensitive table without any of the tags that the entries name fails (low): nobody said where its data
    may be. Without entries the rule has nothing to compare with.

    Exports older than 90 days and copies of backups in other regions or accounts are not seen.
    """
    if not config.residency_rules:
        return not_applicable("The configuration has no residency_rules.", reason="not_declared")
    if not settings.settled:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    if isinstance(tags, Gap):
        return unknown(tags)
    matching = [one for one in config.residency_rules if all(_has(tags, *item) for item in one.tag.items())]
    if not matching:
        named = {key.casefold() for one in config.residency_rules for key in one.tag}
        tagged = any(key.casefold() in named and value.strip() for key, value in tags.values.items())
        if not tagged and isinstance(sensitivity, Gap):
            return unknown(sensitivity)
        if not tagged and isinstance(sensitivity, Sensitivity) and sensitivity.sensitive:
            message = "The table is sensitive, and no residency tag says where its data may be."
            return failed(message, severity=Severity.LOW, sensitive=sensitivity.source, expected=sorted(named))
        return not_applicable("No entry of residency_rules speaks of the table's tags.")
    places, gaps = _places(table, settings, legacy, destinations, backups)
    for what, found in _exported(table, exports, bulk, buckets):
        if isinstance(found, Gap):
            gaps.append(found)
        else:
            places[what] = found
    outside = {what: region for what, region in places.items() if not _allowed(region, matching)}
    evidence: dict[str, Any] = {
        "residency": [{"tag": dict(one.tag), "regions": list(one.regions)} for one in matching],
        "locations": places,
        "notKnown": [gap.detail for gap in gaps],
        "limits": "exports and bulk operations of the last 90 days; copies of backups elsewhere are not seen",
    }
    if outside:
        listed = ", ".join(f"{what} in {region}" for what, region in sorted(outside.items())[:3])
        more = f" and {len(outside) - 3} more" if len(outside) > 3 else ""
        return failed(f"Outside the jurisdiction: {listed}{more}.", outside=outside, **evidence)
    if gaps:
        return unknown(min(gaps, key=lambda gap: gap.action is None), **evidence)
    return passed("Every known location of the data is in the jurisdiction.", **evidence)


def _has(tags: Tags, key: str, value: str) -> bool:
    """Tell whether the table has a tag; AWS's keys differ by case, people's do not."""
    return any(
        name.casefold() == key.casefold() and held.strip().casefold() == value.strip().casefold()
        for name, held in tags.values.items()
    )


def _allowed(region: str, rules: list[ResidencyRule]) -> bool:
    return all(any(fnmatchcase(region, glob) for glob in one.regions) for one in rules)


def _places(
    table: Table,
    settings: TableSettings,
    legacy: LegacyGlobalTables | Gap,
    destinations: KinesisDestinations | Gap,
    backups: ProtectedResources | Gap,
) -> tuple[dict[str, str], list[Gap]]:
    """Return where the table's data is, buckets aside, by what holds it, and what could not be found out."""
    places = {"table": table.region.name}
    gaps: list[Gap] = []
    for replica in settings.replicas:
        if replica.status != "DELETING":
            places[f"replica {replica.table.arn}"] = replica.table.region.name
    for witness in settings.witnesses:
        if witness.status != "DELETING":
            places[f"witness {witness.region}"] = witness.region
    if not settings.replicas:
        if isinstance(legacy, Gap):
            if settings.global_table_version != "2019.11.21":
                gaps.append(legacy)
        elif table.region.name in (members := legacy.members.get(table.name, ())):
            places |= {f"replica {region}": region for region in members}
    if isinstance(destinations, Gap):
        gaps.append(destinations)
    else:
        places |= {f"stream {one.arn}": one.region.name for one in destinations.names() if hasattr(one, "region")}
    if isinstance(backups, Gap):
        gaps.append(backups)
    elif (held := backups.tables.get(table.arn)) is not None and held.vault_arn:
        region = "".join(held.vault_arn.split(":")[3:4])
        if region:
            places[f"backup vault {held.vault_arn}"] = region
        else:
            gaps.append(Gap(Reason.UNDECIDABLE, f"The backup vault {held.vault_arn} does not name its region."))
    return places, gaps


def _exported(
    table: Table, exports: Exports | Gap, bulk: BulkOperations | Gap, buckets: ExportBuckets | Gap
) -> Iterator[tuple[str, str | Gap]]:
    """Yield the buckets that got items of the table, each with its region or why that is not known."""
    used: list[Export] = []
    if isinstance(exports, Gap):
        yield "exports", exports
    else:
        used += exports.exports
        yield from ((arn, gap) for arn, gap in exports.unread.items() if arn.startswith(f"{table.arn}/"))
        if omitted := exports.omitted.get(table.arn):
            yield "exports", Gap(Reason.PARTIAL_DATA, f"{omitted} older exports of the table were not looked at.")
    if isinstance(bulk, Gap):
        yield "bulk operations", bulk
    else:
        used += (one for one in bulk.buckets if one.role == "output")
        yield from bulk.unread.items()  # any of them may be this table's
        if bulk.omitted:
            yield "bulk", Gap(Reason.PARTIAL_DATA, f"{bulk.omitted} older bulk operations were not looked at.")
    for name in sorted({one.bucket for one in used if one.table_arn in (table.arn, "") and one.wrote}):
        if isinstance(buckets, Gap):
            yield name, buckets
            continue
        info = buckets.buckets.get(name)
        if info is not None and not info.exists:
            continue
        if info is None or info.region is None:
            refused = info.refused if info is not None else None
            reason = Reason.PARTIAL_DATA if refused is None else refused.reason
            yield name, Gap(reason, f"The region of bucket {name} is not known.", "s3:ListBucket")
        else:
            yield f"bucket {name}", info.region

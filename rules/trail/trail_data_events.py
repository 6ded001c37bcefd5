import itertools
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from auditor import Remediation, Severity, Side, Status, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.analysis.trails import DataCoverage, data_coverage, selected_types
from auditor.facts import DataLogging, DataRecorder, Environment, Gap, LakeDataLogging, Sensitivity, TrailSelectors
from auditor.resources import Table

Kind = Literal["read", "write"]


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["P10"],
    controls={
        "NIST 800-53 r5": ["AC-6(9)", "AU-2", "AU-3", "AU-12"],
        "PCI DSS 4.0.1": ["10.2.1"],
        "CIS AWS Database Services": ["4.7"],
    },
    remediation=Remediation(
        text="Add a selector of data events for the table to a trail; the command replaces all selectors that the "
        "trail has, so repeat in it what it shall keep. Data events cost by their number.",
        cli="aws cloudtrail put-event-selectors --trail-name $TRAIL_NAME --region $TRAIL_REGION "
        '--advanced-event-selectors \'[{"Name":"management","FieldSelectors":'
        '[{"Field":"eventCategory","Equals":["Management"]}]},'
        '{"Name":"tables","FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},'
        '{"Field":"resources.type","Equals":["AWS::DynamoDB::Table"]}]}]\'',
        terraform="""\
resource "aws_cloudtrail" "audit" {
  name                       = "audit"
  s3_bucket_name             = aws_s3_bucket.trail.id
  is_multi_region_trail      = true
  enable_log_file_validation = true

  advanced_event_selector {
    name = "management"

    field_selector {
      field  = "eventCategory"
      equals = ["Management"]
    }
  }

  advanced_event_selector {
    name = "tables"

    field_selector {
      field  = "eventCategory"
      equals = ["Data"]
    }

    field_selector {
      field  = "resources.type"
      equals = ["AWS::DynamoDB::Table"]
    }
  }
}""",
        cloudformation="""\
Parameters:
  Bucket: {Type: String}
Resources:
  Trail:
    Type: AWS::CloudTrail::Trail
    Properties:
      IsLogging: true
      IsMultiRegionTrail: true
      EnableLogFileValidation: true
      S3BucketName: !Ref Bucket
      AdvancedEventSelectors:
        - Name: management
          FieldSelectors: [{Field: eventCategory, Equals: [Management]}]
        - Name: tables
          FieldSelectors:
            - {Field: eventCategory, Equals: [Data]}
            - {Field: resources.type, Equals: ["AWS::DynamoDB::Table"]}""",
    ),
    references=[
        "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html",
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html",
    ],
)
def trail_data_events(
    table: Table,
    logging: DataLogging | Gap,
    lake: LakeDataLogging,
    environment: Environment | Gap,
    sensitivity: Sensitivity | Gap,
    *,
    data_events: Annotated[
        Mapping[Literal["sensitive", "production", "default"], tuple[Kind, ...]],
        "What must be logged (read, write) of sensitive tables, production tables and all tables.",
    ] = {"sensitive": ("read", "write"), "production": ("write",), "default": ()},
    accept_lake: Annotated[bool, "An event data store of CloudTrail Lake may stand in for a trail."] = False,
) -> Verdict:
    """DynamoDB data events are logged for the tables that need it.

    Management events tell who changed a table. Who read or changed its items only data events tell, and no trail
    records these unless it is told to.

    All trails that reach the table's region, are logging and deliver count together: one may log reads, another
    writes. Their selectors are tried on the table's events. A classic selector names tables by ARN, or all of them as
    `arn:aws:dynamodb`; an advanced one may filter on the ARN, on `readOnly`, on the operation and on who calls, with
    every operator. Kinds that `data_events` asks for must be logged for every operation and every caller: a filter on
    `eventName`, `userIdentity.arn` or `sessionCredentialFromConsole` that leaves any out is partial and fails, unless
    another selector logs what it leaves out. Failures are high for sensitive tables, medium for production, else low;
    one lower where the table is outside production or its environment is not tagged.

    Not applicable where nothing is asked for. Unknown where the selectors of a trail that may log the rest cannot be
    read, as with an organisation's trail in a member account, where a selector uses a field or a beginning of an ARN
    whose meaning is not documented, and where tags are unreadable and what they require makes a difference. With
    `accept_lake`, event data stores count too; then the answer is unknown, and no failure, while there may be further
    stores.

    Time-to-live deletions are never logged, nor reads that DAX answers from its cache. Operations that came after
    CloudTrail's list for DynamoDB, such as vector search, are not tried. Streams need selectors of their own, of type
    `AWS::DynamoDB::Stream`; these, and network activity through VPC endpoints, are shown as evidence.
    """
    trails = () if isinstance(logging, Gap) else logging.trails
    recorders: list[DataRecorder] = [*trails, *(lake.stores if accept_lake else ())]
    gaps = [*([logging] if isinstance(logging, Gap) else ()), *(lake.gaps if accept_lake else ())]
    required = _possible(data_events, environment, sensitivity)
    coverage = {
        kind: _coverage(table, kind, recorders, gaps) for kind in sorted({one for kinds in required for one in kinds})
    }
    statuses = {_status([coverage[kind] for kind in kinds]) for kinds in required}
    evidence: dict[str, Any] = {
        "required": required[-1],
        "logged": {kind: found.logged for kind, found in coverage.items()},
        "trails": [_evidence(one) for one in trails],
    }
    if accept_lake:
        evidence["eventDataStores"] = [_evidence(one) for one in lake.stores]
    if len(statuses) > 1:
        gap = next(one for one in (sensitivity, environment) if isinstance(one, Gap))
        return unknown(gap, **evidence)
    status = statuses.pop()
    if status is Status.NOT_APPLICABLE:
        return not_applicable("No data events are required of this table.")
    kinds = required[0]
    if status is Status.PASS:
        return passed(f"{_listed(kinds)} are logged.", **evidence)
    missing = {kind: coverage[kind] for kind in kinds if coverage[kind].logged is False}
    if status is Status.FAIL:
        evidence["notLogged"] = {kind: list(found.names) for kind, found in missing.items()}
        return failed(_shortfall(missing), severity=_severity(environment, sensitivity), **evidence)
    causes = [coverage[kind].gap for kind in kinds]
    gap = min((one for one in causes if one is not None), key=lambda one: one.action is None)
    return unknown(gap, **evidence)


def _possible(
    data_events: Mapping[Literal["sensitive", "production", "default"], tuple[Kind, ...]],
    environment: Environment | Gap,
    sensitivity: Sensitivity | Gap,
) -> list[list[Kind]]:
    """Return which kinds may be required, fewest first: one answer where environment and sensitivity are known."""
    production = (True, False) if isinstance(environment, Gap) else (environment.production,)
    sensitive = (True, False) if isinstance(sensitivity, Gap) else (sensitivity.sensitive,)
    found = set[frozenset[Kind]]()
    for in_production, is_sensitive in itertools.product(production, sensitive):
        classes = {"default": True, "production": in_production, "sensitive": is_sensitive}
        found.add(frozenset(kind for name, kinds in data_events.items() if classes[name] for kind in kinds))
    return sorted((sorted(kinds) for kinds in found), key=lambda kinds: (len(kinds), kinds))


def _coverage(table: Table, kind: Kind, recorders: list[DataRecorder], gaps: list[Gap]) -> DataCoverage:
    """Return how far a kind is logged; what is not may be by what is not known of."""
    found = data_coverage(table.arn, recorders, read_only=kind == "read")
    if found.logged is not False or not gaps:
        return found
    return DataCoverage(None, gap=min(gaps, key=lambda one: one.action is None))


def _status(held: list[DataCoverage]) -> Status:
    if not held:
        return Status.NOT_APPLICABLE
    logged = {one.logged for one in held}
    if False in logged:
        return Status.FAIL
    return Status.UNKNOWN if None in logged else Status.PASS


def _severity(environment: Environment | Gap, sensitivity: Sensitivity | Gap) -> Severity:
    """Return how bad a failure is; a missing answer does not make it milder."""
    production = isinstance(environment, Gap) or environment.production
    severity = Severity.LOW
    if isinstance(sensitivity, Gap) or sensitivity.sensitive:
        severity = Severity.HIGH
    elif production:
        severity = Severity.MEDIUM
    mild = not isinstance(environment, Gap) and not (environment.production and environment.tagged)
    return severity.moved(-1) if mild and severity is not Severity.LOW else severity


def _listed(kinds: list[Kind]) -> str:
    return " and ".join(f"{kind}s" for kind in kinds).capitalize()


def _shortfall(missing: Mapping[Kind, DataCoverage]) -> str:
    """Return what is not logged, in words."""
    none = [f"{kind}s" for kind, found in missing.items() if not found.some]
    sentences = [f"No trail logs the table's {' and '.join(none)}."] if none else []
    for kind, found in missing.items():
        if found.some:
            reasons = [f"not {', '.join(found.names)}"] if found.names else []
            reasons += ["not those of every caller"] if found.callers else []
            what = " and ".join(reasons) or "some are left out"
            sentences.append(f"The table's {kind}s are logged in part only: {what}.")
    return " ".join(sentences)


def _evidence(recorder: DataRecorder) -> dict[str, Any]:
    selected = selected_types(recorder.selectors) if isinstance(recorder.selectors, TrailSelectors) else None
    return {"arn": recorder.arn, "selects": selected, "problem": recorder.problem}

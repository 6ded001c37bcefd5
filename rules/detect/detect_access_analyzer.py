from collections.abc import Mapping
from typing import Annotated, Any, Literal

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access.grants import granted_action
from auditor.facts import (
    AccountAccess,
    AnalyzerFinding,
    AnalyzerFindings,
    Analyzers,
    Gap,
    Identities,
    Reason,
    TableNames,
    TableSettings,
)
from auditor.facts.base import VANISHED
from auditor.resources import Key, Region, Role, Stream, Table

#: So many findings are shown.
SHOWN = 20


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P15", "B"],
    controls={
        "AWS FSBP": ["IAM.28"],
        "CIS AWS Foundations 6.0": ["2.19"],
        "NIST 800-53 r5": ["AC-6(7)", "CA-7"],
    },
    remediation=Remediation(
        text="Create an analyzer for external access in every region that holds tables. Take away the access that a "
        "finding shows, or archive the finding when that access is meant to be.",
        cli="aws accessanalyzer create-analyzer --analyzer-name account --type ACCOUNT --region $REGION",
        terraform="""\
resource "aws_accessanalyzer_analyzer" "account" {
  analyzer_name = "account"
  type          = "ACCOUNT"
}""",
        cloudformation="""\
Resources:
  Analyzer:
    Type: AWS::AccessAnalyzer::Analyzer
    Properties: {AnalyzerName: account, Type: ACCOUNT}""",
    ),
    references=[
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-resources.html",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-findings.html",
    ],
)
def detect_access_analyzer(
    region: Region,
    analyzers: Analyzers,
    findings: AnalyzerFindings | Gap,
    tables: TableNames | Gap,
    settings: Mapping[Table, TableSettings | Gap],
    access: AccountAccess | Gap,
    identities: Identities | Gap,
    *,
    external_access_analyzer: Annotated[
        Literal["account", "organization"],
        "organization: the delegated administrator's analyzer, which is not seen from here, watches the account.",
    ] = "account",
) -> Verdict:
    """IAM Access Analyzer watches DynamoDB and has no open external finding.

    Access Analyzer proves from the policies themselves who outside the account or the organisation reaches a table, a
    stream, a key or a role, whenever one of them changes.

    Passes when an analyzer for external access (type ACCOUNT or ORGANIZATION) is ACTIVE in the region and has no active
    finding of external access to the region's tables and streams, to keys that these tables use, or to roles whose own
    policies grant an action of DynamoDB or DAX (their boundary and Deny statements count, guardrails do not). Such a
    finding fails with severity high. Analyzers of unused or internal access do not count. Archived findings are
    decisions that somebody made: they do not fail. A finding on a role appears in every region that has an analyzer,
    and so fails in each.

    An organisation's analyzer stands in the delegated administrator's account: `external_access_analyzer: organization`
    attests it. Findings on other accounts' resources, which that account sees, are not this account's. Findings may lag
    behind a change by half an hour, and by a day where a change went unnoticed. Whether a finding on a key or a role
    matters is unknown where the tables' keys or the roles' policies could not be read. Regions without tables and
    clusters are not judged.
    """
    if not analyzers.offered:
        return not_applicable("IAM Access Analyzer is not offered in this region.")
    evidence: dict[str, Any] = {
        "analyzers": [{"arn": one.arn, "type": one.type, "status": one.status} for one in analyzers.analyzers]
    }
    active = [one for one in analyzers.external if one.status == "ACTIVE"]
    open_ones: list[AnalyzerFinding] = []
    gaps: list[Gap] = []
    if isinstance(findings, Gap):
        gaps += [findings] if active else []
    else:
        gaps += findings.unread.values()
        keys = _keys(region, tables, settings)
        for finding in findings.findings:
            if finding.status != "ACTIVE" or finding.type not in ("ExternalAccess", ""):
                continue
            matters = _matters(finding, region, keys, access, identities)
            if isinstance(matters, Gap):
                gaps.append(matters)
            elif matters:
                open_ones.append(finding)
    if open_ones:
        resources = list(dict.fromkeys(one.resource for one in open_ones))
        evidence["findings"] = [
            {"id": one.id, "resource": one.resource, "resourceType": one.resource_type, "findingType": one.type}
            for one in open_ones[:SHOWN]
        ]
        evidence["activeFindings"] = len(open_ones)
        more = f" and {len(resources) - 1} more" if len(resources) > 1 else ""
        return failed(
            f"Access Analyzer reports access from outside to {resources[0]}{more}.", severity=Severity.HIGH, **evidence
        )
    attested = external_access_analyzer == "organization"
    if not active and not attested:
        if analyzers.external:
            states = ", ".join(sorted({one.status for one in analyzers.external}))
            return failed(f"No analyzer for external access is active here: the status is {states}.", **evidence)
        return failed("There is no analyzer for external access here.", **evidence)
    if gaps:
        # A missing permission is what somebody can do something about.
        return unknown(min(gaps, key=lambda gap: gap.action is None), **evidence)
    if not active:
        return passed(
            "The organisation's analyzer is declared to watch the account.",
            attested="external_access_analyzer=organization",
            **evidence,
        )
    return passed("Access Analyzer reports no access from outside.", **evidence)


def _keys(
    region: Region, tables: TableNames | Gap, settings: Mapping[Table, TableSettings | Gap]
) -> tuple[set[str], Gap | None]:
    """Return the ARNs of the keys that the region's tables use, and why there may be further ones."""
    if isinstance(tables, Gap):
        return set(), tables
    missing = Gap(Reason.PARTIAL_DATA, "The settings of a table were not collected.")
    held = [settings.get(table, missing) for table in tables.tables]
    gaps = [one for one in held if isinstance(one, Gap) and one != VANISHED]
    keys = {one.key.arn for one in held if isinstance(one, TableSettings) and one.key is not None}
    return keys, min(gaps, key=lambda gap: gap.action is None, default=None)


def _matters(
    finding: AnalyzerFinding,
    region: Region,
    keys: tuple[set[str], Gap | None],
    access: AccountAccess | Gap,
    identities: Identities | Gap,
) -> bool | Gap:
    """Tell whether a finding is about what this region's tables rest on, or why that is not known."""
    kind = finding.resource_type
    try:
        if kind in (Table.cfn_type, Stream.cfn_type):
            table = Table.from_arn(finding.resource.partition("/stream/")[0])
            return table.region == region
        if kind == Key.cfn_type:
            elsewhere = Key.from_arn(finding.resource).region.name != region.name
            return not elsewhere and (finding.resource in keys[0] or keys[1] or False)
        if kind == Role.cfn_type:
            role = Role.from_arn(finding.resource)
            return role.account == region.account and _grants(role, access, identities)
    except ValueError:
        return Gap(Reason.UNDECIDABLE, f"Access Analyzer's finding {finding.id} does not name its resource.")
    return False


def _grants(role: Role, access: AccountAccess | Gap, identities: Identities | Gap) -> bool | Gap:
    """Tell whether a role's policies grant an action of DynamoDB or DAX, or why that is not known."""
    if isinstance(access, Gap):
        return access
    principal = access.principal(role.arn)
    if principal is None or role.arn == access.auditor:
        return False
    action, doubt = granted_action(principal, lambda action, arn: access.own(principal, action, arn))
    if action or not doubt:
        return bool(action)
    unread = None if isinstance(identities, Gap) else identities.unread(role)
    return unread or Gap(Reason.UNDECIDABLE, doubt)

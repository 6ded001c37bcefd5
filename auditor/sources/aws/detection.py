"""GuardDuty, IAM Access Analyzer and Security Hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from auditor.facts import (
    Analyzer,
    AnalyzerFinding,
    AnalyzerFindings,
    Analyzers,
    Detector,
    Detectors,
    Gap,
    SecurityStandards,
)
from auditor.resources import Key, Region, Role, Stream, Table
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing

#: What a finding must be about to matter to tables.
WATCHED = (Table.cfn_type, Stream.cfn_type, Key.cfn_type, Role.cfn_type)

#: What Security Hub answers where it is off (Security Hub API Reference, GetEnabledStandards).
HUB_OFF = ("InvalidAccessException", "ResourceNotFoundException")


@collects(Detectors, about=Region)
def detectors(aws: Aws, region: Region) -> Yield:
    """Yield the region's GuardDuty detectors."""
    try:
        found = [
            _detector(one, aws.call("guardduty:GetDetector", DetectorId=one))
            for page in aws.pages("guardduty:ListDetectors")
            for one in page["DetectorIds"]
        ]
    except Missing as missing:
        if not aws.lacks("guardduty", missing):
            raise
        yield region, Detectors((), offered=False)
        return
    yield region, Detectors(tuple(sorted(found, key=lambda detector: detector.id)))


def _detector(detector_id: str, answer: Mapping[str, Any]) -> Detector:
    features = {one.get("Name", ""): one.get("Status", "") for one in answer.get("Features") or []}
    trail = features.get("CLOUD_TRAIL")
    return Detector(
        id=detector_id,
        status=answer["Status"].upper(),
        cloud_trail=None if trail is None else trail.upper() == "ENABLED",
        frequency=answer.get("FindingPublishingFrequency"),
    )


@collects(Analyzers, AnalyzerFindings, about=Region)
def analyzers(aws: Aws, region: Region) -> Yield:
    """Yield the region's analyzers; and what those for external access found, where that is wanted."""
    try:
        found = [_analyzer(one) for page in aws.pages("accessanalyzer:ListAnalyzers") for one in page["analyzers"]]
    except Missing as missing:
        if not aws.lacks("accessanalyzer", missing):
            raise
        yield region, Analyzers((), offered=False)
        yield region, AnalyzerFindings()
        return
    held = Analyzers(tuple(sorted(found, key=lambda analyzer: analyzer.arn)))
    yield region, held
    if aws.wants(AnalyzerFindings):
        yield from _findings(aws, region, held)


def _analyzer(entry: Mapping[str, Any]) -> Analyzer:
    return Analyzer(entry["arn"], entry.get("type", "").upper(), entry.get("status", "").upper())


def _findings(aws: Aws, region: Region, analyzers: Analyzers) -> Yield:
    """Yield the active findings; an analyzer whose findings cannot be read does not hide those of another."""
    findings: list[AnalyzerFinding] = []
    unread: dict[str, Gap] = {}
    first: Missing | None = None
    for analyzer in analyzers.external:
        if analyzer.status != "ACTIVE":
            continue
        try:
            findings += list(_findings_of(aws, analyzer.arn))
        except Missing as missing:
            first = first or missing
            unread[analyzer.arn] = missing.gap
    yield region, AnalyzerFindings(tuple(sorted(findings, key=lambda one: (one.id, one.analyzer))), unread)
    if first is not None:
        raise first


def _findings_of(aws: Aws, arn: str) -> Iterator[AnalyzerFinding]:
    chosen = {"resourceType": {"eq": list(WATCHED)}, "status": {"eq": ["ACTIVE"]}}
    for page in aws.pages("accessanalyzer:ListFindingsV2", analyzerArn=arn, filter=chosen):
        for entry in page["findings"]:
            yield AnalyzerFinding(
                id=entry["id"],
                analyzer=arn,
                resource=entry.get("resource", ""),
                resource_type=entry.get("resourceType", ""),
                type=entry.get("findingType", ""),
                status=entry.get("status", "").upper(),
            )


@collects(SecurityStandards, about=Region)
def security_standards(aws: Aws, region: Region) -> Yield:
    """Yield the standards that Security Hub checks; none where it is off or AWS does not have it."""
    standards: dict[str, str] = {}
    try:
        for page in aws.pages("securityhub:GetEnabledStandards"):
            for entry in page.get("StandardsSubscriptions", []):
                standards[entry["StandardsArn"]] = entry.get("StandardsStatus", "").upper()
    except Missing as missing:
        if missing.code not in HUB_OFF and not aws.lacks("securityhub", missing):
            raise
    yield region, SecurityStandards(standards)

"""Detectors, analyzers and their findings, Security Hub's standards: paging, what is off, what is denied."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import botocore.exceptions
import pytest

from auditor.facts import (
    Analyzer,
    AnalyzerFinding,
    AnalyzerFindings,
    Analyzers,
    Detector,
    Detectors,
    Gap,
    Reason,
    SecurityStandards,
)
from auditor.resources import Region
from auditor.sources.aws.collector import Yield
from auditor.sources.aws.detection import analyzers, detectors, security_standards
from auditor.sources.aws.session import Access, Aws, Missing
from tests.sources.aws.conftest import ACCOUNT, answer

HERE = Region(ACCOUNT, "eu-west-1")
#: A region that botocore's data knows of no service.
NEW = Region(ACCOUNT, "eu-west-9")
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
DETECTOR, FEATURES = "guardduty:GetDetector", [{"Name": "CLOUD_TRAIL", "Status": "ENABLED"}]
LIST_DETECTORS, LIST_ANALYZERS = "guardduty:ListDetectors", "accessanalyzer:ListAnalyzers"
LIST_FINDINGS, STANDARDS = "accessanalyzer:ListFindingsV2", "securityhub:GetEnabledStandards"
ROLE = {"ServiceRole": "arn:aws:iam::123456789012:role/guardduty"}


def asked(collector: Callable[[Aws, Region], Yield], access: Access, region: Region = HERE, **more: Any) -> list[Any]:
    """Return the facts that a collector yields about a region."""
    found = list(collector(Aws(access, region.name, **more), region))
    assert all(about == region for about, _ in found)
    return [fact for _, fact in found]


def unreachable(access: Access, service: str, region: Region) -> None:
    def refuse(request: Any, **_: Any) -> None:
        raise botocore.exceptions.EndpointConnectionError(endpoint_url=request.url)

    access.client(service, region.name).meta.events.register_first("before-send", refuse)


# GuardDuty


def test_detectors_over_two_pages_with_the_source_that_matters(access: Access) -> None:
    pages = [{"DetectorIds": ["b"], "NextToken": "next"}, {"DetectorIds": ["a"]}]
    first = {**ROLE, "Status": "ENABLED", "FindingPublishingFrequency": "SIX_HOURS", "Features": FEATURES}
    listed = answer(access, LIST_DETECTORS, *pages)
    given = answer(access, DETECTOR, first, {**ROLE, "Status": "DISABLED"})
    assert asked(detectors, access) == [
        Detectors((Detector("a", "DISABLED"), Detector("b", "ENABLED", cloud_trail=True, frequency="SIX_HOURS")))
    ]
    assert len(listed) == 2
    assert [one["path"] for one in given] == ["/detector/b", "/detector/a"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"Features": [{"Name": "CLOUD_TRAIL", "Status": "DISABLED"}]}, False),
        ({"Features": [{"Name": "S3_DATA_EVENTS", "Status": "ENABLED"}]}, None),
        ({"Features": []}, None),
        # Older answers name data sources, which say nothing of what cannot be switched off.
        (
            {
                "DataSources": {
                    name: {"Status": "DISABLED"} for name in ("CloudTrail", "DNSLogs", "FlowLogs", "S3Logs")
                }
            },
            None,
        ),
    ],
)  # fmt: skip
def test_what_a_detector_says_of_cloudtrail(access: Access, members: Any, expected: bool | None) -> None:
    answer(access, LIST_DETECTORS, {"DetectorIds": ["a"]})
    answer(access, DETECTOR, {**ROLE, "Status": "ENABLED", **members})
    assert asked(detectors, access) == [Detectors((Detector("a", "ENABLED", expected),))]


def test_no_detector_is_an_answer(access: Access) -> None:
    answer(access, LIST_DETECTORS, {"DetectorIds": []})
    assert asked(detectors, access) == [Detectors(())]


@pytest.mark.parametrize("operation", [LIST_DETECTORS, DETECTOR])
@pytest.mark.parametrize(
    ("code", "reason"),
    [("AccessDeniedException", Reason.ACCESS_DENIED), ("TooManyRequestsException", Reason.THROTTLED)],
)
def test_a_refused_call_of_guardduty_is_no_region_without_detectors(
    access: Access, operation: str, code: str, reason: Reason
) -> None:
    given: dict[str, Any] = {LIST_DETECTORS: {"DetectorIds": ["a"]}, operation: code}
    for name, one in given.items():
        answer(access, name, one)
    with pytest.raises(Missing) as error:
        asked(detectors, access)
    assert (error.value.gap.reason, error.value.gap.action) == (reason, operation)


# A service that is not there


@pytest.mark.parametrize(
    ("collector", "service", "expected"),
    [
        (detectors, "guardduty", [Detectors((), offered=False)]),
        (analyzers, "accessanalyzer", [Analyzers((), offered=False), AnalyzerFindings()]),
        (security_standards, "securityhub", [SecurityStandards({})]),
    ],
)
def test_without_an_endpoint_in_a_region_that_botocore_does_not_list_there_is_no_service(
    access: Access, collector: Any, service: str, expected: list[Any]
) -> None:
    unreachable(access, service, NEW)
    assert asked(collector, access, NEW) == expected
    # Where the service is listed, the network is in the way.
    unreachable(access, service, HERE)
    with pytest.raises(Missing) as error:
        asked(collector, access)
    assert error.value.gap.reason is Reason.TRANSIENT


@pytest.mark.parametrize(
    ("collector", "operation"),
    [(detectors, LIST_DETECTORS), (analyzers, LIST_ANALYZERS), (security_standards, STANDARDS)],
)
def test_a_denied_call_where_botocore_lists_no_service_is_still_denied(
    access: Access, collector: Any, operation: str
) -> None:
    answer(access, operation, "AccessDeniedException", region=NEW.name)
    with pytest.raises(Missing) as error:
        asked(collector, access, NEW)
    assert error.value.gap.reason is Reason.ACCESS_DENIED


# Access Analyzer


def arn(name: str) -> str:
    return f"arn:aws:access-analyzer:eu-west-1:123456789012:analyzer/{name}"


def analyzer(name: str, kind: str = "ACCOUNT", status: str = "ACTIVE") -> dict[str, Any]:
    return {"arn": arn(name), "name": name, "type": kind, "status": status, "createdAt": MOMENT}


TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"


def finding(number: str, **members: Any) -> dict[str, Any]:
    return {
        "id": number,
        "resource": TABLE,
        "resourceType": "AWS::DynamoDB::Table",
        "resourceOwnerAccount": ACCOUNT.id,
        "status": "ACTIVE",
        "findingType": "ExternalAccess",
        **dict.fromkeys(("analyzedAt", "createdAt", "updatedAt"), MOMENT),
        **members,
    }


def test_findings_are_asked_of_every_active_analyzer_of_external_access_over_all_pages(access: Access) -> None:
    pages = [
        {"analyzers": [analyzer("own"), analyzer("unused", "ACCOUNT_UNUSED_ACCESS")], "nextToken": "next"},
        {
            "analyzers": [
                analyzer("org", "ORGANIZATION"),
                analyzer("broken", status="FAILED"),
                analyzer("inside", "ORGANIZATION_INTERNAL_ACCESS"),
            ]
        },
    ]
    answer(access, LIST_ANALYZERS, *pages)
    found: dict[str, list[Any]] = {
        arn("own"): [{"findings": [finding("2")], "nextToken": "next"}, {"findings": [finding("1")]}],
        arn("org"): [{"findings": [finding("3", resource="", resourceType="AWS::IAM::Role")]}],
    }
    requests = answer(access, LIST_FINDINGS, lambda request: found[request["analyzerArn"]].pop(0))
    listed, findings = asked(analyzers, access)
    assert [(one.arn.rpartition("/")[2], one.type, one.status) for one in listed.analyzers] == [
        ("broken", "ACCOUNT", "FAILED"),
        ("inside", "ORGANIZATION_INTERNAL_ACCESS", "ACTIVE"),
        ("org", "ORGANIZATION", "ACTIVE"),
        ("own", "ACCOUNT", "ACTIVE"),
        ("unused", "ACCOUNT_UNUSED_ACCESS", "ACTIVE"),
    ]
    assert [one.arn for one in listed.external] == [arn("broken"), arn("org"), arn("own")]
    assert findings == AnalyzerFindings(
        (
            AnalyzerFinding("1", arn("own"), TABLE, "AWS::DynamoDB::Table", "ExternalAccess", "ACTIVE"),
            AnalyzerFinding("2", arn("own"), TABLE, "AWS::DynamoDB::Table", "ExternalAccess", "ACTIVE"),
            AnalyzerFinding("3", arn("org"), "", "AWS::IAM::Role", "ExternalAccess", "ACTIVE"),
        )
    )
    assert [one["filter"] for one in requests] == [
        {
            "resourceType": {
                "eq": ["AWS::DynamoDB::Table", "AWS::DynamoDB::Stream", "AWS::KMS::Key", "AWS::IAM::Role"]
            },
            "status": {"eq": ["ACTIVE"]},
        }
    ] * 3


def test_an_analyzer_that_cannot_be_read_does_not_hide_another_and_is_reported(access: Access) -> None:
    answer(access, LIST_ANALYZERS, {"analyzers": [analyzer("a"), analyzer("b")]})
    answer(
        access,
        LIST_FINDINGS,
        lambda request: "AccessDeniedException" if request["analyzerArn"] == arn("a") else {"findings": [finding("1")]},
    )
    collected = analyzers(Aws(access, HERE.name), HERE)
    facts: list[Any] = []
    with pytest.raises(Missing) as error:
        facts.extend(fact for _, fact in collected)
    assert error.value.operation == LIST_FINDINGS
    assert [type(one) for one in facts] == [Analyzers, AnalyzerFindings]
    assert [one.id for one in facts[1].findings] == ["1"]
    assert {name: (gap.reason, gap.action) for name, gap in facts[1].unread.items()} == {
        arn("a"): (Reason.ACCESS_DENIED, "access-analyzer:ListFindings")
    }


def test_findings_are_asked_only_where_they_are_wanted(access: Access) -> None:
    answer(access, LIST_ANALYZERS, {"analyzers": [analyzer("own")]})
    requests = answer(access, LIST_FINDINGS, {"findings": []})
    assert asked(analyzers, access, wanted=frozenset({Analyzers})) == [
        Analyzers((Analyzer(arn("own"), "ACCOUNT", "ACTIVE"),))
    ]
    assert requests == []


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_a_refused_listing_of_analyzers_leaves_both_facts_open(access: Access, gather_facts: Any, code: str) -> None:
    answer(access, "dynamodb:ListTables", {"TableNames": ["orders"]})
    answer(access, LIST_ANALYZERS, code)
    inventory = gather_facts(Region, Analyzers, AnalyzerFindings)
    gaps = [inventory.facts[fact][HERE] for fact in (Analyzers, AnalyzerFindings)]
    assert all(isinstance(gap, Gap) and gap.action == "access-analyzer:ListAnalyzers" for gap in gaps)


# Security Hub


def subscription(name: str, status: str = "READY") -> dict[str, Any]:
    return {
        "StandardsSubscriptionArn": f"arn:aws:securityhub:eu-west-1:123456789012:subscription/{name}",
        "StandardsArn": f"arn:aws:securityhub:eu-west-1::standards/{name}",
        "StandardsInput": {},
        "StandardsStatus": status,
    }


def test_standards_over_two_pages(access: Access) -> None:
    pages = [
        {"StandardsSubscriptions": [subscription("pci-dss/v/3.2.1")], "NextToken": "next"},
        {"StandardsSubscriptions": [subscription("aws-foundational-security-best-practices/v/1.0.0", "INCOMPLETE")]},
    ]
    requests = answer(access, STANDARDS, *pages)
    prefix = "arn:aws:securityhub:eu-west-1::standards/"
    assert asked(security_standards, access) == [
        SecurityStandards(
            {
                f"{prefix}pci-dss/v/3.2.1": "READY",
                f"{prefix}aws-foundational-security-best-practices/v/1.0.0": "INCOMPLETE",
            }
        )
    ]
    assert [one.get("NextToken") for one in requests] == [None, "next"]


@pytest.mark.parametrize("code", ["InvalidAccessException", "ResourceNotFoundException"])
def test_where_security_hub_is_off_it_checks_nothing(access: Access, code: str) -> None:
    answer(access, STANDARDS, code)
    assert asked(security_standards, access) == [SecurityStandards({})]


def test_a_denied_call_of_security_hub_is_no_hub_that_is_off(access: Access) -> None:
    answer(access, STANDARDS, "AccessDeniedException")
    with pytest.raises(Missing) as error:
        asked(security_standards, access)
    assert (error.value.gap.reason, error.value.gap.action) == (Reason.ACCESS_DENIED, STANDARDS)

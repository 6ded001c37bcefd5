"""Facts about AWS Config and other detective services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from auditor.facts.base import Gap, fact
from auditor.resources import Region


@dataclass(frozen=True, slots=True)
class ConfigRecorder:
    """One configuration recorder of the customer or of an AWS service.

    Attributes:
        name: ``name``.
        service_linked: ``servicePrincipal`` is set, or ``recordingScope`` is INTERNAL.
        strategy: ``recordingStrategy.useOnly``; where absent, ALL_SUPPORTED_RESOURCE_TYPES for
            ``allSupported`` or without any ``recordingGroup``, and INCLUSION_BY_RESOURCE_TYPES otherwise.
        included: ``recordingGroup.resourceTypes``.
        excluded: ``exclusionByResourceTypes.resourceTypes``.
        frequency: ``recordingMode.recordingFrequency`` for tables, overrides applied; absent means CONTINUOUS.
    """

    name: str
    service_linked: bool
    strategy: str
    included: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    frequency: str = "CONTINUOUS"

    def covers(self, resource_type: str) -> bool:
        """Tell whether the recording group has a type of resource, such as ``AWS::DynamoDB::Table``."""
        if self.strategy == "INCLUSION_BY_RESOURCE_TYPES":
            return resource_type in self.included
        return resource_type not in self.excluded


@fact(Region, "config:DescribeConfigurationRecorders", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ConfigRecorders:
    """The region's configuration recorders (config:DescribeConfigurationRecorders)."""

    recorders: tuple[ConfigRecorder, ...]


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """``recording``, ``lastStatus`` (upper case) and ``lastErrorCode`` of a recorder."""

    recording: bool
    last_status: str | None = None
    last_error: str | None = None


@fact(Region, "config:DescribeConfigurationRecorderStatus", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ConfigRecorderStatuses:
    """The state of the recorders, as (name, state) (config:DescribeConfigurationRecorderStatus)."""

    statuses: tuple[tuple[str, RecorderStatus], ...]


@fact(Region, "config:DescribeDeliveryChannels", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ConfigDelivery:
    """The bucket names of the region's delivery channels (config:DescribeDeliveryChannels)."""

    buckets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Detector:
    """One GuardDuty detector.

    Attributes:
        id: Its id.
        status: ``Status``, in capitals.
        cloud_trail: Whether ``Features`` says that CLOUD_TRAIL is enabled; None when it does not name it, as in
            answers with ``DataSources`` instead.
        frequency: ``FindingPublishingFrequency``.
    """

    id: str
    status: str
    cloud_trail: bool | None = None
    frequency: str | None = None


@fact(Region, "guardduty:ListDetectors", "guardduty:GetDetector", in_use_only=True)
@dataclass(frozen=True, slots=True)
class Detectors:
    """The GuardDuty detectors of a region: none or one.

    Attributes:
        detectors: In order of id.
        offered: False where AWS has no GuardDuty in the region.
    """

    detectors: tuple[Detector, ...]
    offered: bool = True


@dataclass(frozen=True, slots=True)
class Analyzer:
    """One analyzer of IAM Access Analyzer: its ARN, ``type`` and ``status`` in capitals."""

    arn: str
    type: str
    status: str


@fact(Region, "accessanalyzer:ListAnalyzers", in_use_only=True)
@dataclass(frozen=True, slots=True)
class Analyzers:
    """The analyzers of a region (accessanalyzer:ListAnalyzers).

    Attributes:
        analyzers: In order of ARN.
        offered: False where AWS has no Access Analyzer in the region.
    """

    analyzers: tuple[Analyzer, ...]
    offered: bool = True

    @property
    def external(self) -> tuple[Analyzer, ...]:
        """Those that look for access from outside the account or the organisation, whatever their status."""
        return tuple(one for one in self.analyzers if one.type in ("ACCOUNT", "ORGANIZATION"))


@dataclass(frozen=True, slots=True)
class AnalyzerFinding:
    """One finding of an analyzer.

    Attributes:
        id: ``id``.
        analyzer: The analyzer's ARN.
        resource: ``resource``, an ARN; an empty text where AWS does not tell.
        resource_type: ``resourceType``.
        type: ``findingType``, such as ExternalAccess.
        status: ``status``, in capitals.
    """

    id: str
    analyzer: str
    resource: str
    resource_type: str
    type: str
    status: str


@fact(Region, "accessanalyzer:ListAnalyzers", "accessanalyzer:ListFindingsV2", in_use_only=True)
@dataclass(frozen=True, slots=True)
class AnalyzerFindings:
    """The active findings of a region's external-access analyzers on tables, streams, keys and roles.

    Attributes:
        findings: In order of id.
        unread: ARN of an analyzer -> why its findings could not be read.
    """

    findings: tuple[AnalyzerFinding, ...] = ()
    unread: Mapping[str, Gap] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfigRule:
    """One rule of AWS Config.

    Attributes:
        name: ``ConfigRuleName``.
        state: ``ConfigRuleState``, in capitals.
        owner: ``Source.Owner``.
        identifier: ``Source.SourceIdentifier``.
        parameters: ``InputParameters``, read; values as text.
        resource_types: ``Scope.ComplianceResourceTypes``.
        resource_id: ``Scope.ComplianceResourceId``.
        tag: ``Scope.TagKey``, or None.
        created_by: ``CreatedBy``.
        modes: ``EvaluationModes[].Mode``, in capitals; none means DETECTIVE.
    """

    name: str
    state: str
    owner: str
    identifier: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    resource_types: tuple[str, ...] = ()
    resource_id: str | None = None
    tag: str | None = None
    created_by: str | None = None
    modes: tuple[str, ...] = ()


@fact(Region, "config:DescribeConfigRules", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ConfigRules:
    """The rules of AWS Config in a region (config:DescribeConfigRules)."""

    rules: tuple[ConfigRule, ...]


@fact(Region, "config:DescribeComplianceByConfigRule", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ConfigCompliance:
    """Rule name -> ``ComplianceType``, in capitals (config:DescribeComplianceByConfigRule)."""

    compliance: Mapping[str, str]


@fact(Region, "securityhub:GetEnabledStandards", in_use_only=True)
@dataclass(frozen=True, slots=True)
class SecurityStandards:
    """The standards that Security Hub checks in a region (securityhub:GetEnabledStandards).

    Attributes:
        standards: ``StandardsArn`` -> ``StandardsStatus``, in capitals. Empty where Security Hub is off.
    """

    standards: Mapping[str, str]

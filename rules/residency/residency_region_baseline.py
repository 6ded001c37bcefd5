from typing import Annotated, Any, Literal

from auditor import (
    Members,
    Remediation,
    Severity,
    Side,
    Status,
    Verdict,
    failed,
    not_applicable,
    passed,
    rule,
    unknown,
)
from auditor.facts import Gap, Reason
from auditor.resources import Region

Control = Literal["trail", "config", "guardduty", "access-analyzer"]

#: What the baseline asks for -> the rule that judges it.
CONTROLS: dict[Control, str] = {
    "trail": "trail-management-logging",
    "config": "detect-config-recorder",
    "guardduty": "detect-guardduty",
    "access-analyzer": "detect-access-analyzer",
}


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P4", "P11"],
    controls={"CIS AWS Foundations 6.0": ["2.19", "4.1", "4.3"], "NIST 800-53 r5": ["CA-7", "SI-4"]},
    remediation=Remediation(
        text="Do what the rules that fail ask for; these commands switch on what exists in no region by itself.",
        cli="aws guardduty create-detector --enable --region $REGION\n"
        "aws accessanalyzer create-analyzer --analyzer-name account --type ACCOUNT --region $REGION\n"
        "aws configservice start-configuration-recorder --configuration-recorder-name default --region $REGION",
        terraform="""\
resource "aws_guardduty_detector" "region" {
  enable = true
}

resource "aws_accessanalyzer_analyzer" "account" {
  analyzer_name = "account"
  type          = "ACCOUNT"
}

resource "aws_config_configuration_recorder_status" "default" {
  name       = aws_config_configuration_recorder.default.name
  is_enabled = true
}""",
        cloudformation="""\
Resources:
  Detector:
    Type: AWS::GuardDuty::Detector
    Properties: {Enable: true}
  Analyzer:
    Type: AWS::AccessAnalyzer::Analyzer
    Properties: {AnalyzerName: account, Type: ACCOUNT}""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/best-practices-security-detective.html"
    ],
    composed_of=CONTROLS.values(),
)
def residency_region_baseline(
    region: Region,
    members: Members,
    *,
    baseline: Annotated[tuple[Control, ...], "What every region with tables must have."] = (
        "trail",
        "config",
        "guardduty",
        "access-analyzer",
    ),
) -> Verdict:
    """Every region holding tables meets the regional security baseline.

    Data that may be in a region needs that region watched: a trail, AWS Config, GuardDuty and Access Analyzer are
    switched on region by region, and the one that a new table brings into use is the one that was forgotten.

    This rule sums up, region by region, what others say in detail: trail-management-logging, detect-config-recorder,
    detect-guardduty and detect-access-analyzer, each with its own settings. Passes when all that `baseline` names pass;
    fails when one fails, and names it; is unknown when none fails and one is unknown. Members that do not apply, or are
    switched off or skipped, are left out; where none is left the rule does not apply. It carries no weight in the
    score, since its members count there. Regions without tables and clusters are not judged.
    """
    evidence: dict[str, Any] = {}
    said: dict[str, tuple[Verdict, ...]] = {}
    for control in dict.fromkeys(baseline):
        rule_id = CONTROLS[control]
        if rule_id not in members.ids:
            evidence[rule_id] = "switched off"
            continue
        verdicts = members.of(rule_id, region)
        evidence[rule_id] = [{"status": one.status.value, "message": one.message} for one in verdicts]
        said[rule_id] = tuple(one for one in verdicts if one.status is not Status.NOT_APPLICABLE)
    failing = [rule_id for rule_id, held in said.items() if any(one.status is Status.FAIL for one in held)]
    if failing:
        return failed(f"The region falls short of the baseline by {', '.join(failing)}.", **evidence)
    for rule_id, held in said.items():
        open_ones = [one for one in held if one.status is Status.UNKNOWN]
        if open_ones:
            # A missing permission is what somebody can do something about.
            first = min(open_ones, key=lambda one: one.missing_permission is None)
            reason = Reason(first.reason) if first.reason else Reason.UNDECIDABLE
            return unknown(Gap(reason, f"{rule_id}: {first.message}", first.missing_permission), **evidence)
    if not any(said.values()):
        return not_applicable("No rule of the baseline applies here.", **evidence)
    return passed("The region meets the baseline.", **evidence)

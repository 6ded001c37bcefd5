from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import EnabledRegions, Gap, GuardedRequest, Guardrails, ManagementLogging
from auditor.resources import Account, Region

#: Where the global services of a partition are asked (AWS General Reference, "Organizations endpoints").
GLOBAL_REGIONS = {"aws-cn": "cn-northwest-1", "aws-us-gov": "us-gov-west-1"}

#: Service -> how its ARNs end. An action of another service is asked about on every resource.
PATHS = {
    "cloudtrail": "trail/ddbaudit-probe",
    "config": "configuration-recorder/ddbaudit-probe/ddbauditprobe000",
    "guardduty": "detector/00000000000000000000000000000000",
    "dynamodb": "table/ddbaudit-probe",
    "kms": "key/00000000-0000-4000-8000-000000000000",
}


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P9", "P10"],
    controls={"NIST 800-53 r5": ["AC-6(9)", "AU-9", "CM-5", "SI-4"]},
    remediation=Remediation(
        text="Attach a service control policy that denies to stop or delete trails, Config recorders and detectors, "
        "and to leave the organisation.",
        cli="aws organizations create-policy --type SERVICE_CONTROL_POLICY --name protect-guardrails "
        '--description "Detection stays on" --content file://protect-guardrails.json\n'
        "aws organizations attach-policy --policy-id $POLICY_ID --target-id $TARGET_ID",
        terraform="""\
resource "aws_organizations_policy" "protect_guardrails" {
  name = "protect-guardrails"
  type = "SERVICE_CONTROL_POLICY"
  content = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid    = "DetectionStaysOn"
      Effect = "Deny"
      Action = [
        "cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:UpdateTrail",
        "config:StopConfigurationRecorder", "config:DeleteConfigurationRecorder",
        "guardduty:DeleteDetector", "organizations:LeaveOrganization"
      ]
      Resource  = "*"
      Condition = { ArnNotLike = { "aws:PrincipalArn" = "arn:aws:iam::*:role/AWSControlTowerExecution" } }
    }]
  })
}""",
        cloudformation="""\
Resources:
  ProtectGuardrails:
    Type: AWS::Organizations::Policy
    Properties:
      Name: protect-guardrails
      Type: SERVICE_CONTROL_POLICY
      Content:
        Version: "2012-10-17"
        Statement:
          - Sid: DetectionStaysOn
            Effect: Deny
            Action:
              - cloudtrail:StopLogging
              - cloudtrail:DeleteTrail
              - config:StopConfigurationRecorder
              - config:DeleteConfigurationRecorder
              - guardduty:DeleteDetector
              - organizations:LeaveOrganization
            Resource: "*\"""",
    ),
    references=["https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples.html"],
)
def org_protect_guardrails(
    account: Account,
    guardrails: Guardrails,
    enabled: EnabledRegions | Gap,
    logging: Mapping[Region, ManagementLogging | Gap],
    config: Config,
    *,
    protect_actions: Annotated[tuple[str, ...], "IAM actions that must be denied."] = (
        "cloudtrail:StopLogging",
        "cloudtrail:DeleteTrail",
        "config:StopConfigurationRecorder",
        "config:DeleteConfigurationRecorder",
        "guardduty:DeleteDetector",
        "dynamodb:UpdateContinuousBackups",
        "kms:ScheduleKeyDeletion",
        "organizations:LeaveOrganization",
    ),
    optional_actions: Annotated[
        tuple[str, ...], "Those of protect_actions that are reported and need not be denied."
    ] = ("dynamodb:UpdateContinuousBackups", "kms:ScheduleKeyDeletion"),
) -> Verdict:
    """SCPs protect the detective and recovery controls.

    Whoever means harm first turns off what would tell: the trail, the Config recorder, the detector. An account that
    leaves its organisation is rid of all its policies.

    Each of `protect_actions` must be denied, in every enabled region, to an ordinary role and an ordinary user whose
    own policies allow everything; `optional_actions` are reported only. The actions are asked about on a resource that
    stands for any of its kind; those of CloudTrail on the account's own trails where these are known, so that a policy
    which protects them by name counts. An organisation trail that belongs to another account cannot be stopped from
    here: where it is the only trail, CloudTrail's actions count as protected; where trails could not be read and the
    actions are not denied, the answer is unknown, since there may be such a trail. Real users and roles that are not
    denied are exempt: they are named, and more than `max_exempt_principals` of them fail. The management account is not
    bound by such policies. Member accounts can rarely read the policies: unknown.
    """
    if guardrails.exemption:
        return not_applicable(guardrails.exemption)
    if guardrails.gap is not None:
        return unknown(guardrails.gap)
    own = {region: held for region, held in logging.items() if region.account == account}
    known = {one.name for one in own} if isinstance(enabled, Gap) else {one.name for one in enabled.regions}
    infos = {
        verdict.info.trail: verdict.info
        for held in own.values()
        if isinstance(held, ManagementLogging)
        for verdict in held.trails
        if verdict.records is not False
    }
    trails = sorted(trail for trail in infos if trail.account == account)
    foreign = sorted(trail.arn for trail, info in infos.items() if info.organization and trail.account != account)
    gaps = [held for held in own.values() if isinstance(held, Gap)]
    optional = {one.lower() for one in optional_actions}
    mandatory = [one for one in protect_actions if one.lower() not in optional]
    requests: list[GuardedRequest] = []
    doubtful: list[GuardedRequest] = []
    for action in mandatory:
        if not action.lower().startswith("cloudtrail:"):
            requests += _on_probes(account, action, known)
        elif trails:
            requests += [GuardedRequest(action, trail.arn) for trail in trails]
        elif not foreign:
            (doubtful if gaps else requests).extend(_on_probes(account, action, known))
    proof = guardrails.prove(requests)
    evidence: dict[str, Any] = {
        "policies": guardrails.attached,
        "protect_actions": mandatory,
        "trails": [trail.arn for trail in trails],
        "organizationTrails": foreign,
        **proof.evidence(),
        "optionalDenied": _denied(guardrails, account, known, [one for one in protect_actions if one not in mandatory]),
    }
    if opening := proof.opening(config.max_exempt_principals):
        evidence["actionsNotDenied"] = sorted({one.request.action for one in proof.allowed})
        return failed(opening, **evidence)
    if doubt := proof.doubt(config.max_exempt_principals):
        return unknown(doubt, **evidence)
    if doubtful:
        perhaps = guardrails.prove(doubtful)
        if perhaps.opening(config.max_exempt_principals) or perhaps.doubt(config.max_exempt_principals):
            # A missing permission is what somebody can do something about.
            return unknown(min(gaps, key=lambda one: one.action is None), **evidence)
    if isinstance(enabled, Gap):
        return unknown(enabled, **evidence)
    return passed("Service control policies deny to turn off what detects and recovers.", **evidence)


def _on_probes(account: Account, action: str, regions: Iterable[str]) -> list[GuardedRequest]:
    service = action.partition(":")[0].lower()
    if service == "organizations":
        region = GLOBAL_REGIONS.get(account.partition, "us-east-1")
        return [GuardedRequest(action, "*", context={"aws:RequestedRegion": region})]
    tags: dict[str, str] | None = {} if service == "dynamodb" else None
    found = []
    for region in sorted(regions):
        path = PATHS.get(service)
        resource = "*" if path is None else f"arn:{account.partition}:{service}:{region}:{account.id}:{path}"
        found.append(GuardedRequest(action, resource, tags, context={"aws:RequestedRegion": region}))
    return found


def _denied(
    guardrails: Guardrails, account: Account, regions: Iterable[str], actions: Iterable[str]
) -> dict[str, bool | None]:
    """Return whether actions are denied to an ordinary role everywhere; None: that cannot be told."""
    found: dict[str, bool | None] = {}
    for action in actions:
        outcomes = {
            guardrails.answer(guardrails.probes[0], request).outcome for request in _on_probes(account, action, regions)
        }
        found[action] = False if "allowed" in outcomes else None if "undecidable" in outcomes else True
    return found

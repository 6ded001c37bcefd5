from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.analysis.network import is_workload
from auditor.facts import (
    ConfigCompliance,
    ConfigRule,
    ConfigRules,
    DaxClusterNames,
    Gap,
    NetworkInterfaces,
    Reason,
    SecurityStandards,
    TableNames,
    Vpcs,
)
from auditor.resources import Region, Table

ENDPOINT = "SERVICE_VPC_ENDPOINT_ENABLED"
DAX = ("DAX_ENCRYPTION_ENABLED", "DAX_TLS_ENDPOINT_ENCRYPTION")

#: Managed rules behind the controls of the standard AWS Foundational Security Best Practices: DynamoDB.1, .2, .3, .6
#: and .7 (Security Hub User Guide, "Amazon DynamoDB controls"). DynamoDB.4 (backup plans) is in other standards only.
FSBP = (
    "DYNAMODB_AUTOSCALING_ENABLED",
    "DYNAMODB_PITR_ENABLED",
    "DAX_ENCRYPTION_ENABLED",
    "DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED",
    "DAX_TLS_ENDPOINT_ENCRYPTION",
)

#: States of a rule that evaluates resources; DELETING_RESULTS takes old results away, not the rule (Config API
#: Reference, ConfigRule).
DEPLOYED = ("ACTIVE", "EVALUATING", "DELETING_RESULTS")

#: Parameters that make a rule look at some resources only (Config Developer Guide, the rules about backups).
NARROWING = ("resourceTags", "resourceId")


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P11"],
    controls={"CIS AWS Foundations 6.0": ["4.3", "5.16"], "NIST 800-53 r5": ["CA-7", "CM-6"]},
    remediation=Remediation(
        text="Deploy each missing managed rule, or an organisation rule or a conformance pack for all accounts.",
        cli="aws configservice put-config-rule --region $REGION --config-rule "
        '\'{"ConfigRuleName":"dynamodb-pitr-enabled","Source":'
        '{"Owner":"AWS","SourceIdentifier":"DYNAMODB_PITR_ENABLED"}}\'\n'
        "aws configservice put-config-rule --region $REGION --config-rule "
        '\'{"ConfigRuleName":"dynamodb-table-deletion-protection-enabled","Source":'
        '{"Owner":"AWS","SourceIdentifier":"DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED"}}\'\n'
        "aws configservice put-config-rule --region $REGION --config-rule "
        '\'{"ConfigRuleName":"dynamodb-table-encrypted-kms","Source":'
        '{"Owner":"AWS","SourceIdentifier":"DYNAMODB_TABLE_ENCRYPTED_KMS"}}\'\n'
        "aws configservice put-config-rule --region $REGION --config-rule "
        '\'{"ConfigRuleName":"dynamodb-resources-protected-by-backup-plan","Source":'
        '{"Owner":"AWS","SourceIdentifier":"DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN"}}\'\n'
        "aws configservice put-config-rule --region $REGION --config-rule "
        '\'{"ConfigRuleName":"dax-encryption-enabled","Source":'
        '{"Owner":"AWS","SourceIdentifier":"DAX_ENCRYPTION_ENABLED"}}\'\n'
        "aws configservice put-config-rule --region $REGION --config-rule "
        '\'{"ConfigRuleName":"dax-tls-endpoint-encryption","Source":'
        '{"Owner":"AWS","SourceIdentifier":"DAX_TLS_ENDPOINT_ENCRYPTION"}}\'\n'
        "aws configservice put-config-rule --region $REGION --config-rule "
        '\'{"ConfigRuleName":"dynamodb-vpc-endpoint-enabled","InputParameters":'
        '"{\\"serviceName\\":\\"dynamodb\\"}","Source":{"Owner":"AWS","SourceIdentifier":"SERVICE_VPC_ENDPOINT_ENABLED"}}\'',
        terraform="""\
resource "aws_config_config_rule" "tables" {
  for_each = toset([
    "DYNAMODB_PITR_ENABLED",
    "DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED",
    "DYNAMODB_TABLE_ENCRYPTED_KMS",
    "DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN",
    "DAX_ENCRYPTION_ENABLED",
    "DAX_TLS_ENDPOINT_ENCRYPTION",
  ])

  name = lower(replace(each.key, "_", "-"))

  source {
    owner             = "AWS"
    source_identifier = each.key
  }
}

resource "aws_config_config_rule" "endpoint" {
  name             = "dynamodb-vpc-endpoint-enabled"
  input_parameters = jsonencode({ serviceName = "dynamodb" })

  source {
    owner             = "AWS"
    source_identifier = "SERVICE_VPC_ENDPOINT_ENABLED"
  }
}""",
        cloudformation="""\
Resources:
  Recovery:
    Type: AWS::Config::ConfigRule
    Properties: {Source: {Owner: AWS, SourceIdentifier: DYNAMODB_PITR_ENABLED}}
  DeletionProtection:
    Type: AWS::Config::ConfigRule
    Properties: {Source: {Owner: AWS, SourceIdentifier: DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED}}
  Encryption:
    Type: AWS::Config::ConfigRule
    Properties: {Source: {Owner: AWS, SourceIdentifier: DYNAMODB_TABLE_ENCRYPTED_KMS}}
  BackupPlan:
    Type: AWS::Config::ConfigRule
    Properties: {Source: {Owner: AWS, SourceIdentifier: DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN}}
  DaxEncryption:
    Type: AWS::Config::ConfigRule
    Properties: {Source: {Owner: AWS, SourceIdentifier: DAX_ENCRYPTION_ENABLED}}
  DaxTls:
    Type: AWS::Config::ConfigRule
    Properties: {Source: {Owner: AWS, SourceIdentifier: DAX_TLS_ENDPOINT_ENCRYPTION}}
  Endpoint:
    Type: AWS::Config::ConfigRule
    Properties:
      InputParameters: {serviceName: dynamodb}
      Source: {Owner: AWS, SourceIdentifier: SERVICE_VPC_ENDPOINT_ENABLED}""",
    ),
    references=[
        "https://docs.aws.amazon.com/config/latest/developerguide/managed-rules-by-aws-config.html",
        "https://docs.aws.amazon.com/securityhub/latest/userguide/dynamodb-controls.html",
    ],
)
def detect_config_rules(
    region: Region,
    rules: ConfigRules | Gap,
    compliance: ConfigCompliance | Gap,
    standards: SecurityStandards | Gap,
    tables: TableNames | Gap,
    clusters: DaxClusterNames | Gap,
    interfaces: NetworkInterfaces | Gap,
    vpcs: Vpcs | Gap,
    *,
    required_config_rules: Annotated[tuple[str, ...], "Identifiers of managed rules that every region needs."] = (
        "DYNAMODB_PITR_ENABLED",
        "DYNAMODB_TABLE_DELETION_PROTECTION_ENABLED",
        "DYNAMODB_TABLE_ENCRYPTED_KMS",
        "DYNAMODB_RESOURCES_PROTECTED_BY_BACKUP_PLAN",
    ),
    accept_custom_rules: Annotated[
        Mapping[str, tuple[str, ...]],
        "Identifier of a managed rule -> names of custom rules, each of which stands in for it.",
    ] = {},
) -> Iterator[Verdict]:
    """DynamoDB/DAX managed Config rules are deployed and compliant.

    AWS Config's managed rules go on watching between two audits, and tell as soon as a table loses its protection.

    Every rule of `required_config_rules` must be deployed: found by its identifier, never by its name, since Security
    Hub and conformance packs name theirs as they like. Where the region has DAX clusters, DAX_ENCRYPTION_ENABLED and
    DAX_TLS_ENDPOINT_ENCRYPTION are required too; where workloads have network interfaces in VPCs of the account,
    SERVICE_VPC_ENDPOINT_ENABLED with `serviceName` dynamodb. A rule counts while it is ACTIVE, EVALUATING or its old
    results are being deleted, when it evaluates existing resources (not new ones only), and when it looks at all of
    them: not when its scope is one resource, a tag or other types, nor when parameters narrow it. Security Hub hides
    its own rules from some callers: where its standard AWS Foundational Security Best Practices is READY, the rules
    behind DynamoDB.1, .2, .3, .6 and .7 count as deployed, though single controls may be switched off there. Custom
    rules cannot be recognised: `accept_custom_rules` names those that stand in for a managed one.

    A second finding is about what the required rules say: it fails (low) where one finds resources non-compliant, since
    rules of this audit tell which. A rule without results for resources that exist leaves it unknown. A rule that is
    missing for certain fails whatever else could not be read. Regions without tables and clusters are not judged.
    """
    required = _required(required_config_rules, clusters, _workloads(region, interfaces, vpcs))
    held = () if isinstance(rules, Gap) else rules.rules
    deployed: dict[str, ConfigRule] = {}
    flawed: list[dict[str, Any]] = []
    hub: list[str] = []
    missing: list[str] = []
    gaps: list[Gap] = []
    for identifier, doubt in required.items():
        managed = [one for one in held if one.owner == "AWS" and one.identifier.upper() == identifier]
        custom = [one for one in held if _stands_in(one, accept_custom_rules.get(identifier, ()))]
        good = [*(one for one in managed if _flaw(one, identifier) is None), *custom]
        flawed += [_evidence(one, _flaw(one, identifier)) for one in managed if _flaw(one, identifier)]
        deployed |= {one.name: one for one in good}
        if good:
            continue
        causes = [doubt, rules, standards if identifier in FSBP else None]
        if identifier in FSBP and not isinstance(standards, Gap) and _has_fsbp(standards):
            hub.append(identifier)
        elif not any(isinstance(one, Gap) for one in causes):
            missing.append(identifier)
        else:
            gaps += [one for one in causes if isinstance(one, Gap)]
    evidence: dict[str, Any] = {
        "required": list(required),
        "ConfigRules": [_evidence(one) for one in deployed.values()],
    }
    more: dict[str, Any] = {"notCounted": flawed, "securityHub": hub, "missing": missing}
    evidence |= {name: shown for name, shown in more.items() if shown}
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        yield failed(f"{', '.join(missing)} {verb} not deployed for all resources.", **evidence)
    elif gaps:
        # A missing permission is what somebody can do something about.
        yield unknown(min(gaps, key=lambda gap: gap.action is None), **evidence)
    elif not required:
        yield not_applicable("No Config rule is required.")
    else:
        yield passed("All required Config rules are deployed.", **evidence)
    if deployed:
        yield _compliance(list(deployed.values()), compliance, tables)


def _required(asked: tuple[str, ...], clusters: DaxClusterNames | Gap, workloads: bool | Gap) -> dict[str, Gap | None]:
    """Return the identifiers that are required, each with why that is not certain, or None."""
    found: dict[str, Gap | None] = dict.fromkeys(one.upper() for one in asked)
    if isinstance(clusters, Gap) or clusters.clusters:
        for identifier in DAX:
            found.setdefault(identifier, clusters if isinstance(clusters, Gap) else None)
    if workloads:
        found.setdefault(ENDPOINT, workloads if isinstance(workloads, Gap) else None)
    return found


def _workloads(region: Region, interfaces: NetworkInterfaces | Gap, vpcs: Vpcs | Gap) -> bool | Gap:
    """Tell whether workloads are in VPCs of the account; a VPC that another shares is watched by its owner's rules."""
    if isinstance(interfaces, Gap):
        return interfaces
    used = {one.vpc_id for one in interfaces.interfaces if is_workload(one)}
    if used and isinstance(vpcs, Gap):
        return vpcs
    return not isinstance(vpcs, Gap) and any(one.vpc.region == region and one.vpc.name in used for one in vpcs.vpcs)


def _flaw(rule: ConfigRule, identifier: str) -> str | None:
    """Return why a deployed managed rule does not do what is required, or None."""
    if rule.state not in DEPLOYED:
        return f"Its state is {rule.state or 'not given'}."
    if rule.modes and "DETECTIVE" not in rule.modes:
        return "It evaluates new resources only."
    if rule.resource_id:
        return "Its scope is a single resource."
    if rule.tag:
        return f"Its scope is resources with the tag {rule.tag}."
    if identifier.startswith("DYNAMODB_") and rule.resource_types and Table.cfn_type not in rule.resource_types:
        return "Its scope is other types of resources."
    if any(rule.parameters.get(name) for name in NARROWING):
        return "Its parameters name the resources that it looks at."
    if identifier == ENDPOINT and rule.parameters.get("serviceName", "").casefold() != "dynamodb":
        return "Its serviceName is not dynamodb."
    return None


def _stands_in(rule: ConfigRule, names: tuple[str, ...]) -> bool:
    """Tell whether a custom rule is one that the configuration accepts, and is deployed."""
    return rule.owner != "AWS" and rule.name in names and rule.state in DEPLOYED


def _has_fsbp(standards: SecurityStandards) -> bool:
    """Tell whether the standard AWS Foundational Security Best Practices is in force, in any version and partition."""
    return any(
        status == "READY" and "standards/aws-foundational-security-best-practices/" in arn
        for arn, status in standards.standards.items()
    )


def _evidence(rule: ConfigRule, flaw: str | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ConfigRuleName": rule.name,
        "SourceIdentifier": rule.identifier,
        "Owner": rule.owner,
        "ConfigRuleState": rule.state,
        "CreatedBy": rule.created_by,
    }
    return shown | ({"flaw": flaw} if flaw else {})


def _compliance(deployed: list[ConfigRule], compliance: ConfigCompliance | Gap, tables: TableNames | Gap) -> Verdict:
    """Judge what the required rules that are deployed say."""
    if isinstance(compliance, Gap):
        return unknown(compliance, sub_key="compliance")
    held = {one.name: compliance.compliance.get(one.name) for one in deployed}
    evidence: dict[str, Any] = {"ComplianceType": held}
    bad = [name for name, kind in held.items() if kind == "NON_COMPLIANT"]
    if bad:
        return failed(
            f"AWS Config finds resources non-compliant by {', '.join(bad)}.",
            severity=Severity.LOW,
            sub_key="compliance",
            **evidence,
        )
    # Where there is no table the rules on tables have nothing to evaluate.
    idle = {one.name for one in deployed if one.identifier.upper().startswith("DYNAMODB_")}
    pending = [name for name, kind in held.items() if kind not in ("COMPLIANT", "NOT_APPLICABLE")]
    if not isinstance(tables, Gap) and not tables.tables:
        pending = [name for name in pending if name not in idle]
    elif isinstance(tables, Gap) and idle.issuperset(pending) and pending:
        return unknown(tables, sub_key="compliance", **evidence)
    if pending:
        text = f"AWS Config has no results yet of {', '.join(pending)}."
        return unknown(text, reason=Reason.PARTIAL_DATA, sub_key="compliance", **evidence)
    return passed("AWS Config finds no resource non-compliant.", sub_key="compliance", **evidence)

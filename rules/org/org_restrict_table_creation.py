import fnmatch
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import EnabledRegions, Gap, GuardedRequest, Guardrails, TableNames
from auditor.resources import Account, Region

#: Other ways to a new table; reported.
OTHER_PATHS = (
    "dynamodb:ImportTable",
    "dynamodb:RestoreTableFromBackup",
    "dynamodb:RestoreTableToPointInTime",
    "dynamodb:RestoreTableFromAwsBackup",
)


@rule(
    severity=Severity.LOW,
    side=Side.AMAZON,
    practices=["P9"],
    controls={"NIST 800-53 r5": ["CM-3", "CM-5", "CM-8"]},
    remediation=Remediation(
        text="Attach a service control policy that denies creating tables without the required tags, or to anyone but "
        "the deployment pipeline's role.",
        cli="aws organizations create-policy --type SERVICE_CONTROL_POLICY --name dynamodb-tagged-creation "
        '--description "No untagged tables" --content file://dynamodb-tagged-creation.json\n'
        "aws organizations attach-policy --policy-id $POLICY_ID --target-id $TARGET_ID",
        terraform="""\
resource "aws_organizations_policy" "tagged_creation" {
  name = "dynamodb-tagged-creation"
  type = "SERVICE_CONTROL_POLICY"
  content = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TaggedOnly"
      Effect    = "Deny"
      Action    = ["dynamodb:CreateTable", "dynamodb:ImportTable"]
      Resource  = "*"
      Condition = { Null = { "aws:RequestTag/owner" = "true" } }
    }]
  })
}""",
        cloudformation="""\
Resources:
  TaggedCreation:
    Type: AWS::Organizations::Policy
    Properties:
      Name: dynamodb-tagged-creation
      Type: SERVICE_CONTROL_POLICY
      Content:
        Version: "2012-10-17"
        Statement:
          - Sid: TaggedOnly
            Effect: Deny
            Action: ["dynamodb:CreateTable", "dynamodb:ImportTable"]
            Resource: "*"
            Condition: {"Null": {"aws:RequestTag/owner": "true"}}""",
    ),
    references=[
        "https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples_tagging.html"
    ],
)
def org_restrict_table_creation(
    account: Account,
    guardrails: Guardrails,
    enabled: EnabledRegions | Gap,
    listings: Mapping[Region, TableNames | Gap],
    config: Config,
    *,
    restrict_creation: Annotated[bool, "Creating tables is meant to be restricted."] = True,
    create_requires_tags: Annotated[
        tuple[str, ...], "Tags whose presence may be what restricts creation; empty: required_tags."
    ] = (),
    table_creator_roles: Annotated[
        tuple[str, ...], "Roles that may create tables freely: globs on a role's name, or on role/path/name."
    ] = (),
) -> Verdict:
    """An SCP restricts who/where/how tables are created.

    Tables that appear anywhere, made by anyone and without an owner's tag, are the ones nobody protects, backs up or
    deletes.

    Every level of the account's path is evaluated for an ordinary role and an ordinary user whose own policies allow
    everything: they must be refused when they create a table without tags, in each enabled region that
    `allowed_regions` admits. That covers both a ban for everyone but some roles and a ban on creation without tags;
    which of `create_requires_tags` are each enforced by themselves is reported. Tag policies standardise values and
    force nothing, so they do not count. Real users and roles that are not refused are exempt; besides
    `table_creator_roles` and `pipeline_roles` there may be at most `max_exempt_principals` of them. ImportTable and the
    ways to restore a table make tables, too: those that stay open are reported and do not change the verdict. The
    management account is not bound by such policies. Member accounts can rarely read the policies: unknown.
    """
    if not restrict_creation:
        return not_applicable("Creating tables is declared to be free.")
    if guardrails.exemption:
        return not_applicable(guardrails.exemption)
    if guardrails.gap is not None:
        return unknown(guardrails.gap)
    known = (
        {one.name for one in listings if one.account == account}
        if isinstance(enabled, Gap)
        else {one.name for one in enabled.regions}
    )
    regions = [Region(account, name) for name in sorted(known) if config.region_allowed(name)]
    if not regions:
        if isinstance(enabled, Gap):
            return unknown(enabled)
        return not_applicable("No enabled region is an allowed one, so nobody is meant to create tables here.")
    proof = guardrails.prove(_untagged("dynamodb:CreateTable", one) for one in regions)
    creators = tuple(one for one in proof.exempt if config.is_pipeline(one) or _named(one, table_creator_roles))
    proof = replace(
        proof,
        exempt=tuple(one for one in proof.exempt if one not in creators),
        doubtful=tuple(
            one for one in proof.doubtful if not config.is_pipeline(one) and not _named(one, table_creator_roles)
        ),
    )
    tags = create_requires_tags or tuple(
        one for entry in config.required_tags for one in ([entry] if isinstance(entry, str) else entry)
    )
    evidence: dict[str, Any] = {
        "policies": guardrails.attached,
        "regions": [one.name for one in regions],
        **proof.evidence(),
        "creators": list(creators),
    }
    if opening := proof.opening(config.max_exempt_principals):
        return failed(opening.replace("CreateTable on", "CreateTable without tags on", 1), **evidence)
    if doubt := proof.doubt(config.max_exempt_principals):
        return unknown(doubt, **evidence)
    if isinstance(enabled, Gap):
        return unknown(enabled, **evidence)
    role = guardrails.probes[0]
    evidence["enforcedTags"] = [
        tag
        for tag in tags
        if all(guardrails.answer(role, _lacking(tag, tags, one)).outcome == "denied" for one in regions)
    ]
    evidence["unrestrictedPaths"] = [
        action
        for action in OTHER_PATHS
        if any(guardrails.answer(role, _untagged(action, one)).outcome != "denied" for one in regions)
    ]
    return passed("Service control policies refuse tables that are created without tags.", **evidence)


def _probe(region: Region) -> str:
    return f"arn:{region.account.partition}:dynamodb:{region.name}:{region.account.id}:table/ddbaudit-probe"


def _untagged(action: str, region: Region) -> GuardedRequest:
    return GuardedRequest(action, _probe(region), {}, absent=("aws:RequestTag/*", "aws:TagKeys"))


def _lacking(tag: str, tags: tuple[str, ...], region: Region) -> GuardedRequest:
    """Return a creation with all of the tags but one."""
    others = [one for one in tags if one != tag]
    return GuardedRequest(
        "dynamodb:CreateTable",
        _probe(region),
        {},
        context={"aws:TagKeys": others} if others else {},
        supplied=tuple(f"aws:RequestTag/{one}" for one in others),
        absent=(f"aws:RequestTag/{tag}", *(() if others else ("aws:TagKeys",))),
    )


def _named(arn: str, patterns: tuple[str, ...]) -> bool:
    resource = arn.partition(":role/")[2]
    names = (resource.rpartition("/")[2], f"role/{resource}")
    return bool(resource) and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)

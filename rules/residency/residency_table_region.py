from collections.abc import Iterator

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import EnabledRegions, Gap
from auditor.resources import Account, DaxCluster, Region, Table


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["P4"],
    controls={"NIST 800-53 r5": ["AC-4", "PM-11", "SA-9(5)"]},
    remediation=Remediation(
        text="Export the table, import it in an allowed region, move its clients, then delete it; disable regions that "
        "nobody needs, and deny the others by a service control policy.",
        cli="aws dynamodb export-table-to-point-in-time --table-arn $TABLE_ARN --s3-bucket $BUCKET --region $REGION\n"
        "aws account disable-region --region-name $UNUSED_REGION",
        terraform="""\
resource "aws_account_region" "unused" {
  region_name = "ap-southeast-5"
  enabled     = false
}""",
        cloudformation="""\
Resources:
  RegionLock:
    Type: AWS::Organizations::Policy
    Properties:
      Name: dynamodb-region-lock
      Type: SERVICE_CONTROL_POLICY
      Content:
        Version: "2012-10-17"
        Statement:
          - Sid: RegionLock
            Effect: Deny
            Action: ["dynamodb:*", "dax:*"]
            Resource: "*"
            Condition: {StringNotEquals: {"aws:RequestedRegion": [eu-west-1, eu-central-1]}}""",
    ),
    references=["https://docs.aws.amazon.com/general/latest/gr/ddb.html"],
)
def residency_table_region(
    resource: Table | DaxCluster | Account, enabled: EnabledRegions | Gap, config: Config
) -> Iterator[Verdict]:
    """Tables and DAX clusters exist only in allowed regions.

    Laws and contracts say where data may be. A table in a forgotten region breaks them quietly, and it is also where
    nobody watches.

    The audit looks into every enabled region, not only the allowed ones: data in the wrong place is what it is after.
    The region is the one in the resource's ARN. Allowed regions come from the configuration's `allowed_regions`
    (globs such as `eu-*`); without it nothing can be judged, and each resource is listed with its region instead. An
    opt-in region that is enabled and not allowed is a low finding, even when it is empty: it can be disabled. A region
    where tables cannot be listed is unknown; often a service control policy that locks the region is the reason.
    """
    allowed = list(config.allowed_regions)
    if isinstance(resource, Account):
        yield from _regions(resource, enabled, config)
    elif not allowed:
        yield not_applicable(
            f"Allowed regions are not declared; this {resource.noun} is in {resource.region.name}.",
            reason="not_declared",
            region=resource.region.name,
        )
    elif config.region_allowed(resource.region.name):
        yield passed(f"{resource.region.name} is an allowed region.", region=resource.region.name, allowed=allowed)
    else:
        yield failed(f"{resource.region.name} is not an allowed region.", region=resource.region.name, allowed=allowed)


def _regions(account: Account, enabled: EnabledRegions | Gap, config: Config) -> Iterator[Verdict]:
    if not config.allowed_regions:
        return
    if isinstance(enabled, Gap):
        yield unknown(enabled)
        return
    for status in enabled.regions:
        if status.opt_in and not config.region_allowed(status.name):
            yield failed(
                f"The opt-in region {status.name} is enabled and not an allowed region.",
                severity=Severity.LOW,
                about=Region(account, status.name),
                sub_key="opt-in",
                OptInStatus="opted-in",
            )

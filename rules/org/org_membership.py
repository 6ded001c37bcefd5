import fnmatch
from collections.abc import Mapping
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import Gap, Organization, OrganizationRoot, TableNames
from auditor.resources import Account, Region

SCP = "SERVICE_CONTROL_POLICY"


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P9"],
    controls={"NIST 800-53 r5": ["AC-1", "CM-2", "PM-9"]},
    remediation=Remediation(
        text="Join the account to an organisation with all features, enable service control policies on its root, and "
        "move tables out of the management account: no policy of the organisation binds it.",
        cli="aws organizations enable-all-features\n"
        "aws organizations enable-policy-type --root-id $ROOT_ID --policy-type SERVICE_CONTROL_POLICY",
        terraform="""\
resource "aws_organizations_organization" "this" {
  feature_set          = "ALL"
  enabled_policy_types = ["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"]
}""",
        cloudformation="""\
Resources:
  Organization:
    Type: AWS::Organizations::Organization
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      FeatureSet: ALL""",
    ),
    references=["https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html"],
)
def org_membership(
    account: Account,
    organization: Organization | Gap,
    root: OrganizationRoot | Gap,
    listings: Mapping[Region, TableNames | Gap],
    *,
    standalone_account: Annotated[bool, "The account is meant to be in no organisation."] = False,
    exempt_tables: Annotated[
        tuple[str, ...], "Tables that may be in the management account, such as a landing zone's: globs on names."
    ] = (),
) -> Verdict:
    """The account is governed by SCPs and holds no tables in the management account.

    An administrator of an account can undo everything that is configured in it. Only an organisation's service control
    policies bind administrators too, and only outside the management account.

    Passes for an account in an organisation with all features whose root has service control policies enabled; in the
    management account it must hold no tables besides `exempt_tables`. The types of policies are those of the root
    (`Roots[].PolicyTypes`), since `Organization.AvailablePolicyTypes` says nothing about what is enabled. Member
    accounts may rarely list the root: then the answer is unknown, unless another cause fails. In the management account
    it is unknown, too, where tables of a region cannot be listed and none is found elsewhere.
    """
    if standalone_account:
        return not_applicable("The account is declared to stand alone.")
    if isinstance(organization, Gap):
        return unknown(organization)
    if organization.id is None:
        return failed(
            "The account is in no organisation, so no service control policy can bind its administrators.",
            Organization=None,
        )
    evidence: dict[str, Any] = {
        "OrganizationId": organization.id,
        "FeatureSet": organization.feature_set,
        "MasterAccountId": organization.management_account,
    }
    causes: list[str] = []
    gaps: list[Gap] = []
    if organization.feature_set != "ALL":
        causes.append(
            f"The organisation's feature set is {organization.feature_set or 'not stated'}, which has no service "
            "control policies."
        )
    if isinstance(root, Gap):
        gaps.append(root)
    else:
        types = {name.upper(): status.upper() for name, status in root.policy_types.items()}
        evidence["PolicyTypes"] = dict(root.policy_types)
        if types.get(SCP) != "ENABLED":
            causes.append(
                f"Service control policies are not enabled on the root ({types.get(SCP, 'not in PolicyTypes')})."
            )
    if organization.management_account == account.id:
        held, denied = _tables(account, listings, exempt_tables)
        evidence["tables"] = held
        gaps += denied
        if held:
            causes.append(
                f"{len(held)} {'table is' if len(held) == 1 else 'tables are'} in the organisation's management "
                "account, which service and resource control policies do not bind."
            )
    if causes:
        return failed(" ".join(causes), **evidence)
    if gaps:
        return unknown(gaps[0], **evidence)
    if organization.management_account == account.id:
        return passed("This is the organisation's management account, and it holds no tables.", **evidence)
    return passed("The account is in an organisation whose service control policies are enabled.", **evidence)


def _tables(
    account: Account, listings: Mapping[Region, TableNames | Gap], exempt: tuple[str, ...]
) -> tuple[list[str], list[Gap]]:
    """Return the account's tables, as ARNs, that are not exempt, and why there may be more."""
    held: list[str] = []
    gaps: list[Gap] = []
    for region, listing in sorted(listings.items()):
        if region.account != account:
            continue
        if isinstance(listing, Gap):
            gaps.append(listing)
            continue
        held += [
            table.arn
            for table in listing.tables
            if not any(fnmatch.fnmatchcase(table.name, pattern) for pattern in exempt)
        ]
    return held, gaps

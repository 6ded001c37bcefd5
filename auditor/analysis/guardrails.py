"""The service control policies on an account's path, made ready to be asked."""

from __future__ import annotations

from auditor.access.estate import Estate
from auditor.analysis.access import account_limits
from auditor.config import Config
from auditor.facts import (
    AccountAccess,
    CollectionTime,
    Gap,
    Guardrails,
    Organization,
    ResourceControlPolicies,
    ServiceControlPolicies,
    derive,
)
from auditor.resources import Account

#: Organisations of this kind have no policies at all, whatever else can be read.
WITHOUT_POLICIES = "CONSOLIDATED_BILLING"


@derive
def guardrails(
    account: Account,
    organization: Organization,
    scps: ServiceControlPolicies | Gap,
    access: AccountAccess | Gap,
    time: CollectionTime | Gap,
    config: Config,
) -> Guardrails:
    """Return what limits an account's principals; without the policies, why they are not known."""
    if organization.feature_set == WITHOUT_POLICIES:
        scps = ServiceControlPolicies(())
    limits = account_limits(account, organization, scps, ResourceControlPolicies(()))
    judged = {} if isinstance(access, Gap) else {one.arn: one for one in access.judged}
    estate = Estate(
        accounts={account.id: limits},
        principals=judged,
        abac=None if config.abac_enabled == "unknown" else config.abac_enabled,
        now=None if isinstance(time, Gap) else time.at,
    )
    return Guardrails(
        account.id,
        account.partition,
        exemption(account, organization),
        estate,
        ()
        if isinstance(scps, Gap)
        else tuple((level.target, tuple(one.name for one in level.policies)) for level in scps.levels),
        scps if isinstance(scps, Gap) else None,
        access if isinstance(access, Gap) else None,
    )


def exemption(account: Account, organization: Organization) -> str:
    """Return why service control policies say nothing of an account, as a sentence, or an empty text."""
    if organization.id is None:
        return "The account is in no organisation, so no service control policy applies to it."
    if organization.management_account == account.id:
        return "The account is the organisation's management account, which service control policies do not bind."
    return ""

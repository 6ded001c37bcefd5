"""Cognito identity pools and their roles."""

from __future__ import annotations

from auditor.facts import IdentityPoolRoles, IdentityPools, IdentityPoolSettings
from auditor.resources import IdentityPool, Region
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws

GONE = ("ResourceNotFoundException",)


@collects(IdentityPools, about=Region)
def identity_pools(aws: Aws, region: Region) -> Yield:
    """Yield the region's identity pools, sixty a page; those of the pages before a failure stay known."""
    pools = []
    for page in aws.pages("cognito-identity:ListIdentityPools", MaxResults=60):
        for entry in page.get("IdentityPools", []):
            pools.append(IdentityPool(region, entry["IdentityPoolId"]))
            yield pools[-1], None
    yield region, IdentityPools(tuple(sorted(pools)))


@collects(IdentityPoolSettings, about=IdentityPool)
def identity_pool_settings(aws: Aws, pool: IdentityPool) -> Yield:
    """Yield one pool's settings."""
    answer = aws.call("cognito-identity:DescribeIdentityPool", gone=GONE, IdentityPoolId=pool.name)
    yield (
        pool,
        IdentityPoolSettings(
            answer.get("IdentityPoolName", ""),
            answer["AllowUnauthenticatedIdentities"],
            answer.get("AllowClassicFlow", False),
        ),
    )


@collects(IdentityPoolRoles, about=IdentityPool)
def identity_pool_roles(aws: Aws, pool: IdentityPool) -> Yield:
    """Yield one pool's roles."""
    answer = aws.call("cognito-identity:GetIdentityPoolRoles", gone=GONE, IdentityPoolId=pool.name)
    roles = answer.get("Roles") or {}
    mapped = {
        rule["RoleARN"]
        for mapping in (answer.get("RoleMappings") or {}).values()
        if mapping.get("Type", "").casefold() == "rules"
        for rule in (mapping.get("RulesConfiguration") or {}).get("Rules", [])
        if rule.get("RoleARN")
    }
    yield pool, IdentityPoolRoles(roles.get("authenticated"), roles.get("unauthenticated"), tuple(sorted(mapped)))

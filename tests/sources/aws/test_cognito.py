"""Identity pools and their roles."""

import pytest

from auditor.facts import Gap, IdentityPoolRoles, IdentityPools, IdentityPoolSettings, Reason
from auditor.resources import IdentityPool, Region
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer

HERE = Region(ACCOUNT, "eu-west-1")
FIRST, SECOND = (f"eu-west-1:{number}0000000-1111-4222-8333-444455556666" for number in (1, 2))
SHOP, GAME = IdentityPool(HERE, FIRST), IdentityPool(HERE, SECOND)
SHOP_POOL = {"IdentityPoolId": FIRST, "IdentityPoolName": "shop"}
LIST, DESCRIBE, ROLES = (
    "cognito-identity:ListIdentityPools",
    "cognito-identity:DescribeIdentityPool",
    "cognito-identity:GetIdentityPoolRoles",
)


def role(name: str) -> str:
    return f"arn:aws:iam::123456789012:role/{name}"


@pytest.fixture
def one(access: Access) -> None:
    answer(access, LIST, {"IdentityPools": [SHOP_POOL]})


def test_the_pages_of_the_listing_are_one(gather_facts: Gather, access: Access) -> None:
    game = {"IdentityPoolId": SECOND, "IdentityPoolName": "game"}
    asked = answer(access, LIST, {"IdentityPools": [game], "NextToken": "next"}, {"IdentityPools": [SHOP_POOL]})
    inventory = gather_facts(IdentityPool, IdentityPools)
    assert inventory.facts[IdentityPools][HERE] == IdentityPools((SHOP, GAME))
    assert inventory.of_kind(IdentityPool) == [SHOP, GAME]
    assert asked == [{"MaxResults": 60}, {"MaxResults": 60, "NextToken": "next"}]


def test_pools_of_the_pages_before_a_denied_one_stay_known(gather_facts: Gather, access: Access) -> None:
    answer(access, LIST, {"IdentityPools": [SHOP_POOL], "NextToken": "next"}, "AccessDeniedException")
    inventory = gather_facts(IdentityPool, IdentityPools)
    gap = inventory.facts[IdentityPools][HERE]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, LIST)
    assert inventory.of_kind(IdentityPool) == [SHOP]


@pytest.mark.usefixtures("one")
def test_a_pool_that_is_silent_about_the_classic_flow_has_it_off(gather_facts: Gather, access: Access) -> None:
    answer(access, DESCRIBE, SHOP_POOL | {"AllowUnauthenticatedIdentities": True})
    inventory = gather_facts(IdentityPool, IdentityPoolSettings)
    assert inventory.facts[IdentityPoolSettings] == {SHOP: IdentityPoolSettings("shop", guests=True)}


@pytest.mark.usefixtures("one")
def test_the_classic_flow_is_kept(gather_facts: Gather, access: Access) -> None:
    answer(access, DESCRIBE, SHOP_POOL | {"AllowUnauthenticatedIdentities": False, "AllowClassicFlow": True})
    inventory = gather_facts(IdentityPool, IdentityPoolSettings)
    assert inventory.facts[IdentityPoolSettings] == {SHOP: IdentityPoolSettings("shop", False, classic_flow=True)}


@pytest.mark.usefixtures("one")
def test_roles_by_default_and_by_rule(gather_facts: Gather, access: Access) -> None:
    def rule(claim: str, name: str) -> dict[str, str]:
        return {"Claim": claim, "MatchType": "Equals", "Value": "yes", "RoleARN": role(name)}

    mappings = {
        "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc:client": {
            "Type": "Rules",
            "AmbiguousRoleResolution": "Deny",
            "RulesConfiguration": {"Rules": [rule("staff", "staff"), rule("admin", "admin")]},
        },
        "accounts.google.com": {"Type": "Rules", "RulesConfiguration": {"Rules": [rule("admin", "admin")]}},
        "graph.facebook.com": {"Type": "Token", "AmbiguousRoleResolution": "AuthenticatedRole"},
    }
    roles = {"authenticated": role("member"), "unauthenticated": role("guest")}
    answer(access, ROLES, {"IdentityPoolId": FIRST, "Roles": roles, "RoleMappings": mappings})
    assert gather_facts(IdentityPool, IdentityPoolRoles).facts[IdentityPoolRoles] == {
        SHOP: IdentityPoolRoles(role("member"), role("guest"), (role("admin"), role("staff")))
    }


@pytest.mark.usefixtures("one")
def test_a_pool_without_roles_has_none(gather_facts: Gather, access: Access) -> None:
    answer(access, ROLES, {"IdentityPoolId": FIRST})
    assert gather_facts(IdentityPool, IdentityPoolRoles).facts[IdentityPoolRoles] == {SHOP: IdentityPoolRoles()}


@pytest.mark.usefixtures("one")
def test_roles_that_may_not_be_read_are_a_gap_beside_the_settings(gather_facts: Gather, access: Access) -> None:
    answer(access, DESCRIBE, SHOP_POOL | {"AllowUnauthenticatedIdentities": True})
    answer(access, ROLES, "NotAuthorizedException")
    facts = gather_facts(IdentityPool, IdentityPoolSettings, IdentityPoolRoles).facts
    assert isinstance(facts[IdentityPoolSettings][SHOP], IdentityPoolSettings)
    gap = facts[IdentityPoolRoles][SHOP]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, ROLES)


@pytest.mark.usefixtures("one")
def test_a_pool_deleted_in_between_is_noted_and_dropped(gather_facts: Gather, access: Access) -> None:
    answer(access, DESCRIBE, "ResourceNotFoundException")
    inventory = gather_facts(IdentityPool, IdentityPoolSettings)
    assert inventory.of_kind(IdentityPool) == []
    assert [(error.operation, error.code) for error in inventory.errors] == [
        ("DescribeIdentityPool", "ResourceNotFoundException")
    ]

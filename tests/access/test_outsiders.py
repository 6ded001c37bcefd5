"""What strangers can do: the synthetic outsider, and AWS's own definition of public."""

import json
from typing import Any

import pytest

from auditor.access import Named, Unreadable
from auditor.access.actions import Action, actions
from auditor.access.mentions import Mentions, mentions, public_by_aws
from auditor.access.outsiders import Outsider
from auditor.access.reach import Reach, reach, survey
from tests.access import (
    ACCOUNT,
    ALLOWED,
    COGNITO,
    CONDITIONAL,
    GET,
    GITHUB,
    INDEX,
    KEY,
    OUTSIDE,
    OUTSIDE_ROLE,
    REPLICATION,
    ROLE,
    TABLE,
    Doc,
    doc,
    grant,
    merge,
    refuse,
    when,
)

DENIED = "denied"
ORG = "o-acme12345"
PRINCIPAL = "aws:PrincipalArn"


def tried(document: Any, action: str = GET, resource: str = TABLE, **more: Any) -> Reach:
    return reach(document, action, [resource], owner=ACCOUNT, **{"organization": ORG, **more})


def public(condition: Doc | None = None, action: str = GET, **more: Any) -> str:
    return tried(grant("*", action, condition=condition), action, **more).verdict


def test_a_wildcard_principal_lets_outsiders_in_and_the_statement_is_named() -> None:
    found = tried(doc({"Sid": "Open", "Effect": "Allow", "Principal": "*", "Action": "dynamodb:*", "Resource": "*"}))
    assert (found.verdict, found.conditions, found.choices) == (ALLOWED, "", "")
    assert [(hit.sid, hit.index) for hit in found.statements] == [("Open", 0)]


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": [ROLE, "*"]}])
def test_all_forms_of_everybody(principal: Any) -> None:
    document = doc({"Effect": "Allow", "Principal": principal, "Action": GET, "Resource": "*"})
    assert tried(document).verdict == ALLOWED


def test_named_principals_are_nobody_else() -> None:
    for principal in (ROLE, f"arn:aws:iam::{ACCOUNT}:root", OUTSIDE_ROLE, "arn:aws:iam::*:root"):
        assert tried(grant(principal)).verdict == DENIED


@pytest.mark.parametrize(
    ("operator", "key", "value"),
    [
        ("StringEquals", "aws:PrincipalOrgID", ORG),
        ("StringEquals", "aws:PrincipalAccount", [ACCOUNT, OUTSIDE]),
        ("ArnEquals", PRINCIPAL, ROLE),
        ("ArnLike", PRINCIPAL, f"arn:aws:iam::{ACCOUNT}:role/*"),
        ("StringLike", PRINCIPAL, f"arn:aws:iam::{ACCOUNT}:*"),
        ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", f"{ORG}/r-ab12/ou-ab12-*/*"),
        ("StringEquals", "aws:SourceVpce", "vpce-0a1b2c3d"),
        ("StringEquals", "aws:SourceVpc", "vpc-0a1b2c3d"),
        ("StringEquals", "aws:SourceAccount", ACCOUNT),
        ("ArnLike", "aws:SourceArn", f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/*"),
        ("StringLike", "aws:userid", "AROAEXAMPLEEXAMPLE01:*"),
        ("Bool", "aws:PrincipalIsAWSService", "true"),
        ("StringEquals", "aws:PrincipalOrgID", "${aws:ResourceOrgID}"),
        ("StringEquals", "aws:ResourceAccount", OUTSIDE),
        ("StringLike", "aws:PrincipalAccount", "111122223333*"),
        # Nobody has a role there without being that account.
        ("StringLike", PRINCIPAL, f"*{ACCOUNT}:role/*"),
        ("ArnLike", PRINCIPAL, "arn:aws-cn:iam::*:role/*"),
        ("ArnLike", PRINCIPAL, "arn:aws:iam::*:role"),
        ("StringEquals", PRINCIPAL, "arn:aws:iam::*:role/admin"),
    ],
)
def test_conditions_that_close(operator: str, key: str, value: Any) -> None:
    assert public(when(operator, key, value)) == DENIED


@pytest.mark.parametrize(
    ("operator", "key", "value"),
    [
        # Only a missing key, or one with any value.
        ("StringEqualsIfExists", "aws:PrincipalOrgID", ORG),
        ("StringNotEquals", "aws:PrincipalOrgID", "o-other12345"),
        ("ForAllValues:StringLike", "aws:PrincipalOrgPaths", f"{ORG}/*"),
        ("Null", "aws:PrincipalOrgID", "true"),
        ("Null", "aws:PrincipalOrgID", "false"),
        ("StringLike", "aws:PrincipalOrgID", "o-*"),
        ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "*/ou-ab12-11111111/*"),
        ("StringEqualsIfExists", "aws:SourceVpce", "vpce-0a1b2c3d"),
        ("StringNotEquals", "aws:SourceVpce", "vpce-0a1b2c3d"),
        ("StringLike", "aws:SourceVpce", "vpce-*"),
        ("Null", "aws:SourceVpc", "false"),
        ("StringLike", "aws:PrincipalOrgID", "o-a*"),
        ("StringLike", "aws:PrincipalAccount", "1111*"),
        ("StringLike", "aws:SourceVpce", "vpce-0a*"),
        # What everybody can have.
        ("ArnLike", PRINCIPAL, "arn:aws:iam::*:role/admin"),
        ("ArnLike", PRINCIPAL, "arn:aws:iam::*:role/teams/*/deploy-??"),
        ("StringLike", PRINCIPAL, "*:role/admin"),
        ("StringLike", PRINCIPAL, "*"),
        ("ArnNotLike", PRINCIPAL, ROLE),
        ("ArnNotEquals", PRINCIPAL, [ROLE, OUTSIDE_ROLE]),
        ("StringEquals", "aws:PrincipalTag/team", "orders"),
        ("StringEquals", "aws:username", "orders"),
        ("StringLike", "aws:userid", "*:deploy"),
        ("StringEquals", "aws:PrincipalType", "AssumedRole"),
        ("StringEquals", "aws:UserAgent", "orders-app"),
        ("Bool", "aws:MultiFactorAuthPresent", "true"),
        ("NumericLessThan", "aws:MultiFactorAuthAge", "3600"),
        ("Bool", "aws:SecureTransport", "true"),
        ("Bool", "aws:PrincipalIsAWSService", "false"),
        ("ForAnyValue:StringEquals", "aws:CalledVia", "athena.amazonaws.com"),
        ("ForAllValues:StringEquals", "dynamodb:LeadingKeys", "shared"),
        # About the resource, which stays what it is.
        ("StringEquals", "aws:ResourceAccount", ACCOUNT),
        ("StringEquals", "aws:ResourceOrgID", ORG),
        ("StringEquals", "aws:RequestedRegion", "eu-west-1"),
        # Every address.
        ("IpAddress", "aws:SourceIp", "0.0.0.0/0"),
        ("IpAddress", "aws:SourceIp", ["0.0.0.0/1", "128.0.0.0/1"]),
        ("IpAddress", "aws:SourceIp", "::/0"),
        ("NotIpAddress", "aws:SourceIp", "203.0.113.0/24"),
        # Whoever has a VPC chooses its addresses.
        ("IpAddress", "aws:VpcSourceIp", "10.0.0.0/8"),
    ],
)
def test_conditions_that_do_not_close(operator: str, key: str, value: Any) -> None:
    assert public(when(operator, key, value)) == ALLOWED


@pytest.mark.parametrize(
    ("operator", "key", "value", "words"),
    [
        ("IpAddress", "aws:SourceIp", "203.0.113.0/24", "only from 203.0.113.0/24"),
        ("StringEquals", "aws:ResourceTag/open", "yes", "only if aws:ResourceTag/open is yes"),
        ("StringSomething", "aws:PrincipalOrgID", ORG, "StringSomething"),
        ("StringEquals", "aws:SomethingNew", "1", "aws:somethingnew"),
        ("StringEquals", "aws:PrincipalTag/a", "${aws:PrincipalTag/b}", "aws:PrincipalTag/a"),
    ],
)
def test_what_nobody_can_decide_stays_open(operator: str, key: str, value: str, words: str) -> None:
    found = tried(grant("*", GET, condition=when(operator, key, value)))
    assert found.verdict == CONDITIONAL
    assert words in found.conditions
    assert len(found.statements) == 1
    assert found.lucky is (key == "aws:SourceIp")


def test_what_is_known_of_the_resource_decides() -> None:
    document = grant("*", GET, condition=when("StringEquals", "aws:ResourceTag/open", "yes"))
    assert tried(document, context={"aws:ResourceTag/open": "yes"}).verdict == ALLOWED
    assert tried(document, context={"aws:ResourceTag/open": "no"}).verdict == DENIED


def test_an_unknown_organisation_of_the_owner_is_no_strangers() -> None:
    same = when("StringEquals", "aws:ResourceOrgID", "${aws:PrincipalOrgID}")
    for organization in (ORG, None, ""):
        assert public(same, organization=organization) == DENIED
    own = when("StringEquals", "aws:ResourceOrgID", ORG)
    assert public(own, organization="") == CONDITIONAL
    assert public(own, organization=None) == DENIED


def test_denials_count() -> None:
    everybody = grant("*", GET)
    perimeter = refuse("*", condition=when("StringNotEquals", "aws:PrincipalOrgID", ORG))
    assert tried(merge(everybody, perimeter)).verdict == DENIED
    leaky = refuse("*", condition=when("StringNotEqualsIfExists", "aws:PrincipalOrgID", ORG))
    # IfExists on a negated operator denies without the key as well.
    assert tried(merge(everybody, leaky)).verdict == DENIED
    weak = refuse("*", condition=when("StringNotEquals", "aws:PrincipalOrgID", ORG) | when("Null", ORG_KEY, "false"))
    assert tried(merge(everybody, weak)).verdict == ALLOWED
    not_you = refuse(f"arn:aws:iam::{OUTSIDE}:root")
    assert tried(merge(everybody, not_you)).verdict == ALLOWED
    assert tried(merge(everybody, not_you), outsider=Outsider(OUTSIDE)).verdict == DENIED


ORG_KEY = "aws:PrincipalOrgID"


def test_choices_for_the_allow_must_serve_the_deny_too() -> None:
    admins = grant("*", GET, condition=when("ArnLike", PRINCIPAL, "arn:aws:iam::*:role/admin-*"))
    anything = refuse("*", condition=when("ArnLike", PRINCIPAL, "arn:aws:iam::*:role/admin*"))
    assert tried(merge(admins, anything)).verdict == DENIED
    some = refuse("*", condition=when("ArnLike", PRINCIPAL, "arn:aws:iam::*:role/admin-?"))
    assert tried(merge(admins, some)).verdict == ALLOWED


def test_two_conditions_on_one_choice_must_agree() -> None:
    both = when("StringLike", PRINCIPAL, "*:role/a*") | when("ArnLike", PRINCIPAL, "arn:aws:iam::*:role/*b")
    assert public(both) == ALLOWED
    neither = when("StringLike", PRINCIPAL, "*:role/a*") | when("ArnLike", PRINCIPAL, "arn:aws:iam::*:user/*")
    assert public(neither) == DENIED


def test_a_deny_that_nobody_escapes() -> None:
    every = refuse("*", condition=when("ArnLike", PRINCIPAL, "arn:aws:iam::*:*"))
    assert tried(merge(grant("*"), every)).verdict == DENIED


def test_an_allow_for_everybody_but_some_is_public() -> None:
    document = doc({"Effect": "Allow", "NotPrincipal": {"AWS": ROLE}, "Action": GET, "Resource": "*"})
    assert tried(document).verdict == ALLOWED
    assert len(public_by_aws(document)) == 1


def test_unsigned_requests_are_nobody_but_public_means_every_signed_one() -> None:
    # Actions that DynamoDB lets no other account call stay closed, whatever the policy says.
    assert public(action="dynamodb:PutResourcePolicy") == DENIED
    assert public(action="dynamodb:PartiQLSelect") == DENIED
    assert public(action="dynamodb:SearchVectors") == CONDITIONAL
    assert public(action="dynamodb:UpdateTable") == ALLOWED


def test_the_index_is_a_resource_of_its_own() -> None:
    document = grant("*", "dynamodb:Query", INDEX)
    assert tried(document, "dynamodb:Query").verdict == DENIED
    found = reach(document, "dynamodb:Query", [TABLE, INDEX], owner=ACCOUNT)
    assert (found.verdict, found.resource) == (ALLOWED, INDEX)


def test_many_actions_are_judged_as_each_by_itself() -> None:
    document = merge(
        grant("*", ["dynamodb:G*", "dynamodb:Query"], condition=when("StringEquals", "dynamodb:Select", "COUNT")),
        grant("*", ["dynamodb:*Item", "dynamodb:SearchVectors", "dynamodb:Part*"]),
        grant("*", "dynamodb:Scan", INDEX),
        refuse("*", "dynamodb:DeleteItem"),
    )

    def targets(action: Action) -> list[str]:
        return [TABLE, INDEX] if "index" in action.resources else [TABLE]

    wanted = [one for one in actions("dynamodb") if "table" in one.resources]
    together = survey(document, wanted, targets, owner=ACCOUNT)
    assert together == [reach(document, one.name, targets(one), owner=ACCOUNT) for one in wanted]
    open_ = [one.action.partition(":")[2] for one in together if one.verdict == ALLOWED]
    single = ["ConditionCheckItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"]
    assert sorted(open_) == sorted(["BatchGetItem", "BatchWriteItem", *single])


def test_resource_control_policies_turn_outsiders_away() -> None:
    rcp = {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:*", "Resource": "*"}
    perimeter = doc(rcp | {"Condition": when("StringNotEqualsIfExists", "aws:PrincipalOrgID", ORG)})
    found = tried(grant("*"), rcps=[[Named("RCP perimeter", perimeter)]])
    assert (found.verdict, [hit.policy for hit in found.refusals]) == (DENIED, ["RCP perimeter"])
    assert tried(grant("*"), rcps=[[]]).verdict == ALLOWED


def test_an_account_and_whoever_it_names() -> None:
    elsewhere = Outsider(OUTSIDE)
    for principal in (OUTSIDE, f"arn:aws:iam::{OUTSIDE}:root", OUTSIDE_ROLE, f"arn:aws:iam::{OUTSIDE}:user/a/zoe"):
        assert tried(grant(principal), outsider=elsewhere).verdict == ALLOWED
        assert tried(grant(principal), outsider=Outsider("777788889999")).verdict == DENIED
    session = f"arn:aws:sts::{OUTSIDE}:assumed-role/remote/job"
    assert tried(grant(session), outsider=elsewhere).verdict == ALLOWED
    with_name = when("ArnLike", PRINCIPAL, f"arn:aws:iam::{OUTSIDE}:role/*/remote")
    assert tried(grant(session, condition=with_name), outsider=elsewhere).verdict == ALLOWED
    other = when("ArnLike", PRINCIPAL, f"arn:aws:iam::{OUTSIDE}:role/other")
    assert tried(grant(session, condition=other), outsider=elsewhere).verdict == DENIED
    assert tried(grant(OUTSIDE_ROLE, condition=other), outsider=elsewhere).verdict == DENIED


def test_a_denied_principal_is_not_chosen_by_another_name() -> None:
    allowed = grant(OUTSIDE, condition=when("ArnEquals", PRINCIPAL, OUTSIDE_ROLE))
    assert tried(allowed, outsider=Outsider(OUTSIDE)).verdict == ALLOWED
    assert tried(merge(allowed, refuse(OUTSIDE_ROLE)), outsider=Outsider(OUTSIDE)).verdict == DENIED


def test_members_of_an_organisation() -> None:
    document = grant("*", condition=when("StringEquals", "aws:PrincipalOrgID", ORG))
    assert tried(document, outsider=Outsider(organization=ORG)).verdict == ALLOWED
    assert tried(document, outsider=Outsider(organization="o-other12345")).verdict == DENIED
    path = grant("*", condition=when("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", f"{ORG}/r-ab12/*"))
    assert tried(path, outsider=Outsider(organization=ORG)).verdict == ALLOWED


def test_whoever_comes_through_a_named_network() -> None:
    document = grant("*", condition=when("StringEquals", "aws:SourceVpce", "vpce-0a1b2c3d"))
    assert tried(document, outsider=Outsider(networks=("vpce-0a1b2c3d",))).verdict == ALLOWED
    assert tried(document, outsider=Outsider(networks=("vpce-99999999",))).verdict == DENIED


SERVICE = {"Service": "glue.amazonaws.com"}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, ALLOWED),
        (when("StringEquals", "aws:SourceAccount", ACCOUNT), DENIED),
        (when("StringEqualsIfExists", "aws:SourceAccount", ACCOUNT), ALLOWED),
        (when("ArnLike", "aws:SourceArn", f"arn:aws:glue:eu-west-1:{ACCOUNT}:integration:*"), DENIED),
        (when("ArnLike", "aws:SourceArn", "arn:aws:glue:*:*:integration:*"), ALLOWED),
        (when("ArnLike", "aws:SourceArn", "arn:aws:s3:::acme-exports"), DENIED),
        (when("ArnLike", "aws:SourceArn", "arn:aws:s3:::acme-*"), ALLOWED),
        (when("StringEquals", "aws:SourceOrgID", ORG), DENIED),
        (when("Bool", "aws:PrincipalIsAWSService", "true"), ALLOWED),
        (when("StringEquals", "aws:PrincipalOrgID", ORG), DENIED),
    ],
)
def test_a_service_may_act_for_anybody(condition: Doc | None, expected: str) -> None:
    document = doc({"Effect": "Allow", "Principal": SERVICE, "Action": GET, "Resource": "*"})
    if condition:
        document["Statement"][0]["Condition"] = condition
    assert tried(document, outsider=Outsider(service="glue.amazonaws.com")).verdict == expected
    # It is nobody's own principal.
    assert tried(document).verdict == DENIED


def test_a_service_acts_for_a_named_account() -> None:
    document = doc({"Effect": "Allow", "Principal": SERVICE, "Action": GET, "Resource": "*"})
    document["Statement"][0]["Condition"] = when("StringEquals", "aws:SourceAccount", [ACCOUNT, OUTSIDE])
    assert tried(document, outsider=Outsider(OUTSIDE, service="glue.amazonaws.com")).verdict == ALLOWED
    assert tried(document, outsider=Outsider("777788889999", service="glue.amazonaws.com")).verdict == DENIED


def test_replication_without_confinement_is_never_plainly_allowed() -> None:
    document = doc(
        {
            "Effect": "Allow",
            "Principal": {"Service": REPLICATION},
            "Action": "dynamodb:ReadDataForReplication",
            "Resource": "*",
        }
    )
    found = tried(document, "dynamodb:ReadDataForReplication", outsider=Outsider(service=REPLICATION))
    assert found.verdict == CONDITIONAL
    assert "confused deputy" in found.conditions


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, ALLOWED),
        (when("StringEquals", "kms:ViaService", "dynamodb.eu-west-1.amazonaws.com"), ALLOWED),
        (when("StringLike", "kms:ViaService", "dynamodb.*.amazonaws.com"), ALLOWED),
        (when("StringEquals", "kms:EncryptionContext:aws:dynamodb:tableName", "orders"), ALLOWED),
        (when("StringEquals", "kms:CallerAccount", ACCOUNT), DENIED),
        (when("StringEquals", "kms:CallerAccount", ACCOUNT) | when("StringLike", "kms:ViaService", "*"), DENIED),
        (when("StringEquals", "aws:PrincipalOrgID", ORG), DENIED),
        (when("StringEquals", "kms:KeySpec", "SYMMETRIC_DEFAULT"), CONDITIONAL),
    ],
)
def test_keys(condition: Doc | None, expected: str) -> None:
    assert tried(grant("*", "kms:*", condition=condition), "kms:Decrypt", KEY).verdict == expected


def trust(principal: Any, condition: Doc | None = None, action: str = "sts:AssumeRoleWithWebIdentity") -> Doc:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    return doc(statement | ({"Condition": condition} if condition else {}))


SUB = "token.actions.githubusercontent.com:sub"
AUD = "token.actions.githubusercontent.com:aud"
OWNER = "token.actions.githubusercontent.com:repository_owner"
REPOSITORY = "token.actions.githubusercontent.com:repository"
STS = "sts.amazonaws.com"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, ALLOWED),
        (when("StringEquals", AUD, STS), ALLOWED),
        (when("StringLike", SUB, "*"), ALLOWED),
        (when("StringLike", SUB, "repo:*"), ALLOWED),
        (when("StringLike", SUB, "repo:acme*"), ALLOWED),
        (when("StringLike", SUB, "repo:*/orders:*"), ALLOWED),
        (when("StringLike", SUB, ["repo:acme/*", "repo:*:environment:prod"]), ALLOWED),
        (when("StringNotEquals", SUB, "repo:acme/orders:ref:refs/heads/main"), ALLOWED),
        (when("StringEqualsIfExists", SUB, "repo:acme/orders:ref:refs/heads/main"), DENIED),
        (when("StringEquals", SUB, "repo:acme/orders:ref:refs/heads/main"), DENIED),
        (when("StringLike", SUB, "repo:acme/*"), DENIED),
        (when("StringLike", SUB, "repo:acme/*:*") | when("StringEquals", AUD, STS), DENIED),
        (when("ForAllValues:StringLike", SUB, "repo:acme/*"), DENIED),
        # As written it is a text without wildcards, which no token has.
        (when("StringEquals", SUB, "repo:*"), DENIED),
        (when("StringEquals", OWNER, "acme"), DENIED),
        (when("StringLike", REPOSITORY, "acme/*"), DENIED),
        (when("StringLike", REPOSITORY, "*/orders"), ALLOWED),
    ],
)
def test_workflows_of_strangers(condition: Doc | None, expected: str) -> None:
    document = trust({"Federated": GITHUB}, condition)
    found = tried(document, "sts:AssumeRoleWithWebIdentity", ROLE, outsider=Outsider(provider=GITHUB))
    assert found.verdict == expected


POOL = f"{COGNITO}:aud"
AMR = f"{COGNITO}:amr"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, ALLOWED),
        (when("ForAnyValue:StringLike", AMR, "unauthenticated"), ALLOWED),
        (when("ForAnyValue:StringLike", AMR, "authenticated"), ALLOWED),
        (when("StringEquals", POOL, "eu-west-1:12345678-dead-beef-1234-123456789012"), DENIED),
        (when("StringLike", POOL, "eu-west-1:*"), ALLOWED),
        (when("StringEqualsIfExists", POOL, "eu-west-1:12345678-dead-beef-1234-123456789012"), DENIED),
    ],
)
def test_identity_pools_of_strangers(condition: Doc | None, expected: str) -> None:
    document = trust({"Federated": COGNITO}, condition)
    found = tried(document, "sts:AssumeRoleWithWebIdentity", ROLE, outsider=Outsider(provider=COGNITO))
    assert found.verdict == expected


@pytest.mark.parametrize(
    "provider", ["cognito-identity-us-gov.amazonaws.com", "cognito-identity.cn-north-1.amazonaws.com.cn"]
)
def test_identity_pools_have_other_names_in_other_partitions(provider: str) -> None:
    named = when("StringEquals", f"{provider}:aud", "cn-north-1:12345678-dead-beef-1234-123456789012")
    for condition, expected in (
        (when("ForAnyValue:StringLike", f"{provider}:amr", "authenticated"), ALLOWED),
        (named, DENIED),
    ):
        document = trust({"Federated": provider}, condition)
        outsider = Outsider(provider=provider)
        assert tried(document, "sts:AssumeRoleWithWebIdentity", ROLE, outsider=outsider).verdict == expected


CLUSTER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC123"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, ALLOWED),
        (when("StringEquals", "oidc.eks.eu-west-1.amazonaws.com/id/ABC123:aud", STS), DENIED),
        (when("StringLike", "oidc.eks.eu-west-1.amazonaws.com/id/ABC123:sub", "system:serviceaccount:prod:*"), DENIED),
        (when("StringLike", "oidc.eks.eu-west-1.amazonaws.com/id/ABC123:sub", "*"), ALLOWED),
    ],
)
def test_a_provider_of_one_tenant(condition: Doc | None, expected: str) -> None:
    document = trust({"Federated": CLUSTER}, condition)
    found = tried(document, "sts:AssumeRoleWithWebIdentity", ROLE, outsider=Outsider(provider=CLUSTER))
    assert found.verdict == expected


def test_an_external_id_is_luck() -> None:
    wanted = when("StringEquals", "sts:ExternalId", "7f3c")
    found = tried(trust({"AWS": "*"}, wanted, "sts:AssumeRole"), "sts:AssumeRole", ROLE)
    assert (found.verdict, found.conditions) == (CONDITIONAL, "only with the external id 7f3c")
    for condition in (when("StringNotEquals", "sts:ExternalId", "7f3c"), when("Null", "sts:ExternalId", "false")):
        assert tried(trust({"AWS": "*"}, condition, "sts:AssumeRole"), "sts:AssumeRole", ROLE).verdict == ALLOWED


def test_where_a_role_is_assumed_is_chosen() -> None:
    here = when("StringEquals", "aws:RequestedRegion", "eu-west-1")
    assert tried(trust({"AWS": "*"}, here, "sts:AssumeRole"), "sts:AssumeRole", ROLE).verdict == ALLOWED
    assert public(when("StringEquals", "aws:RequestedRegion", "us-east-1")) == DENIED


def test_partitions() -> None:
    table = TABLE.replace("arn:aws:", "arn:aws-cn:")
    chinese = when("ArnLike", PRINCIPAL, "arn:aws-cn:iam::*:role/admin")
    document = grant("*", GET, condition=chinese)
    assert reach(document, GET, [table], owner=ACCOUNT).verdict == ALLOWED
    assert reach(document, GET, [TABLE], owner=ACCOUNT).verdict == DENIED


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "null",
        '{"Statement": 5}',
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]}',
        "[" * 100_000,
        17,
        {"Statement": [{"Effect": "Allow", "Principal": {"Martian": "*"}, "Action": "*", "Resource": "*"}]},
        Unreadable("not allowed to read it"),
    ],
)
def test_what_cannot_be_read_is_open_and_crashes_nothing(document: Any) -> None:
    found = tried(document)
    assert found.verdict == CONDITIONAL
    assert "cannot be read" in found.conditions
    assert public_by_aws(document) == ()
    assert mentions(document) == Mentions()


def test_hostile_patterns_end_soon() -> None:
    stars = "*a" * 60
    several = [f"*{letter}*{letter}*{letter}*" for letter in "abcdefghijklmnopqrstuvwxyz"]
    condition = {
        "StringLike": {PRINCIPAL: [stars, *several], "aws:PrincipalTag/x": several},
        "StringNotLike": {PRINCIPAL: [f"*{one}?" for one in several]},
    }
    assert public(condition) in (ALLOWED, CONDITIONAL)
    many = {"StringEquals": {f"aws:PrincipalTag/t{number}": str(number) for number in range(200)}}
    assert public(many) in (ALLOWED, CONDITIONAL)
    assert public({"StringEquals": {"aws:PrincipalTag/{": "${", "": ""}}) in (CONDITIONAL, DENIED)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, True),
        (when("StringEquals", "aws:PrincipalOrgID", ORG), False),
        (when("StringEqualsIfExists", "aws:PrincipalOrgID", ORG), True),
        (when("ForAllValues:StringEquals", "aws:PrincipalOrgID", ORG), True),
        (when("StringNotEquals", "aws:PrincipalOrgID", ORG), True),
        (when("StringLike", "aws:PrincipalArn", "arn:aws:iam::111122223333:role/*"), True),
        (when("StringEquals", "aws:PrincipalAccount", "${aws:ResourceAccount}"), True),
        (when("Bool", "aws:PrincipalIsAWSService", "true"), False),
        (when("Bool", "aws:PrincipalIsAWSService", "false"), True),
        (when("IpAddress", "aws:SourceIp", "203.0.113.0/24"), True),
        (when("StringEquals", "aws:ResourceAccount", ACCOUNT), True),
        (when("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", f"{ORG}/r-ab12/*"), False),
        (when("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-*/r-ab12/*"), True),
        (when("StringEquals", "aws:SourceVpce", []), True),
    ],
)
def test_awss_own_definition_looks_at_each_statement(condition: Doc | None, expected: bool) -> None:
    document = merge(grant("*", GET, condition=condition), refuse("*"))
    assert bool(public_by_aws(document)) is expected
    assert public_by_aws(grant(ROLE)) == ()


def test_whom_a_policy_means() -> None:
    orgs = when("StringEquals", "aws:PrincipalOrgID", [ORG, "o-*"])
    paths = when("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-other12345/r-1/*")
    document = merge(
        grant([OUTSIDE_ROLE, "777788889999", "*", "AIDAEXAMPLEEXAMPLE01"], condition=orgs | {"Null": {"a": "true"}}),
        grant("*", condition=paths),
        grant("*", condition=when("StringNotEquals", "aws:PrincipalAccount", "123412341234")),
        grant("*", condition=when("StringEquals", "aws:SourceVpce", ["vpce-1", "vpce-*"])),
        grant("*", condition=when("ArnLike", PRINCIPAL, "arn:aws:iam::222222222222:role/*")),
        doc(
            {
                "Effect": "Allow",
                "Principal": SERVICE,
                "Action": "*",
                "Resource": "*",
                "Condition": when(
                    "ArnLike", "aws:SourceArn", ["arn:aws:s3:::b", "arn:aws:sqs:eu-west-1:333333333333:q"]
                ),
            }
        ),
        refuse("999999999999"),
        refuse("*", condition=when("StringNotEquals", "aws:PrincipalOrgID", "o-friend12345")),
        doc({"Effect": "Deny", "NotPrincipal": {"AWS": "555555555555"}, "Action": "*", "Resource": "*"}),
    )
    assert mentions(json.dumps(document)) == Mentions(
        accounts=(OUTSIDE, "777788889999", "222222222222", "555555555555"),
        organizations=(ORG, "o-other12345", "o-friend12345"),
        networks=("vpce-1",),
        services=("glue.amazonaws.com",),
        source_accounts=("333333333333",),
        source_arns=("arn:aws:s3:::b",),
        deleted=("AIDAEXAMPLEEXAMPLE01",),
    )

"""Who reaches a table: paths through keys, clusters, roles, Cognito and other accounts."""

from __future__ import annotations

from typing import Any

import pytest

from auditor.access import Named, Unreadable
from auditor.access.answers import Access
from auditor.access.estate import Account, Cluster, Endpoint, Estate, Key, Pool, Principal, Table
from auditor.access.paths import Answer
from auditor.access.strangers import outside_principal
from auditor.access.verbs import actions_of

OWN, OTHER = "111122223333", "444455556666"
ORDERS = f"arn:aws:dynamodb:eu-west-1:{OWN}:table/orders"
STREAM = f"{ORDERS}/stream/2026-01-31T09:30:00.000"
KEY = f"arn:aws:kms:eu-west-1:{OWN}:key/0a1b"
CACHE = f"arn:aws:dax:eu-west-1:{OWN}:cache/orders-cache"
POOL = "eu-west-1:0a1b2c3d-0000-4000-8000-000000000001"
FULL = Account(OWN, None, scps=(), rcps=())


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more) | {"Effect": "Deny"}


def trust(principal: Any, action: str = "sts:AssumeRole", **more: Any) -> dict[str, Any]:
    return document({"Effect": "Allow", "Principal": principal, "Action": action, **more})


def role(name: str, *statements: dict[str, Any], account: str = OWN, trusted: Any = None, **more: Any) -> Principal:
    held = (Named(f"{name}-policy", document(*statements)),) if statements else ()
    given = trusted if trusted is not None else trust({"Service": "lambda.amazonaws.com"})
    return Principal(f"arn:aws:iam::{account}:role/{name}", "role", held, trust=given, **more)


def user(name: str, *statements: dict[str, Any], account: str = OWN) -> Principal:
    held = (Named(f"{name}-policy", document(*statements)),) if statements else ()
    return Principal(f"arn:aws:iam::{account}:user/{name}", "user", held)


def access(*principals: Principal, table: Table | None = None, **more: Any) -> Access:
    entry = table or Table(ORDERS)
    accounts = more.pop("accounts", {OWN: FULL})
    return Access(Estate(accounts, {one.arn: one for one in principals}, {entry.arn: entry}, **more))


def ask(engine: Access, principal: Principal, verb: str = "read", **more: Any) -> Answer:
    return engine.can(principal, verb, next(iter(engine.estate.tables.values())), **more)


def who(engine: Access, verb: str = "read") -> dict[str, Answer]:
    table = next(iter(engine.estate.tables.values()))
    return {one.principal.rpartition(":")[2]: one for one in engine.who_can(verb, table)}


def test_an_answer_names_the_path_the_action_and_the_statement() -> None:
    api = role("orders-api", allow("dynamodb:GetItem", ORDERS, Sid="AllowOrders"))
    answer = ask(access(api), api)
    assert (answer.verdict, answer.conditions, answer.blocked_by) == ("allowed", "", ())
    (path,) = answer.paths
    assert (path.via, path.action) == ("direct", "dynamodb:GetItem")
    assert [(hit.policy, hit.sid, hit.index) for hit in path.statements] == [("orders-api-policy", "AllowOrders", 0)]


def test_conditions_are_told_in_words() -> None:
    condition = {
        "StringEquals": {"aws:SourceVpce": "vpce-1"},
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:PrincipalTag/tenant}"]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }
    api = role("orders-api", allow("dynamodb:GetItem", ORDERS, Condition=condition), trusted=trust("*", "sts:*"))
    answer = ask(access(api), api)
    assert answer.verdict == "conditional"
    assert set(answer.conditions.split(" and ")) == {"only through vpce-1", "only own partition keys"}


def test_a_key_policy_that_names_another_role_keeps_administrators_from_the_data_but_not_from_deletion() -> None:
    statement = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{OWN}:role/x"})
    table = Table(ORDERS, key=Key(KEY, policy=Named("key policy", document(statement))))
    admin = role("admin", allow("*"))
    engine = access(admin, role("x", allow("dynamodb:*"), allow("kms:*")), table=table)
    assert ask(engine, admin, "read").verdict == "denied"
    assert ask(engine, admin, "write").verdict == "denied"
    assert ask(engine, admin, "delete-table").verdict == "allowed"
    assert ask(engine, engine.estate.principals[f"arn:aws:iam::{OWN}:role/x"]).verdict == "allowed"


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        (Key(KEY, policy=Unreadable("denied")), "conditional"),
        (Key(KEY, policy=document(allow("kms:*", Principal={"AWS": OWN})), usable=False), "denied"),
        (Key(KEY, managed=True), "allowed"),
        (None, "allowed"),
        (Key(KEY, policy=document(allow("kms:*", Principal={"AWS": OWN}))), "allowed"),
        (Key(KEY, policy=document(allow("kms:Encrypt", Principal={"AWS": OWN}))), "denied"),
    ],
)
def test_reading_takes_the_tables_key(key: Key | None, verdict: str) -> None:
    admin = role("admin", allow("*"))
    assert ask(access(admin, table=Table(ORDERS, key=key)), admin).verdict == verdict


def test_a_key_for_use_through_dynamodb_only_serves_the_table() -> None:
    condition = {"StringEquals": {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com"}}
    via = allow("kms:Decrypt", Principal={"AWS": OWN}, Condition=condition)
    admin = role("admin", allow("*"))
    assert ask(access(admin, table=Table(ORDERS, key=Key(KEY, policy=document(via)))), admin).verdict == "allowed"


@pytest.mark.parametrize("suffix", ["amazonaws.com", "amazonaws.com.cn"])
def test_in_china_either_spelling_of_the_service_may_be_meant(suffix: str) -> None:
    arn = f"arn:aws-cn:dynamodb:cn-north-1:{OWN}:table/orders"
    key = f"arn:aws-cn:kms:cn-north-1:{OWN}:key/1"
    via = {"StringEquals": {"kms:ViaService": f"dynamodb.cn-north-1.{suffix}"}}
    reader = Principal(f"arn:aws-cn:iam::{OWN}:role/api", "role", (Named("p", document(allow("dynamodb:GetItem"))),))
    engine = access(
        reader,
        table=Table(
            arn, key=Key(key, policy=document(allow("kms:Decrypt", Principal={"AWS": reader.arn}, Condition=via)))
        ),
    )
    assert ask(engine, reader).verdict == "conditional"
    assert "kms:ViaService" in ask(engine, reader).conditions


@pytest.mark.parametrize(
    ("arn", "provider"),
    [
        ("arn:aws-us-gov:cognito-identity:us-gov-west-1:{own}:identitypool/", "cognito-identity-us-gov.amazonaws.com"),
        ("arn:aws-cn:cognito-identity:cn-north-1:{own}:identitypool/", "cognito-identity.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_guests_of_pools_in_other_partitions(arn: str, provider: str) -> None:
    guest = role(
        "guest",
        allow("dynamodb:GetItem"),
        trusted=trust(
            {"Federated": provider},
            "sts:AssumeRoleWithWebIdentity",
            Condition={"StringEquals": {f"{provider}:aud": POOL}},
        ),
    )
    pool = Pool(arn.format(own=OWN) + POOL, POOL, "shop", guests=True, unauthenticated=guest.arn)
    answers = who(access(guest, pools=(pool,)))
    assert [name for name in answers if "guests" in name]


def test_dax_lets_in_whoever_may_use_the_cluster_whatever_the_tables_policies_say_of_them() -> None:
    reader = user("ann", allow("dax:*", CACHE), deny("dynamodb:*"))
    service = role("dax", allow("dynamodb:Scan", ORDERS), trusted=trust({"Service": "dax.amazonaws.com"}))
    engine = access(reader, service, clusters=(Cluster(CACHE, service.arn),))
    answer = ask(engine, reader)
    assert answer.verdict == "allowed"
    assert [path.via for path in answer.paths] == ["dax/orders-cache"]
    assert ask(engine, reader, "write").verdict == "denied"


def test_the_best_way_through_a_cluster_counts_and_only_for_items() -> None:
    mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    reader = user("ann", allow("dax:Scan", CACHE, Condition=mfa), allow(["dax:GetItem", "dax:TagResource"], CACHE))
    service = role("dax", allow("dynamodb:*"), trusted=trust({"Service": "dax.amazonaws.com"}))
    engine = access(reader, service, clusters=(Cluster(CACHE, service.arn),))
    assert ask(engine, reader).verdict == "allowed"
    assert ask(engine, reader, "dynamodb:TagResource").verdict == "denied"


def test_a_role_whose_session_is_trusted_by_name_may_assume() -> None:
    app = role("app")
    session = f"arn:aws:sts::{OWN}:assumed-role/app/job"
    reader = role("reader", allow("dynamodb:Query", ORDERS), trusted=trust({"AWS": session}))
    answer = ask(access(app, reader), app)
    assert (answer.verdict, answer.conditions) == ("conditional", "if the role session is named job")


def test_a_cluster_of_another_region_reaches_no_table_here() -> None:
    elsewhere = CACHE.replace("eu-west-1", "us-east-1")
    reader = user("ann", allow("dax:*"))
    service = role("dax", allow("dynamodb:*"), trusted=trust({"Service": "dax.amazonaws.com"}))
    assert ask(access(reader, service, clusters=(Cluster(elsewhere, service.arn),)), reader).verdict == "denied"


def guests_of(pool: Pool, *statements: dict[str, Any]) -> Access:
    condition = {
        "StringEquals": {"cognito-identity.amazonaws.com:aud": POOL},
        "ForAnyValue:StringLike": {"cognito-identity.amazonaws.com:amr": "unauthenticated"},
    }
    federated = {"Federated": "cognito-identity.amazonaws.com"}
    guest = role("guest", *statements, trusted=trust(federated, "sts:AssumeRoleWithWebIdentity", Condition=condition))
    service = role("dax", allow("dynamodb:*"), trusted=trust({"Service": "dax.amazonaws.com"}))
    return access(guest, service, pools=(pool,), clusters=(Cluster(CACHE, service.arn),))


def guest_pool(**more: Any) -> Pool:
    arn = f"arn:aws:cognito-identity:eu-west-1:{OWN}:identitypool/{POOL}"
    return Pool(arn, POOL, "shop", unauthenticated=f"arn:aws:iam::{OWN}:role/guest", **more)


def test_guests_of_an_identity_pool_are_the_public() -> None:
    found = who(guests_of(guest_pool(guests=True), allow("dynamodb:GetItem", ORDERS)))
    answer = found[" guests of identity pool shop"]
    assert (answer.verdict, [path.via for path in answer.paths]) == ("allowed", ["role/guest"])
    assert " guests of identity pool shop" not in who(guests_of(guest_pool(), allow("dynamodb:GetItem", ORDERS)))


@pytest.mark.parametrize(("classic", "reached"), [(False, False), (True, True)])
def test_the_enhanced_flow_keeps_guests_from_dax_and_the_classic_flow_does_not(classic: bool, reached: bool) -> None:
    found = who(guests_of(guest_pool(guests=True, classic=classic), allow("dax:GetItem", CACHE)))
    assert (" guests of identity pool shop" in found) is reached


def test_a_github_role_without_a_subject_is_open_to_every_workflow() -> None:
    provider = f"arn:aws:iam::{OWN}:oidc-provider/token.actions.githubusercontent.com"
    audience = {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}
    subject = {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:shop/orders:*"}}
    for condition, name in ((audience, "public: any user of"), (audience | subject, "federated: users of")):
        trusted = trust({"Federated": provider}, "sts:AssumeRoleWithWebIdentity", Condition=condition)
        engine = access(role("deploy", allow("dynamodb:Scan", ORDERS), trusted=trusted))
        names = [one.principal for one in engine.who_can("read", Table(ORDERS))]
        assert [one for one in names if one.startswith(name)] == [f"{name} token.actions.githubusercontent.com"], names


def test_who_may_set_the_resource_policy_is_denied_now_and_may_grant_itself() -> None:
    ann = user("ann", allow("dynamodb:PutResourcePolicy", ORDERS))
    answer = ask(access(ann), ann)
    assert answer.verdict == "denied"
    assert any("PutResourcePolicy" in note for note in answer.notes)
    assert ask(access(user("bob")), user("bob")).notes == ()


def test_who_may_assume_a_role_has_what_the_role_has() -> None:
    ann = user("ann", allow("sts:AssumeRole", f"arn:aws:iam::{OWN}:role/reader"))
    bob = user("bob")
    reader = role("reader", allow("dynamodb:Query", ORDERS), trusted=trust({"AWS": f"arn:aws:iam::{OWN}:root"}))
    engine = access(ann, bob, reader)
    assert [path.via for path in ask(engine, ann).paths] == ["role/reader"]
    assert ask(engine, bob).verdict == "denied"
    named = role("reader", allow("dynamodb:Query", ORDERS), trusted=trust({"AWS": bob.arn}))
    assert ask(access(bob, named), bob).verdict == "allowed"


def test_roles_that_trust_each_other_end_after_one_hop() -> None:
    first = role("a", allow("sts:AssumeRole"), trusted=trust({"AWS": f"arn:aws:iam::{OWN}:role/b"}))
    second = role(
        "b", allow("sts:AssumeRole"), allow("dynamodb:GetItem"), trusted=trust({"AWS": f"arn:aws:iam::{OWN}:role/a"})
    )
    third = role("c", allow("sts:AssumeRole", first.arn), trusted=trust({"AWS": f"arn:aws:iam::{OWN}:role/c"}))
    engine = access(first, second, third)
    assert [path.via for path in ask(engine, first).paths] == ["role/b"]
    assert ask(engine, third).verdict == "denied"


def test_an_scp_that_blocks_is_named_and_one_that_is_not_readable_is_assumed_to_allow() -> None:
    admin = role("admin", allow("*"))
    scp = Named("SCP no-delete at ou-1", document(allow("*"), deny("dynamodb:DeleteTable", Sid="Keep")))
    engine = access(admin, accounts={OWN: Account(OWN, "o-a", scps=((scp,),), rcps=())})
    answer = ask(engine, admin, "dynamodb:DeleteTable")
    assert answer.verdict == "denied"
    assert answer.blocked_by == ("scp: statement Keep of policy SCP no-delete at ou-1",)
    assert ask(access(admin, accounts={OWN: Account(OWN)}), admin, "delete-table").assumptions == (
        f"SCPs of account {OWN} not readable, taken to allow",
        f"RCPs of account {OWN} not readable, taken to allow",
    )
    management = access(admin, accounts={OWN: Account(OWN, "o-a", management=True, scps=((scp,),), rcps=())})
    assert ask(management, admin, "delete-table").verdict == "allowed"


def test_an_index_is_a_resource_of_its_own() -> None:
    reader = role("reader", allow("dynamodb:*"), deny("dynamodb:*", ORDERS))
    assert ask(access(reader, table=Table(ORDERS, indexes=())), reader).verdict == "denied"
    answer = ask(access(reader, table=Table(ORDERS, indexes=("by-date",))), reader)
    assert (answer.verdict, answer.paths[0].action) == ("allowed", "dynamodb:Scan")
    assert ask(access(reader, table=Table(ORDERS, indexes=None)), reader).verdict == "allowed"


def test_a_stream_is_read_with_a_shard_iterator_and_only_where_there_is_one() -> None:
    half = role("half", allow("dynamodb:GetRecords"))
    whole = role("whole", allow("dynamodb:Get*", f"{ORDERS}*"))
    streaming = Table(ORDERS, stream=STREAM)
    assert ask(access(half, table=streaming), half, "read-stream").verdict == "denied"
    assert ask(access(whole, table=streaming), whole, "read-stream").verdict == "allowed"
    assert ask(access(whole), whole, "read-stream").verdict == "denied"


def test_another_account_needs_both_sides_and_dynamodb_must_support_it() -> None:
    partner = f"arn:aws:iam::{OTHER}:role/partner"
    policy = Named(
        "resource policy",
        document(allow(["dynamodb:GetItem", "dynamodb:PartiQLSelect"], ORDERS, Principal={"AWS": partner})),
    )
    table = Table(ORDERS, policy=policy)
    engine = access(role("own"), table=table)
    stranger = outside_principal(engine.estate, partner)
    assert stranger is not None
    answer = ask(engine, stranger)
    assert (answer.verdict, answer.paths[0].action) == ("allowed", "dynamodb:GetItem")
    assert answer.assumptions[0] == f"the policies of account {OTHER} allow it; they were not read"
    assert ask(engine, stranger, "dynamodb:PartiQLSelect").verdict == "denied"
    audited = role("partner", account=OTHER)
    both = access(audited, table=table, accounts={OWN: FULL, OTHER: Account(OTHER, None, scps=(), rcps=())})
    assert ask(both, audited).verdict == "denied"
    assert partner in [one.principal for one in engine.who_can("read", table)]


def test_a_managed_key_serves_its_own_account_only() -> None:
    everybody = Named("resource policy", document(allow("dynamodb:*", ORDERS, Principal="*")))
    table = Table(ORDERS, policy=everybody, key=Key(KEY, managed=True))
    assert "public: any AWS principal" not in [one.principal for one in access(table=table).who_can("read", table)]
    owned = Table(ORDERS, policy=everybody)
    assert "public: any AWS principal" in [one.principal for one in access(table=owned).who_can("read", owned)]


def test_an_endpoint_policy_limits_what_passes_through_it() -> None:
    api = role("api", allow("dynamodb:GetItem"))
    closed = Endpoint("vpce-1", "vpc-1", OWN, "eu-west-1", document(allow("dynamodb:*", "*", Principal={"AWS": OTHER})))
    usual = Endpoint("vpce-2", "vpc-2", OWN, "eu-west-1", None)
    elsewhere = Endpoint("vpce-3", "vpc-3", OWN, "us-east-1", document())
    answer = ask(access(api, endpoints=(closed, usual, elsewhere)), api)
    assert answer.verdict == "allowed"
    assert answer.notes == ("through vpce-1: denied by its endpoint policy",)


def test_a_condition_on_an_endpoint_that_is_gone_is_told() -> None:
    condition = {"StringEquals": {"aws:SourceVpce": "vpce-gone"}}
    api = role("api", allow("dynamodb:GetItem", Condition=condition))
    assert "vpce-gone is no endpoint of an audited account" in ask(access(api, endpoints=()), api).notes
    assert ask(access(api), api).notes == ()


def test_deletion_protection_must_go_first() -> None:
    cleaner = role("cleaner", allow("dynamodb:DeleteTable"))
    answer = ask(access(cleaner, table=Table(ORDERS, protected=True)), cleaner, "dynamodb:DeleteTable")
    assert (answer.verdict, answer.conditions) == ("conditional", "only once somebody turns deletion protection off")
    admin = role("admin", allow("dynamodb:*"))
    assert ask(access(admin, table=Table(ORDERS, protected=True)), admin, "delete-table").verdict == "allowed"


def test_an_export_needs_a_bucket() -> None:
    half = role("half", allow("dynamodb:ExportTableToPointInTime"))
    whole = role("whole", allow("dynamodb:ExportTableToPointInTime"), allow("s3:PutObject", "arn:aws:s3:::mine/*"))
    assert ask(access(half), half, "copy-out").verdict == "denied"
    answer = ask(access(whole), whole, "copy-out")
    assert (answer.verdict, answer.conditions) == ("conditional", "needs also s3:PutObject on a bucket")


def test_an_answer_that_hangs_on_tags_says_so() -> None:
    condition = {"StringEquals": {"aws:ResourceTag/team": "checkout"}}
    team = role("team", allow("dynamodb:GetItem", Condition=condition))
    table = Table(ORDERS, tags={"team": "checkout"})
    assert "attribute-based access control of DynamoDB is on" in ask(access(team, table=table), team).assumptions
    assert ask(access(team, table=table, abac=False), team).verdict == "denied"
    assert ask(access(team, table=table, abac=True), team).assumptions == ()


def test_what_cannot_be_read_is_a_condition_or_an_assumption_never_a_denial() -> None:
    doubtful = Principal(f"arn:aws:iam::{OWN}:role/x", "role", (Named("lost", Unreadable("it was denied")),))
    assert ask(access(doubtful), doubtful).verdict == "conditional"
    table = Table(ORDERS, assumptions=("resource policy of table orders not readable, taken as none",))
    reader = role("reader", allow("dynamodb:GetItem"))
    assert ask(access(reader, table=table), reader).assumptions == table.assumptions


def test_a_session_is_the_role_and_may_be_named_by_itself() -> None:
    reader = role("reader")
    session = f"arn:aws:sts::{OWN}:assumed-role/reader/ann"
    policy = Named("resource policy", document(allow("dynamodb:GetItem", ORDERS, Principal={"AWS": session})))
    engine = access(reader, table=Table(ORDERS, policy=policy))
    ann = outside_principal(engine.estate, session)
    assert ann is not None
    assert ask(engine, ann).verdict == "allowed"
    answer = ask(engine, reader)
    assert (answer.verdict, answer.conditions) == ("conditional", "if the role session is named ann")


def test_root_may_do_everything_in_its_account() -> None:
    engine = access()
    root = outside_principal(engine.estate, f"arn:aws:iam::{OWN}:root")
    assert root is not None
    assert ask(engine, root, "delete-table").verdict == "allowed"


@pytest.mark.parametrize("verb", ["reed", "dynamodb:NoSuchAction", "kms:Decrypt", "", "*"])
def test_unknown_verbs_are_refused(verb: str) -> None:
    with pytest.raises(KeyError):
        actions_of(verb)


def test_a_plain_operator_on_partition_keys_is_no_proof_that_nobody_gets_through() -> None:
    condition = {"StringLike": {"dynamodb:LeadingKeys": ["*"]}}
    api = role("api", allow("dynamodb:GetItem", Condition=condition))
    answer = ask(access(api), api)
    assert answer.verdict == "conditional"
    assert "StringLike holds on dynamodb:LeadingKeys, which takes several values" in answer.conditions

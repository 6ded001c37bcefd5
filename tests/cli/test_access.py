"""``ddbaudit access``: what it answers, in which form, and what it does with bad questions and hostile names."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor.access.actions import verbs
from auditor.facts import (
    CollectionTime,
    DaxClusterNames,
    DaxSettings,
    Gap,
    Identities,
    IdentityPoolRoles,
    IdentityPools,
    IdentityPoolSettings,
    Index,
    InlinePolicy,
    ManagedPolicy,
    Organization,
    Reason,
    ResourceControlPolicies,
    ResourcePolicy,
    RoleInfo,
    ServiceControlPolicies,
    TableNames,
    TableSettings,
    Tags,
    UserInfo,
)
from auditor.inventory import Caller, Inventory, Scope, save
from auditor.resources import Account, DaxCluster, IdentityPool, Region, Role, Table, User
from tests.cli.conftest import Command, Outcome, assert_refused

SHOP, SPARE = Account("111122223333"), Account("444455556666")
WEST, CENTRAL = Region(SHOP, "eu-west-1"), Region(SHOP, "eu-central-1")
ORDERS, CARTS = Table(WEST, "orders"), Table(WEST, "carts")
CACHE, POOL = DaxCluster(WEST, "cache"), IdentityPool(WEST, "eu-west-1:0a1b2c3d-0000-4000-8000-000000000001")
#: What clears a screen, moves the cursor, hides and reverses text, and starts a command of a CI.
EVIL = "\x1b[2J\x1b]0;owned\x07\r\n::error::x \u202egnp"
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetAccountAuthorizationDetails")

ANSWER = {"verdict", "conditions", "paths", "blockedBy", "assumptions"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trusting(principal: Any) -> str:
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


LAMBDA = trusting({"Service": "lambda.amazonaws.com"})


def identities() -> Identities:
    """An API that reads by condition, one that does everything, a user who assumes it, and two with one name."""
    orders_api = policy(
        allow(
            ["dynamodb:GetItem", "dynamodb:Query"],
            ORDERS.arn,
            Sid="ReadOrders",
            Condition={"StringEquals": {"aws:SourceVpce": "vpce-0a1b2c3d"}},
        ),
    )
    ann = User(SHOP, "ann")
    return Identities(
        users=(
            UserInfo(ann, (InlinePolicy("assume", policy(allow("sts:AssumeRole", Role(SHOP, "admin").arn))),)),
            UserInfo(User(SHOP, "deploy")),
        ),
        roles=(
            RoleInfo(Role(SHOP, "admin"), trusting({"AWS": ann.arn}), attached=("arn:aws:iam::aws:policy/Everything",)),
            RoleInfo(Role(SHOP, "deploy"), LAMBDA),
            RoleInfo(Role(SHOP, "service/orders-api"), LAMBDA, (InlinePolicy("api", orders_api),)),
        ),
        policies={
            "arn:aws:iam::aws:policy/Everything": ManagedPolicy(
                "arn:aws:iam::aws:policy/Everything", "Everything", policy(allow("*"))
            )
        },
    )


def inventory(people: Identities | Gap | None = None, *, resource_policy: str | None = None) -> Inventory:
    """Everything that the command asks for; ``orders`` exists in two regions."""
    made = Inventory(
        Caller(SHOP.id, f"arn:aws:sts::{SHOP.id}:assumed-role/auditor/me"), (Scope(SHOP, "shop", (CENTRAL, WEST)),)
    )
    for region, tables in ((WEST, (ORDERS, CARTS)), (CENTRAL, (Table(CENTRAL, "orders"),))):
        made.put(region, TableNames(tables))
        for table in tables:
            made.put(table, TableSettings("ACTIVE", indexes=(Index("by-date", "global"),)))
            made.put(table, ResourcePolicy(resource_policy if table == ORDERS else None))
            made.put(table, Tags({"env": "prod"}))
    made.put(WEST, DaxClusterNames((CACHE,)))
    made.put(CENTRAL, DaxClusterNames(()))
    made.put(CACHE, DaxSettings("available", role_arn=Role(SHOP, "deploy").arn))
    made.put(WEST, IdentityPools((POOL,)))
    made.put(CENTRAL, IdentityPools(()))
    made.put(POOL, IdentityPoolSettings("shop", guests=False))
    made.put(POOL, IdentityPoolRoles())
    if isinstance(people, Gap):
        made.put_gap(SHOP, Identities, people)
    else:
        made.put(SHOP, people or identities())
    made.put(SHOP, Organization(None))
    made.put(SHOP, ServiceControlPolicies(()))
    made.put(SHOP, ResourceControlPolicies(()))
    made.put(SHOP, CollectionTime(datetime(2026, 3, 1, tzinfo=UTC)))
    return made


@pytest.fixture
def known(tmp_path: Path) -> str:
    """Write the snapshot into the command's folder and return its name."""
    save(inventory(), tmp_path / "known.json.gz", "1")
    return "known.json.gz"


def answer(outcome: Outcome) -> dict[str, Any]:
    """Return the JSON on stdout, where nothing else may be."""
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert isinstance(document, dict)
    return document


# -- the answers ---------------------------------------------------------------------------------------------------


def test_who_can_lists_everybody_with_path_conditions_and_statement(ddbaudit: Command, known: str) -> None:
    outcome = ddbaudit("access", "who-can", "read", "orders", "--from", known, "--region", "eu-west-1")
    assert (outcome.code, outcome.err, outcome.written) == (0, "", ())
    assert outcome.out == (
        f"read on table orders ({ORDERS.arn}): 3 principals, 1 under conditions\n"
        f"allowed  arn:aws:iam::{SHOP.id}:role/admin\n"
        "    dynamodb:Scan directly\n"
        "      statement 0 of policy Everything\n"
        f"conditional  arn:aws:iam::{SHOP.id}:role/service/orders-api\n"
        "    dynamodb:Query directly, only through vpce-0a1b2c3d\n"
        "      statement ReadOrders of policy api (inline of role/orders-api)\n"
        f"allowed  arn:aws:iam::{SHOP.id}:user/ann\n"
        "    dynamodb:Scan via role/admin\n"
        "      statement 0 of policy assume (inline of user/ann); statement 0 of trust policy of role/admin; "
        "statement 0 of policy Everything\n"
    )


def test_nobody_can_is_said_in_words(ddbaudit: Command, tmp_path: Path) -> None:
    save(inventory(Identities()), tmp_path / "s.json", "1")
    outcome = ddbaudit("access", "who-can", "write", "carts", "--from", "s.json")
    assert (outcome.code, outcome.out) == (0, f"write on table carts ({CARTS.arn}): nobody\n")


def test_the_json_of_who_can_has_the_documented_form(ddbaudit: Command, known: str) -> None:
    document = answer(ddbaudit("access", "who-can", "dynamodb:Query", ORDERS.arn, "--from", known, "--format", "json"))
    assert list(document) == ["table", "verb", "assumptions", "principals"]
    assert (document["table"], document["verb"], document["assumptions"]) == (ORDERS.arn, "dynamodb:Query", [])
    by_name = {one["principal"].rpartition("/")[2]: one for one in document["principals"]}
    assert sorted(by_name) == ["admin", "ann", "orders-api"]
    assert all(set(one) >= ANSWER | {"principal"} for one in document["principals"])
    api = by_name["orders-api"]
    assert (api["verdict"], api["conditions"]) == ("conditional", "only through vpce-0a1b2c3d")
    (path,) = api["paths"]
    assert path["via"] == "direct"
    assert path["statements"] == [{"policy": "api (inline of role/orders-api)", "sid": "ReadOrders", "index": 0}]
    assert [one["via"] for one in by_name["ann"]["paths"]] == ["role/admin"]


@pytest.mark.parametrize(
    ("principal", "verb", "verdict"),
    [
        ("role/admin", "delete-table", "allowed"),
        ("orders-api", "read", "conditional"),
        ("user/deploy", "read", "denied"),
        ("arn:aws:iam::999988887777:role/stranger", "read", "denied"),
        (f"arn:aws:iam::{SHOP.id}:root", "read", "allowed"),
    ],
)
def test_the_json_of_can_has_the_documented_form_and_exit_0_whatever_the_verdict(
    ddbaudit: Command, known: str, principal: str, verb: str, verdict: str
) -> None:
    document = answer(ddbaudit("access", "can", principal, verb, ORDERS.arn, "--from", known, "--format", "json"))
    assert set(document) >= ANSWER
    assert "trace" not in document
    assert document["verdict"] == verdict
    assert bool(document["conditions"]) == (verdict == "conditional")
    assert bool(document["paths"]) == (verdict != "denied")
    for path in document["paths"]:
        assert set(path) >= {"via", "statements"}
        assert all(set(one) == {"policy", "sid", "index"} for one in path["statements"])
    for name in ("blockedBy", "assumptions"):
        assert all(isinstance(text, str) for text in document[name])


def test_explain_is_can_with_every_decided_request(ddbaudit: Command, known: str) -> None:
    question = ("orders-api", "dynamodb:GetItem", ORDERS.arn, "--from", known, "--format", "json")
    document, short = answer(ddbaudit("access", "explain", *question)), answer(ddbaudit("access", "can", *question))
    trace = document.pop("trace")
    assert document == short
    (get,) = [step for step in trace if step["action"] == "dynamodb:GetItem" and step["resource"] == ORDERS.arn]
    assert (get["result"], get["verdict"]) == ("Allowed", "conditional")
    (hit,) = get["statements"]
    assert (hit["kind"], hit["effect"], hit["sid"]) == ("identity", "Allow", "ReadOrders")


def test_explain_tells_the_requests_in_text(ddbaudit: Command, known: str) -> None:
    outcome = ddbaudit("access", "explain", "orders-api", "dynamodb:GetItem", ORDERS.arn, "--from", known)
    head, _, told = outcome.out.partition("Evaluated:\n")
    assert head.startswith(f"conditional  arn:aws:iam::{SHOP.id}:role/service/orders-api\n")
    assert f"dynamodb:GetItem {ORDERS.arn}: Allowed (only through vpce-0a1b2c3d)\n" in told
    assert "statement ReadOrders of policy api (inline of role/orders-api) allows under conditions" in told


def test_what_blocks_is_named(ddbaudit: Command, tmp_path: Path) -> None:
    keep = policy(
        {"Sid": "Keep", "Effect": "Deny", "Principal": "*", "Action": "dynamodb:DeleteTable", "Resource": "*"}
    )
    save(inventory(resource_policy=keep), tmp_path / "s.json", "1")
    outcome = ddbaudit("access", "can", "role/admin", "dynamodb:DeleteTable", ORDERS.arn, "--from", "s.json")
    assert outcome.code == 0
    assert outcome.out.startswith(f"denied  arn:aws:iam::{SHOP.id}:role/admin\n")
    assert "    blocked by resource: statement Keep of resource policy\n" in outcome.out


def test_a_session_of_a_role_is_answered_for_by_its_own_name(ddbaudit: Command, known: str) -> None:
    session = f"arn:aws:sts::{SHOP.id}:assumed-role/admin/me"
    outcome = ddbaudit("access", "can", session, "read", ORDERS.arn, "--from", known)
    assert outcome.out.startswith(f"allowed  {session}\n")


def test_of_another_accounts_principal_its_own_policies_are_assumed_to_allow(ddbaudit: Command, tmp_path: Path) -> None:
    partner = "arn:aws:iam::999988887777:role/partner"
    shared = policy(
        {"Effect": "Allow", "Principal": {"AWS": partner}, "Action": "dynamodb:GetItem", "Resource": ORDERS.arn}
    )
    save(inventory(resource_policy=shared), tmp_path / "s.json", "1")
    document = answer(ddbaudit("access", "can", partner, "read", ORDERS.arn, "--from", "s.json", "--format", "json"))
    assert document["verdict"] == "allowed"
    (path,) = document["paths"]
    assert {"policy": "resource policy", "sid": "", "index": 0} in path["statements"]
    assert any("account 999988887777" in text for text in document["assumptions"])


def test_the_example_organisation_is_asked_whatever_the_environment_says(ddbaudit: Command) -> None:
    outcome = ddbaudit(
        *("access", "who-can", "read", "product-catalog", "--demo", "--region", "eu-west-1", "--quiet"),
        DDBAUDIT_PROFILE="mine",
        DDBAUDIT_FROM="none.json",
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert "role/reporting" in outcome.out
    assert "assumes: identity pools outside eu-west-1 not collected" in outcome.out


# -- what is not known ---------------------------------------------------------------------------------------------


def test_where_users_and_roles_are_not_known_nobody_is_not_the_answer(ddbaudit: Command, tmp_path: Path) -> None:
    save(inventory(DENIED), tmp_path / "s.json", "1")
    outcome = ddbaudit("access", "who-can", "read", "carts", "--from", "s.json")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == f"read on table carts ({CARTS.arn}): nobody who is known"
    why = f"users and roles of account {SHOP.id} not readable without iam:GetAccountAuthorizationDetails"
    assert f"assumes: {why}: none of them is listed\n" in outcome.out
    assert_refused(
        ddbaudit("access", "can", "role/admin", "read", "carts", "--from", "s.json"),
        'no user or role "role/admin"',
        why,
    )


def test_a_snapshot_made_for_other_rules_gives_assumptions(ddbaudit: Command, tmp_path: Path) -> None:
    made = Inventory(Caller(SHOP.id, "me"), (Scope(SHOP, "", (WEST,)),))
    made.put(WEST, TableNames((ORDERS,)))
    save(made, tmp_path / "s.json", "1")
    document = answer(ddbaudit("access", "who-can", "read", "orders", "--from", "s.json", "--format", "json"))
    assert document["principals"] == []
    told = "\n".join(document["assumptions"])
    assert told.count("not collected") == len(document["assumptions"])
    for what in ("settings of", "tags of", "resource policy of", "KMS key of", "DAX clusters", "users and roles"):
        assert what in told
    assert "identity pools" in told


def test_a_table_that_may_be_hidden_is_not_said_to_be_missing_without_a_word(ddbaudit: Command, tmp_path: Path) -> None:
    made = inventory()
    made.facts[TableNames].pop(CENTRAL)
    made.put_gap(CENTRAL, TableNames, Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables"))
    save(made, tmp_path / "s.json", "1")
    assert_refused(
        ddbaudit("access", "who-can", "read", "invoices", "--from", "s.json"),
        'no table "invoices"',
        f"tables of account {SHOP.id} in eu-central-1 not readable without dynamodb:ListTables",
    )


def test_the_help_names_every_verb(ddbaudit: Command) -> None:
    told = ddbaudit("access", "--help").out.replace(",", " ").split()
    assert [verb for verb in verbs() if verb not in told] == []


def test_explain_says_where_nothing_allows(ddbaudit: Command, known: str) -> None:
    told = ddbaudit("access", "explain", "user/deploy", "dynamodb:GetItem", ORDERS.arn, "--from", known).out
    assert "    no statement allows it\n" in told
    assert "ImplicitlyDenied\n      no identity or resource policy allows it\n" in told


# -- bad questions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["who-can", "raed", "carts"], ['"raed" is neither a verb nor an IAM action', 'Did you mean "read"?']),
        (["who-can", "dynamodb:GetItm", "carts"], ['"dynamodb:GetItem"?', "Verbs: read, "]),
        (["who-can", "s3:GetObject", "carts"], ['"s3:GetObject" is neither']),
        (["who-can", "", "carts"], ['"" is neither']),
        (["who-can", "read", "crats"], ['no table "crats" was found. Did you mean "carts"?', "Tables: carts, orders."]),
        (["who-can", "read", ""], ['no table ""']),
        (["who-can", "read", "orders"], ["several tables", ORDERS.arn, Table(CENTRAL, "orders").arn]),
        (["who-can", "read", f"{ORDERS.arn}s"], [f"no table {ORDERS.arn}s was found", '"orders"?']),
        (["who-can", "read", f"{ORDERS.arn}/index/by-date"], ["a part of a table", f"Its ARN is {ORDERS.arn}."]),
        (["who-can", "read", ORDERS.arn.replace("west", "north")], [f'Did you mean "{Table(CENTRAL, "orders").arn}"?']),
        (["who-can", "read", "arn:aws:s3:::orders"], ["arn:aws:s3:::orders is no ARN of a table"]),
        (["who-can", "read", "carts", "--region", "eu-west-2"], ['does not hold "eu-west-2"', "eu-central-1"]),
        (["who-can", "read", "carts", "--profile", "x"], ["--from and --profile exclude"]),
        (["who-can", "read", "carts", "--demo"], ["--demo and --from exclude"]),
        (["can", "role/admni", "read", "carts"], ['no user or role "role/admni"', 'Did you mean "role/admin"?']),
        (["can", "role/zzz", "read", "carts"], ['no user or role "role/zzz" was found.\n', "role/NAME"]),
        (["can", "", "read", "carts"], ['no user or role ""']),
        (["can", "deploy", "read", "carts"], ["several principals", "role/deploy", "user/deploy"]),
        (["can", Role(SHOP, "orders-apj").arn, "read", "carts"], [f"in account {SHOP.id}", '"role/orders-api"?']),
        (["can", f"arn:aws:sts::{SHOP.id}:assumed-role/admin", "read", "carts"], ["is no ARN of a user", "/SESSION"]),
        (["can", f"arn:aws:sts::{SHOP.id}:assumed-role/admni/me", "read", "carts"], ["not found", '"role/admin"?']),
        (["can", f"arn:aws:iam::{SHOP.id}:group/devs", "read", "carts"], ["group/devs is no ARN of a user"]),
        (["can", "arn:aws:iam::12:role/x", "read", "carts"], ["arn:aws:iam::12:role/x is no ARN"]),
        (["can", "arn:aws", "read", "carts"], ["arn:aws is no ARN"]),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else None,
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_bad_question_is_refused(
    ddbaudit: Command, known: str, arguments: list[str], words: list[str], form: str
) -> None:
    assert_refused(ddbaudit("access", *arguments, "--from", known, "--format", form), *words)


def test_a_profile_and_the_example_exclude_each_other(ddbaudit: Command) -> None:
    assert_refused(ddbaudit("access", "who-can", "read", "x", "--demo", "--profile", "x"), "--demo and --profile")


# -- terminals, pipes and hostile names ----------------------------------------------------------------------------


def hostile() -> Inventory:
    """Names that the audited account chose: of a policy, a statement, a tag's value and a condition's value."""
    held = policy(
        allow("dynamodb:Scan", ORDERS.arn, Sid=EVIL, Condition={"StringEquals": {"aws:SourceVpce": EVIL}}),
    )
    role = RoleInfo(Role(SHOP, "admin"), LAMBDA, (InlinePolicy(EVIL, held),), tags={EVIL: EVIL})
    shared = policy(
        {"Sid": EVIL, "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::999988887777:role/{EVIL}"}, "Action": "*"}
        | {"Resource": ORDERS.arn}
    )
    return inventory(Identities(roles=(role,)), resource_policy=shared)


@pytest.mark.parametrize("question", [["who-can"], ["can", "role/admin"], ["explain", "role/admin"]], ids=" ".join)
def test_names_of_the_audited_account_move_no_cursor(ddbaudit: Command, tmp_path: Path, question: list[str]) -> None:
    save(hostile(), tmp_path / "s.json", "1")
    arguments = ("access", *question, "read", ORDERS.arn, "--from", "s.json")
    outcome = ddbaudit(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert "\\x1b[2J" in outcome.out
    assert not {char for char in outcome.out if char != "\n" and not char.isprintable()}
    assert not [line for line in outcome.out.splitlines() if line.startswith("::")]
    raw = ddbaudit(*arguments, "--format", "json")
    assert not {char for char in raw.out if char != "\n" and not char.isprintable()}
    # What programs read is the name itself, escaped as JSON has it.
    assert EVIL in _texts(answer(raw))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []


def test_a_hostile_question_moves_no_cursor(ddbaudit: Command, known: str) -> None:
    for arguments in ((EVIL, "read", "carts"), ("role/admin", EVIL, "carts"), ("role/admin", "read", EVIL)):
        outcome = ddbaudit("access", "can", *arguments, "--from", known)
        assert outcome.code == 2
        assert not {char for char in outcome.err if char != "\n" and not char.isprintable()}


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """Return what the command writes when its output is a terminal."""
    leader, follower = pty.openpty()
    held = {
        name: value for name, value in os.environ.items() if not name.startswith("DDBAUDIT_") and name != "NO_COLOR"
    }
    command = [sys.executable, "-m", "auditor", *arguments]
    with subprocess.Popen(command, stdout=follower, cwd=folder, env=held | environment) as running:  # noqa: S603
        os.close(follower)
        written = b"".join(_chunks(leader))
        running.wait(60)
    os.close(leader)
    return written.decode()


def _chunks(leader: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # Linux: the other end is closed
            return
        if not chunk:
            return
        yield chunk


def test_colour_is_for_terminals_that_want_it(ddbaudit: Command, tmp_path: Path, known: str) -> None:
    question = ("access", "can", "role/admin", "read", ORDERS.arn, "--from", known)
    assert "\x1b" not in ddbaudit(*question).out
    assert "\x1b[31mallowed\x1b[0m" in on_a_terminal(tmp_path, *question)
    assert "\x1b" not in on_a_terminal(tmp_path, *question, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(tmp_path, *question, "--no-color")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, known: str) -> None:
    command = [sys.executable, "-m", "auditor", "access", "explain", "role/admin", "admin", ORDERS.arn, "--from", known]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(  # noqa: S603
            command, stdout=closed, stderr=subprocess.PIPE, cwd=tmp_path, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")

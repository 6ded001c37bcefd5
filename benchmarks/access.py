"""Access of thousands of principals to thousands of tables: the bulk engine beside the scalar one.

    python benchmarks/access.py [PRINCIPALS] [TABLES]

Makes an estate (one account, four regions; roles with their own policies, a tenth of the statements under conditions,
boundaries, denials, resource policies, customer keys, two levels of SCPs, roles that may be assumed), decides every
principal x table x action of DynamoDB in one process, and a sample of the cells one by one. Prints times, peak memory,
the ratio, and on how many cells of the sample the two disagree.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from typing import Any

from auditor.access import Named
from auditor.access.actions import actions
from auditor.access.bulk import Bulk
from auditor.access.estate import Account, Estate, Key, Principal, Table
from auditor.access.verbs import actions_of, resources_of

ACCOUNT = "111122223333"
REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "ap-southeast-2")
VERBS = ("read", "write", "delete-data", "delete-table", "admin", "permissions")
SAMPLE = 4000

CONDITIONS: tuple[dict[str, Any], ...] = (
    {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}},
    {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": "${aws:PrincipalTag/team}"}},
)


def document(*statements: dict[str, Any]) -> str:
    """Return a policy's text."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def estate(principals: int, tables: int, chance: random.Random) -> Estate:
    """Return an estate of the given size, the same for the same seed."""
    teams = [f"team{number:03}" for number in range(max(1, tables // 40))]
    names = [f"{chance.choice(teams)}-{number:05}" for number in range(tables)]
    arns = [f"arn:aws:dynamodb:{chance.choice(REGIONS)}:{ACCOUNT}:table/{name}" for name in names]
    delegated = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"}
    keys = {
        (region, number): Key(f"arn:aws:kms:{region}:{ACCOUNT}:key/{number}", policy=document(delegated))
        for region in REGIONS
        for number in range(10)
    }
    held = {}
    for arn in arns:
        region = arn.split(":")[3]
        statement: dict[str, Any] | None = None
        if chance.random() < 0.05:
            named = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/role{chance.randrange(principals):05}"}
            statement = {"Effect": "Allow", "Principal": named, "Action": "dynamodb:GetItem", "Resource": arn}
        elif chance.random() < 0.05:
            outside = {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}
            statement = {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:*", "Resource": "*",
                         "Condition": outside}  # fmt: skip
        held[arn] = Table(
            arn,
            indexes=tuple(f"index{number}" for number in range(chance.choice((0, 0, 1, 2)))),
            stream=f"{arn}/stream/2026-01-31T09:30:00.000" if chance.random() < 0.2 else None,
            policy=None if statement is None else document(statement),
            key=keys[region, chance.randrange(10)] if chance.random() < 0.3 else None,
            tags={"team": arn.rpartition("/")[2].partition("-")[0]},
        )
    shared = [document({"Effect": "Allow", "Action": ["dynamodb:List*", "dynamodb:Describe*"], "Resource": "*"})]
    shared += [document({"Effect": "Allow", "Action": "dynamodb:*", "Resource": f"*:table/{one}-*"}) for one in teams]
    shared = [text.replace("*:table/", "arn:aws:dynamodb:*:*:table/") for text in shared]
    people = {}
    for number in range(principals):
        arn = f"arn:aws:iam::{ACCOUNT}:role/role{number:05}"
        people[arn] = Principal(
            arn,
            "role",
            tuple(Named(f"policy{place}", text) for place, text in enumerate(_policies(chance, arns, shared))),
            Named("boundary", document({"Effect": "Allow", "Action": "dynamodb:*Item", "Resource": "*"}))
            if chance.random() < 0.2
            else None,
            {"team": chance.choice(teams)},
            document({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}).replace(
                '"Resource": "*"', ""
            ),
        )
    full = Named("FullAWSAccess", document({"Effect": "Allow", "Action": "*", "Resource": "*"}))
    guard = {"Effect": "Deny", "Action": "dynamodb:DeleteTable", "Resource": "*",
             "Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/role0000*"}}}  # fmt: skip
    lock = {"Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:RequestedRegion": list(REGIONS[:3])}}}  # fmt: skip
    scps = ((full, Named("region-lock", document(lock))), (full, Named("keep", document(guard))))
    return Estate({ACCOUNT: Account(ACCOUNT, "o-example", scps=scps, rcps=())}, people, held)


def _policies(chance: random.Random, arns: list[str], shared: list[str]) -> list[str]:
    found = [chance.choice(shared)]
    if chance.random() < 0.75:
        statements = []
        for _ in range(chance.randint(1, 4)):
            arn = chance.choice(arns)
            one: dict[str, Any] = {
                "Effect": "Deny" if chance.random() < 0.08 else "Allow",
                "Action": chance.choice([["dynamodb:GetItem", "dynamodb:Query"], "dynamodb:*Item", "dynamodb:*"]),
                "Resource": [arn, f"{arn}/index/*"],
            }
            if chance.random() < 0.1:
                one["Condition"] = chance.choice(CONDITIONS)
            statements.append(one)
        found.append(document(*statements))
    if chance.random() < 0.3:
        found.append(document({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}))
    if chance.random() < 0.03:
        target = f"arn:aws:iam::{ACCOUNT}:role/role{chance.randrange(10)}*"
        found.append(document({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": target}))
    return found


def peak() -> float:
    """Return the process's peak memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run and print."""
    sizes = [int(one) for one in sys.argv[1:3]]
    principals, tables = [*sizes, *(2000, 10000)[len(sizes) :]]
    chance = random.Random(17)  # noqa: S311 - a made-up estate, the same each time; no secrets
    made = estate(principals, tables, chance)
    before = peak()
    names = [one.name for one in actions("dynamodb")]
    cells = principals * tables * len(names)
    print(f"{principals} principals x {tables} tables x {len(names)} actions = {cells:.3g} decisions")

    began = time.perf_counter()
    bulk = Bulk(made)
    rows = dict(bulk.rows(names))
    direct = time.perf_counter() - began
    reached = sum(maybe.bit_count() for row in rows.values() for _, maybe in row.values())
    print(f"direct, every action: {direct:.2f} s; {reached:,} cells allowed or conditional")

    began = time.perf_counter()
    effective = bulk.effective(VERBS)
    closure = time.perf_counter() - began
    reached = sum(maybe.bit_count() for row in effective.values() for _, maybe in row.values())
    print(f"with keys and assumed roles, {len(VERBS)} verbs: {closure:.2f} s; {reached:,} cells allowed or conditional")
    print(f"together {direct + closure:.2f} s, peak memory {peak():.0f} MB, of which {before:.0f} MB the estate")

    wrong = 0
    arns = list(made.principals)
    began = time.perf_counter()
    for _ in range(SAMPLE):
        arn, number, name = chance.choice(arns), chance.randrange(tables), chance.choice(names)
        table = made.tables[bulk.tables[number]]
        verdicts = []
        for resources in resources_of(actions_of(name)[0], table):
            found = [made.decide(made.principals[arn], name, one, table=table).verdict for one in resources]
            verdicts.append((set(found) == {"allowed"}, "denied" not in found))
        expected = (any(one for one, _ in verdicts), any(one for _, one in verdicts))
        sure, maybe = rows[arn][name]
        wrong += (bool(sure >> number & 1), bool(maybe >> number & 1)) != expected
    each = (time.perf_counter() - began) / SAMPLE
    print(f"one by one: {each * 1e6:.0f} us a cell, {each * cells / 3600:.1f} h for all of them")
    print(f"ratio {each * cells / direct:,.0f}; disagreements on {SAMPLE} cells: {wrong}")


if __name__ == "__main__":
    main()

"""The acceptance file: what an entry matches, when it counts, when it is stale, and what is refused."""

import fnmatch
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from auditor import acceptance, packs
from auditor.acceptance import escaped, literal
from auditor.errors import UsageError
from auditor.inventory import Scope
from auditor.report import AcceptanceUse, Finding
from auditor.resources import Resource, Table
from auditor.rule_api import Status
from tests.reports import ACCOUNTS, CARTS, FOREIGN_KEY, FRANKFURT, IRELAND, ORDERS, SCOPES, SHOP, finding

TODAY = date(2026, 1, 31)
RULE = "table-deletion-protection"


def entry(**changes: Any) -> dict[str, Any]:
    usual = {
        "rule": RULE,
        "resource": ORDERS.arn,
        "reason": "Rebuilt every night.",
        "by": "shop",
        "until": "2026-06-30",
    }
    return {key: value for key, value in (usual | changes).items() if value is not None}


def load(folder: Path, *entries: dict[str, Any], text: str | None = None) -> acceptance.AcceptanceFile:
    path = folder / "accepted.yaml"
    path.write_text(text if text is not None else yaml.safe_dump({"version": 1, "accept": list(entries)}))
    return acceptance.load(path, TODAY)


def refused(folder: Path, *entries: dict[str, Any], text: str | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        load(folder, *entries, text=text)
    assert "baseline create" in caught.value.hint or "Name the file" in caught.value.hint
    return caught.value.message


def applied(
    folder: Path,
    entries: list[dict[str, Any]],
    findings: list[Finding],
    tags: Mapping[Resource, Mapping[str, str]] | None = None,
    **more: Any,
) -> tuple[list[str | None], tuple[AcceptanceUse, ...]]:
    """Return the owner of what accepts each finding, with a mark if it has expired, and what the entries did."""
    usual: dict[str, Any] = {"rules": set(packs.built_in()), "scopes": SCOPES, "whole": True}
    told, uses = load(folder, *entries).apply(findings, tags or {}, TODAY, **(usual | more))
    assert [(one.rule, one.resource, one.status) for one in told] == [
        (one.rule, one.resource, one.status) for one in findings
    ]
    found = [one.acceptance for one in told]
    return [one.by + ("!" if one.expired else "") if one is not None else None for one in found], uses


@pytest.mark.parametrize(
    ("changes", "matches"),
    [
        ({}, True),
        ({"rule": "table-*"}, True),
        ({"rule": ["iam-*", RULE]}, True),
        ({"rule": ["iam-*", "dax-*"]}, False),
        ({"rule": "TABLE-*"}, False),
        ({"resource": "arn:aws:dynamodb:*:111122223333:table/ord*"}, True),
        ({"resource": "arn:aws:dynamodb:*:111122223333:table/Ord*"}, False),
        ({"resource": "arn:aws:dynamodb:eu-west-1:111122223333:table/order"}, False),
        ({"resource": "arn:aws:dynamodb:eu-west-1:111122223333:table/order?"}, True),
        ({"resource": "arn:aws:dynamodb:eu-west-1:111122223333:table/[op]rders"}, True),
        ({"resource": "*orders"}, True),
        ({"tags": {"env": "dev"}}, True),
        ({"tags": {"env": "dev", "team": "a"}}, False),
        ({"tags": {"env": "Dev"}}, False),
        ({"subKey": "role/*"}, False),
    ],
)
def test_what_an_entry_matches(tmp_path: Path, changes: dict[str, Any], matches: bool) -> None:
    told, uses = applied(tmp_path, [entry(**changes)], [finding()], {ORDERS: {"env": "dev"}})
    assert told == ["shop" if matches else None]
    assert uses[0].findings == matches


def test_unknown_tags_match_no_entry_that_wants_tags(tmp_path: Path) -> None:
    assert applied(tmp_path, [entry(tags={"env": "dev"})], [finding()])[0] == [None]


def test_a_part_is_matched_by_its_name_and_an_entry_without_one_matches_all_parts(tmp_path: Path) -> None:
    parts = [finding(), finding(sub_key="role/a"), finding(sub_key="role/b")]
    assert applied(tmp_path, [entry(subKey="role/a")], parts)[0] == [None, "shop", None]
    assert applied(tmp_path, [entry(subKey="role/*")], parts)[0] == [None, "shop", "shop"]
    assert applied(tmp_path, [entry()], parts)[0] == ["shop"] * 3


def test_only_failures_and_doubts_are_accepted(tmp_path: Path) -> None:
    every = [finding(status=status) for status in Status]
    told, uses = applied(tmp_path, [entry()], every)
    accepted = {one.status for one, by in zip(every, told, strict=True) if by}
    assert accepted == {Status.FAIL, Status.UNKNOWN}
    assert uses[0].findings == 2


def test_an_entry_counts_on_its_last_day_and_no_longer(tmp_path: Path) -> None:
    last, over = entry(until=TODAY.isoformat()), entry(until=(TODAY - timedelta(days=1)).isoformat())
    assert applied(tmp_path, [last], [finding()])[0] == ["shop"]
    told, uses = applied(tmp_path, [over], [finding()])
    assert told == ["shop!"]
    assert (uses[0].state, uses[0].findings) == ("expired", 1)


def test_the_first_entry_that_holds_decides_and_all_that_match_are_used(tmp_path: Path) -> None:
    over = entry(by="old", until="2025-01-01")
    told, uses = applied(tmp_path, [over, entry(by="first", rule="table-*"), entry(by="second")], [finding()])
    assert told == ["first"]
    assert [(use.state, use.findings) for use in uses] == [("expired", 1), ("used", 1), ("used", 1)]


def test_lines_and_texts_of_entries_are_kept(tmp_path: Path) -> None:
    common = "reason: Rebuilt nightly\n    by: shop\n    until:"
    text = (
        "# ours\nversion: 1\naccept:\n\n"
        f"  - rule: {RULE}\n    resource: {ORDERS.arn}\n    {common} 2026-12-31\n"
        f"  - rule: [table-pitr]\n    resource: '*orders'\n    {common} '2026-12-31'\n    ticket: A-1\n"
    )
    first, second = load(tmp_path, text=text).entries
    assert (first.line, second.line) == (5, 10)
    assert first.acceptance.until == date(2026, 12, 31)
    assert (second.rules, second.acceptance.ticket) == (("table-pitr",), "A-1")


@pytest.mark.parametrize(
    ("changes", "more", "state"),
    [
        ({"resource": CARTS.arn}, {}, "stale"),
        ({"resource": CARTS.arn}, {"whole": False}, "idle"),
        ({"resource": CARTS.arn}, {"rules": set(packs.built_in()) - {RULE}}, "idle"),
        ({"resource": CARTS.arn, "rule": "table-*"}, {"rules": {RULE}}, "idle"),
        ({"resource": CARTS.arn, "rule": "tabel-pitr"}, {}, "stale"),
        ({"resource": "arn:aws:dynamodb:eu-west-1:999988887777:table/orders"}, {}, "idle"),
        ({"resource": "arn:aws:dynamodb:us-east-1:111122223333:table/orders"}, {}, "idle"),
        ({"resource": "arn:aws:dynamodb:us-*:111122223333:table/x"}, {"scopes": SCOPES[1:]}, "idle"),
        ({"resource": "arn:aws:dynamodb:us-*:111122223333:table/x"}, {}, "stale"),
        ({"resource": "arn:aws:iam::111122223333:role/gone"}, {}, "stale"),
        ({"resource": "arn:aws:iam::999988887777:role/gone"}, {}, "idle"),
        ({"resource": "*table/gone"}, {}, "stale"),
    ],
)
def test_an_entry_is_stale_only_if_what_it_is_for_was_looked_at(
    tmp_path: Path, changes: dict[str, Any], more: dict[str, Any], state: str
) -> None:
    assert applied(tmp_path, [entry(**changes)], [finding()], **more)[1][0].state == state


def test_a_region_that_was_left_out_keeps_its_entries(tmp_path: Path) -> None:
    narrow = (Scope(SHOP, "", (FRANKFURT,)),)
    assert applied(tmp_path, [entry()], [], scopes=narrow)[1][0].state == "idle"
    assert applied(tmp_path, [entry()], [])[1][0].state == "stale"


@pytest.mark.parametrize(
    ("rule", "resource", "more"),
    [
        ("*", "*", {}),
        ("**", "arn:*", {}),
        (["*", RULE], "?*", {}),
        ("?*", "[!x]*", {}),
        ("*-*", "a*:*", {}),
        ("[a-z]*", "arn:aws*:*:*", {}),
        (sorted({f"{rule.partition('-')[0]}-*" for rule in packs.built_in()}), "*", {}),
        ("*", "*", {"subKey": "*"}),
    ],
)
def test_an_entry_that_accepts_everything_is_refused(tmp_path: Path, rule: Any, resource: str, more: Any) -> None:
    message = refused(tmp_path, entry(rule=rule, resource=resource, **more))
    assert "accepts everything" in message
    assert message.startswith(f"{tmp_path / 'accepted.yaml'}:")


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": "*"},
        {"resource": "*"},
        {"rule": "*", "resource": "arn:aws:dynamodb:*:*:table/scratch-*"},
        {"rule": "*", "resource": "*", "tags": {"env": "dev"}},
        {"rule": "*", "resource": "*", "subKey": "role/ci"},
        {"rule": ["iam-*", "dax-*"], "resource": "*"},
    ],
)
def test_an_entry_that_accepts_much_but_not_everything_is_taken(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert len(load(tmp_path, entry(**changes)).entries) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": None}, 'the key "reason" is missing'),
        ({"by": None}, 'the key "by" is missing'),
        ({"until": None}, 'the key "until" is missing'),
        ({"rule": None}, 'the key "rule" is missing'),
        ({"resource": None}, 'the key "resource" is missing'),
        ({"reason": "because"}, "accept[0].reason: expected a reason of at least 10 characters"),
        ({"reason": "because       "}, "at least 10 characters"),
        ({"by": ""}, "accept[0].by: expected a text that is not empty"),
        ({"until": "soon"}, 'accept[0].until: expected a date such as 2026-01-31, found "soon"'),
        ({"until": "2026-02-30"}, 'there is no day "2026-02-30"'),
        ({"until": "2027-02-02"}, "2027-02-02 is more than 366 days ahead; the latest is 2027-02-01"),
        ({"owner": "me"}, 'unknown key "owner"'),
        ({"resources": "x"}, 'Did you mean "resource"?'),
        ({"tags": {"env": 1}}, 'Put it in quotes: "1"'),
        ({"rule": []}, "no rule is named"),
        ({"ticket": ["a"]}, "accept[0].ticket"),
    ],
)
def test_what_is_wrong_in_an_entry_is_said_with_its_place(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    message = refused(tmp_path, {k: v for k, v in {**entry(), **changes}.items() if v is not None})
    assert words in message
    assert ":3:" in message or ":4:" in message or ":5:" in message or ":6:" in message or ":7:" in message, message


def test_the_farthest_end_is_366_days_ahead(tmp_path: Path) -> None:
    assert len(load(tmp_path, entry(until="2027-02-01")).entries) == 1


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    message = refused(tmp_path, entry(reason="x"), entry(until="x"), entry(rule="*", resource="*"))
    assert [line.partition(": ")[2].partition(":")[0] for line in message.splitlines()] == [
        "accept[0].reason",
        "accept[1].until",
        "accept[2].resource",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("version: 1\n", 'the key "accept" is missing'),
        ("accept: []\n", 'the key "version" is missing'),
        ("version: 2\naccept: []\n", "version: expected 1"),
        ("version: 1\naccept:\n", "accept: expected a list"),
        ("version: 1\naccept: []\naccept: []\n", "stands here again"),
        ("version: 1\naccept: [\n", "not YAML"),
        ("- a\n", "expected keys and values"),
        ("version: 1\naccept: [x]\n", "accept[0]: expected keys and values"),
        ("version: 1\naccept: !!python/object:os.system []\n", "not allowed here"),
    ],
)
def test_what_is_no_acceptance_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text=text)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.yaml"):
        with pytest.raises(UsageError, match="cannot be read"):
            acceptance.load(path, TODAY)


GLOB_TEXT = st.text(alphabet="*?[]!-^ab:/\\\n", max_size=8)


@given(GLOB_TEXT, GLOB_TEXT)
def test_an_escaped_text_matches_itself_and_nothing_else(text: str, other: str) -> None:
    pattern = escaped(text)
    assert literal(pattern) == text
    assert fnmatch.fnmatchcase(text, pattern)
    assert fnmatch.fnmatchcase(other, pattern) == (text == other)


@given(GLOB_TEXT)
def test_what_is_looked_up_instead_of_matched_matches_only_that(pattern: str) -> None:
    only = literal(pattern)
    if only is not None:
        assert fnmatch.fnmatchcase(only, pattern)
        assert not fnmatch.fnmatchcase(only + "x", pattern)
    elif not set(pattern) & set("*?["):
        pytest.fail("a text without wildcards is one text")


def test_many_entries_and_findings_are_not_tried_one_by_one(tmp_path: Path) -> None:
    tables = [Table(IRELAND, f"t{number}") for number in range(1500)]
    calls = 0
    file = load(tmp_path, *(entry(resource=table.arn) for table in tables))

    class Counted(acceptance.Entry):
        def matches(self, one: acceptance.Candidate) -> bool:
            nonlocal calls
            calls += 1
            return super().matches(one)

    counted = tuple(
        Counted(*(getattr(one, name) for name in acceptance.Entry.__dataclass_fields__)) for one in file.entries
    )
    told, _ = acceptance.AcceptanceFile("x", counted).apply(
        [finding(resource=table) for table in tables],
        {},
        TODAY,
        rules=set(packs.built_in()),
        scopes=SCOPES,
        whole=True,
    )
    assert all(one.accepted for one in told)
    assert calls == len(tables)


def test_another_accounts_resources_can_be_accepted(tmp_path: Path) -> None:
    foreign = finding("kms-key-usable", FOREIGN_KEY)
    other = finding(resource=ACCOUNTS)
    entries = [entry(rule="kms-*", resource=FOREIGN_KEY.arn), entry(resource="*:444455556666:*")]
    assert applied(tmp_path, entries, [foreign, other])[0] == ["shop", "shop"]

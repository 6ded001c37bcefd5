"""report.md: the job summary, rendered by a Markdown parser to see what it shows and that nothing in it acts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from auditor.formats import markdown
from auditor.formats.markdown import code, inline
from auditor.inventory import Scope
from auditor.report import Acceptance, AcceptanceUse, Report
from auditor.resources import Table
from auditor.rule_api import Severity, Status
from auditor.text import plain
from tests import reports
from tests.formats import exports
from tests.reports import ACCEPTED, EXPIRED, HOSTILE, IRELAND, finding, made

SAMPLES: list[Callable[[], Report]] = [
    *(reports.mixed, reports.compared, reports.hostile, reports.empty),
    *(exports.demo, exports.long),
]

#: All that our own Markdown is made of.
OURS = {
    *("heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline"),
    *("table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close"),
    *("tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close"),
    *("text", "code_inline", "strong_open", "strong_close"),
}

#: What GitHub and GitLab look for in the text that is shown, outside of code.
ACTIVE = re.compile(
    r"""https?:|ftp:|www\.|@|\#\d|GH-\d|[!&$~]\d|:[a-z+]\w*:|[\[\]<>{}`*_~$^|\\]|\b[0-9a-f]{7,40}\b|[a-z]\.[a-z]{2}""",
    re.IGNORECASE | re.VERBOSE,
)


def tokens(text: str) -> list[Token]:
    """Return a text's Markdown as a flat list, after seeing that it has nothing but what we made."""
    flat: list[Token] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        flat.append(token)
        flat += token.children or []
    assert {token.type for token in flat} <= OURS
    for token in flat:
        if token.type == "text":
            assert not ACTIVE.search(token.content), token.content
    return flat


def tables(text: str) -> list[list[list[str]]]:
    """Return the cells of every table as they are shown."""
    found: list[list[list[str]]] = []
    for token in tokens(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            found[-1][-1].append("")
        elif token.type in ("text", "code_inline") and found and found[-1]:
            found[-1][-1][-1] += token.content
        elif token.type == "table_close":
            found.append([])
    return [one for one in found if one]


def shown(text: str) -> str:
    """Return what is to be seen of a piece of Markdown in a table's cell."""
    (head, row) = tables(f"| a | b |\n| --- | --- |\n| {text} | end |\n")[0]
    assert (head, row[1:]) == (["a", "b"], ["end"])
    return row[0]


def joined(text: str) -> str:
    """Return a text without the blank that parts a backslash from a bar, on which readers of tables differ."""
    return text.replace("\\ |", "\\|")


def headings(text: str) -> list[str]:
    return [one.content for before, one in zip(tokens(text), tokens(text)[1:], strict=False)
            if before.type == "heading_open"]  # fmt: skip


def table(text: str, name: str) -> list[list[str]]:
    """Return the table under a heading, its head included."""
    return tables(text.split(f"## {name}\n")[1])[0]


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_file_is_made_of_nothing_but_ours(sample: Callable[[], Report]) -> None:
    text = markdown.render(sample())
    assert all(len(row) == len(rows[0]) for rows in tables(text) for row in rows)
    assert len(text.encode()) <= 900 * 1024
    assert text.startswith("# ddbaudit: ")
    assert text.endswith("`.\n")
    assert "\n\n\n" not in text
    assert set(headings(text)) <= {
        *("ddbaudit: failed", "ddbaudit: passed", "ddbaudit: incomplete", "Failures", "The worst failures"),
        *("Could not be evaluated", "Failed calls", "Accepted findings", "The whole report"),
    }


def test_golden_file() -> None:
    exports.compare_with_golden("report.md", markdown.render(reports.compared()))


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        (reports.compared, "failed"),
        (reports.empty, "passed"),
        (lambda: made([finding(status=Status.UNKNOWN)]), "incomplete"),
        (lambda: made([finding()], complete=False, fail_on=None), "incomplete"),
        (lambda: made([finding()], exit_zero=True), "failed"),
    ],
)
def test_the_verdict_stands_first(report: Callable[[], Report], verdict: str) -> None:
    assert markdown.render(report()).startswith(f"# ddbaudit: {verdict}\n\n**Exit ")


def test_counts_tell_new_and_accepted_ones() -> None:
    text = markdown.render(reports.compared())
    assert "**Exit 3: 3 findings at or above high (1 new), 2 accepted, 1 unknown.**" in text
    since = "Compared with the report of 2026-01-24 12:00:07 UTC"
    assert f"{since}: 1 new, 3 fixed, 2 could not be evaluated or not looked at." in text
    assert tables(text)[0] == [
        ["Severity", "Fail", "of these new", "of these accepted", "Unknown"],
        ["Critical", "1", "0", "0", "0"],
        ["High", "2", "1", "0", "2"],
        ["Medium", "1", "0", "1", "0"],
        ["Low", "0", "0", "0", "0"],
        ["Informational", "0", "0", "0", "0"],
        ["All", "4", "1", "1", "2"],
    ]
    assert tables(markdown.render(reports.mixed()))[0][0] == ["Severity", "Fail", "Unknown"]


def test_failures_come_worst_first_and_accepted_ones_last() -> None:
    found = [
        finding(severity=Severity.CRITICAL, acceptance=ACCEPTED),
        finding("table-pitr", severity=Severity.LOW, state="new"),
        finding("table-required-tags", severity=Severity.MEDIUM, acceptance=EXPIRED, sub_key="owner"),
    ]
    head, *rows = table(markdown.render(made(found)), "Failures")
    assert head == ["Severity", "State", "Rule", "Resource", "Where", "What is wrong"]
    where = "shop-production, eu-west-1"
    assert rows == [
        ["medium", "acceptance expired 2025-12-31", "table-required-tags", "table orders (owner)", where,
         "Deletion protection is off."],
        ["low", "new", "table-pitr", "table orders", where, "Deletion protection is off."],
        ["critical", "accepted until 2026-06-30", "table-deletion-protection", "table orders", where,
         "Deletion protection is off."],
    ]  # fmt: skip


def test_at_most_fifty_failures_and_how_many_more_there_are(caplog: pytest.LogCaptureFixture) -> None:
    text = markdown.render(exports.many(20_000))
    assert len(table(text, "The worst failures")) == 51
    assert "\n... and 19,950 more.\n" in text
    assert "more." not in markdown.render(exports.many(50))
    assert caplog.messages == []


def test_what_is_not_known_and_why() -> None:
    text = markdown.render(reports.mixed())
    assert table(text, "Could not be evaluated")[1:] == [
        ["1", "Permission missing: kms:DescribeKey", "table-encryption-key"]
    ]
    assert table(text, "Failed calls")[2] == [
        *("dynamodb:ListTables", "AccessDeniedException", "1", "111122223333/us-west-2", "Not allowed.")
    ]
    assert "(not everything could be listed). Audited" in text
    assert "1 of these is accepted." in markdown.render(reports.compared())


def test_a_call_that_fails_in_many_places_is_one_line() -> None:
    errors = [
        (reports.call_error("ListTables", region=f"eu-west-{number}", message=f"No {number}."), ("table-pitr",))
        for number in range(1, 9)
    ]
    (_, row) = table(markdown.render(made([finding()], errors=errors)), "Failed calls")
    places = ", ".join(f"111122223333/eu-west-{number}" for number in range(1, 6))
    assert row[2:] == ["8", f"{places} and 3 more", "No 1. (and 7 other messages)"]


def test_acceptances_that_want_a_hand() -> None:
    head, *rows = table(markdown.render(reports.compared()), "Accepted findings")
    assert [row[:4] for row in rows] == [
        ["expired", "9", "table-pitr", "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"],
        ["stale", "15", "table-pitr", "arn:aws:dynamodb:*:*:table/gone"],
    ]
    assert head[4:] == ["Until", "By", "Reason", "Findings"]
    text = markdown.render(made([finding()], acceptances=reports.compared().acceptances[:1]))
    assert "`accepted.yaml` has 1 entry, which accepts 0 findings.\n" in text
    assert "stale" not in text


def test_everything_long_is_cut_below_what_github_takes(caplog: pytest.LogCaptureFixture) -> None:
    long = "\u4e16|" * 400
    acceptance = Acceptance(long, long, date(2026, 1, 1), long, expired=True)
    report = made(
        [finding(resource=Table(IRELAND, f"{number}{long}"), message=long, sub_key=long) for number in range(80)],
        scopes=(Scope(reports.SHOP, long, (IRELAND,)),),
        errors=[(reports.call_error(f"{number}{long}", code=long, message=long), ()) for number in range(80)],
        acceptances=[
            AcceptanceUse((long,) * 9, long, None, {}, acceptance, number, 1) for number in range(80)
        ],
    )  # fmt: skip
    text = markdown.render(report)
    assert len(text.encode()) <= 900 * 1024
    rows = len(table(text, "The worst failures")) - 1
    assert rows < 50
    assert text.count(f"\n... and {80 - rows} more.\n") == 3
    assert f"tables have {rows} rows at most" in caplog.text
    tokens(text)


def test_nothing_of_a_hostile_account_acts() -> None:
    text = markdown.render(reports.hostile())
    for row in table(text, "Failures")[1:]:
        assert exports.shown(HOSTILE) in row[3]
        assert exports.shown(HOSTILE) in row[-2].replace("  ", " ")
    assert "\n::error" not in text


#: What each of these must be: shown as it stands, all within code but for the quotes and points around it.
HARMLESS = [
    "@octocat", "(@octocat)", "\"@org/team\".", "#123", "org/repo#1", "GH-12", "!12", "$5", "~label", "%1", "&2",
    "https://evil.example/x", "www.evil.example", "evil.example", "a@evil.example", "mailto:a@b.cc", "xmpp:a@b.cc",
    "[x](https://evil.example)", "![x](//evil.example/x.png)", "[x][y]", "[^1]", "[[_TOC_]]", "<img src=x>",
    "<!-- hidden", "-->", "<b>bold</b>", "&lt;", "&#60;script&#62;", "**bold**", "__bold__", "~~gone~~", "*x*", "_x_",
    ":tada:", "$x^2$", "$`x`$", "`code`", "``", "```sh", "` `", "\\", "\\`", "|", "a|b", "\\|", "\\\\|", "|\\", "a\\",
    "deadbeef1", "0123456789abcdef0123456789abcdef01234567", "{{ 7*7 }}", "{%raw%}", "x\u202ey", "<https://evil.example>",
]  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS)
def test_what_would_act_is_shown_instead(text: str) -> None:
    for around in ("{}", "before {} after", "({}),", '"{}"!', "{0} {0}"):
        whole = around.format(text)
        assert joined(shown(inline(whole))) == joined(plain(whole))
    assert joined(shown(code(text))) == joined(plain(text))


@pytest.mark.parametrize(
    "text",
    [
        "Deletion protection is off.",
        "It's 35 days (not 7), i.e. 12.5% of what the company's policy asks: more, at 2026-01-31 12:00:07 UTC!",
        "Grüße aus 東京, read/write - \u201cwell-known\u201d",
    ],
)
def test_plain_sentences_stay_sentences(text: str) -> None:
    made = inline(text)
    assert shown(made) == text
    assert re.findall("`([^`]+)`", made) in ([], ["i.e"], ["\u201cwell-known\u201d"])


def test_names_and_calls_become_code() -> None:
    assert inline("kms:DescribeKey is not allowed on orders_v2, nor is list(names).") == (
        "`kms:DescribeKey` is not allowed on `orders_v2`, nor is `list(names)`."
    )


def test_empty_and_blank_names_are_told() -> None:
    assert (code(""), code("  "), inline("")) == ("(empty)", "(blank)", "")


@given(st.text() | st.text(alphabet="|\\`[]()<>!@#&*_~:$\"' .a1-\n"))
@example("\\\\|" * 3)
@settings(deadline=None, max_examples=300)
def test_no_text_breaks_out_of_its_cell(text: str) -> None:
    told = " ".join(plain(text).split())
    if len(told) < 500:
        assert joined(shown(inline(text))) == joined(told)
    seen = shown(code(text))
    if text.strip() and text.isprintable() and len(text) < 500:
        assert joined(seen).strip() == joined(text).strip()


def test_a_template_cannot_forget_to_escape() -> None:
    made = markdown._environment().from_string("{{ text }} {{ text|code }} {{ [text] }}").render(text="<b>|@x")
    assert {one.type for one in tokens(made)} <= OURS
    assert made.startswith("`<b>\\|@x` `<b>\\|@x` ")


def test_the_same_report_gives_the_same_file() -> None:
    report = reports.compared()
    shuffled = replace(report, findings=tuple(sorted(report.findings, key=lambda one: one.id)))
    assert markdown.render(shuffled) == markdown.render(report)

"""report.html in a real browser: silent, harmless, readable on any screen, accessible."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from auditor import Status, packs
from auditor.placeholders import filled
from auditor.render import html_report, json_report
from auditor.report import Report
from tests import example, reports
from tests.reports import finding

CHROMIUM = Path("/usr/bin/chromium")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SAMPLES: dict[str, Report] = {"mixed": reports.mixed(), "empty": reports.empty(), "hostile": reports.hostile()}
Scheme = Literal["light", "dark"]
Opener = Callable[..., Page]

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def asked() -> list[str]:
    """Addresses that the page asked for."""
    return []


@pytest.fixture
def said() -> list[str]:
    """What stands on the console: errors, violations of the policy."""
    return []


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path, asked: list[str], said: list[str]) -> Iterator[Opener]:
    contexts = []

    def opened(
        report: Report,
        *,
        width: int = 1280,
        scheme: Scheme = "light",
        fragment: str = "",
        policy: bool = True,
        script: bool = True,
    ) -> Page:
        file = tmp_path / "report.html"
        file.write_text(html_report(report), encoding="utf-8", newline="\n")
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            bypass_csp=not policy,
            java_script_enabled=script,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file.as_uri() + fragment, wait_until="load")
        if script:
            page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()


def unfold(page: Page) -> None:
    """Open everything that opens: what rules say, and every finding of the page with all its tabs."""
    page.locator("#filters [value=pass]").check()
    page.locator("#filters [value=not_applicable]").check()
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.evaluate("document.querySelectorAll('.toggle').forEach(one => one.click())")
    page.evaluate("document.querySelectorAll('[role=tabpanel]').forEach(one => one.hidden = false)")


def wait_until(page: Page, expression: str) -> None:
    """Wait until an expression is true; Playwright's own waiting evaluates texts, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")


def lines(page: Page) -> list[str]:
    """Return the messages of the table of findings."""
    return page.locator("#table .toggle").all_inner_texts()


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_report_loads_nothing_but_itself_and_says_nothing(
    open_report: Opener, asked: list[str], said: list[str], sample: str
) -> None:
    page = open_report(SAMPLES[sample])
    unfold(page)
    page.wait_for_timeout(200)
    assert [address.rsplit("/", 1)[1] for address in asked] == ["report.html"]
    assert said == []
    assert page.evaluate("typeof window.PWN") == "undefined"
    assert page.evaluate("[document.scripts.length, document.images.length]") == [2, 0]
    assert page.evaluate("getComputedStyle(document.querySelector('.box')).borderTopStyle") == "solid", "no style"


def test_the_policy_stops_what_would_be_injected(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"])
    with page.expect_event("requestfailed") as failed:
        page.evaluate(
            """() => {
                const image = '<img src="https://192.0.2.1/x.png" onerror="window.PWN = 1">';
                document.body.insertAdjacentHTML('beforeend', image);
                const script = document.createElement('script');
                script.textContent = 'window.PWN = 2';
                document.body.append(script);
            }"""
        )
    assert failed.value.failure == "csp"
    page.wait_for_timeout(200)
    assert page.evaluate("typeof window.PWN") == "undefined"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1400])
@pytest.mark.parametrize("sample", SAMPLES)
def test_nothing_overflows_at_any_width(open_report: Opener, sample: str, width: int, scheme: Scheme) -> None:
    page = open_report(SAMPLES[sample], width=width, scheme=scheme)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    too_wide = page.evaluate(
        """() => [...document.querySelectorAll('body *')].filter(one =>
            one.checkVisibility() && !one.closest('.scroll, .skip, svg, .word')
            && one.getBoundingClientRect().right > document.documentElement.clientWidth + 1
        ).map(one => one.outerHTML.slice(0, 200))"""
    )
    assert too_wide == []


def test_light_and_dark_have_colours_of_their_own(open_report: Opener) -> None:
    colours = [
        open_report(SAMPLES["mixed"], scheme=scheme).evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        for scheme in ("light", "dark")
    ]
    (light_page, light_ink), (dark_page, dark_ink) = colours
    assert brightness(light_page) > 0.9
    assert brightness(light_ink) < 0.2
    assert brightness(dark_page) < 0.1
    assert brightness(dark_ink) > 0.8


def brightness(colour: str) -> float:
    numbers = [float(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    return sum(numbers) / 3 / 255


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_axe_finds_no_barrier(open_report: Opener, sample: str, scheme: Scheme) -> None:
    # axe is a script, which the page's own policy rightly refuses.
    page = open_report(SAMPLES[sample], scheme=scheme, policy=False)
    unfold(page)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}}).response
    assert [(one["id"], one["help"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    assert len(found["passes"]) > 20
    assert {"color-contrast", "heading-order"} <= {one["id"] for one in found["passes"]}


@pytest.mark.parametrize("status", ["fail", "unknown", "pass", "not_applicable"])
def test_a_link_to_a_finding_opens_it_and_focuses_it(open_report: Opener, status: str) -> None:
    report = SAMPLES["mixed"]
    wanted = [one for one in report.findings if one.status == status][-1]
    page = open_report(report, fragment=f"#f-{wanted.id[:16]}")
    wait_until(page, "document.activeElement.matches('.line.target .toggle')")
    assert page.locator("#table .opened").count() == 1
    assert page.locator(".line.target .toggle").inner_text() == wanted.message
    assert wanted.resource.arn in page.locator("#table .opened").inner_text()
    wait_until(page, "Math.abs(document.querySelector('.target').getBoundingClientRect().top) < innerHeight")


def test_a_link_to_a_finding_far_down_turns_to_its_page(open_report: Opener) -> None:
    report = reports.many(1000)
    wanted = report.findings[777]
    page = open_report(report, fragment=f"#f-{wanted.id[:16]}")
    wait_until(page, "document.activeElement.matches('.line.target .toggle')")
    assert wanted.resource.arn in page.locator("#table .opened").inner_text()
    assert page.locator("#page").inner_text() != "Page 1 of 10"


def test_a_link_to_a_finding_that_is_not_there_says_so(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"], fragment="#f-0123456789abcdef")
    page.wait_for_selector("#missing", state="visible")
    assert "not in this report" in page.locator("#missing").inner_text()


def test_the_default_view_shows_what_is_bad_by_rule_and_the_worst_first(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"])
    report = SAMPLES["mixed"]
    bad = [one for one in report.findings if one.status in (Status.FAIL, Status.UNKNOWN)]
    assert page.locator("#count").inner_text() == f"{len(bad)} of {len(report.findings)} findings"
    heads = page.locator("#table .part > tr:first-child code").all_inner_texts()
    assert heads == [
        "kms-key-usable",
        "table-deletion-protection",
        "table-pitr",
        "table-required-tags",
        "table-encryption-key",
    ]
    assert sorted(lines(page)) == sorted(one.message for one in bad)
    assert not page.locator("#static").count()


def test_filters_and_search_narrow_the_view_and_the_address_keeps_them(open_report: Opener) -> None:
    report = SAMPLES["mixed"]
    page = open_report(report)
    page.locator("#filters [value=pass]").check()
    page.locator("#rule").select_option("table-deletion-protection")
    page.locator("#account").select_option(reports.BANK.id)
    assert lines(page) == ["Deletion protection is on."]
    page.locator("#reset").click()
    page.locator("#severity, [name=severity][value=critical]").check()
    assert lines(page) == ["The key's state is PendingDeletion."]
    page.locator("#reset").click()
    for query, expected in (
        ("ORDERS recovery", ["Point-in-time recovery is off."]),
        ("env=prod deletion", ["Deletion protection is off."]),
        ("PendingDeletion", ["The key's state is PendingDeletion."]),
        ("bank", []),
        ("1234abcd-12ab", ["The key's state is PendingDeletion."]),
    ):
        page.locator("#q").fill(query)
        assert lines(page) == expected, query
    page.locator("#q").fill("")
    page.locator("#framework").select_option("AWS FSBP")
    page.locator("#control").select_option("DynamoDB.6")
    page.locator("#group").select_option("resource")
    assert lines(page) == ["Deletion protection is off."] * 2
    address = page.evaluate("location.hash")
    again = open_report(report, fragment=address)
    assert lines(again) == lines(page)
    assert again.locator("#control").input_value() == "DynamoDB.6"
    assert again.locator("#group").input_value() == "resource"


def test_accepted_expired_and_new_findings_can_be_asked_for(open_report: Opener) -> None:
    report = reports.compared()
    page = open_report(report)
    for choice, wanted in (
        ("accepted", [one for one in report.findings if one.accepted]),
        ("expired", [one for one in report.findings if one.acceptance and one.acceptance.expired]),
        ("new", [one for one in report.findings if one.state == "new"]),
    ):
        page.locator("#only").select_option(choice)
        assert sorted(lines(page)) == sorted(one.message for one in wanted)
    page.locator("#only").select_option("expired")
    page.locator("#table .toggle").click()
    assert "It has expired, so the finding counts again." in page.locator(".opened").inner_text()


@pytest.mark.parametrize("column", ["message", "resource", "severity", "status"])
def test_columns_sort_both_ways(open_report: Opener, column: str) -> None:
    page = open_report(SAMPLES["mixed"])
    page.locator("#group").select_option("")
    page.locator("#filters [value=pass]").check()
    place = ["message", "resource", "severity", "status"].index(column)

    def values() -> list[str]:
        cells = page.locator(f"#table .line > td:nth-child({place + 1})").all_inner_texts()
        return [cell.splitlines()[0].lower() for cell in cells]

    head = page.locator(f"#table [data-sort={column}]")
    if head.get_attribute("aria-sort") is None:
        head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    ascending = values()
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert page.locator("#table [aria-sort]").count() == 1
    assert len(ascending) == 8
    if column in ("message", "resource"):
        assert ascending == sorted(ascending)
        assert values() == sorted(ascending, reverse=True)
    elif column == "status":
        assert [word.split()[-1] for word in ascending] == ["fail"] * 5 + ["unknown"] + ["pass"] * 2
    else:
        assert ascending[:5] == ["critical", "high", "high", "medium", "low"]


def test_pages_turn(open_report: Opener) -> None:
    page = open_report(reports.many(250))
    assert page.locator("#page").inner_text() == "Page 1 of 3"
    assert page.locator("#count").inner_text() == "250 of 250 findings, 1 to 100 shown"
    assert page.locator("#previous").is_disabled()
    seen = page.locator("#table .line").count()
    page.locator("#next").click()
    seen += page.locator("#table .line").count()
    page.locator("#next").click()
    seen += page.locator("#table .line").count()
    assert seen == 250
    assert page.locator("#next").is_disabled()
    assert page.evaluate("document.activeElement.id") == "previous"
    assert "page=3" in page.evaluate("location.hash")


def test_evidence_and_remediation_are_tabs_that_the_keyboard_reaches(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"])
    page.locator("#q").fill("orders protection")
    page.locator("#table .toggle").focus()
    page.keyboard.press("Enter")
    tabs = page.locator(".opened [role=tab]")
    assert tabs.all_inner_texts() == ["Evidence", "JSON", "AWS CLI", "Terraform", "CloudFormation"]
    assert page.locator(".opened [role=tabpanel]:visible").inner_text().split() == [
        "DeletionProtectionEnabled",
        "false",
    ]
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert tabs.nth(2).get_attribute("aria-selected") == "true"
    assert "deletion-protection-enabled" in page.locator(".opened [role=tabpanel]:visible pre").inner_text()
    page.keyboard.press("End")
    assert "DeletionProtectionEnabled: true" in page.locator(".opened [role=tabpanel]:visible pre").inner_text()


def test_copying_takes_the_text_and_says_so(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#q").fill("orders protection")
    page.locator("#table .toggle").click()
    page.locator(".opened [role=tab]", has_text="AWS CLI").click()
    button = page.locator(".opened .copy:visible")
    button.click()
    wait_until(page, "document.getElementById('said').textContent == 'Copied.'")
    assert page.evaluate("navigator.clipboard.readText()") == (
        "aws dynamodb update-table --table-name orders --deletion-protection-enabled --region eu-west-1"
    )


def test_commands_and_ids_are_the_ones_of_the_tool(open_report: Opener) -> None:
    demo_report = example.report()
    page = open_report(demo_report)
    page.locator("#group").select_option("")
    wanted: dict[str, str] = {}
    for one in demo_report.findings:
        if one.status is Status.FAIL:
            wanted[one.id[:16]] = filled(packs.built_in()[one.rule].remediation.cli, one.resource)
    shown: dict[str, str] = {}
    while True:
        shown |= page.evaluate(
            """() => {
                document.querySelectorAll('.toggle[aria-expanded=false]').forEach(one => one.click());
                return Object.fromEntries([...document.querySelectorAll('.opened')].map(one => {
                    const tab = [...one.querySelectorAll('[role=tab]')].find(tab => tab.textContent == 'AWS CLI');
                    const panel = tab && document.getElementById(tab.getAttribute('aria-controls'));
                    return [one.querySelector('a[href^="#f-"]').textContent, panel?.querySelector('pre').textContent];
                }).filter(([, command]) => command !== undefined));
            }"""
        )
        if page.locator("#next").is_disabled():
            break
        page.locator("#next").click()
    assert len(wanted) > 200
    assert shown == {one: command for one, command in wanted.items() if command}


@pytest.mark.parametrize("sample", ["compared", "hostile"])
def test_the_view_is_saved_as_csv_and_json(open_report: Opener, sample: str) -> None:
    report = {**SAMPLES, "compared": reports.compared()}[sample]
    page = open_report(report)
    page.locator("#filters [value=pass]").check()
    page.locator("#filters [value=not_applicable]").check()
    page.locator("#group").select_option("")
    with page.expect_download() as download:
        page.locator("#to-json").click()
    saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    findings = json.loads(json_report(report))["findings"]
    assert sorted(saved, key=lambda one: one["id"]) == sorted(findings, key=lambda one: one["id"])
    assert f"{len(findings)} findings written to findings.json." in page.locator("#said").inner_text()
    with page.expect_download() as download:
        page.locator("#to-csv").click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert sorted(row["finding_id"] for row in table) == sorted(one["id"] for one in findings)
    assert not [cell for row in table for cell in row.values() if cell[:1] in tuple("=+-@\t\r")]
    assert not [cell for row in table for cell in row.values() if not cell.isprintable()]


def test_the_csv_has_only_what_is_shown_and_no_formula(open_report: Opener) -> None:
    report = reports.made(
        [
            finding(message="=HYPERLINK(1)", sub_key="+1"),
            finding(resource=reports.CARTS, message=' @SUM(A1),"x"'),
            finding("table-pitr", message="other"),
        ]
    )
    page = open_report(report)
    page.locator("#rule").select_option("table-deletion-protection")
    with page.expect_download() as download:
        page.locator("#to-csv").click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert sorted((row["message"], row["sub_key"]) for row in table) == [
        ('\' @SUM(A1),"x"', ""),
        ("'=HYPERLINK(1)", "'+1"),
    ]


def test_a_number_elsewhere_leads_to_its_findings(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"])
    row = page.locator("#rules tr", has_text="table-deletion-protection")
    row.locator("td a").last.click()
    wait_until(page, "document.activeElement.id == 'findings-title'")
    assert lines(page) == ["Deletion protection is on."]
    page.locator("nav a", has_text="Critical").click()
    wait_until(page, "document.querySelectorAll('#table .line').length == 1")
    assert lines(page) == ["The key's state is PendingDeletion."]
    page.go_back()
    wait_until(page, "document.querySelector('#table .toggle').textContent == 'Deletion protection is on.'")


@pytest.mark.parametrize(
    "fragment",
    [
        "#find?sort=nonsense&group=%00&only=x&page=-7",
        "#find?page=1e9&status=",
        "#find?q=%F0%9F",
        "#%",
        "#f-",
        "#find?%",
    ],
)
def test_an_address_that_makes_no_sense_is_survived(open_report: Opener, said: list[str], fragment: str) -> None:
    page = open_report(SAMPLES["mixed"], fragment=fragment)
    page.wait_for_timeout(100)
    assert page.locator("#table tbody").count()
    assert page.locator("#count").inner_text()
    assert said == []


def test_without_javascript_summary_rules_and_the_worst_findings_are_there(open_report: Opener) -> None:
    report = reports.many(150)
    page = open_report(report, script=False)
    assert page.locator("#summary").is_visible()
    assert page.locator("#rules tbody tr").count() == len(report.rules)
    assert page.locator("#static .finding").count() == 100
    assert not page.locator("#explorer").is_visible()
    assert "With JavaScript this page shows all 150 findings" in page.locator("#static").inner_text()


def test_a_rules_link_opens_what_the_rule_says(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"])
    assert not page.locator("#r-table-pitr").is_visible()
    page.locator("#rules a", has_text="table-pitr").click()
    page.locator("#r-table-pitr").wait_for(state="visible")


def test_the_keyboard_reaches_the_content_and_opens_a_finding(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.locator("#table .toggle").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#table .toggle").first.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Space")
    assert page.locator("#table .opened").count() == 0


def test_on_paper_more_rows_are_there_and_controls_are_gone(open_report: Opener) -> None:
    page = open_report(reports.many(250), scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("#table .line").count() == 250
    assert not page.locator("nav.contents").is_visible()
    assert not page.locator("#filters").is_visible()
    assert not page.locator("#pager").is_visible()
    assert brightness(page.evaluate("getComputedStyle(document.body).backgroundColor")) == 1
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#table .line").count() == 100


def test_on_paper_without_javascript_failures_show_their_evidence(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"], script=False)
    page.emulate_media(media="print")
    box = page.locator("#static .finding .body").first.bounding_box()
    assert box is not None
    assert box["height"] > 50


def test_ten_thousand_findings_open_and_are_searched(open_report: Opener, said: list[str]) -> None:
    page = open_report(reports.many(10_000))
    assert page.locator("#count").inner_text() == "10,000 of 10,000 findings, 1 to 100 shown"
    assert page.evaluate("document.querySelectorAll('*').length") < 12_000
    page.locator("#q").fill("orders-of-the-shop-00042 recovery")
    wait_until(page, "document.querySelectorAll('#table .line').length == 1")
    assert said == []

"""report.html in a real browser: silent, harmless, readable on any screen, accessible."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from auditor.render import html_report
from auditor.report import Report
from tests import reports

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
SAMPLES = {"mixed": reports.mixed(), "empty": reports.empty(), "hostile": reports.hostile()}
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
        report: Report, *, width: int = 1280, scheme: Scheme = "light", fragment: str = "", policy: bool = True
    ) -> Page:
        file = tmp_path / "report.html"
        file.write_text(html_report(report), encoding="utf-8", newline="\n")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=not policy
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file.as_uri() + fragment, wait_until="load")
        return page

    yield opened
    for context in contexts:
        context.close()


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


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
    assert page.evaluate("document.scripts.length + document.images.length") == 0
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
def test_a_link_to_a_finding_opens_it_and_what_is_around_it(open_report: Opener, status: str) -> None:
    report = SAMPLES["mixed"]
    wanted = [one for one in report.findings if one.status == status][-1]
    page = open_report(report, fragment=f"#f-{wanted.id[:16]}")
    page.wait_for_function("document.querySelector(':target').checkVisibility()")
    assert page.evaluate("document.querySelector(':target').closest('details').open")
    assert page.evaluate("document.querySelectorAll('details.finding[open]').length") == 1
    assert wanted.message in page.locator("details.finding[open]").inner_text()
    page.wait_for_function("Math.abs(document.querySelector(':target').getBoundingClientRect().top) < innerHeight")


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
    page.locator("#failures summary").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('#failures details').open")


def test_on_paper_failures_show_their_evidence_and_controls_are_gone(open_report: Opener) -> None:
    page = open_report(SAMPLES["mixed"], scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator("nav.contents").is_visible()
    assert page.locator("#failures .body").first.bounding_box() is not None
    assert page.evaluate("document.querySelector('#failures .body').getBoundingClientRect().height") > 50
    assert page.evaluate("document.querySelector('#unknown .body').getBoundingClientRect().height") > 50
    assert brightness(page.evaluate("getComputedStyle(document.body).backgroundColor")) == 1


def test_ten_thousand_findings_open(open_report: Opener, said: list[str]) -> None:
    page = open_report(reports.many(10_000))
    assert page.locator("#failures h2").inner_text() == "Failures"
    assert page.evaluate("document.querySelectorAll('details.finding').length") == 10_000
    assert said == []

"""report.html: nothing in it can act, and everyone can read it."""

import base64
import dataclasses
import hashlib
import itertools
import re

import pytest

from auditor import packs
from auditor.packs import bundled
from auditor.render import html_report
from tests import reports
from tests.page import read
from tests.reports import HOSTILE, finding

MIXED = html_report(reports.mixed())
PAGES = {
    "mixed": MIXED,
    "empty": html_report(reports.empty()),
    "hostile": html_report(reports.hostile()),
    "nothing read": html_report(reports.made(scopes=(), complete=False)),
}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]


# Safety


def test_every_element_is_closed_and_every_id_and_link_target_is_there_once(page: str) -> None:
    root = read(page)
    ids = [one.attributes["id"] for one in root.walk() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    targets = [one.attributes["href"] for one in root.all("a")]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)
    labels = {one.attributes["aria-labelledby"] for one in root.walk() if "aria-labelledby" in one.attributes}
    assert labels <= set(ids)


def test_the_policy_allows_style_sheet_and_script_by_their_hashes_and_nothing_else(page: str) -> None:
    root = read(page)
    hashes = []
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        hashes.append(base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())
    assert root.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"] == (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert root.one("meta", name="referrer").attributes["content"] == "no-referrer"


def test_the_page_asks_for_nothing_and_runs_only_its_own_script(page: str) -> None:
    root = read(page)
    tags = {one.tag for one in root.walk()}
    assert not tags & {"link", "img", "iframe", "object", "embed", "base", "audio", "video", "use"}
    data, script = root.all("script")
    assert data.attributes == {"type": "application/gzip", "id": "data"}
    assert re.fullmatch(r"[A-Za-z0-9+/]+=*", data.text)
    assert script.attributes == {}
    assert script.text == " ".join((bundled("reports") / "report.js").read_text(encoding="utf-8").split())
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|fetch\(|XMLHttp|import\(", script.text
    )
    # A form without a button that sends it; the policy forbids sending as well.
    assert all(one.attributes["type"] == "button" for one in root.all("button"))
    assert all(one.attributes["id"] == "filters" for one in root.all("form"))
    for one in root.walk():
        assert not {"style", "src", "srcset", "action", "background", "poster"} & set(one.attributes)
        assert not [name for name in one.attributes if name.startswith("on") or ":" in name]
        if "href" in one.attributes:
            assert one.tag == "a"
            assert re.match(r"#|https://", one.attributes["href"])
            if not one.attributes["href"].startswith("#"):
                assert one.attributes["rel"] == "noopener noreferrer"
    style = root.one("style").text
    assert not re.search(r"url\(|@import|@font-face|expression|://", style)


def test_hostile_text_is_text_and_is_shown_with_escapes() -> None:
    page = PAGES["hostile"]
    root = read(page)
    assert not root.all("b")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", page)
    seen = r"</script><img src=x onerror=" + '"window.PWN=1">' + "\"'&<b>" + r"\u2028\u2029\u202e\u2066\u200b"
    for place in (
        root.one("header", class_="top"),
        root.one(id="incomplete"),
        root.one(id="places"),
        root.one(id="static"),
    ):
        assert seen in place.text  # fmt: skip
    assert r"\x1b[31m" in root.text
    assert "\n::" not in page


def test_a_hostile_name_is_not_put_into_a_command() -> None:
    root = read(PAGES["hostile"])
    commands = [one.text for one in root.one(id="static").all("pre", class_="command")]
    assert "aws dynamodb update-table --table-name $TABLE --deletion-protection-enabled --region eu-west-1" in commands
    assert not [command for command in commands if "PWN" in command]


def test_references_that_are_not_https_are_no_links() -> None:
    rule = packs.built_in()["table-pitr"]
    bad = dataclasses.replace(rule, references=("javascript:alert(1)", "http://example.com", "https://example.com/a b"))
    root = read(html_report(reports.made(rules=[bad])))
    assert not [one for one in root.all("a") if not one.attributes["href"].startswith("#")]
    assert "javascript:alert(1)" in root.one(id="reference").text


def test_text_of_rule_packs_is_escaped_too() -> None:
    rule = dataclasses.replace(packs.built_in()["table-pitr"], title=HOSTILE, description=HOSTILE, practices=(HOSTILE,))
    root = read(html_report(reports.made([finding("table-pitr")], rules=[rule])))
    assert not root.all("img")
    assert "A practice of a rule pack" in root.one(id="practices").text


# Structure


def test_the_page_has_landmarks_one_heading_and_a_way_past_the_contents(page: str) -> None:
    root = read(page)
    assert root.one("html").attributes["lang"] == "en"
    root.one("h1")
    for landmark in ("main", "nav", "footer"):
        root.one(landmark)
    first_link = root.one("body").all("a")[0]
    assert first_link.attributes["href"] == "#" + root.one("main").attributes["id"]
    levels = [int(one.tag[1]) for one in root.walk() if re.fullmatch("h[1-6]", one.tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_tables_have_heads_with_a_scope(page: str) -> None:
    root = read(page)
    for one in root.all("th"):
        assert one.attributes["scope"] in ("col", "row", "rowgroup")
    for table in root.all("table"):
        assert table.all("th")


def test_bars_are_images_with_a_title(page: str) -> None:
    for one in read(page).all("svg"):
        assert one.attributes["role"] == "img"
        assert one.one("title").text


def test_statuses_have_a_symbol_and_a_word() -> None:
    for one in read(MIXED).all("span", class_="s"):
        words = r"[✕?✓\u2013] ([\d,]+ )?(fail|unknown|pass|not applicable)|Not yet checked|Not assessed|No findings"
        assert re.fullmatch(words, one.text, re.IGNORECASE)

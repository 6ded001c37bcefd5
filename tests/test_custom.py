"""A user's own template: what it can use, what it cannot, and what its errors look like."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from auditor import custom
from auditor.errors import UsageError
from auditor.report import document
from tests import example, reports
from tests.page import read

DOCS = Path(__file__).parents[1] / "docs"


def written(folder: Path, text: str, name: str = "own.txt.j2") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rendered(folder: Path, text: str, name: str = "own.txt.j2", report: object = None) -> str:
    return custom.load(written(folder, text, name)).render(report or reports.mixed())  # type: ignore[arg-type]


def test_the_report_is_named_as_the_template(tmp_path: Path) -> None:
    assert custom.load(written(tmp_path, "", "by team.md.j2")).file_name == "by team.md"


def test_a_template_sees_the_whole_report_and_finds_rules_and_resources_by_id(tmp_path: Path) -> None:
    whole = document(reports.compared())
    assert json.loads(rendered(tmp_path, "{{ report | tojson }}", report=reports.compared())) == whole
    text = (
        "{% for one in report.findings %}{{ rules[one.rule].title }}|{{ resources[one.resource].name }}\n{% endfor %}"
    )
    titles = {one["id"]: one["title"] for one in whole["rules"]}
    names = {one["id"]: one["name"] for one in whole["resources"]}
    assert rendered(tmp_path, text, report=reports.compared()).splitlines() == [
        f"{titles[one['rule']]}|{names[one['resource']]}" for one in whole["findings"]
    ]


def test_the_documents_example_lists_every_failure_once_under_its_owner() -> None:
    report = example.report()
    text = custom.load(DOCS / "examples" / "owners.md.j2").render(report)
    held = document(report)
    failures = [one for one in held["findings"] if one["status"] == "fail"]
    tags = {one["id"]: one["tags"] for one in held["resources"]}
    sections = dict(re.findall(r"^## (\S+): ([\d,]+) failures?$", text, re.MULTILINE))
    assert sections["accounts"] == str(sum(tags[one["resource"]].get("owner") == "accounts" for one in failures))
    assert sections["nobody"] == str(sum("owner" not in tags[one["resource"]] for one in failures))
    assert sum(line.startswith("| ") for line in text.splitlines()) == len(failures) + 2 * len(sections)


def test_the_document_names_every_variable_and_filter_of_ours() -> None:
    text = (DOCS / "templates.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert named == {*custom.VARIABLES, "markdown", "code", "csv_cell", "plural"}


@pytest.mark.parametrize("name", ["own.txt.j2", "own.md.j2", "own.html.j2", "own.csv.j2"])
def test_nothing_invisible_reaches_the_output(tmp_path: Path, name: str) -> None:
    everything = "{% for one in report.findings %}{{ one }}{% endfor %}{{ resources }}{{ report.errors }}"
    text = rendered(tmp_path, everything, name, reports.hostile())
    assert "owned" in text
    assert text.isprintable()


def test_html_is_escaped_by_the_name_of_the_template(tmp_path: Path) -> None:
    page = """<ul>
{% for one in report.findings %}<li title="{{ one.message }}">{{ one.evidence }}</li>{% endfor %}</ul>"""
    root = read(rendered(tmp_path, page, "own.html.j2", reports.hostile()))
    assert {one.tag for one in root.all()} - {""} == {"ul", "li"}
    assert all(set(one.attributes) <= {"title"} for one in root.all())


def test_a_cell_is_no_formula_and_survives_quotes(tmp_path: Path) -> None:
    text = """{{ '=HYPERLINK("x")' | csv_cell }},{{ 'a"b' | csv_cell }},{{ 12 | csv_cell }}"""
    assert next(csv.reader(io.StringIO(rendered(tmp_path, text)))) == ['\'=HYPERLINK("x")', 'a"b', "12"]


def test_a_template_includes_others_of_its_folder_and_none_outside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    written(tmp_path, "secret", "outside.j2")
    written(tmp_path / "in", "{{ report.tool.name }}", "part.j2")
    assert rendered(tmp_path / "in", '{% include "part.j2" %}') == "ddbaudit"
    for outside in ("../outside.j2", str(tmp_path / "outside.j2"), "in/../../outside.j2"):
        with pytest.raises(UsageError, match="TemplateNotFound"):
            rendered(tmp_path / "in", f'{{% include "{outside}" %}}')


@pytest.mark.parametrize(
    "attack",
    [
        "{{ report.__class__ }}",
        "{{ report.findings.append(1) }}",
        "{{ report.update(x=1) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ '{0.__class__}'.format(report) }}",
        "{{ range(100000000) | list }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    ],
)
def test_the_sandbox_holds(tmp_path: Path, attack: str) -> None:
    with pytest.raises(UsageError, match=r"own\.txt\.j2:1: (SecurityError|OverflowError|UndefinedError)"):
        rendered(tmp_path, attack)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n{{ report.summary.socre }}", r"own\.txt\.j2:2: UndefinedError: .*socre"),
        ("{{ 1 / 0 }}", r"own\.txt\.j2:1: ZeroDivisionError"),
        ('{% include "none.j2" %}', r"own\.txt\.j2:1: TemplateNotFound: '?none\.j2"),
        ("{% macro again() %}{{ again() }}{% endmacro %}\n{{ again() }}", r"own\.txt\.j2:1: RecursionError"),
    ],
)
def test_an_error_while_rendering_has_the_line(tmp_path: Path, text: str, said: str) -> None:
    template = custom.load(written(tmp_path, text))
    with pytest.raises(UsageError, match=said):
        template.render(reports.mixed())


def test_an_error_in_an_included_template_is_placed_there(tmp_path: Path) -> None:
    written(tmp_path, "\n\n{{ 1 / 0 }}", "part.j2")
    with pytest.raises(UsageError, match=r"part\.j2:3: ZeroDivisionError"):
        rendered(tmp_path, '{% include "part.j2" %}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n{% for %}", r"own\.txt\.j2:2: "),
        ("{{ report | nofilter }}", r"own\.txt\.j2:1: No filter named 'nofilter'"),
        ("\n\n{{ raport.findings }}", r'own\.txt\.j2:3: there is no variable raport\. Did you mean "report"\?'),
    ],
)
def test_a_slip_is_found_before_the_audit(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        custom.load(written(tmp_path, text))


def test_names_that_a_template_makes_itself_are_no_slips(tmp_path: Path) -> None:
    text = (
        "{% set a = 7 %}{% macro m(b) %}{{ b }}{% endmacro %}"
        "{% for c in range(2) %}{{ m(a) ~ c ~ loop.index }}{% endfor %}"
    )
    assert rendered(tmp_path, text) == "701712"


def test_what_is_no_template_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder.j2").mkdir()
    (tmp_path / "bytes.j2").write_bytes(b"ab\xff")
    for name, said in (
        ("report.txt", r"ends in \.j2"),
        (".j2", r"ends in \.j2"),
        ("none.j2", "No such file"),
        ("folder.j2", "directory"),
        ("bytes.j2", "UTF-8"),
    ):
        with pytest.raises(UsageError, match=said):
            custom.load(tmp_path / name)


def test_a_template_does_not_write_over_a_format(tmp_path: Path) -> None:
    path = written(tmp_path, "", "report.json.j2")
    with pytest.raises(UsageError, match=r"--format json"):
        custom.load(path, ["html", "json"])
    assert custom.load(path, ["html"]).file_name == "report.json"

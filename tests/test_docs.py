"""What is generated (the rules' pages, the README's blocks, the configuration's reference) is up to date."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import cfnlint.api
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_what_make_docs_writes(generate: ModuleType) -> None:
    assert generate.stale(dict(generate.pages())) == []


def test_the_readme_shows_the_help_as_it_is(generate: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert generate.help_of() in text
    assert generate.help_of("run") in text


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/rules/README.md"])
def test_links_lead_to_files_that_are_there(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_role_of_the_scheduled_job_is_a_clean_template() -> None:
    text = (ROOT / "docs/examples/audit-role.yaml").read_text(encoding="utf-8")
    young = ("describebulkoperation", "listbulkoperations", "startbulkputitems")  # the linter's list lacks them
    wrong = [
        str(one)
        for one in cfnlint.api.lint_all(text)
        if one.rule.id[0] in "EW" and not any(f"'{name}'" in one.message for name in young)
    ]
    assert wrong == []

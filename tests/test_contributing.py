"""What CONTRIBUTING.md and the requirement files promise."""

import re
from pathlib import Path

import pytest

from auditor import packs
from tests import rules as test_rules

ROOT = Path(__file__).parents[1]


def code(mark: str) -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {mark} -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_rule_in_contributing_loads_and_its_test_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "table_billing_mode.py").write_text(code("rule"), encoding="utf-8")
    pack = packs.read_folder(tmp_path)
    monkeypatch.setattr(test_rules, "load", lambda rule_id: pack[rule_id].function)
    namespace: dict[str, object] = {}
    exec(compile(code("test"), "CONTRIBUTING.md", "exec"), namespace)  # noqa: S102 - our own page
    tests = [one for name, one in namespace.items() if name.startswith("test_") and callable(one)]
    assert len(tests) == 2
    for test in tests:
        test()


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_requirements_are_pinned_with_hashes_and_name_no_index(path: Path) -> None:
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.lstrip().startswith("#")
    ]
    odd = [
        line
        for line in lines
        if not re.fullmatch(r"[a-z0-9._\-]+(\[[a-z0-9,\-]+\])?==\S+ \\| +--hash=sha256:[0-9a-f]{64}( \\)?", line)
    ]
    assert odd == []
    assert lines

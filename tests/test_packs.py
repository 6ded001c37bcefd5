"""Rule packs: what a folder may hold, what is wrong with it, which rules are selected and how they are configured."""

from pathlib import Path

import pytest

from auditor import config, packs
from auditor.cli.rules import RULE_TEMPLATE
from auditor.errors import UsageError
from auditor.rule_api import Rule, Severity
from tests.rules import ACCOUNT

RULE = RULE_TEMPLATE.replace("RULE_NAME", "table_x")


def pack(tmp_path: Path, **files: str) -> Path:
    """Write a pack; a file's name has ``__`` for a slash."""
    for name, text in files.items():
        path = tmp_path / "pack" / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "pack"


def test_a_rule_knows_its_domain_and_its_file(tmp_path: Path) -> None:
    folder = pack(tmp_path, special__table_x=RULE)
    rule = packs.read_folder(folder)["table-x"]
    assert (rule.domain, rule.source) == ("special", str(folder / "special" / "table_x.py"))
    flat = pack(tmp_path / "flat", table_x=RULE)
    assert packs.read_folder(flat)["table-x"].domain == "table"


def test_what_is_private_or_a_test_is_no_rule_and_may_be_imported(tmp_path: Path) -> None:
    broken = "raise RuntimeError"
    folder = pack(
        tmp_path,
        table__table_x=f"from ._help import PREFIX\nfrom .. import _top\n{RULE}\nassert (PREFIX, _top.X) == ('a', 1)\n",
        table___help="PREFIX = 'a'",
        _top="X = 1",
        test_table_x=broken,
        table____pycache__=broken,
        tools="# a module without a rule",
    )
    assert list(packs.read_folder(folder)) == ["table-x"]


def test_two_packs_with_files_of_the_same_name_do_not_mix(tmp_path: Path) -> None:
    one, two = (
        pack(
            tmp_path / name, _help=f"X = {name!r}", table_x=f"from ._help import X\n{RULE}\ntable_x.rule.function.x = X"
        )
        for name in ("one", "two")
    )
    assert [packs.read_folder(folder)["table-x"].function.__dict__["x"] for folder in (one, two)] == ["one", "two"]


BROKEN = {
    "syntax": ("def (", r"table_x\.py:1:\d+: invalid syntax"),
    "null bytes": ("x = 1\0", r"table_x\.py.*null bytes"),
    "import": ("\nimport nowhere_to_be_found", r"table_x\.py:2: ModuleNotFoundError: .*nowhere_to_be_found"),
    "raises": ("\n\n1 / 0", r"table_x\.py:3: ZeroDivisionError"),
    "exits": ("import sys\nsys.exit(0)", r"table_x\.py:2: SystemExit"),
    "signature": (RULE.replace("settings: TableSettings", "settings: int"), r"table_x\.py: table_x: .*'settings'"),
    "no page": (RULE.replace('"""Table', '"""Table.\n"""\n    """'), r"table_x\.py: table_x: the docstring"),
    "severity": (RULE.replace("Severity.LOW", '"low"'), r"table_x: severity must be one of Severity.*'low'"),
    "side": (RULE.replace("Side.AMAZON", '"amazon"'), r"table_x: side must be one of Side.*'amazon'"),
    "practices": (RULE.replace('["B"]', '"B"'), r"table_x: practices must be a list of texts.*'B'"),
    "references": (RULE.replace('=["https', '="https').replace('.html"]', '.html"'), r"references must be a list"),
    "reserved": (RULE.replace("    prefix: Ann", "    enabled: Ann"), r"every rule has a setting 'enabled'"),
    "not called": (RULE.replace("@rule(", "@rule\n@(lambda **_: lambda f: f)("), r"table_x\.py:\d+: TypeError: rule"),
    "name": (RULE.replace("table_x", "table_y"), r'table_x\.py: .* rule "table-y" must be named table_y\.py'),
    "no rule": ("def table_x() -> None: ...", "no rule in there"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("relative", [False, True])
def test_a_broken_rule_is_refused_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, relative: bool
) -> None:
    text, pattern = BROKEN[what]
    folder = pack(tmp_path, table_x=text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=pattern) as error:
        packs.read_folder(Path("pack") if relative else folder)
    assert error.value.hint


def test_a_syntax_error_in_a_helper_is_told_of_the_helper(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"_help\.py:2"):
        packs.read_folder(pack(tmp_path, table_x="from . import _help", _help="\ndef ("))


def test_a_missing_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none: no such folder"):
        packs.read_folder(tmp_path / "none")
    with pytest.raises(UsageError, match="no rule in there"):
        packs.read_folder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: no such folder"):
        packs.read_folder(tmp_path / "file")


def test_an_id_that_is_taken_is_refused_with_both_files(tmp_path: Path) -> None:
    folder = pack(tmp_path, table_pitr=RULE.replace("table_x", "table_pitr"))
    with pytest.raises(UsageError, match=r'pack/table_pitr\.py: there is already a rule "table-pitr" in .*table_pitr'):
        packs.load([folder])
    twice = pack(tmp_path / "twice", a__table_x=RULE, b__table_x=RULE)
    with pytest.raises(UsageError, match=r'b/table_x\.py: there is already a rule "table-x" in .*a/table_x\.py'):
        packs.read_folder(twice)


def test_a_folder_that_is_named_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pack(tmp_path, table_x=RULE)
    monkeypatch.chdir(tmp_path)
    assert "table-x" in packs.load([folder, Path("pack"), folder])


def test_rules_of_installed_packs_and_folders_join_the_built_in_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = pack(tmp_path / "site", acme_y=RULE.replace("table_x", "acme_y"))

    class Module:
        __name__ = "acme_rules_of_the_test"
        __path__ = (str(installed),)

    class Point:
        name = value = "acme"

        def load(self) -> Module:
            return Module()

    monkeypatch.setattr(packs, "entry_points", lambda group: [Point()] if group == "ddbaudit.rules" else [])
    loaded = packs.load([pack(tmp_path, table_x=RULE)])
    assert set(loaded) == {*packs.built_in(), "acme-y", "table-x"}
    assert list(loaded) == sorted(loaded)


def ids(*include: str, skip: tuple[str, ...] = (), severity: Severity | None = None) -> set[str]:
    return set(packs.select(packs.built_in(), include, skip, severity))


def test_rules_are_selected_by_globs_and_severity() -> None:
    everything = set(packs.built_in())
    assert ids() == everything
    assert ids("table-pitr", "kms-*") == {"table-pitr"} | {one for one in everything if one.startswith("kms-")}
    assert ids("table-*", skip=("table-pitr",)) == {one for one in everything if one.startswith("table-")} - {
        "table-pitr"
    }
    worst = ids(severity=Severity.CRITICAL)
    assert worst == {one.id for one in packs.built_in().values() if one.severity is Severity.CRITICAL}
    assert "table-pitr" in ids(severity=Severity.HIGH)
    assert "table-required-tags" not in ids(severity=Severity.MEDIUM)


def test_patterns_that_match_nothing_are_refused() -> None:
    for include, skip in ((("table-pitrr",), ()), ((), ("table-pitrr",))):
        with pytest.raises(UsageError, match=r'no rule matches "table-pitrr"\. Did you mean "table-pitr"\?'):
            ids(*include, skip=skip)
    with pytest.raises(UsageError, match="no rule matches"):
        ids("TABLE-*")
    with pytest.raises(UsageError, match="no rule is left"):
        ids("table-required-tags", severity=Severity.HIGH)


def test_disabled_rules_may_be_skipped_but_not_asked_for() -> None:
    rules = {rule_id: rule for rule_id, rule in packs.built_in().items() if rule_id != "table-pitr"}
    assert set(packs.select(rules, (), ("table-pitr",), disabled=["table-pitr"])) == set(rules)
    assert "table-pitr" not in packs.select(rules, ("table-*",), disabled=["table-pitr"])
    with pytest.raises(UsageError, match='switches off what "table-pitr" names'):
        packs.select(rules, ("table-pitr",), disabled=["table-pitr"])


def configured(tmp_path: Path, text: str) -> dict[str, Rule]:
    path = tmp_path / "f.yaml"
    path.write_text(text)
    loaded, root = config.load(path)
    return dict(packs.configure(packs.built_in(), loaded, root, path))


def test_settings_severity_and_enabled_are_applied(tmp_path: Path) -> None:
    rules = configured(
        tmp_path,
        "rules:\n  table-pitr: {severity: low, min_recovery_days: {production: 30, default: 1}}\n"
        "  kms-key-usable: {enabled: false}\n  kms-key-rotation: {enabled: true}",
    )
    assert rules["table-pitr"].severity is Severity.LOW
    assert dict(rules["table-pitr"].values["min_recovery_days"]) == {"production": 30, "default": 1}
    assert "kms-key-usable" not in rules
    assert rules["kms-key-rotation"] == packs.built_in()["kms-key-rotation"]
    assert not packs.built_in()["table-pitr"].values


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("table-pitrr: {}", '2:3: unknown rule "table-pitrr". Did you mean "table-pitr"?'),
        ("table-pitr: {severty: low}", '2:16: rules.table-pitr: unknown setting "severty". Did you mean "severity"?'),
        ("table-pitr: {severity: hgh}", "2:26: rules.table-pitr.severity: expected "),
        ("table-pitr: {enabled: 1}", '2:25: rules.table-pitr.enabled: expected true or false, found "1".'),
        ("table-pitr: {min_recovery_days: 7}", "2:35: rules.table-pitr.min_recovery_days: expected keys and values"),
        ("kms-key-usable: {expiry_days: soon}", '2:33: rules.kms-key-usable.expiry_days: expected a whole number'),
        ("network-subnet-path: {nat_is: psas}", '2:33: rules.network-subnet-path.nat_is: expected '),
        ("table-pitr:", "2:14: rules.table-pitr: expected keys and values, found nothing."),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_line_and_column(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UsageError) as error:
        configured(tmp_path, f"rules:\n  {text}")
    assert error.value.message.startswith(f"{tmp_path}/f.yaml:{problem}")


def test_all_wrong_settings_are_told_at_once_in_their_order(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        configured(tmp_path, "rules:\n  zzz: {}\n  table-pitr: {x: 1, enabled: 1}\n  kms-key-usable: {y: 1}")
    places = [line.split(":")[1:3] for line in error.value.message.splitlines()]
    assert places == [["2", "3"], ["3", "16"], ["3", "31"], ["4", "20"]]


def test_the_bundled_folders_are_there() -> None:
    assert packs.bundled("rules").is_dir()
    assert packs.bundled("reports").is_dir()
    assert all(rule.signature.kinds for rule in packs.built_in().values())
    assert ACCOUNT.id

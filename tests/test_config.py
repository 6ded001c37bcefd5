"""ddbaudit.yaml: what is accepted, and every problem with its line and column."""

from pathlib import Path

import msgspec
import pytest

from auditor import config
from auditor.config import Config, suggest
from auditor.errors import UsageError


def load(tmp_path: Path, text: str | bytes) -> Config:
    path = tmp_path / "f.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.load(path)[0]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "{}", "null"])
def test_a_file_that_says_nothing_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Config()


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("[a]", ["1:1: expected keys and values, found a list."]),
        ("text", ['1:1: expected keys and values, found "text".']),
        ("allowed_regoins: []", ['1:1: unknown key "allowed_regoins". Did you mean "allowed_regions"?']),
        ("production:\n  tag: {}", ['2:3: production: unknown key "tag". Did you mean "tags"?']),
        ("allowed_regions: eu-*", [
            '1:18: allowed_regions: expected a list, found "eu-*". Put it in brackets: [eu-*].']),
        ("allowed_regions: {a: b}", ["1:18: allowed_regions: expected a list, found keys and values."]),
        ("allowed_regions: [[a]]", ["1:19: allowed_regions[0]: expected a text, found a list."]),
        (
            "accounts: {trusted: [222233334444]}",
            ['1:22: accounts.trusted[0]: expected a text, found "222233334444". Put it in quotes: "222233334444".'],
        ),
        ('accounts: {trusted: ["22"]}', [
            r'1:22: accounts.trusted[0]: expected a text that matches ^\d{12}$, found "22".']),
        ("run: {workers: 0}", ['1:16: run.workers: expected a whole number >= 1, found "0".']),
        ("run: {workers: true}", ['1:16: run.workers: expected a whole number or nothing, found "true".']),
        ("run: {workers: 1.5}", ['1:16: run.workers: expected a whole number or nothing, found "1.5".']),
        ("run: {quiet: no}", ['1:14: run.quiet: expected true or false, found "no".']),
        ('run: {output: ""}', ['1:15: run.output: expected a text that is not empty, found "".']),
        ("run:", ["1:5: run: expected keys and values, found nothing."]),
        ("run: {pace: offf}", ["1:13: run.pace: expected adaptive or documented or off or nothing, "
                               'found "offf". Did you mean "off"?']),
        ("production: {untagged_is: prod}", ["1:27: production.untagged_is: expected non-production or production, "
                                             'found "prod". Did you mean "production"?']),
        ("abac_enabled: maybe", ['1:15: abac_enabled: expected true or false or unknown, found "maybe".']),
        ("residency_rules: [{regions: [eu-*]}]", ['1:19: residency_rules[0]: the key "tag" is missing.']),
        ("required_tags: [env: 1]", ['1:22: required_tags[0].env: expected a text, found "1". Put it in quotes: "1".']),
        ('required_tags: [owner, env: "a("]', ['1:29: required_tags[1].env: "a(" is not a regular expression: '
                                               "missing ), unterminated subpattern at position 1."]),
        ("run: {}\nbaseline: x\nrun: {}", ['3:1: the key "run" stands here again; first in line 1.']),
        ("production:\n  tags:\n    env: [a]\n    env: [b]", [
            '4:5: the key "env" stands here again; first in line 3.']),
        ("rules:\n  table-pitr: {severity: low, severity: high}", [
            '2:31: the key "severity" stands here again; first in line 2.']),
        ("baseline: !!python/object:os.system x", ["1:11: the tag !!python/object:os.system is not allowed here."]),
        ("baseline: !!int abc", ["1:11: the tag !!int is not allowed here."]),
        ("baseline: !mine x", ["1:11: the tag !mine is not allowed here."]),
        ("? [a]\n: 1", ["1:3: a key must be a text."]),
        ("<<: {baseline: x}", ['1:1: unknown key "<<".']),
        ("sampling:\n  max_rcu: 0\n  valuess: true\nfoo: 1", [
            '2:12: sampling.max_rcu: expected a whole number >= 1, found "0".',
            '3:3: sampling: unknown key "valuess". Did you mean "values"?',
            '4:1: unknown key "foo".']),
        ("a: [", ["1:5: not YAML: "]),
        ("a: b\n---\nc: d", ["2:1: not YAML: but found another document"]),
        ("\tfoo: 1", ["1:1: not YAML: found character '\\t'"]),
        ("admin_roles: [*x]", ["1:15: not YAML: found undefined alias"]),
    ],
)  # fmt: skip
def test_a_problem_has_its_line_and_column(tmp_path: Path, text: str, problems: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        load(tmp_path, text)
    lines = error.value.message.splitlines()
    assert len(lines) == len(problems)
    for line, problem in zip(lines, problems, strict=True):
        assert line.startswith(f"{tmp_path}/f.yaml:{problem}")
    assert error.value.hint


@pytest.mark.parametrize("text", [b"\x00", b"a: \x07", b"max: " + b"9" * 9000, b"[" * 3000])
def test_odd_bytes_are_refused_and_not_a_defect(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(UsageError, match=r"f\.yaml"):
        load(tmp_path, text)


def test_a_file_that_is_no_text_is_refused_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"f\.yaml:2: not UTF-8"):
        load(tmp_path, b"baseline: x\n# \xff\n")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfbaseline: x").baseline == "x"


def test_words_are_what_they_look_like(tmp_path: Path) -> None:
    text = (
        "run: {pace: off, fail_on: none, quiet: True}\nabac_enabled: false\nbaseline: 2026-01-31\nadmin_roles: [on, no]"
    )
    read = load(tmp_path, text)
    assert (read.run.pace, read.run.fail_on, read.run.quiet) == ("off", "none", True)
    assert (read.abac_enabled, read.baseline, read.admin_roles) == (False, "2026-01-31", ("on", "no"))


def test_a_string_tag_is_as_good_as_quotes(tmp_path: Path) -> None:
    assert load(tmp_path, "accounts: {trusted: [!!str 222233334444]}").accounts.trusted == ("222233334444",)


def test_anchors_serve_and_a_cycle_does_no_harm(tmp_path: Path) -> None:
    read = load(tmp_path, "admin_roles: &roles [a, b]\npipeline_roles: *roles")
    assert read.admin_roles == read.pipeline_roles == ("a", "b")
    with pytest.raises(UsageError, match="expected a list, found keys and values"):
        load(tmp_path, "accounts: &a {trusted: *a}")


@pytest.mark.parametrize("name", [name for name in Config.__struct_fields__ if name not in ("run", "rules")])
def test_the_default_of_every_key_may_be_written_down(tmp_path: Path, name: str) -> None:
    written = msgspec.json.encode({name: msgspec.to_builtins(getattr(Config(), name))})
    assert load(tmp_path, written) == Config()


@pytest.mark.parametrize(
    ("patterns", "region", "allowed"),
    [
        ((), "eu-west-1", True),
        (("eu-*",), "eu-west-1", True),
        (("eu-*",), "us-east-1", False),
        (("eu-west-1", "us-*"), "us-east-1", True),
        (("EU-*",), "eu-west-1", False),
    ],
)
def test_allowed_regions_are_globs(patterns: tuple[str, ...], region: str, allowed: bool) -> None:
    assert Config(allowed_regions=patterns).region_allowed(region) is allowed


def test_only_what_is_near_is_suggested() -> None:
    assert suggest("tabel-pitr", ["table-pitr", "kms-key-usable"]) == ' Did you mean "table-pitr"?'
    assert suggest("EU-WEST-1", ["eu-west-1"]) == ' Did you mean "eu-west-1"?'
    assert suggest("zzz", ["table-pitr"]) == ""

"""What deploys the function: templates as CloudFormation takes them, and a package that works on its own."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import boto3
import cfnlint.api
import pytest
import yaml

from auditor import packs, permissions
from auditor.config_rule import template
from auditor.config_rule.package import build, made_for
from auditor.config_rule.selection import select
from auditor.config_rule.template import Chosen
from auditor.errors import UsageError

ALL = packs.built_in()
#: Actions that AWS has and the linter's list does not yet.
YOUNG = ("describebulkoperation", "listbulkoperations", "startbulkputitems")


def some(*include: str, **more: Any) -> Chosen:
    return Chosen(packs.select(ALL, include), include, **more)


def statements(resources: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = resources["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return found


@pytest.mark.parametrize("kind", template.KINDS)
@pytest.mark.parametrize(
    "chosen", [Chosen(ALL), some("table-pitr"), some("iam-*", parameters={"excludeTables": "x-*"})]
)
def test_every_template_is_clean(kind: str, chosen: Chosen) -> None:
    text = template.as_yaml(template.KINDS[kind](chosen))
    wrong = [
        str(one)
        for one in cfnlint.api.lint_all(text)
        if one.rule.id[0] in "EW"  # errors and warnings; what only informs is a matter of taste
        and not (one.rule.id == "W3037" and any(f"'{young}'" in one.message for young in YOUNG))
    ]
    assert wrong == []
    assert "&id" not in text


@pytest.mark.parametrize("chosen", [Chosen(ALL), some("table-pitr")])
def test_the_role_may_what_the_rules_need_and_what_is_told_and_no_more(chosen: Chosen) -> None:
    needed = permissions.policy(chosen.rules.values())["Statement"]
    role = statements(template.account(chosen)["Resources"])
    assert [one for one in role if one in needed] == needed
    others = {action for one in role if one not in needed for action in one["Action"]}
    assert others == {
        "config:PutEvaluations",
        "config:GetComplianceDetailsByConfigRule",
        "config:GetResourceConfigHistory",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:SendMessage",
    }
    assert not [one for one in role if one["Effect"] == "Allow" and "*" in "".join(one["Action"])]


def test_a_central_function_may_only_take_roles_and_the_members_role_reads() -> None:
    central = statements(template.organization(Chosen(ALL))["Resources"])
    assert [one["Sid"] for one in central] == ["Logs", "DeadLetters", "TakeTheRoleOfMembers"]
    member = statements(template.member_role(Chosen(ALL))["Resources"])
    assert member[: len(member) - 2] == permissions.policy(ALL.values())["Statement"]
    assert [one["Sid"] for one in member[-2:]] == ["TellConfig", "ReadResultsAndItems"]


def test_changes_ask_what_is_cheap_and_the_clock_asks_the_rest() -> None:
    resources = template.account(Chosen(ALL))["Resources"]
    changes, clock = (resources[name]["Properties"] for name in ("RuleOnChanges", "RuleOnSchedule"))
    assert changes["Scope"] == {"ComplianceResourceTypes": ["AWS::DynamoDB::Table"]}
    assert {one["MessageType"] for one in changes["Source"]["SourceDetails"]} == {
        "ConfigurationItemChangeNotification",
        "OversizedConfigurationItemChangeNotification",
        "ScheduledNotification",
    }
    assert [one["MessageType"] for one in clock["Source"]["SourceDetails"]] == ["ScheduledNotification"]
    here = Path("not-there")
    asked = [set(select(one["InputParameters"], here).rules) for one in (changes, clock)]
    assert asked[0] | asked[1] == set(ALL)
    assert not asked[0] & asked[1]
    assert resources["Permission"]["Properties"]["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert {resources[name]["DependsOn"] for name in ("RuleOnChanges", "RuleOnSchedule")} == {"Permission"}


def test_a_rule_without_anything_to_ask_is_not_made() -> None:
    assert "RuleOnSchedule" not in template.account(some("table-pitr"))["Resources"]
    assert "RuleOnChanges" not in template.account(some("iam-*"))["Resources"]
    assert "RuleOnChanges" not in template.organization(some("iam-*"))["Resources"]


def test_parameters_of_an_organisations_rule_are_what_the_function_reads() -> None:
    chosen = some("iam-*", "table-pitr", parameters={"excludeTables": "${x}*"})
    rule = template.organization(chosen)["Resources"]["RuleOnSchedule"]
    text = rule["Properties"]["OrganizationCustomRuleMetadata"]["InputParameters"]["Fn::Sub"]
    told = re.sub(r"\$\{MemberRoleName\}", "reader", text).replace("${!", "${")
    read = select(json.loads(told), Path("not-there"))
    assert (read.role_name, read.excluded) == ("reader", ("${x}*",))
    assert set(read.rules) == {one for one in ALL if one.startswith("iam-")}


def test_parameters_that_are_too_long_are_refused() -> None:
    with pytest.raises(UsageError, match="takes 1024"):
        template.account(some("table-*", parameters={"excludeTables": "x" * 1100}))


@pytest.fixture(scope="module")
def zipped() -> bytes:
    return build()


def test_the_package_is_small_and_always_the_same(zipped: bytes) -> None:
    assert build() == zipped
    assert len(zipped) < 2_000_000
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert "auditor/config_rule/__init__.py" in names
    assert not [one for one in names if re.search(r"__pycache__|^auditor/cli|demo|click|jinja2|rich|boto", one)]
    assert made_for(zipped)[0] == f"python3.{sys.version_info.minor}"


def test_the_package_works_on_its_own_with_lambdas_boto3(zipped: bytes, tmp_path: Path) -> None:
    (tmp_path / "function").mkdir()
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        archive.extractall(tmp_path / "function")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    site = Path(boto3.__file__).parents[1]
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3"):
        (runtime / name).symlink_to(site / name)
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path / 'function')!r}, {str(runtime)!r}]\n"
        "from auditor.config_rule import handler\nfrom auditor import packs\n"
        "print(len(packs.built_in()), [one for one in ('click', 'jinja2', 'rich') if one in sys.modules])\n"
        "try:\n    handler({})\nexcept Exception as error:\n    print(type(error).__name__, error.message)\n"
    )
    told = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    first, second = told.stdout.splitlines()
    assert first == f"{len(ALL)} []"
    assert second.startswith("UsageError the event has no")


def test_settings_and_the_acceptance_file_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("baseline: accepted/all.yaml\n")
    with pytest.raises(UsageError, match=r"all\.yaml: cannot be read"):
        build(tmp_path / "my.yaml")
    (tmp_path / "accepted").mkdir()
    (tmp_path / "accepted/all.yaml").write_text("version: 1\naccept: []\n")
    with zipfile.ZipFile(io.BytesIO(build(tmp_path / "my.yaml"))) as archive:
        assert archive.read("ddbaudit.yaml") == b"baseline: accepted/all.yaml\n"
        assert archive.read("accepted/all.yaml") == b"version: 1\naccept: []\n"
    (tmp_path / "my.yaml").write_text("baseline: ../all.yaml\n")
    with pytest.raises(UsageError, match="beside or below"):
        build(tmp_path / "my.yaml")


def test_libraries_of_another_machine_are_taken_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no msgspec and no PyYAML"):
        build(libraries=tmp_path)
    for name in ("msgspec", "yaml"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.cpython-313-aarch64-linux-gnu.so").write_bytes(b"elf")
    assert made_for(build(libraries=tmp_path)) == ("python3.13", "arm64")
    (tmp_path / "yaml" / "y.cpython-312-x86_64-linux-gnu.so").write_bytes(b"elf")
    with pytest.raises(UsageError, match=r"python3\.12 x86_64, python3\.13 arm64"):
        made_for(build(libraries=tmp_path))
    (tmp_path / "yaml" / "z.cp313-win_amd64.pyd").write_bytes(b"pe")
    with pytest.raises(UsageError, match="not made for Linux"):
        build(libraries=tmp_path)


def test_templates_are_yaml_that_says_the_same() -> None:
    made = template.account(Chosen(ALL))
    assert yaml.safe_load(template.as_yaml(made)) == made

"""What is true of every built-in rule, and of the facts that it rests on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore import xform_name

from auditor import engine, packs
from auditor.engine import judge
from auditor.facts import Gap, Reason
from auditor.facts.base import RAW, subject
from auditor.inventory import Inventory
from auditor.packs import Rules
from auditor.render import rule_page
from auditor.report import Finding
from auditor.resources import Region, Resource, ancestor
from auditor.rule_api import Rule, Status
from auditor.wording import PRACTICES
from tests import example

RULES = packs.built_in()
MISSING = Gap(Reason.ACCESS_DENIED, "Not allowed.", "aws:Nothing")

every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))


@every_rule
def test_it_proves_a_practice_and_says_where_its_facts_come_from(rule: Rule) -> None:
    assert rule.practices
    assert set(rule.practices) <= set(PRACTICES)
    assert rule.references
    assert all(one.startswith("https://docs.aws.amazon.com/") for one in rule.references)


@every_rule
def test_its_title_is_a_sentence_and_its_description_is_more(rule: Rule) -> None:
    assert re.fullmatch(r"[A-Z].*\w\.", rule.title)
    assert len(rule.description.split()) > 30


@every_rule
def test_its_page_renders_with_its_settings_and_calls(rule: Rule) -> None:
    page = rule_page(rule)
    assert page.startswith(f"# {rule.id}\n")
    assert all(f"| `{setting.name}` |" in page for setting in rule.settings)
    assert re.search(r"^- `[a-z0-9]+:[A-Z]\w+`$", page, re.MULTILINE)


@every_rule
def test_its_test_expects_a_pass_and_a_fail(rule: Rule) -> None:
    name = rule.id.replace("-", "_")
    assert Path(rule.source).parts[-2:] == (rule.domain, f"{name}.py")
    text = (Path(__file__).parent / "rules" / rule.domain / f"test_{name}.py").read_text(encoding="utf-8")
    assert re.search(r"\bPASS\b", text)
    assert re.search(r"\bFAIL\b", text)


#: Options that the AWS CLI has besides the members of the operation's input (AWS CLI Command Reference).
CLI_ONLY = {"put-configuration-recorder": {"recording-group"}, "subscribe": {"notification-endpoint"}}


def commands(text: str) -> Iterator[list[str]]:
    """Yield the commands of a remediation as words."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield shlex.split(line)


@every_rule
def test_its_cli_commands_name_real_operations_and_options(rule: Rule) -> None:
    loader = botocore.session.get_session()
    found = list(commands(rule.remediation.cli))
    assert found
    for command in found:
        assert command[0] == "aws"
        service = loader.get_service_model({"configservice": "config", "s3api": "s3"}.get(command[1], command[1]))
        operations = {xform_name(one, "-"): one for one in service.operation_names}
        assert command[2] in operations, " ".join(command)
        shape = service.operation_model(operations[command[2]]).input_shape
        members = {xform_name(name, "-"): member for name, member in shape.members.items()} if shape else {}
        flags = {f"no-{name}" for name, member in members.items() if member.type_name == "boolean"}
        given = {word.removeprefix("--") for word in command[3:] if word.startswith("--")}
        assert given <= {*members, *flags, "region", *CLI_ONLY.get(command[2], ())}, " ".join(command)
        required = {xform_name(name, "-") for name in shape.required_members} if shape else set()
        assert required <= given, f"{' '.join(command)}: {sorted(required - given)} is missing"


class Template(yaml.SafeLoader):
    """Reads CloudFormation's short forms as plain values."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    del suffix
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


Template.add_multi_constructor("!", _short_form)


@every_rule
def test_its_templates_have_the_form_of_their_languages(rule: Rule) -> None:
    template = yaml.load(rule.remediation.cloudformation, Template)  # noqa: S506 - a safe loader
    assert template["Resources"]
    for resource in template["Resources"].values():
        assert re.fullmatch(r"AWS::\w+::\w+", resource["Type"])
    terraform = rule.remediation.terraform
    assert re.search(r'^(resource "aws_\w+" "\w+"|provider "aws") \{$', terraform, re.MULTILINE)
    assert terraform.count("{") == terraform.count("}")


def without(inventory: Inventory, fact_type: type) -> Inventory:
    """Return what would be known had every fact of a type been refused: what only these name is not known either."""
    made = Inventory(inventory.caller, inventory.scopes)
    by_resource: dict[Resource, list[tuple[type, Any]]] = {}
    for held_type, held in inventory.facts.items():
        for resource, value in held.items():
            by_resource.setdefault(resource, []).append((held_type, MISSING if held_type is fact_type else value))
    while new := set(made.everything()) & set(by_resource):
        for resource in new:
            for held_type, value in by_resource.pop(resource):
                if isinstance(value, Gap):
                    made.put_gap(resource, held_type, value)
                else:
                    made.put(resource, value)
    return made


def by_key(rules: Rules, inventory: Inventory) -> dict[tuple[str, str, str | None], Finding]:
    findings = judge(inventory, rules, example.settings()).findings
    return {(one.rule, one.resource.arn, one.sub_key): one for one in findings}


def raw_facts() -> list[type]:
    """Return the facts that calls bring."""
    wanted = {fact_type for fact_type, _ in engine.wanted(RULES.values()) if RAW[fact_type].operations}
    return sorted(wanted, key=lambda one: one.__name__)


@pytest.mark.parametrize("fact_type", raw_facts(), ids=lambda one: one.__name__)
def test_a_missing_fact_turns_verdicts_unknown_and_never_into_another_one(fact_type: type) -> None:
    inventory = example.inventory()
    lacking = without(inventory, fact_type)
    before, after = by_key(RULES, inventory), by_key(RULES, lacking)
    unknown = {(one.rule, one.resource) for one in after.values() if one.status is Status.UNKNOWN}
    for key, finding in before.items():
        now = after.get(key)
        if now is None:
            # Nothing names the resource any more; then the rule says so on what would have.
            other = type(finding.resource) not in RULES[finding.rule].signature.kinds
            assert finding.resource not in lacking.everything() or isinstance(finding.resource, Region) or other, key
            assert any((finding.rule, one) in unknown for one in inventory.facts[fact_type]), key
        elif now.status is not finding.status:
            assert now.status is Status.UNKNOWN, f"{key}: {finding.status} became {now.status}"
            assert now.missing_permission == "aws:Nothing", now


@every_rule
def test_no_verdict_is_reached_without_a_fact_that_the_rule_insists_on(rule: Rule) -> None:
    inventory = example.inventory()
    for need in rule.signature.needs:
        if need.optional or need.fact not in RAW:
            continue
        for finding in by_key({rule.id: rule}, without(inventory, need.fact)).values():
            kind = subject(need.fact, type(finding.resource))
            held = kind is not None and ancestor(finding.resource, kind) in inventory.facts[need.fact]
            if held and not isinstance(finding.resource, Region):
                assert finding.status is Status.UNKNOWN, finding


def test_the_example_organisation_has_every_raw_fact() -> None:
    # Otherwise the two tests above would say nothing about it.
    held = example.inventory().facts
    assert [fact_type.__name__ for fact_type in raw_facts() if not held.get(fact_type)] == []

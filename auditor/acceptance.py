"""The acceptance file: findings that somebody accepts, why, who and until when.

An entry names rules and resources by their ids and ARNs or by globs on them (``*``, ``?``, ``[...]``, case-sensitive,
as :mod:`fnmatch` has them). It accepts failures and doubts until its last day; from then on they count again.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from auditor import packs
from auditor.config import Problem, Text, read
from auditor.errors import UsageError
from auditor.inventory import Scope
from auditor.report import Acceptance, AcceptanceUse, Finding
from auditor.resources import Resource
from auditor.rule_api import Status

#: The default name of the file.
FILE_NAME = "ddbaudit-baseline.yaml"

#: How far ahead the end of an entry may be, in days, and how long a reason must be, in characters.
MOST_DAYS, LEAST_REASON = 366, 10

_HINT = "`ddbaudit baseline create REPORT.json` writes such a file from a report."

# An entry that matches all of these accepts everything: they have nothing in common but that they are ARNs.
_ANY_RESOURCE = (
    "arn:aws:dynamodb:eu-west-1:111122223333:table/orders",
    "arn:aws-cn:kms:cn-north-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "arn:aws-us-gov:iam::777788889999:root",
    "arn:aws:s3:::exports",
    "arn:aws:dynamodb:ap-southeast-2:999900001111:*",
    "arn:aws:cognito-identity:us-east-1:222233334444:identitypool/us-east-1:0a1b2c3d-0000-4000-8000-000000000001",
)
_ANY_PART = ("role/app", "1", "a b", "arn:aws:iam::111122223333:user/me", "Ünï")


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry as it stands in the file."""

    rule: Text | tuple[Text, ...]
    resource: Text
    reason: Text
    by: Text
    until: Text
    sub_key: Text | None = msgspec.field(default=None, name="subKey")
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    ticket: Text | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    version: Literal[1]
    accept: tuple[_Entry, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What an entry is held against: a failure or a doubt.

    Attributes:
        rule: Id of the rule.
        resource: ARN of what the finding is about.
        tags: The resource's tags; None: unknown.
    """

    rule: str
    resource: str
    sub_key: str | None
    tags: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the file.

    Attributes:
        rules: Ids or globs.
        resource: ARN or glob.
        sub_key: A part or a glob; None: any part and the whole.
        tags: Tags that the resource must have.
        acceptance: Why, who, until when.
        line: Where it starts in the file, from 1.
    """

    rules: tuple[str, ...]
    resource: str
    sub_key: str | None
    tags: Mapping[str, str]
    acceptance: Acceptance
    line: int
    _matches_rule: Callable[[str], bool] = field(repr=False)
    _matches_resource: Callable[[str], bool] = field(repr=False)
    _matches_part: Callable[[str], bool] = field(repr=False)

    def matches(self, one: Candidate) -> bool:
        """Tell whether the entry accepts this, its last day aside."""
        if not self._matches_rule(one.rule) or not self._matches_resource(one.resource):
            return False
        if self.sub_key is not None and (one.sub_key is None or not self._matches_part(one.sub_key)):
            return False
        held = one.tags or {}
        return all(held.get(key) == value for key, value in self.tags.items())

    def could_match(self, rules: AbstractSet[str], places: AbstractSet[tuple[str, str]]) -> bool:
        """Tell whether something that was not looked at may be what the entry is for.

        Args:
            rules: Ids of the rules that ran.
            places: Account number and region code of each audited region.
        """
        if any(self._matches_rule(one) for one in packs.built_in().keys() - rules):
            return True
        parts = self.resource.split(":", 5)
        if len(parts) < 6 or not parts[4]:
            return False
        accounts, regions = _matcher((parts[4],)), _matcher((parts[3],))
        return not any(accounts(account) and (not parts[3] or regions(region)) for account, region in places)


@dataclass(frozen=True, slots=True)
class AcceptanceFile:
    """An acceptance file.

    Attributes:
        name: Its path as it was given.
        entries: In their order.
    """

    name: str
    entries: tuple[Entry, ...]

    def apply(
        self,
        findings: Sequence[Finding],
        tags: Mapping[Resource, Mapping[str, str]],
        today: date,
        *,
        rules: AbstractSet[str],
        scopes: Sequence[Scope],
        whole: bool,
    ) -> tuple[tuple[Finding, ...], tuple[AcceptanceUse, ...]]:
        """Return the findings with what accepts them, and what each entry did.

        Of several entries that match, the first that has not expired counts; where all have, the first.

        Args:
            findings: All findings; only failures and doubts can be accepted.
            tags: Tags, where known.
            today: The day of the run (UTC).
            rules: Ids of the rules that ran.
            scopes: What was audited.
            whole: The run was not interrupted.
        """
        candidates = (
            Candidate(one.rule, one.resource.arn, one.sub_key, tags.get(one.resource))
            if one.status in (Status.FAIL, Status.UNKNOWN)
            else None
            for one in findings
        )
        places = {(scope.account.id, region.name) for scope in scopes for region in scope.regions}
        accepted, uses = self.match(candidates, today, rules=rules, places=places, whole=whole)
        told = tuple(
            finding if acceptance is None else replace(finding, acceptance=acceptance)
            for finding, acceptance in zip(findings, accepted, strict=True)
        )
        return told, uses

    def match(
        self,
        candidates: Iterable[Candidate | None],
        today: date,
        *,
        rules: AbstractSet[str],
        places: AbstractSet[tuple[str, str]],
        whole: bool,
    ) -> tuple[list[Acceptance | None], tuple[AcceptanceUse, ...]]:
        """Return what accepts each candidate (None: nothing, or it is None itself), and what each entry did.

        Args: see :meth:`apply`; ``places`` has account number and region code of each audited region.
        """
        told = [replace(one.acceptance, expired=today > one.acceptance.until) for one in self.entries]
        # `baseline create` writes an ARN for each finding: such entries are looked up, only globs are tried in turn.
        exact: dict[str, list[int]] = {}
        globs: list[int] = []
        for index, entry in enumerate(self.entries):
            arn = literal(entry.resource)
            if arn is None:
                globs.append(index)
            else:
                exact.setdefault(arn, []).append(index)
        counted = [0] * len(self.entries)
        accepted: list[Acceptance | None] = []
        for one in candidates:
            found: Acceptance | None = None
            if one is not None:
                for index in sorted([*exact.get(one.resource, ()), *globs]):
                    if self.entries[index].matches(one):
                        counted[index] += 1
                        if found is None or (found.expired and not told[index].expired):
                            found = told[index]
            accepted.append(found)
        uses = tuple(
            AcceptanceUse(
                entry.rules,
                entry.resource,
                entry.sub_key,
                entry.tags,
                acceptance,
                entry.line,
                number,
                could_match=not number and (not whole or entry.could_match(rules, places)),
            )
            for entry, acceptance, number in zip(self.entries, told, counted, strict=True)
        )
        return accepted, uses


def load(path: Path, today: date) -> AcceptanceFile:
    """Read an acceptance file.

    Args:
        path: The file.
        today: The day from which the farthest end counts (UTC).

    Raises:
        UsageError: the file cannot be read, is not YAML, or has something wrong in it; the message has a line for
            each with ``file:line:column``.
    """

    def oddities(root: yaml.Node) -> Iterator[Problem]:
        return _oddities(root, today)

    file, root = read(path, _File, oddities, _HINT, "Name the file of accepted findings.")
    if file is None:
        raise UsageError(f"{path}: is empty.", _HINT)
    lines = [node.start_mark.line + 1 for node in _entry_nodes(root)]
    return AcceptanceFile(str(path), tuple(_entry(one, line) for one, line in zip(file.accept, lines, strict=True)))


def check_end(text: str, today: date) -> date:
    """Return the last day of an entry.

    Raises:
        ValueError: it is no date, or too far ahead; the text says so.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(f'expected a date such as {today.isoformat()}, found "{text}".')
    try:
        end = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f'there is no day "{text}".') from None
    if end > today + timedelta(days=MOST_DAYS):
        latest = today + timedelta(days=MOST_DAYS)
        raise ValueError(f"{text} is more than {MOST_DAYS} days ahead; the latest is {latest.isoformat()}.")
    return end


def check_reason(text: str) -> str:
    """Return a reason.

    Raises:
        ValueError: it is too short to be one.
    """
    if len(text.strip()) < LEAST_REASON:
        raise ValueError(f'expected a reason of at least {LEAST_REASON} characters, found "{text}".')
    return text


def escaped(text: str) -> str:
    """Return the glob that matches exactly this text."""
    return re.sub(r"[*?[]", r"[\g<0>]", text)


def _entry(one: _Entry, line: int) -> Entry:
    rules = (one.rule,) if isinstance(one.rule, str) else one.rule
    return Entry(
        rules,
        one.resource,
        one.sub_key,
        one.tags,
        Acceptance(one.reason, one.by, date.fromisoformat(one.until), one.ticket),
        line,
        _matcher(rules),
        _matcher((one.resource,)),
        _matcher((one.sub_key,) if one.sub_key is not None else ()),
    )


def literal(pattern: str) -> str | None:
    """Return the only text that a glob matches, or None if there may be several."""
    text = re.sub(r"\[([*?[])\]", r"\1", pattern)
    bare = re.sub(r"\[[*?[]\]", "", pattern)
    return None if re.search(r"[*?]|\[.*\]", bare, re.DOTALL) else text


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that tells whether one of the globs matches a text."""
    literals = {text for text in map(literal, patterns) if text is not None}
    globs = [re.compile(fnmatch.translate(one)) for one in patterns if literal(one) is None]
    return lambda text: text in literals or any(glob.match(text) for glob in globs)


def _entry_nodes(root: yaml.Node | None) -> list[yaml.Node]:
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next((value.value for key, value in pairs if key.value == "accept" and isinstance(value.value, list)), [])


def _oddities(root: yaml.Node, today: date) -> Iterator[Problem]:
    """Yield what is wrong in entries besides keys and types."""
    for index, entry in enumerate(_entry_nodes(root)):
        if not isinstance(entry, yaml.MappingNode):
            continue
        held = {key.value: value for key, value in entry.value}

        def problem(name: str, text: str, at: yaml.Node, index: int = index) -> Problem:
            return Problem(at.start_mark.line + 1, at.start_mark.column + 1, f"accept[{index}].{name}: {text}")

        for name, check in (("reason", check_reason), ("until", lambda text: check_end(text, today))):
            node = held.get(name)
            if isinstance(node, yaml.ScalarNode) and node.value:
                try:
                    check(node.value)
                except ValueError as error:
                    yield problem(name, str(error), node)
        if isinstance(held.get("rule"), yaml.SequenceNode) and not held["rule"].value:
            yield problem("rule", "no rule is named.", held["rule"])
        if _accepts_everything(held):
            yield problem(
                "resource",
                "this entry accepts everything: every rule on every resource. Name rules, resources or tags.",
                held["resource"],
            )


def _accepts_everything(held: Mapping[str, yaml.Node]) -> bool:
    rule, resource, part = held.get("rule"), held.get("resource"), held.get("subKey")
    tags = held.get("tags")
    if rule is None or not isinstance(resource, yaml.ScalarNode) or (tags is not None and tags.value):
        return False
    if isinstance(part, yaml.ScalarNode) and not all(map(_matcher((part.value,)), _ANY_PART)):
        return False
    nodes = rule.value if isinstance(rule, yaml.SequenceNode) else [rule]
    patterns = [node.value for node in nodes if isinstance(node, yaml.ScalarNode)]
    everywhere = all(map(_matcher((resource.value,)), _ANY_RESOURCE))
    return everywhere and all(map(_matcher(patterns), packs.built_in()))

"""JUnit XML: every finding a test case, for the pages on which CI servers show test results.

The file keeps to what all readers take; the strictest is the XSD of Jenkins' xUnit plugin (properties only under
a suite, no attributes of its own). GitLab ignores a second case of the same name, so names are unique.

============================  ==================================================================================
finding                       test case
============================  ==================================================================================
pass                          passed
fail                          failure, its type the severity
unknown                       error
accepted (failed or unknown)  skipped, with reason, owner and end; once that has expired: failure or error again
not applicable                skipped
============================  ==================================================================================

Cases of an account's region are a suite. The first suite, ``ddbaudit``, is about the run itself: its properties say
how the run came about and how many findings there are. It has a case of its own only when the run is incomplete
without a finding that says so, when there are no findings at all (a file without cases counts as broken in Jenkins),
and when something was left out.

GitLab refuses files above 30 MB or 250,000 objects. What is beyond that is left out: first what does not apply, next
the passes, next the details of each finding, and last the findings that are least severe, accepted ones before all
others. The JSON report has all of it.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from xml.etree import ElementTree as ET

from auditor.formats.bounds import CUT, clean, cut, line
from auditor.overview import failed_calls
from auditor.placeholders import filled
from auditor.report import Acceptance, Finding, Report, exit_line, utc
from auditor.resources import Account, Region, account_of, region_of
from auditor.rule_api import Rule, Status
from auditor.wording import GLOBAL, REASONS

#: Bytes and objects (elements, attributes and texts) of a file; GitLab takes 30 MB and 250,000.
MOST_BYTES, MOST_OBJECTS = 28_000_000, 240_000

#: UTF-16 code units of a name, of a message (the text below it has all of that) and of a text without details.
_NAME, _MESSAGE, _SHORT = 400, 500, 300

#: Failed calls that the case of an incomplete run names.
_CALLS = 20

#: What XML 1.0 has no way to write, besides what :func:`line` escapes.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_log = logging.getLogger(__name__)


def render(report: Report) -> str:
    """Return junit.xml. A warning in the log says what was left out."""
    cases = _Cases(report)
    suites: dict[tuple[str, str], list[ET.Element]] = {
        (scope.account.id, region.name): [] for scope in report.scopes for region in scope.regions
    }
    for finding, case in cases.chosen:
        suites.setdefault(_place(finding), []).append(case)
    root = ET.Element("testsuites", name="ddbaudit")
    root.append(_run_suite(report, cases))
    names = {scope.account.id: scope.name for scope in report.scopes}
    for (account, region), here in sorted(suites.items()):
        properties = {"account": account, "accountName": names.get(account, ""), "region": region}
        root.append(_suite(report, f"{account}/{region}", properties, here))
    for number, suite in enumerate(root):
        suite.set("id", str(number))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "")) for suite in root)))
    root.set("time", f"{max((report.run.finished - report.run.started).total_seconds(), 0):.3f}")
    if cases.left_out:
        _log.warning("junit.xml: %s The JSON report has all of it.", cases.left_out)
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


class _Size(NamedTuple):
    """How much room something takes.

    Attributes:
        bytes: In UTF-8; never fewer than there will be.
        objects: Elements, attributes and texts.
    """

    bytes: int
    objects: int

    @classmethod
    def of(cls, element: ET.Element) -> _Size:
        size, objects = 0, 0
        for one in element.iter():
            texts = [*one.attrib.values(), one.text or ""]
            # Tag, names of attributes, quotes and indentation.
            size += 2 * len(one.tag) + 20 + sum(len(name) + 4 for name in one.attrib) + sum(map(_bytes, texts))
            objects += 1 + len(one.attrib) + bool(one.text)
        return cls(size, objects)

    def plus(self, other: _Size) -> _Size:
        return _Size(self.bytes + other.bytes, self.objects + other.objects)

    @property
    def fits(self) -> bool:
        return self.bytes <= MOST_BYTES and self.objects <= MOST_OBJECTS


def _bytes(text: str) -> int:
    """Return a text's length in UTF-8, the references included that XML needs: the longest has six characters."""
    return len(text.encode()) + 5 * sum(text.count(char) for char in '&<>"\n')


class _Cases:
    """Makes test cases, as many and as long as there is room for.

    Attributes:
        chosen: Findings with their cases, in the report's order.
        left_out: What was left out, in sentences; empty: nothing.
        lost: Among what was left out are failures or doubts that nobody accepts.
    """

    def __init__(self, report: Report) -> None:
        self.left_out, self.lost = "", False
        self._rules = {rule.id: rule for rule in report.rules}
        self._names: set[str] = set()
        groups: dict[str, list[Finding]] = {"open": [], "accepted": [], "pass": [], "not_applicable": []}
        for finding in sorted(report.findings, key=lambda one: one.sort_key):
            doubtful = finding.status in (Status.FAIL, Status.UNKNOWN)
            groups["accepted" if finding.accepted else "open" if doubtful else finding.status.value].append(finding)
        # The suites themselves, and the first one with its own cases.
        places = {_place(finding) for finding in report.findings} | {
            (scope.account.id, region.name) for scope in report.scopes for region in scope.regions
        }
        names = max((_bytes(line(scope.name)) for scope in report.scopes), default=0)
        taken = _Size(50_000 + len(places) * (700 + names), 200 + len(places) * 25)
        chosen = self._choose([*groups["open"], *groups["accepted"]], taken, groups)
        self.chosen = sorted(chosen, key=lambda one: one[0].sort_key)

    def _choose(
        self, told: list[Finding], taken: _Size, groups: dict[str, list[Finding]]
    ) -> list[tuple[Finding, ET.Element]]:
        chosen, size = self._take(told, taken, details=True)
        if len(chosen) == len(told):
            for status in ("pass", "not_applicable"):
                more, size = self._take(groups[status], size, details=True)
                if len(more) < len(groups[status]):
                    break
                chosen += more
                groups[status] = []
            self._say(groups["pass"], groups["not_applicable"], [])
            return chosen
        self._names.clear()
        chosen, _ = self._take(told, taken, details=False)
        self._say(groups["pass"], groups["not_applicable"], told[len(chosen) :], shortened=len(chosen))
        return chosen

    def _take(
        self, findings: list[Finding], size: _Size, *, details: bool
    ) -> tuple[list[tuple[Finding, ET.Element]], _Size]:
        """Return the first findings for which there is room, and how much is taken then."""
        chosen = []
        for finding in findings:
            case = self._case(finding, details=details)
            size = size.plus(_Size.of(case))
            if not size.fits:
                break
            chosen.append((finding, case))
        return chosen, size

    def _say(
        self, passes: list[Finding], not_applicable: list[Finding], told: list[Finding], *, shortened: int = 0
    ) -> None:
        missing = Counter(
            "accepted" if one.accepted else "unknown" if one.status is Status.UNKNOWN else one.severity.label
            for one in told
        )
        parts = [
            *(f"{number:,} {kind}{'' if kind in ('accepted', 'unknown') else ' failures'}"
              for kind, number in missing.items()),
            *([f"{len(passes):,} passes"] if passes else []),
            *([f"{len(not_applicable):,} that do not apply"] if not_applicable else []),
        ]  # fmt: skip
        self.lost = any(not one.accepted for one in told)
        if parts:
            self.left_out = f"To keep below GitLab's limits, findings are left out: {', '.join(parts)}."
        if shortened:
            self.left_out += f" The other {shortened:,} stand without evidence and remediation."

    def _case(self, finding: Finding, *, details: bool) -> ET.Element:
        rule = self._rules[finding.rule]
        case = _testcase(_class_name(finding), self._name(finding, rule))
        if finding.status is Status.PASS:
            return case
        text = "\n".join(_text(finding, rule) if details else _brief(finding))
        if finding.accepted and finding.acceptance is not None:
            kind, about, message = "skipped", "accepted", _accepted(finding.acceptance)
        elif finding.status is Status.NOT_APPLICABLE:
            kind, about, message = "skipped", "not_applicable", finding.message
        elif finding.status is Status.FAIL:
            kind, about, message = "failure", finding.severity.label, finding.message
        else:
            kind, about, message = "error", "unknown", finding.message
        _outcome(case, kind, about, message, text)
        return case

    def _name(self, finding: Finding, rule: Rule) -> str:
        """Return a name that no other case has."""
        resource = finding.resource
        key = f", {finding.sub_key}" if finding.sub_key is not None else ""
        name = cut(
            _legal(
                f"[{finding.severity.name}] {rule.id} {rule.title.rstrip('.')}: {resource.noun} {resource.label}{key} "
                f"({'/'.join(_place(finding))})"
            ),
            _NAME,
        )
        if name in self._names:
            name = f"{name} {finding.id[:16]}"
        wanted, number = name, 1
        while name in self._names:  # a rule pack that says the same twice
            number += 1
            name = f"{wanted} ({number})"
        self._names.add(name)
        return name


def _run_suite(report: Report, cases: _Cases) -> ET.Element:
    """Return the suite about the run: its properties, and cases for what no finding says."""
    gate = report.gate
    properties = {
        "version": report.version,
        "runId": report.run.id,
        "source": report.run.source,
        "startedAt": utc(report.run.started),
        "finishedAt": utc(report.run.finished),
        "complete": "true" if report.complete else "false",
        "failOn": gate.fail_on.label if gate.fail_on is not None else "none",
        "exitCode": str(gate.exit_code),
        **{status: str(number) for status, number in report.by_status.items()},
        "accepted": str(report.accepted),
        **({"leftOut": cases.left_out} if cases.left_out else {}),
    }
    own = []
    if not report.findings or not (report.complete or report.open_unknown):
        case = _testcase("ddbaudit.run", "The audit is complete")
        if not report.complete:
            _outcome(case, "error", "incomplete", "Not everything could be read.", "\n".join(_failed_calls(report)))
        own.append(case)
    if cases.left_out:
        case = _testcase("ddbaudit.run", "This file has all findings, with their details")
        text = f"{cases.left_out}\nThe JSON report (report.json) has all of it."
        _outcome(case, "error" if cases.lost else "skipped", "left_out", cases.left_out, text)
        own.append(case)
    suite = _suite(report, "ddbaudit", properties, own)
    told = "\n".join(one for one in (exit_line(report), cases.left_out) if one)
    ET.SubElement(suite, "system-out").text = _legal_lines(told)
    return suite


def _suite(report: Report, name: str, properties: dict[str, str], cases: Iterable[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", name=_legal(name))
    cases = list(cases)
    outcomes = Counter(child.tag for case in cases for child in case)
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(outcomes[tag]))
    suite.set("time", "0.000")
    # JUnit's time stamps have no zone; this is UTC, as everywhere in reports.
    suite.set("timestamp", utc(report.run.started).removesuffix("Z"))
    held = ET.SubElement(suite, "properties")
    for key, value in properties.items():
        ET.SubElement(held, "property", name=key, value=_legal(value))
    suite.extend(cases)
    return suite


def _testcase(class_name: str, name: str) -> ET.Element:
    # A rule takes no time that is worth telling; some readers want the attribute.
    return ET.Element("testcase", classname=class_name, name=name, time="0.000")


def _outcome(case: ET.Element, kind: str, about: str, message: str, text: str) -> None:
    # Jenkins shows the message, GitLab only the text: both say it.
    outcome = ET.SubElement(case, kind, type=about, message=cut(_legal(message), _MESSAGE))
    outcome.text = _legal_lines(text)


def _text(finding: Finding, rule: Rule) -> Iterator[str]:
    """Return what there is to say about a finding that did not pass, line by line."""
    if finding.accepted and finding.acceptance is not None:
        yield _accepted(finding.acceptance)
        yield f"What is accepted ({finding.status.value}): {line(finding.message)}"
    else:
        yield line(finding.message)
    yield ""
    yield f"Resource: {line(finding.resource.arn)}"
    if finding.sub_key is not None:
        yield f"Part: {line(finding.sub_key)}"
    yield f"Rule: {rule.id}: {line(rule.title)}"
    yield f"Severity: {finding.severity.label}"
    if finding.reason is not None:
        action = f": {line(finding.missing_permission)}" if finding.missing_permission else ""
        yield f"Reason: {REASONS.get(finding.reason, line(finding.reason))}{action}"
    if finding.state == "new":
        yield "New: the previous report does not have it."
    if finding.acceptance is not None and finding.acceptance.expired:
        yield f"The acceptance has expired, and the finding counts again: {_accepted(finding.acceptance)}"
    yield f"Finding: {finding.id}"
    if finding.evidence:
        yield "Evidence:"
        for key, value in clean(finding.evidence).items():
            yield f"  {key}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
    if finding.status is Status.FAIL:
        yield "Remediation:"
        yield f"  {line(' '.join(rule.remediation.text.split()))}"
        for command in filled(rule.remediation.cli, finding.resource).splitlines():
            yield f"  {line(command)}"


def _brief(finding: Finding) -> Iterator[str]:
    yield cut(line(finding.message), _SHORT)
    yield f"Resource: {line(finding.resource.arn)}"
    if finding.acceptance is not None:
        state = "The acceptance has expired" if finding.acceptance.expired else "Accepted"
        yield f"{state}: {cut(_accepted(finding.acceptance), _SHORT)}"
    yield f"Finding: {finding.id} {CUT}"


def _accepted(acceptance: Acceptance) -> str:
    ticket = f" ({line(acceptance.ticket)})" if acceptance.ticket else ""
    return f"Accepted until {acceptance.until} by {line(acceptance.by)}{ticket}: {line(acceptance.reason)}"


def _failed_calls(report: Report) -> Iterator[str]:
    """Return why a run is incomplete, line by line."""
    if not report.scopes:
        yield "No account and region could be read."
    calls = failed_calls(report.errors)
    if not calls:
        yield "The run was interrupted before it had read everything."
    for call in calls[:_CALLS]:
        where = ", ".join(f"{account}/{region}" for account, regions in call.places for region in regions)
        yield cut(line(f"{call.operation}: {call.code} in {where}: {call.messages[0]}"), 1000)
    if len(calls) > _CALLS:
        yield f"and {len(calls) - _CALLS} more; the JSON report has them all"


def _place(finding: Finding) -> tuple[str, str]:
    region = region_of(finding.resource)
    return account_of(finding.resource).id, region.name if region is not None else GLOBAL


def _class_name(finding: Finding) -> str:
    """Return ``111122223333.eu-west-1.dynamodb.orders``: readers make a tree of it, GitLab a column."""
    resource = finding.resource
    service = resource.arn.split(":", 3)[2]
    last = resource.noun if isinstance(resource, Account | Region) else resource.label
    return cut(_legal(".".join(one.replace(".", "_") for one in (*_place(finding), service, last))), _NAME)


def _legal(text: str) -> str:
    """Return a text on one line, with what is invisible or no character of XML 1.0 as escapes."""
    # Nothing that XML forbids is printable.
    return text if text.isprintable() else _FORBIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", line(text))


def _legal_lines(text: str) -> str:
    """The same for a text whose line breaks are ours."""
    return "\n".join(map(_legal, text.split("\n")))

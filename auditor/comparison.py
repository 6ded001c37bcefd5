"""Two reports compared: what is new, what is fixed, and what the newer one cannot tell any more.

``ddbaudit diff`` compares two files, ``ddbaudit run --previous`` a file with the run itself; :func:`compare` serves
both. Findings are matched by their id, which is the same over runs and versions. A failure that the newer report does
not have is fixed only if that report would have it: its rule ran, its account and region were audited, and what it
is about could be listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from auditor.config import Level
from auditor.errors import UsageError
from auditor.inventory import Scope
from auditor.report import SCHEMA_VERSION, Finding, Previous
from auditor.resources import account_of, region_of
from auditor.rule_api import Severity, Status

#: What became of a finding; passes that stay passes are in none of these.
Kind = Literal["new", "severityChanged", "unknown", "notAudited", "fixed", "unchanged"]

#: In the order in which people want to read them.
KINDS: tuple[Kind, ...] = ("new", "severityChanged", "unknown", "notAudited", "fixed", "unchanged")

_HINT = "`ddbaudit run --format json` writes report.json."
_SEVERITIES = {severity.label: severity for severity in Severity}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A finding in one report, as far as a comparison needs it.

    Attributes:
        id: The finding's id.
        rule: Id of the rule.
        resource: ARN of what it is about.
        kind: The resource's CloudFormation type.
        account: The resource's account number.
        region: The resource's region code; empty for what is global.
        accepted: Somebody accepts it, and that has not expired.
    """

    id: str
    rule: str
    resource: str
    kind: str
    account: str
    region: str
    status: Status
    severity: Severity
    message: str
    reason: str | None
    accepted: bool

    @property
    def sort_key(self) -> tuple[int, str, str, str]:
        """Worst first, then by rule and resource."""
        return (-self.severity, self.rule, self.resource, self.id)

    def counts(self, fail_on: Severity | None) -> bool:
        """Tell whether it fails a gate: a failure at or above ``fail_on`` that nobody accepts."""
        failed = self.status is Status.FAIL and not self.accepted
        return failed and fail_on is not None and self.severity >= fail_on


@dataclass(frozen=True)
class Side:
    """One of the two reports.

    Attributes:
        run_id: Its run.
        finished: When that run finished.
        rules: Ids of the rules that ran.
        places: Account number and region code of each region that was audited.
        findings: All findings by id.
        whole: The run was not interrupted, as far as that is known.
    """

    run_id: str
    finished: datetime
    rules: AbstractSet[str]
    places: AbstractSet[tuple[str, str]]
    findings: Mapping[str, Sighting]
    whole: bool = True

    @cached_property
    def accounts(self) -> AbstractSet[str]:
        """Numbers of the audited accounts."""
        return {account for account, _ in self.places}

    @cached_property
    def _doubts(self) -> Mapping[str, list[Sighting]]:
        found: dict[str, list[Sighting]] = {}
        for one in self.findings.values():
            if one.status is Status.UNKNOWN:
                found.setdefault(one.rule, []).append(one)
        return found

    def doubt_about(self, missing: Sighting) -> Sighting | None:
        """Return the doubt that may stand for a finding which is not there: of its rule, on what it is listed by.

        What could not be listed has no finding of its own; the account, the region or the table that would have named
        it has the doubt. A doubt on another resource of the same type says nothing about it.
        """
        for one in self._doubts.get(missing.rule, ()):
            near = one.account == missing.account or missing.account not in self.accounts
            here = near and (not one.region or not missing.region or one.region == missing.region)
            if here and (one.kind != missing.kind or one.resource == missing.resource):
                return one
        return None

    def why_not_looked_at(self, missing: Sighting, other: Side) -> str | None:
        """Return why this run cannot have seen a finding of the other one, or None if it can."""
        if missing.rule not in self.rules:
            return f"the rule {missing.rule} did not run"
        if missing.account in other.accounts:
            if missing.account not in self.accounts:
                return f"account {missing.account} was not audited"
            owed = {(missing.account, missing.region)} if missing.region else set()
        else:  # another account's key or subnet is seen through the audited accounts that use it
            owed = {place for place in other.places if missing.region in ("", place[1])}
        for account, region in sorted(owed - self.places):
            return f"{region} of account {account} was not audited"
        return None if self.whole else "the run was interrupted"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one finding.

    Attributes:
        before: The finding in the older report; None: it has none.
        after: The finding in the newer report; None: it has none.
        note: What was, or what is now, for people.
    """

    kind: Kind
    before: Sighting | None
    after: Sighting | None
    note: str

    @property
    def sighting(self) -> Sighting:
        """The finding in the newer report, or in the older one where only that has it."""
        found = self.after or self.before
        assert found is not None
        return found

    def counts(self, fail_on: Severity | None) -> bool:
        """Tell whether it fails a gate that the older report does not fail on it: new, worse, or not accepted now."""
        failed_before = self.before is not None and self.before.counts(fail_on)
        return self.after is not None and self.after.counts(fail_on) and not failed_before

    @property
    def undecided(self) -> bool:
        """Nobody can tell what became of it; a doubt that somebody accepts is none."""
        doubted = self.kind in ("unknown", "notAudited")
        return doubted and not (self.after is not None and self.after.accepted)


def compare(old: Side, new: Side) -> list[Change]:
    """Return what became of every failure and doubt, worst first in the order of :data:`KINDS`."""
    changes = []
    for finding_id, after in new.findings.items():
        change = _change(old.findings.get(finding_id), after, old, new)
        if change is not None:
            changes.append(change)
    for finding_id, before in old.findings.items():
        if finding_id not in new.findings and before.status is Status.FAIL:
            changes.append(_gone(before, old, new))
    return sorted(changes, key=lambda one: (KINDS.index(one.kind), one.sighting.sort_key))


def _change(before: Sighting | None, after: Sighting, old: Side, new: Side) -> Change | None:
    failed = before is not None and before.status is Status.FAIL
    if after.status is Status.FAIL:
        if before is None or not failed:
            return Change("new", before, after, _was(before, after, old, new))
        if before.accepted and not after.accepted:
            return Change("new", before, after, "was accepted")
        if before.severity is not after.severity:
            return Change("severityChanged", before, after, f"was {before.severity.label}")
        accepted = "accepted now" if after.accepted and not before.accepted else ""
        return Change("unchanged", before, after, accepted)
    if after.status is Status.UNKNOWN:
        if before is not None and before.status is Status.UNKNOWN:
            return Change("unchanged", before, after, "")
        return Change("unknown", before, after, _was(before, after, old, new))
    if not failed:
        return None
    if after.reason == "not_declared":
        # The rule was told nothing to judge by: what was wrong may be so still.
        return Change("notAudited", before, after, "a setting that the rule needs is not declared any more")
    return Change("fixed", before, after, "passes now" if after.status is Status.PASS else "does not apply any more")


def _was(before: Sighting | None, after: Sighting, old: Side, new: Side) -> str:
    if before is None:
        return old.why_not_looked_at(after, new) or "not in the older report"
    return {
        Status.PASS: "passed",
        Status.FAIL: "failed",
        Status.UNKNOWN: "could not be evaluated",
        Status.NOT_APPLICABLE: "did not apply",
    }[before.status]


def _gone(before: Sighting, old: Side, new: Side) -> Change:
    reason = new.why_not_looked_at(before, old)
    if reason is not None:
        return Change("notAudited", before, None, reason)
    doubt = new.doubt_about(before)
    if doubt is not None:
        return Change("unknown", before, None, f"cannot be told: {doubt.message}")
    return Change("fixed", before, None, "is not there any more")


@dataclass(frozen=True, slots=True)
class PreviousReport:
    """An earlier report, as ``--previous`` names it."""

    side: Side

    def mark(
        self,
        findings: Sequence[Finding],
        fail_on: Severity | None,
        *,
        rules: AbstractSet[str],
        scopes: Sequence[Scope],
        whole: bool,
    ) -> tuple[tuple[Finding, ...], Previous]:
        """Return the findings with their state, and what was compared with.

        Args:
            findings: All findings of this run, acceptances applied.
            fail_on: This run's level: what the previous run had at or above it, and nobody accepted, counted before.
            rules: Ids of the rules that ran.
            scopes: What was audited.
            whole: The run was not interrupted.
        """
        seen = {one.id: one for one in map(_sighting, findings)}
        places = {(scope.account.id, region.name) for scope in scopes for region in scope.regions}
        changes = compare(self.side, Side("", self.side.finished, rules, places, seen, whole))
        by_id = {change.after.id: change for change in changes if change.after is not None}

        def marked(finding: Finding, finding_id: str) -> Finding:
            change = by_id.get(finding_id)
            if change is None or change.kind in ("fixed", "notAudited"):
                return finding
            state: Literal["new", "unchanged"] = "new" if change.kind in ("new", "unknown") else "unchanged"
            before = change.before is not None and change.before.counts(fail_on)
            return replace(finding, state=state, counted_before=before)

        told = tuple(marked(finding, finding_id) for finding, finding_id in zip(findings, seen, strict=True))
        fixed = sum(change.kind == "fixed" for change in changes)
        lost = sum(
            change.kind in ("unknown", "notAudited")
            and change.before is not None
            and change.before.status is Status.FAIL
            for change in changes
        )
        return told, Previous(self.side.run_id, self.side.finished, fixed, lost)


def _sighting(finding: Finding) -> Sighting:
    region = region_of(finding.resource)
    return Sighting(
        finding.id,
        finding.rule,
        finding.resource.arn,
        finding.resource.cfn_type,
        account_of(finding.resource).id,
        region.name if region is not None else "",
        finding.status,
        finding.severity,
        finding.message,
        finding.reason,
        finding.accepted,
    )


def read(path: Path) -> PreviousReport:
    """Read an earlier report.json.

    Raises:
        UsageError: see :func:`read_document`.
    """
    return PreviousReport(side_of(read_document(path), path))


class _Run(msgspec.Struct):
    id: str
    finished: datetime = msgspec.field(name="finishedAt")
    complete: bool
    scopes: list[_Place]


class _Place(msgspec.Struct):
    account: str
    region: str


class _Rule(msgspec.Struct):
    id: str


class _Resource(msgspec.Struct):
    id: str
    type: str
    account: str
    region: str


class _Accepted(msgspec.Struct):
    expired: bool


class _Finding(msgspec.Struct):
    id: str
    rule: str
    resource: str
    status: Literal["pass", "fail", "unknown", "not_applicable"]
    severity: Level
    message: str
    reason: str | None
    acceptance: _Accepted | None


class _Document(msgspec.Struct):
    run: _Run
    rules: list[_Rule]
    resources: list[_Resource]
    findings: list[_Finding]


def read_document(path: Path) -> dict[str, Any]:
    """Return what a report.json holds, as JSON values in the schema of ``ddbaudit schema report``.

    A later version of the schema with the same major number may have more in it; what is used here must be as it is.

    Raises:
        UsageError: the file cannot be read, is not JSON, or is no report.json of ours; says where in it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.", _HINT) from None
    try:
        document = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        where, text = _place(data, str(error))
        raise UsageError(f"{path}{where}: not JSON: {text}.", _HINT) from None
    except (UnicodeDecodeError, RecursionError):
        raise UsageError(f"{path}: not JSON.", _HINT) from None
    schema = document.get("$schema", document.get("schema")) if isinstance(document, dict) else None
    if not isinstance(schema, str) or not schema.startswith("urn:ddbaudit:schema:report-"):
        other = " It is a snapshot." if isinstance(schema, str) and ":snapshot-" in schema else ""
        raise UsageError(f"{path}: not a report of ddbaudit.{other}", _HINT)
    version = document.get("schemaVersion")
    if not isinstance(version, str) or version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise UsageError(
            f"{path}: has version {version!r} of the report's schema; this version of ddbaudit reads "
            f"{SCHEMA_VERSION.partition('.')[0]}.x.",
            "Make the report anew.",
        )
    _typed(document, path)
    whole: dict[str, Any] = document
    return whole


def _typed(document: Mapping[str, Any], path: Path) -> _Document:
    try:
        typed = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: not a report of ddbaudit: {error}.", _HINT) from None
    known = {one.id for one in typed.resources}
    for index, one in enumerate(typed.findings):
        if one.resource not in known:
            raise UsageError(
                f"{path}: not a report of ddbaudit: `$.findings[{index}].resource` is none of `$.resources`.", _HINT
            )
    if typed.run.finished.tzinfo is None:
        raise UsageError(f"{path}: not a report of ddbaudit: `$.run.finishedAt` has no time zone.", _HINT)
    return typed


def _place(data: bytes, text: str) -> tuple[str, str]:
    """Return line and column, as ``:3:14``, of an error of the JSON decoder, and its text without the byte's number."""
    found = re.search(r" \(byte (\d+)\)", text)
    what = (text[: found.start()] if found else text).removeprefix("JSON is malformed: ").rstrip(".")
    if not found:
        return "", what[:1].lower() + what[1:]
    before = data[: int(found[1])]
    line_start = before.rfind(b"\n") + 1
    return f":{before.count(10) + 1}:{len(before) - line_start + 1}", what


def side_of(document: Mapping[str, Any], path: Path) -> Side:
    """Return what a comparison needs of a report that :func:`read_document` returned.

    Raises:
        UsageError: two of its findings have the same id.
    """
    typed = _typed(document, path)
    resources = {one.id: one for one in typed.resources}
    findings: dict[str, Sighting] = {}
    for index, one in enumerate(typed.findings):
        if one.id in findings:
            raise UsageError(f"{path}: `$.findings[{index}].id` stands there twice.", _HINT)
        resource = resources[one.resource]
        findings[one.id] = Sighting(
            one.id,
            one.rule,
            one.resource,
            resource.type,
            resource.account,
            resource.region,
            Status(one.status),
            _SEVERITIES[one.severity],
            one.message,
            one.reason,
            one.acceptance is not None and not one.acceptance.expired,
        )
    places = {(one.account, one.region) for one in typed.run.scopes}
    return Side(typed.run.id, typed.run.finished, {one.id for one in typed.rules}, places, findings)


@dataclass(frozen=True)
class Comparison:
    """Two report files compared, for :mod:`auditor.cli.diff`.

    Attributes:
        old: The older report.
        new: The newer report.
        changes: What became of every failure and doubt, in the order of :data:`KINDS`, worst first.
        fail_on: Lowest severity of a new failure that counts; None: none does.
        documents: Both reports as JSON values, the older first.
        incomplete: The newer run could not evaluate everything.
    """

    old: Side
    new: Side
    changes: Sequence[Change]
    fail_on: Severity | None
    documents: tuple[Mapping[str, Any], Mapping[str, Any]]
    incomplete: bool

    def of(self, kind: Kind) -> list[Change]:
        """Return the changes of a kind, worst first."""
        return [change for change in self.changes if change.kind == kind]

    @cached_property
    def counted(self) -> int:
        """How many findings fail the gate."""
        return sum(change.counts(self.fail_on) for change in self.changes)

    @cached_property
    def undecided(self) -> int:
        """Of how many findings nobody can tell what became of them."""
        return sum(change.undecided for change in self.changes)

    @property
    def level(self) -> str:
        """The gate's level by its name."""
        return self.fail_on.label if self.fail_on is not None else "none"

    def exit_code(self, *, allow_incomplete: bool = False) -> int:
        """Return 3 for what fails the gate, else 4 if something cannot be compared, else 0."""
        return 3 if self.counted else 0 if allow_incomplete or not self.undecided else 4

    def warnings(self) -> Iterable[str]:
        """Yield what makes the comparison less than it looks."""
        if self.old.run_id == self.new.run_id:
            yield "both reports are of the same run"
        elif self.old.finished > self.new.finished:
            yield "the first report is newer than the second"
        if self.old.places and self.new.places and not self.old.accounts & self.new.accounts:
            yield "the reports have no account in common"
        elif self.old.places and self.new.places and not self.old.places & self.new.places:
            yield "the reports have no region in common"
        if self.incomplete:
            yield "the newer run could not evaluate everything"

    def as_json(self, *, exit_code: int) -> dict[str, Any]:
        """Return it as JSON values: a list of findings for each of :data:`KINDS`.

        A finding is as in the report that has it, the newer one if both have; ``before`` and ``after`` say how it
        stands in each report (null: not there).
        """
        old, new = ({one["id"]: one for one in document["findings"]} for document in self.documents)
        lists: dict[str, Any] = {
            kind: [
                {
                    **(new.get(change.sighting.id) or old[change.sighting.id]),
                    "before": _stands(change.before),
                    "after": _stands(change.after),
                    "note": change.note,
                }
                for change in self.of(kind)
            ]
            for kind in KINDS
        }
        return {
            "old": _named(self.documents[0]),
            "current": _named(self.documents[1]),
            "gate": {"failOn": self.level, "counted": self.counted, "exitCode": exit_code},
            **lists,
        }


def _named(document: Mapping[str, Any]) -> dict[str, Any]:
    run = document["run"]
    return {"runId": run["id"], "finishedAt": run["finishedAt"], "complete": run["complete"]}


def _stands(one: Sighting | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {"status": one.status.value, "severity": one.severity.label, "accepted": one.accepted}


def compare_files(old: Path, new: Path, fail_on: Severity | None) -> Comparison:
    """Return two report files compared.

    Raises:
        UsageError: one of them is no report of ours.
    """
    documents = (read_document(old), read_document(new))
    sides = (side_of(documents[0], old), side_of(documents[1], new))
    return Comparison(*sides, compare(*sides), fail_on, documents, not documents[1]["run"]["complete"])

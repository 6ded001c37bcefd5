"""Sample reports for tests: small, complete, hostile, huge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from auditor import packs
from auditor.inventory import Caller, CallError, Scope
from auditor.report import Acceptance, AcceptanceUse, Finding, Previous, Report, RunInfo, judge_gate
from auditor.resources import Account, DaxCluster, Key, Region, Resource, Table
from auditor.rule_api import Rule, Severity, Status

SHOP, BANK, KEYS = Account("111122223333"), Account("444455556666"), Account("777788889999")
IRELAND, FRANKFURT, OREGON = (Region(SHOP, name) for name in ("eu-west-1", "eu-central-1", "us-west-2"))
BANK_IRELAND = Region(BANK, "eu-west-1")
ORDERS, CARTS, ACCOUNTS = Table(IRELAND, "orders"), Table(IRELAND, "carts"), Table(BANK_IRELAND, "accounts")
CACHE = DaxCluster(IRELAND, "orders-cache")
FOREIGN_KEY = Key(Region(KEYS, "eu-west-1"), "1234abcd-12ab-34cd-56ef-1234567890ab")

SCOPES = (Scope(SHOP, "shop-production", (FRANKFURT, IRELAND, OREGON)), Scope(BANK, "bank", (BANK_IRELAND,)))
STARTED, FINISHED = datetime(2026, 1, 31, 11, 59, 58, tzinfo=UTC), datetime(2026, 1, 31, 12, 0, 7, tzinfo=UTC)

#: What an audited account may hold in a name, a tag, a message or a policy.
HOSTILE = (
    '</script><img src=x onerror="window.PWN=1">"\'&<b>\u2028\u2029\u202e\u2066\u200b\u200d\ufeff\x00\x1b[31m\x7f\x85'
    "\n::error::owned\r\n${jndi} {{ 7*7 }} {% raw %} $(reboot) `reboot` ]]> --> javascript:PWN"
)


def made(
    findings: Iterable[Finding] = (),
    *,
    rules: Iterable[Rule] | None = None,
    scopes: tuple[Scope, ...] = SCOPES,
    found: Iterable[Resource] = (),
    tags: Mapping[Resource, Mapping[str, str]] | None = None,
    errors: Iterable[tuple[CallError, tuple[str, ...]]] = (),
    complete: bool | None = None,
    fail_on: Severity | None = Severity.HIGH,
    caller: str = "arn:aws:sts::111122223333:assumed-role/auditor/run",
    acceptances: Iterable[AcceptanceUse] = (),
    previous: Previous | None = None,
    **gate: bool,
) -> Report:
    """Return a report; complete, unless told otherwise, when nothing is unknown that nobody accepts."""
    findings = tuple(sorted(findings, key=lambda finding: finding.sort_key))
    acceptances = tuple(acceptances)
    if complete is None:
        complete = all(finding.status is not Status.UNKNOWN or finding.accepted for finding in findings)
    return Report(
        "1.2.3",
        RunInfo("0f" * 16, STARTED, FINISHED, "aws", Caller(SHOP.id, caller)),
        scopes,
        tuple(packs.built_in().values() if rules is None else rules),
        tuple(sorted({finding.resource for finding in findings} | set(found))),
        tags or {},
        findings,
        tuple(errors),
        complete,
        judge_gate(findings, fail_on, complete=complete, **gate),
        acceptances,
        "accepted.yaml" if acceptances else None,
        previous,
    )


def finding(
    rule: str = "table-deletion-protection",
    resource: Resource = ORDERS,
    status: Status = Status.FAIL,
    severity: Severity = Severity.HIGH,
    message: str = "Deletion protection is off.",
    **more: Any,
) -> Finding:
    """Return a finding."""
    return Finding(rule, resource, status, severity, message, **more)


def call_error(operation: str = "DescribeTable", *, region: str = "eu-west-1", **more: str) -> CallError:
    """Return a denied call."""
    text = {"service": "dynamodb", "code": "AccessDeniedException", "message": "Not allowed.", "fact": "TableSettings"}
    return CallError(SHOP.id, region, operation=operation, **(text | more))


def mixed() -> Report:
    """Return a report with every status, two accounts, a foreign key, nested evidence and failed calls."""
    return made(
        [
            finding(evidence={"DeletionProtectionEnabled": False}),
            finding(resource=CARTS, severity=Severity.MEDIUM, evidence={"environment": "not tagged"}),
            finding(resource=ACCOUNTS, status=Status.PASS, message="Deletion protection is on."),
            finding("table-pitr", severity=Severity.HIGH, message="Point-in-time recovery is off."),
            finding(
                "table-required-tags",
                severity=Severity.LOW,
                message="Required tags are missing: owner.",
                evidence={"missing": ["owner"], "tags": {"env": "prod", "empty": ""}},
            ),
            finding(
                "kms-key-usable",
                FOREIGN_KEY,
                severity=Severity.CRITICAL,
                message="The key's state is PendingDeletion.",
                evidence={"KeyState": "PendingDeletion", "DeletionDate": None, "tables": [ORDERS.arn, ACCOUNTS.arn]},
            ),
            finding(
                "table-encryption-key",
                status=Status.UNKNOWN,
                message="kms:DescribeKey is not allowed.",
                reason="access_denied",
                missing_permission="kms:DescribeKey",
            ),
            finding(
                "trail-management-logging",
                FRANKFURT,
                Status.NOT_APPLICABLE,
                message="The region has no tables and no DAX clusters.",
            ),
            finding(
                "dax-encryption-at-rest", CACHE, Status.PASS, Severity.MEDIUM, "Encrypted.", sub_key="a b"
            ),
        ],
        tags={ORDERS: {"env": "prod"}},
        errors=[
            (call_error("DescribeKey", service="kms", fact="KeySettings"), ("kms-key-usable", "table-encryption-key")),
            (call_error("ListTables", region="us-west-2", fact="TableNames"), ("table-pitr",)),
            (call_error(code="ResourceNotFoundException", message="gone"), ()),
        ],
    )  # fmt: skip


ACCEPTED = Acceptance("Rebuilt every night from S3.", "data-platform", date(2026, 6, 30), "SEC-123")
EXPIRED = Acceptance("Moves to the new account in autumn.", "shop-team", date(2025, 12, 31), None, expired=True)


def compared() -> Report:
    """Return a report with accepted findings, an expired and a stale acceptance, compared with an earlier report."""
    return made(
        [
            finding(state="new", evidence={"DeletionProtectionEnabled": False}),
            finding(resource=CARTS, severity=Severity.MEDIUM, state="unchanged", acceptance=ACCEPTED),
            finding(
                "table-pitr", message="Point-in-time recovery is off.", state="unchanged", acceptance=EXPIRED
            ),
            finding(
                "kms-key-usable",
                FOREIGN_KEY,
                severity=Severity.CRITICAL,
                message="The key's state is PendingDeletion.",
                evidence={"KeyState": "PendingDeletion"},
                state="unchanged",
                counted_before=True,
            ),
            finding(
                "table-encryption-key",
                status=Status.UNKNOWN,
                message="kms:DescribeKey is not allowed.",
                reason="access_denied",
                missing_permission="kms:DescribeKey",
                state="new",
                acceptance=ACCEPTED,
            ),
            finding("table-replica-parity", ACCOUNTS, Status.UNKNOWN, message="Not collected.", reason="partial_data"),
            finding(resource=ACCOUNTS, status=Status.PASS, message="Deletion protection is on."),
            finding(
                "trail-management-logging", FRANKFURT, Status.NOT_APPLICABLE, message="The region has no tables."
            ),
        ],
        tags={ORDERS: {"env": "prod"}},
        acceptances=[
            AcceptanceUse(("table-*",), "arn:aws:dynamodb:*:111122223333:table/*", None, {}, ACCEPTED, 3, 2),
            AcceptanceUse(("table-pitr",), ORDERS.arn, None, {}, EXPIRED, 9, 1),
            AcceptanceUse(("table-pitr",), "arn:aws:dynamodb:*:*:table/gone", None, {"env": "dev"}, ACCEPTED, 15, 0),
        ],
        previous=Previous("0e" * 16, datetime(2026, 1, 24, 12, 0, 7, tzinfo=UTC), 3, 2),
    )  # fmt: skip


def empty() -> Report:
    """Return the report on an account without tables."""
    return made()


def hostile() -> Report:
    """Return a report in which every text that an audited account can choose is hostile."""
    account = Account("111122223333")
    region = Region(account, "eu-west-1")
    table, cluster, key = Table(region, HOSTILE), DaxCluster(region, HOSTILE), Key(region, HOSTILE)
    evidence = {HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE, {"deep": HOSTILE}]}, "list": [HOSTILE] * 3}
    return made(
        [
            *(finding(resource=table, status=one, message=HOSTILE, evidence=evidence, sub_key=one + HOSTILE)
              for one in Status if one is not Status.UNKNOWN),
            finding("dax-encryption-at-rest", cluster, message=HOSTILE, evidence=evidence),
            finding("kms-key-usable", key, message=HOSTILE, evidence=evidence),
            finding(
                "table-pitr",
                table,
                Status.UNKNOWN,
                message=HOSTILE,
                evidence=evidence,
                sub_key=HOSTILE,
                reason="access_denied",
                missing_permission=HOSTILE,
            ),
        ],
        scopes=(Scope(account, HOSTILE, (region,)),),
        tags={table: {HOSTILE: HOSTILE}},
        errors=[(CallError(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE), ("table-pitr",))],
        caller=HOSTILE,
    )  # fmt: skip


def many(number: int) -> Report:
    """Return a report with so many failures."""
    rule_ids = ["table-deletion-protection", "table-pitr", "table-required-tags", "table-encryption-key"]
    tables = [Table(IRELAND, f"orders-of-the-shop-{place:05}") for place in range(-(-number // len(rule_ids)))]
    evidence = {"SSEType": None, "KMSMasterKeyArn": None, "keyType": "aws-owned", "required": "customer-managed"}
    findings = [
        finding(rule_id, table, message="This is not as it should be, and here is one whole sentence that says why.",
                evidence=evidence, severity=Severity(1 + place % 4))
        for place, table in enumerate(tables)
        for rule_id in rule_ids
    ]  # fmt: skip
    return made(findings[:number])

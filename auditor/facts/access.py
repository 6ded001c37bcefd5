"""What the access engine makes of an account: derived facts that rules ask questions of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.access import Decision
from auditor.access.estate import Estate, Principal
from auditor.access.estate import Table as TableEntry
from auditor.facts.base import Gap


@dataclass(frozen=True)
class AccountAccess:
    """The users, roles and groups of an account as the access engine sees them (derived).

    Attributes:
        estate: The account's principals and guardrails; it holds no tables.
        groups: The groups by ARN, as principals of their own: with the group's policies only.
        guardrail_gaps: Why SCPs or RCPs are not known; empty when they are. Verdicts on identities do not hang on it.
        auditor: ARN of the role or user that audits, which has no findings; an empty text when it is of elsewhere.
    """

    estate: Estate
    groups: Mapping[str, Principal] = field(default_factory=dict)
    guardrail_gaps: tuple[Gap, ...] = ()
    auditor: str = ""

    def principal(self, arn: str) -> Principal | None:
        """Return the user, role or group with an ARN."""
        return self.estate.principals.get(arn) or self.groups.get(arn)

    @property
    def judged(self) -> list[Principal]:
        """The users and roles that are judged, in order of ARN: neither service-linked nor the auditor's own."""
        found = sorted(self.estate.principals.items())
        return [one for arn, one in found if not one.service_linked and arn != self.auditor]

    def own(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        table: TableEntry | None = None,
        policy: Any = None,
        abac: bool | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Decide by the account's own policies (identity, boundary, resource); guardrails are left out.

        Args: as :meth:`auditor.access.estate.Estate.decide`.
        """
        return self.estate.decide(
            principal,
            action,
            resource,
            table=table,
            policy=policy,
            guardrails=False,
            abac=abac,
            context=context,
        )

    def blocked_by(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        table: TableEntry | None = None,
        policy: Any = None,
        context: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Return which guardrails turn a grant down: statements of SCPs and RCPs, or their kind where none allows.

        Empty when they let it through, or are not known.
        """
        decision = self.estate.decide(principal, action, resource, table=table, policy=policy, context=context)
        if decision.verdict != "denied":
            return []
        named = [f"{hit.kind}: {hit.statement}" for hit in decision.denials if hit.kind in ("scp", "rcp")]
        return named or [kind for kind in decision.blocked_by if kind in ("scp", "rcp")]


@dataclass(frozen=True)
class TableAccess:
    """A table as the access engine sees it (derived).

    Attributes:
        entry: The table with its indexes, tags and resource policies; the KMS key is left out.
        gaps: What of it is not known: its settings, policy or tags. The policy of a table whose policy is not known
            counts as unreadable: it may allow or deny anything.
    """

    entry: TableEntry
    gaps: tuple[Gap, ...] = ()

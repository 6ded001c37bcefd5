"""What the access engine makes of an account: derived facts that rules ask questions of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.access import Decision
from auditor.access.estate import Estate, Principal
from auditor.access.estate import Table as TableEntry
from auditor.access.holdings import Held, Verdict, hangs_on_the_organisation
from auditor.access.search import Search
from auditor.facts.base import Gap
from auditor.resources import Region


@dataclass(frozen=True)
class AccountAccess:
    """The users, roles and groups of an account as the access engine sees them (derived).

    Attributes:
        estate: The account's principals and guardrails; it holds no tables.
        groups: The groups by ARN, as principals of their own: with the group's policies only.
        guardrail_gaps: Why SCPs or RCPs are not known; empty when they are. Verdicts on identities do not hang on it.
        auditor: ARN of the role or user that audits, which has no findings; an empty text when it is of elsewhere.
        organization_gap: Why the organisation is not known, or None.
    """

    estate: Estate
    groups: Mapping[str, Principal] = field(default_factory=dict)
    guardrail_gaps: tuple[Gap, ...] = ()
    auditor: str = ""
    organization_gap: Gap | None = None

    def cause_of(self, decision: Decision) -> Gap | None:
        """Return which missing fact about the account leaves a decision open, or None."""
        return self.organization_gap if hangs_on_the_organisation(decision.formula) else None

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
        if self.estate.abac is None and table is not None and table.tags:
            # A guardrail that hangs on tags may do nothing.
            off = self.estate.decide(
                principal, action, resource, table=table, policy=policy, context=context, abac=False
            )
            if off.verdict != "denied":
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


@dataclass(frozen=True)
class Holdings:
    """What the principals of an account may do with its tables and DAX clusters (derived).

    The account's own policies decide: identity, boundary and resource policies. Beside the tables and clusters that
    exist, in each audited region one that does not is asked about: who may use it was granted a wildcard.

    Attributes:
        access: The account's principals.
        search: What looks through tables and clusters.
    """

    access: AccountAccess
    search: Search = field(compare=False)

    def of(self, principal: Principal, actions: Iterable[str], *, probes_only: bool = False) -> Held:
        """Return which of some actions a user, role or group has somewhere, and which it may have.

        Causes of doubts are gaps, or None.

        Args: as :meth:`auditor.access.search.Search.find`.
        """
        return self.search.find(principal, actions, probes_only=probes_only)

    def verdict(self, principal: Principal, action: str, arn: str) -> Verdict:
        """Tell whether a user or role may do something with one table or cluster of the account.

        Raises:
            KeyError: it is not known.
        """
        return self.search.verdict(principal, action, arn)

    def tables(self, region: Region) -> list[str]:
        """Return the ARNs of the account's tables in a region."""
        return [one.arn for one in self.search.places if one.exists and one.table and one.table.region == region.name]

    def unlisted(self, region: Region) -> Gap | None:
        """Return why the tables of a region are not known, or None."""
        for one in self.search.places:
            if one.unlisted and one.table is not None and one.table.region == region.name:
                cause = one.causes.get("listing")
                return cause if isinstance(cause, Gap) else None
        return None

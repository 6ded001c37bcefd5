"""The access engine: who can do what to each table, and why. It knows IAM and nothing of rules or reports."""

from auditor.access.evaluate import Decision, Hit, Policies, Request, evaluate
from auditor.access.policy import Named, Policy, Statement, Unreadable, read

__all__ = [
    "Decision",
    "Hit",
    "Named",
    "Policies",
    "Policy",
    "Request",
    "Statement",
    "Unreadable",
    "evaluate",
    "read",
]

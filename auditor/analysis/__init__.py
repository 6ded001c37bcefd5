"""Derived facts: pure functions from facts to facts. Importing this package registers them all."""

from auditor.analysis import (
    access,
    alarms,
    compute,
    dax,
    guardrails,
    hybrid,
    keys,
    network,
    organization,
    region,
    tables,
    trails,
)

__all__ = [
    "access",
    "alarms",
    "compute",
    "dax",
    "guardrails",
    "hybrid",
    "keys",
    "network",
    "organization",
    "region",
    "tables",
    "trails",
]

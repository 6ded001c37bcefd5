"""Derived facts: pure functions from facts to facts. Importing this package registers them all."""

from auditor.analysis import access, dax, guardrails, keys, network, organization, region, tables, trails

__all__ = ["access", "dax", "guardrails", "keys", "network", "organization", "region", "tables", "trails"]

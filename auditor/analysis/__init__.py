"""Derived facts: pure functions from facts to facts. Importing this package registers them all."""

from auditor.analysis import region, tables

__all__ = ["region", "tables"]

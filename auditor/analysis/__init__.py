"""Derived facts: pure functions from facts to facts. Importing this package registers them all."""

from auditor.analysis import dax, keys, network, region, tables, trails

__all__ = ["dax", "keys", "network", "region", "tables", "trails"]

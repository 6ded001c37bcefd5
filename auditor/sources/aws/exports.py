"""Exports, bulk operations, and the buckets that they name."""

from __future__ import annotations

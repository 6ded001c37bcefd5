"""Where changes go: Kinesis data streams, event source mappings, pipes."""

from __future__ import annotations

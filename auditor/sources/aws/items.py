"""Samples of items, taken only where the configuration turns sampling on."""

from __future__ import annotations

"""EC2 instances and Lambda functions."""

from __future__ import annotations

"""GuardDuty, IAM Access Analyzer and Security Hub."""

from __future__ import annotations

"""Backups: AWS Backup's and DynamoDB's own."""

from __future__ import annotations

"""Instances and functions, and the root user."""

from __future__ import annotations

import boto3

from auditor.sources.demo.supplement import Supplement


def plant(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Plant what an account of the example organisation has of this."""

"""ddbaudit: an auditor of DynamoDB in AWS accounts. This module is the public API for authors of rules."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from auditor import facts, resources
    from auditor.rule_api import (
        Members,
        Remediation,
        Severity,
        Side,
        Status,
        Verdict,
        failed,
        not_applicable,
        passed,
        rule,
        unknown,
    )

__all__ = [
    "Members",
    "Remediation",
    "Severity",
    "Side",
    "Status",
    "Verdict",
    "facts",
    "failed",
    "not_applicable",
    "passed",
    "resources",
    "rule",
    "unknown",
]


def __getattr__(name: str) -> Any:
    # Lazy, so that `ddbaudit --help` and the command line's start do not pay for the engine.
    if name in ("facts", "resources"):
        return importlib.import_module(f"auditor.{name}")
    if name in __all__:
        return getattr(importlib.import_module("auditor.rule_api"), name)
    raise AttributeError(f"module 'auditor' has no attribute {name!r}")

"""``ruleParameters``: which rules an AWS Config rule asks, with which settings."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from auditor import acceptance, config, packs
from auditor.acceptance import AcceptanceFile
from auditor.config import Config, suggest
from auditor.errors import UsageError
from auditor.packs import Rules
from auditor.resources import Resource, Table
from auditor.rule_api import Severity

_HINT = "Parameters: rules, skip, severity, excludeTables, executionRoleName, RULE-ID.SETTING (a JSON value)."

#: The parameters besides those of the rules, ``RULE-ID.PARAMETER``.
PARAMETERS = ("rules", "skip", "severity", "excludeTables", "executionRoleName")


@dataclass(frozen=True)
class Selection:
    """What is asked.

    Attributes:
        rules: The rules, configured.
        config: The global settings.
        excluded: Globs on names of tables that are left out.
        role_name: The role to take in the rule's account; an empty text: the function's own.
        accepted: The acceptance file that the settings name.
    """

    rules: Rules
    config: Config
    excluded: tuple[str, ...]
    role_name: str
    accepted: AcceptanceFile | None

    def excludes(self, resource: Resource) -> bool:
        """Tell whether a resource is left out."""
        return isinstance(resource, Table) and any(fnmatch.fnmatchcase(resource.name, one) for one in self.excluded)


def select(parameters: Mapping[str, str], settings: Path) -> Selection:
    """Return what the parameters of an AWS Config rule and the settings of its function choose.

    Args:
        parameters: ``ruleParameters``.
        settings: ddbaudit.yaml; need not be there.

    Raises:
        UsageError: an unknown parameter, or a bad value: a typo must not make a rule weaker.
    """
    overrides: dict[str, dict[str, Any]] = {}
    known = packs.built_in()
    for name, value in parameters.items():
        rule_id, dot, setting = name.partition(".")
        if not dot and name not in PARAMETERS:
            raise UsageError(
                f'ruleParameters: unknown parameter "{name}".{suggest(name, [*PARAMETERS, *known])}', _HINT
            )
        if dot:
            try:
                overrides.setdefault(rule_id, {})[setting] = json.loads(value)
            except ValueError:
                raise UsageError(f"ruleParameters: {name}: {value!r} is not JSON.", _HINT) from None
    held, root = config.load(settings) if settings.is_file() else (Config(), None)
    everything = packs.load()
    configured = packs.configure(everything, held, root, settings)
    if overrides:
        unknown = sorted(overrides.keys() - configured.keys())
        if unknown:
            raise UsageError(
                f'ruleParameters: there is no rule "{unknown[0]}".{suggest(unknown[0], list(configured))}', _HINT
            )
        text = json.dumps({"rules": overrides})
        over = msgspec.structs.replace(Config(), rules=overrides)
        configured = packs.configure(configured, over, yaml.compose(text), Path("ruleParameters"))
    level = parameters.get("severity", "").lower()
    if level and level.upper() not in Severity.__members__:
        raise UsageError(
            f'ruleParameters: severity: "{level}" is none of critical, high, medium, low, informational.', _HINT
        )
    rules = packs.select(
        configured,
        _listed(parameters.get("rules", "")),
        _listed(parameters.get("skip", "")),
        Severity[level.upper()] if level else None,
        disabled=everything.keys() - configured.keys(),
    )
    role = parameters.get("executionRoleName", "")
    if role and not re.fullmatch(r"[\w+=,.@/-]{1,512}", role, re.ASCII):
        raise UsageError(
            f'ruleParameters: executionRoleName: "{role}" is no name of a role; an ARN is not taken.', _HINT
        )
    accepted = None
    if held.baseline:
        from datetime import UTC, datetime

        accepted = acceptance.load(settings.parent / held.baseline, datetime.now(UTC).date())
    return Selection(rules, held, tuple(_listed(parameters.get("excludeTables", ""))), role, accepted)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]

"""What tags and settings of tables and clusters mean."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from auditor.config import Config
from auditor.facts import Environment, Gap, Sensitivity, Tags, derive
from auditor.resources import DaxCluster, Table


@derive
def environment(resource: Table | DaxCluster, config: Config, tags: Tags | Gap) -> Environment | Gap:
    """Tags decide first (any production value wins), then name patterns, then accounts, then ``untagged_is``."""
    settings = config.production
    if isinstance(tags, Gap):
        return tags
    named = {key: tags.get(key) for key in settings.tags}
    present = {key: value for key, value in named.items() if value is not None}
    for key, value in present.items():
        if _is_one_of(value, settings.tags[key]):
            return Environment(production=True, source=f"tag {key}={value}")
    if present:
        key, value = next(iter(present.items()))
        return Environment(production=False, source=f"tag {key}={value}")
    if any(fnmatch.fnmatchcase(resource.name, pattern) for pattern in settings.name_patterns):
        return Environment(production=True, source="name pattern")
    if resource.account.id in settings.accounts:
        return Environment(production=True, source="account")
    return Environment(production=settings.untagged_is == "production", source="not tagged", tagged=False)


@derive
def sensitivity(resource: Table | DaxCluster, config: Config, tags: Tags) -> Sensitivity:
    """A table is sensitive when one of the configured tags has one of the configured values (case is ignored)."""
    classified = ""
    for key, values in config.sensitive.tags.items():
        value = tags.get(key)
        if value is not None:
            classified = f"{key}={value}"
            if _is_one_of(value, values):
                return Sensitivity(sensitive=True, classified=True, source=classified)
    return Sensitivity(sensitive=False, classified=bool(classified), source=classified)


def _is_one_of(value: str, values: tuple[str, ...] | Mapping[str, object]) -> bool:
    return value.casefold() in {one.casefold() for one in values}

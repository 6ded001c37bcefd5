"""Configuration items of AWS Config, in the forms that they come in: in events, from its API, from its queries.

Source: AWS Config Developer Guide, "Example Events for AWS Config Rules" and "Querying the Current Configuration State
of AWS Resources"; ``ConfigurationItem`` in botocore's model of ``config``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from auditor.errors import UsageError
from auditor.facts import PointInTimeRecovery
from auditor.resources import (
    IdentityPool,
    Key,
    Resource,
    Role,
    Table,
    Trail,
    User,
    Vpc,
    VpcEndpoint,
)

#: What to do about an item or an event that is none.
HINT = "See the AWS Config Developer Guide, Example Events for AWS Config Rules."

_DELETED = ("ResourceDeleted", "ResourceDeletedNotRecorded", "ResourceNotRecorded")
_KINDS = {kind.cfn_type: kind for kind in (Table, Key, Vpc, VpcEndpoint, IdentityPool, Trail, User, Role)}


@dataclass(frozen=True)
class Item:
    """A configuration item.

    Attributes:
        type: ``resourceType``.
        id: ``resourceId``, as AWS Config wants it back.
        arn: ``ARN``; an empty text where there is none.
        captured: ``configurationItemCaptureTime``: orders evaluations.
        deleted: ``configurationItemStatus`` says that it is gone, or not recorded any more.
        tags: ``tags`` and the tags among the supplementary configuration; some types fill only one.
        configuration: ``configuration``.
        supplementary: ``supplementaryConfiguration``.
    """

    type: str
    id: str
    arn: str
    captured: datetime
    deleted: bool
    tags: Mapping[str, str]
    configuration: Mapping[str, Any]
    supplementary: Mapping[str, Any]

    def resource(self) -> Resource | None:
        """Return the resource, or None if it is of a type that no rule is about."""
        kind = _KINDS.get(self.type)
        if kind is None:
            return None
        try:
            return kind.from_arn(self.arn)
        except ValueError:
            raise UsageError(f'the configuration item has no ARN of a {kind.noun}: "{self.arn}".', HINT) from None

    def recovery(self) -> PointInTimeRecovery | None:
        """Return what the item of a table says of point-in-time recovery; None where it says nothing certain.

        The published list of an item's properties has the status only. Without a window, which must then be unknown,
        the fact has no ``days``: AWS's own default does not hold for a table whose window nobody recorded.
        """
        backups = _mapping(self.supplementary.get("ContinuousBackupsDescription"))
        held = _mapping(backups.get("pointInTimeRecoveryDescription"))
        status, days = held.get("pointInTimeRecoveryStatus"), held.get("recoveryPeriodInDays")
        if status not in ("ENABLED", "DISABLED"):
            return None
        known = isinstance(days, int) and not isinstance(days, bool) and days > 0
        return PointInTimeRecovery(status == "ENABLED", days if known else None, recorded=self.captured)


def read_item(value: Any) -> Item:
    """Return a configuration item, as an event has it or as the API answers it.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, Mapping) or not value.get("resourceType") or not value.get("resourceId"):
        raise UsageError("the event has no configuration item.", HINT)
    supplementary = {
        name: decoded(held) for name, held in _mapping(decoded(value.get("supplementaryConfiguration"))).items()
    }
    tags = dict(_tags(supplementary.get("Tags"))) | {
        str(name): str(held) for name, held in _mapping(value.get("tags")).items()
    }
    return Item(
        str(value["resourceType"]),
        str(value["resourceId"]),
        str(value.get("ARN") or value.get("arn") or ""),
        moment_of(value.get("configurationItemCaptureTime")),
        value.get("configurationItemStatus") in _DELETED,
        tags,
        _mapping(decoded(value.get("configuration"))),
        supplementary,
    )


def _tags(value: Any) -> list[tuple[str, str]]:
    entries = value if isinstance(value, list) else []
    return [
        (str(one.get("key", one.get("tagKey"))), str(one.get("value", one.get("tagValue", ""))))
        for one in entries
        if isinstance(one, Mapping)
    ]


def decoded(value: Any) -> Any:
    """Return what a JSON text holds; the API has texts where events have values, and some texts are not JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def moment_of(value: Any) -> datetime:
    """Return a time of an event or an item.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise UsageError(f'the event has a time that is none: "{value}".', HINT) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

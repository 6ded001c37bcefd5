"""Events of AWS Config, and configuration items in the two forms that they come in.

Source: AWS Config Developer Guide, "Example Events for AWS Config Rules"; ``ConfigurationItem`` in botocore's model of
``config``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from auditor.errors import UsageError
from auditor.resources import (
    Account,
    IdentityPool,
    Key,
    Region,
    Resource,
    Role,
    Table,
    Trail,
    User,
    Vpc,
    VpcEndpoint,
)

_HINT = "See the AWS Config Developer Guide, Example Events for AWS Config Rules."

#: The result token that stands for a trial: nothing is kept. A convention of the RDK.
TEST_TOKEN = "TESTMODE"  # noqa: S105 - it is no secret

_DELETED = ("ResourceDeleted", "ResourceDeletedNotRecorded", "ResourceNotRecorded")
_KINDS = {kind.cfn_type: kind for kind in (Table, Key, Vpc, VpcEndpoint, IdentityPool, Trail, User, Role)}
_RULE_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):config:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):config-rule/.+"
)


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
            raise UsageError(f'the configuration item has no ARN of a {kind.noun}: "{self.arn}".', _HINT) from None

    def recovery_off(self) -> bool:
        """Tell whether the item of a table says that point-in-time recovery is off."""
        backups = self.supplementary.get("ContinuousBackupsDescription")
        held = backups.get("pointInTimeRecoveryDescription") if isinstance(backups, Mapping) else None
        return isinstance(held, Mapping) and held.get("pointInTimeRecoveryStatus") == "DISABLED"


@dataclass(frozen=True)
class Event:
    """An event of AWS Config.

    Attributes:
        rule: ``configRuleName``.
        account: The account that the rule belongs to.
        region: The region of the rule.
        parameters: ``ruleParameters``.
        token: ``resultToken``.
        left_scope: ``eventLeftScope``.
        created: ``notificationCreationTime``.
        item: What has changed; None: the event is a scheduled one, or its item must be fetched.
        oversized: The summary of an item that is too large to be sent.
    """

    rule: str
    account: Account
    region: Region
    parameters: Mapping[str, str]
    token: str
    left_scope: bool
    created: datetime
    item: Item | None
    oversized: Item | None = None

    @property
    def test_mode(self) -> bool:
        """Results are looked at and not kept."""
        return self.token == TEST_TOKEN


def read_event(event: Mapping[str, Any]) -> Event:
    """Return an event.

    Raises:
        UsageError: it is none of AWS Config's, or of a kind that no rule is called with.
    """
    found = _RULE_ARN.fullmatch(str(event.get("configRuleArn", "")))
    if found is None:
        raise UsageError('the event has no "configRuleArn": it is none of AWS Config.', _HINT)
    invoking = _object(event.get("invokingEvent"), "invokingEvent")
    parameters = _object(event.get("ruleParameters") or "{}", "ruleParameters")
    account = Account(found["account"], found["partition"])
    kind = invoking.get("messageType")
    item = oversized = None
    if kind == "ConfigurationItemChangeNotification":
        item = read_item(invoking.get("configurationItem"))
    elif kind == "OversizedConfigurationItemChangeNotification":
        oversized = read_item(invoking.get("configurationItemSummary"))
        if oversized.deleted:
            item, oversized = oversized, None
    elif kind != "ScheduledNotification":
        raise UsageError(f'an event of the type "{kind}" is not one that a rule is called with.', _HINT)
    if not event.get("resultToken"):
        raise UsageError('the event has no "resultToken".', _HINT)
    return Event(
        str(event.get("configRuleName", "")),
        account,
        Region(account, found["region"]),
        {str(name): str(value) for name, value in parameters.items()},
        str(event["resultToken"]),
        event.get("eventLeftScope") is True,
        _moment(invoking.get("notificationCreationTime")),
        item,
        oversized,
    )


def read_item(value: Any) -> Item:
    """Return a configuration item, as an event has it or as the API answers it.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, Mapping) or not value.get("resourceType") or not value.get("resourceId"):
        raise UsageError("the event has no configuration item.", _HINT)
    supplementary = {
        name: _decoded(held) for name, held in _mapping(_decoded(value.get("supplementaryConfiguration"))).items()
    }
    tags = dict(_tags(supplementary.get("Tags"))) | {
        str(name): str(held) for name, held in _mapping(value.get("tags")).items()
    }
    return Item(
        str(value["resourceType"]),
        str(value["resourceId"]),
        str(value.get("ARN") or value.get("arn") or ""),
        _moment(value.get("configurationItemCaptureTime")),
        value.get("configurationItemStatus") in _DELETED,
        tags,
        _mapping(_decoded(value.get("configuration"))),
        supplementary,
    )


def _tags(value: Any) -> list[tuple[str, str]]:
    entries = value if isinstance(value, list) else []
    return [
        (str(one.get("key", one.get("tagKey"))), str(one.get("value", one.get("tagValue", ""))))
        for one in entries
        if isinstance(one, Mapping)
    ]


def _decoded(value: Any) -> Any:
    """Return what a JSON text holds; the API has texts where events have values, and some texts are not JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _object(value: Any, name: str) -> Mapping[str, Any]:
    """Return the object of a JSON text in the event."""
    found = _decoded(value)
    if not isinstance(found, Mapping):
        raise UsageError(f'"{name}" of the event is not a JSON object.', _HINT)
    return found


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise UsageError(f'the event has a time that is none: "{value}".', _HINT) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

"""Events of AWS Config.

Source: AWS Config Developer Guide, "Example Events for AWS Config Rules".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditor.errors import UsageError
from auditor.resources import Account, Region
from auditor.sources.aws.config_items import HINT, Item, decoded, moment_of, read_item

#: The result token that stands for a trial: nothing is kept. A convention of the RDK.
TEST_TOKEN = "TESTMODE"  # noqa: S105 - it is no secret

_RULE_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):config:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):config-rule/.+"
)


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
        raise UsageError('the event has no "configRuleArn": it is none of AWS Config.', HINT)
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
        raise UsageError(f'an event of the type "{kind}" is not one that a rule is called with.', HINT)
    if not event.get("resultToken"):
        raise UsageError('the event has no "resultToken".', HINT)
    return Event(
        str(event.get("configRuleName", "")),
        account,
        Region(account, found["region"]),
        {str(name): str(value) for name, value in parameters.items()},
        str(event["resultToken"]),
        event.get("eventLeftScope") is True,
        moment_of(invoking.get("notificationCreationTime")),
        item,
        oversized,
    )


def _object(value: Any, name: str) -> Mapping[str, Any]:
    """Return the object of a JSON text in the event."""
    found = decoded(value)
    if not isinstance(found, Mapping):
        raise UsageError(f'"{name}" of the event is not a JSON object.', HINT)
    return found

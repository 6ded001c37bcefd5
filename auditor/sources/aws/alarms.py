"""What notices and tells: metric filters, alarms, mute rules, EventBridge rules, SNS topics."""

from __future__ import annotations

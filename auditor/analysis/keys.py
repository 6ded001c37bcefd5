"""Which kind of key encrypts a table, and which tables a key encrypts."""

from __future__ import annotations

from collections.abc import Mapping

from auditor.facts import EncryptionKey, Gap, KeyAliases, KeySettings, KeyUse, Reason, TableSettings, derive
from auditor.facts.base import once
from auditor.resources import Key, Region, Table

#: The alias of the AWS managed key that DynamoDB makes in a region when a table first asks for it.
AWS_MANAGED_ALIAS = "alias/aws/dynamodb"


@derive
def encryption_key(
    table: Table, settings: TableSettings, keys: Mapping[Key, KeySettings | Gap], aliases: KeyAliases | Gap
) -> EncryptionKey | Gap:
    """Tell AWS owned, AWS managed and customer managed keys apart.

    ``SSEDescription`` is absent for a key that AWS owns; otherwise its ARN is always a key's, so that only KMS
    can say who manages it: ``KeyManager``, or else the alias that AWS keeps for its own key. While the key changes
    (ENABLING, UPDATING, DISABLING) the kind is that of the new key.
    """
    if settings.sse_type is None or settings.sse_status in ("DISABLING", "DISABLED"):
        return EncryptionKey("aws-owned", None, "SSEDescription")
    key = settings.key
    if key is None:
        return Gap(Reason.UNDECIDABLE, f"SSEType is {settings.sse_type} and no key is named.", "dynamodb:DescribeTable")
    known = keys.get(key)
    if isinstance(known, KeySettings) and known.state != "NotFound":
        managed = known.manager.upper() == "AWS"
        return EncryptionKey("aws-managed" if managed else "customer-managed", key, "KeyManager")
    if key.account != table.account:
        # AWS managed keys cannot be used from another account.
        return EncryptionKey("customer-managed", key, "key of another account")
    if isinstance(aliases, KeyAliases):
        managed = aliases.targets.get(AWS_MANAGED_ALIAS) == key.name
        return EncryptionKey("aws-managed" if managed else "customer-managed", key, AWS_MANAGED_ALIAS)
    return known if isinstance(known, Gap) else aliases


@derive
def key_use(key: Key, tables: Mapping[Table, TableSettings | Gap]) -> KeyUse:
    """Find the tables whose settings name the key."""
    users, unread = once(tables, _users).get(key, []), once(tables, _unread).get(key.region)
    return KeyUse(tuple(sorted(users, key=lambda user: user[0].arn)), unread)


def _users(tables: Mapping[Table, TableSettings | Gap]) -> dict[Key, list[tuple[Table, TableSettings]]]:
    """Return the tables by the key that their settings name."""
    found: dict[Key, list[tuple[Table, TableSettings]]] = {}
    for table, settings in tables.items():
        if isinstance(settings, TableSettings) and settings.key is not None:
            found.setdefault(settings.key, []).append((table, settings))
    return found


def _unread(tables: Mapping[Table, TableSettings | Gap]) -> dict[Region, Gap]:
    """Return by region why a table's settings are not known, the first table's with them."""
    found: dict[Region, Gap] = {}
    for table in sorted(table for table, settings in tables.items() if isinstance(settings, Gap)):
        gap = tables[table]
        assert isinstance(gap, Gap)
        found.setdefault(table.region, gap)
    return found

"""The kind of key that encrypts a table, and the tables that a key encrypts."""

from auditor.analysis.keys import encryption_key, key_use
from auditor.facts import EncryptionKey, Gap, KeyAliases, KeySettings, KeyUse, Reason, TableSettings
from auditor.resources import Account, Key, Region, Table
from tests.rules import KEY, REGION, TABLE

NO_KEY = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:DescribeKey")
NO_ALIASES = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:ListAliases")
FOREIGN = Key(Region(Account("444455556666"), "eu-west-1"), KEY.name)
ALIASES = KeyAliases({"alias/aws/dynamodb": KEY.name, "alias/app": "other"})


def kind(
    known: KeySettings | Gap | None,
    aliases: KeyAliases | Gap = NO_ALIASES,
    *,
    key: Key | None = KEY,
    sse_type: str | None = "KMS",
    sse_status: str | None = "ENABLED",
) -> EncryptionKey | Gap:
    settings = TableSettings("ACTIVE", sse_type=sse_type, sse_status=sse_status, key=key)
    made = encryption_key(TABLE, settings, {KEY: known, FOREIGN: known} if known else {}, aliases)
    assert isinstance(made, EncryptionKey | Gap)
    return made


def test_without_a_type_or_when_turned_off_the_key_is_owned_by_aws() -> None:
    owned = EncryptionKey("aws-owned", None, "SSEDescription")
    assert kind(NO_KEY, sse_type=None, sse_status=None, key=None) == owned
    assert kind(NO_KEY, sse_status="DISABLED") == owned
    assert kind(NO_KEY, sse_status="DISABLING") == owned


def test_kms_tells_managed_from_customers_also_while_the_key_changes() -> None:
    for status in ("ENABLED", "ENABLING", "UPDATING", None):
        managed = kind(KeySettings("Enabled", manager="AWS"), sse_status=status)
        assert managed == EncryptionKey("aws-managed", KEY, "KeyManager")
        customer = kind(KeySettings("Disabled", manager="CUSTOMER"), ALIASES, sse_status=status)
        assert customer == EncryptionKey("customer-managed", KEY, "KeyManager")


def test_where_kms_does_not_say_the_alias_that_aws_keeps_decides() -> None:
    for known in (NO_KEY, None, KeySettings("NotFound")):
        assert kind(known, ALIASES) == EncryptionKey("aws-managed", KEY, "alias/aws/dynamodb")
        other = KeyAliases({"alias/aws/dynamodb": "other", "alias/aws/s3": KEY.name})
        for aliases in (other, KeyAliases({})):
            assert kind(known, aliases) == EncryptionKey("customer-managed", KEY, "alias/aws/dynamodb")


def test_where_both_are_denied_the_kind_is_unknown() -> None:
    assert kind(NO_KEY, NO_ALIASES) == NO_KEY
    assert kind(None, NO_ALIASES) == NO_ALIASES
    assert kind(KeySettings("NotFound"), NO_ALIASES) == NO_ALIASES


def test_a_key_of_another_account_is_a_customers_even_where_nothing_can_be_read() -> None:
    assert kind(NO_KEY, NO_ALIASES, key=FOREIGN) == EncryptionKey("customer-managed", FOREIGN, "key of another account")
    assert kind(NO_KEY, ALIASES, key=FOREIGN) == EncryptionKey("customer-managed", FOREIGN, "key of another account")


def test_a_type_without_a_key_is_undecidable() -> None:
    made = kind(None, ALIASES, key=None)
    assert isinstance(made, Gap)
    assert (made.reason, made.action) == (Reason.UNDECIDABLE, "dynamodb:DescribeTable")


def test_the_users_of_a_key_are_the_tables_that_name_it() -> None:
    carts, users = Table(REGION, "carts"), Table(REGION, "users")
    mine, other = TableSettings("ACTIVE", key=KEY), TableSettings("ACTIVE", key=FOREIGN)
    found = key_use(KEY, {TABLE: mine, carts: mine, users: other})
    assert found == KeyUse(((carts, mine), (TABLE, mine)))


def test_a_table_beside_the_key_whose_settings_are_not_known_may_be_a_user() -> None:
    mine, throttled = TableSettings("ACTIVE", key=KEY), Gap(Reason.THROTTLED, "Throttled.", "dynamodb:DescribeTable")
    elsewhere = Table(Region(REGION.account, "sa-east-1"), "x")
    assert key_use(KEY, {TABLE: mine, Table(REGION, "x"): throttled}) == KeyUse(((TABLE, mine),), throttled)
    assert key_use(KEY, {TABLE: mine, elsewhere: throttled}) == KeyUse(((TABLE, mine),))

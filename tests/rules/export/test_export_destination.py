"""export-destination by plain calls."""

from typing import Any

import pytest

from auditor import Status, Verdict
from auditor.config import Config
from auditor.facts import BucketInfo, BulkOperations, Export, ExportBuckets, Exports, Gap, Reason, Trust
from auditor.resources import Account, Bucket, Region
from tests.rules import ACCOUNT, REGION, TABLE, load

judge = load("export-destination")

OWN, FRIEND, STRANGER = ACCOUNT.id, "222233334444", "999988887777"
OTHER_REGION = Region(ACCOUNT, "eu-central-1")
OWN_BUCKET = BucketInfo(exists=True, own=True, region="eu-west-1", public=False, encryption="aws:kms")
ELSEWHERE = Gap(Reason.PARTIAL_DATA, "Another account's.")
FRIENDS = BucketInfo(exists=True, own=False, region="eu-west-1", public=ELSEWHERE, encryption=ELSEWHERE)
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListExports")
CONFIG = Config(allowed_regions=("eu-*",))
TRUST = Trust(OWN, frozenset({FRIEND}), None, {})


def changed(info: BucketInfo, **changes: Any) -> BucketInfo:
    held = {name: getattr(info, name) for name in BucketInfo.__dataclass_fields__}
    return BucketInfo(**(held | changes))


def export(bucket: str = "exports", number: int = 1, **changes: Any) -> Export:
    arn = f"{TABLE.arn}/export/0170000000000{number}-abc"
    return Export(**({"arn": arn, "table_arn": TABLE.arn, "status": "COMPLETED", "bucket": bucket} | changes))


def verdicts(*exports: Export, info: BucketInfo | None = OWN_BUCKET, **changes: Any) -> list[Verdict]:
    held = {one.bucket: info for one in exports if info is not None}
    facts = {
        "exports": {REGION: Exports(exports)},
        "bulk": {REGION: BulkOperations()},
        "buckets": {REGION: ExportBuckets(held)},
        "trust": TRUST,
        "config": CONFIG,
    }
    return list(judge(ACCOUNT, **(facts | changes)))


def only(*exports: Export, **changes: Any) -> Verdict:
    (found,) = verdicts(*exports, **changes)
    return found


def test_an_own_bucket_in_an_allowed_region_passes_under_the_accounts_number() -> None:
    found = only(export())
    assert (found.status, found.about, found.sub_key) == (Status.PASS, Bucket(ACCOUNT, "exports"), OWN)
    assert found.about is not None
    assert found.about.arn == "arn:aws:s3:::exports"


def test_without_exports_there_is_nothing_to_say() -> None:
    assert verdicts() == []


@pytest.mark.parametrize(
    ("info", "owner", "words"),
    [
        (changed(FRIENDS, own=False), STRANGER, "not trusted"),
        (changed(OWN_BUCKET, region="us-east-1"), OWN, "not an allowed region"),
        (changed(OWN_BUCKET, public=True), OWN, "public"),
        (changed(FRIENDS, region="us-east-1"), FRIEND, "not an allowed region"),
    ],
)
def test_a_strangers_bucket_a_foreign_region_and_the_public_fail(info: BucketInfo, owner: str, words: str) -> None:
    found = only(export(owner=owner), info=info)
    assert (found.status, found.severity) == (Status.FAIL, None)
    assert words in found.message
    assert found.about == Bucket(Account(owner), "exports")


def test_a_breach_fails_whatever_could_not_be_asked() -> None:
    assert only(export(owner=STRANGER), info=None).status is Status.FAIL
    hidden = changed(OWN_BUCKET, own=None, region="us-east-1", public=DENIED)
    assert only(export(), info=hidden).status is Status.FAIL


def test_a_bucket_outside_the_allow_list_fails() -> None:
    assert only(export(), allowed_export_buckets=("backup-*",)).status is Status.FAIL
    assert only(export(), allowed_export_buckets=("exp*",)).status is Status.PASS


def test_a_refusal_may_mean_a_stranger_or_a_missing_permission() -> None:
    found = only(export(), info=changed(OWN_BUCKET, own=None))
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "s3:ListBucket")


def test_no_answer_is_not_a_refusal() -> None:
    throttled = Gap(Reason.THROTTLED, "AWS throttled s3:ListBucket to the end.", "s3:ListBucket")
    found = only(export(), info=changed(OWN_BUCKET, own=None, refused=throttled))
    assert (found.status, found.reason) == (Status.UNKNOWN, Reason.THROTTLED)


def test_a_region_that_a_refusal_hid_is_an_access_that_was_denied() -> None:
    denied = Gap(Reason.ACCESS_DENIED, "Not allowed.", "s3:ListBucket")
    found = only(export(owner=OWN), info=changed(OWN_BUCKET, own=None, region=None, refused=denied))
    assert (found.status, found.reason) == (Status.UNKNOWN, Reason.ACCESS_DENIED)


def test_the_owner_that_the_export_names_needs_no_proof() -> None:
    assert only(export(owner=OWN), info=changed(OWN_BUCKET, own=None)).status is Status.PASS


def test_whether_a_friends_bucket_is_public_only_the_friend_knows() -> None:
    found = only(export(owner=FRIEND), info=FRIENDS)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, None)


def test_membership_and_publicity_that_are_denied_are_unknown() -> None:
    listing = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListAccounts")
    trust = Trust(OWN, frozenset(), "o-1", {}, listing)
    assert only(export(owner=FRIEND), info=FRIENDS, trust=trust).missing_permission == "organizations:ListAccounts"
    status = Gap(Reason.ACCESS_DENIED, "Not allowed.", "s3:GetBucketPolicyStatus")
    assert only(export(), info=changed(OWN_BUCKET, public=status)).missing_permission == "s3:GetBucketPolicyStatus"


def test_the_region_matters_only_where_regions_are_declared() -> None:
    assert only(export(owner=OWN), info=changed(OWN_BUCKET, region=None)).status is Status.UNKNOWN
    assert only(export(owner=OWN), info=changed(OWN_BUCKET, region=None), config=Config()).status is Status.PASS


def test_failed_exports_and_buckets_that_are_gone_are_not_applicable() -> None:
    assert only(export(status="FAILED", owner=STRANGER)).status is Status.NOT_APPLICABLE
    assert only(export(), info=changed(OWN_BUCKET, exists=False)).status is Status.NOT_APPLICABLE
    # One that worked counts.
    assert only(export(number=2, status="FAILED"), export(owner=STRANGER)).status is Status.FAIL


def test_a_failed_export_may_have_named_anybody_as_the_owner() -> None:
    found = only(export(number=2, status="FAILED", owner=STRANGER), export())
    assert (found.status, found.about) == (Status.PASS, Bucket(ACCOUNT, "exports"))


@pytest.mark.parametrize("order", [1, -1])
def test_every_owner_that_an_export_names_must_be_trusted(order: int) -> None:
    both = [export(number=2, owner=OWN), export(owner=STRANGER)][::order]
    found = only(*both)
    assert (found.status, found.about) == (Status.FAIL, Bucket(ACCOUNT, "exports"))
    assert STRANGER in found.message


@pytest.mark.parametrize("role", ["input", "output"])
def test_a_bulk_operation_that_failed_may_have_come_some_way(role: str) -> None:
    failed = export("uploads", owner=STRANGER, role=role, status="FAILED")
    assert only(bulk={REGION: BulkOperations((failed,))}).status is Status.FAIL


@pytest.mark.parametrize(
    "changes",
    [
        {"exports": {REGION: Exports((export(),), omitted={TABLE.arn: 30, f"{TABLE.arn}-2": 12})}},
        {"exports": {REGION: Exports((export(),))}, "bulk": {REGION: BulkOperations(omitted=42)}},
    ],
)
def test_more_than_are_looked_at_leave_the_region_unknown(changes: dict[str, Any]) -> None:
    found = verdicts(export(), **changes)
    assert [(one.status, one.about) for one in found] == [
        (Status.UNKNOWN, REGION),
        (Status.PASS, Bucket(ACCOUNT, "exports")),
    ]
    assert "42 older" in found[0].message
    assert found[0].reason == "partial_data"


def test_of_two_reasons_in_a_region_the_missing_permission_is_named() -> None:
    many = {REGION: Exports((export(),), omitted={TABLE.arn: 30})}
    found = verdicts(export(), exports=many, bulk={REGION: DENIED})
    assert [(one.status, one.missing_permission) for one in found] == [
        (Status.UNKNOWN, "dynamodb:ListExports"),
        (Status.PASS, None),
    ]


def test_bulk_operations_have_buckets_too() -> None:
    into = export("uploads", owner=STRANGER, role="input")
    found = verdicts(export(), bulk={REGION: BulkOperations((into,))})
    assert [(one.status, one.about.label) for one in found if one.about] == [
        (Status.PASS, "exports"),
        (Status.FAIL, "uploads"),
    ]


def test_a_region_whose_exports_cannot_be_listed_is_unknown_and_hides_no_other() -> None:
    both = {REGION: Exports((export(),)), OTHER_REGION: DENIED}
    found = verdicts(export(), exports=both)
    assert [(one.status, one.about) for one in found] == [
        (Status.UNKNOWN, OTHER_REGION),
        (Status.PASS, Bucket(ACCOUNT, "exports")),
    ]
    unread = Exports((export(),), {"arn": Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeExport")})
    assert [one.status for one in verdicts(export(), exports={REGION: unread})] == [Status.UNKNOWN, Status.PASS]


def test_buckets_that_were_not_asked_are_unknown() -> None:
    denied = Gap(Reason.ACCESS_DENIED, "Not allowed.", "s3:ListBucket")
    assert only(export(), buckets={REGION: denied}).missing_permission == "s3:ListBucket"
    assert only(export(), buckets={}).status is Status.UNKNOWN


def test_other_accounts_exports_are_their_own_matter() -> None:
    foreign = Region(Account(FRIEND), "eu-west-1")
    assert verdicts(exports={foreign: Exports((export(owner=STRANGER),))}, bulk={}) == []


def test_one_bucket_of_two_regions_is_one_finding() -> None:
    both = {REGION: Exports((export(),)), OTHER_REGION: Exports((export(number=2),))}
    held = ExportBuckets({"exports": OWN_BUCKET})
    found = verdicts(exports=both, buckets={REGION: held, OTHER_REGION: held})
    assert [one.status for one in found] == [Status.PASS]


def test_buckets_of_china_have_chinas_arns() -> None:
    account = Account(OWN, "aws-cn")
    region = Region(account, "cn-north-1")
    info = changed(OWN_BUCKET, region="cn-north-1")
    facts = {
        "exports": {region: Exports((export(),))},
        "bulk": {},
        "buckets": {region: ExportBuckets({"exports": info})},
        "trust": TRUST,
        "config": Config(allowed_regions=("cn-*",)),
    }
    (found,) = judge(account, **facts)
    assert found.status is Status.PASS
    assert found.about.arn == "arn:aws-cn:s3:::exports"

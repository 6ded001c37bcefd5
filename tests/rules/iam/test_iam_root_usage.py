"""iam-root-usage: keys, MFA and use of the root user, and who manages it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import (
    AccessKey,
    AccountSummary,
    CollectionTime,
    CredentialReport,
    Credentials,
    Gap,
    Organization,
    Reason,
    RootManagement,
)
from auditor.resources import Account
from tests.rules import load

judge = load("iam-root-usage")

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=2000)
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "aws:Nothing")
OTHER = Gap(Reason.ACCESS_DENIED, "Not allowed.", "aws:Other")
MANAGER = "999999999999"
CENTRAL = RootManagement(("RootCredentialsManagement", "RootSessions"))
SHOP = Organization("o-shop", "ALL", MANAGER)
GOOD = AccountSummary(0, root_mfa=True, root_password=True)
NO_ORGANIZATION, NO_FEATURES, CLOCK = Organization(None), RootManagement(()), CollectionTime(NOW)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def root(mfa: bool = True, used: datetime | None = None, *keys: AccessKey, **more: Any) -> Credentials:
    return Credentials(None, mfa, keys, used, **{"created": OLD} | more)


@dataclass
class Case:
    """An account and what is known of its root user."""

    summary: AccountSummary | Gap = GOOD
    row: Credentials | Gap | None = field(default_factory=root)
    organization: Organization | Gap = NO_ORGANIZATION
    management: RootManagement | Gap = NO_FEATURES
    others: dict[str, tuple[Organization | Gap, RootManagement | Gap]] = field(default_factory=dict)
    partition: str = "aws"
    time: CollectionTime | Gap = CLOCK

    def say(self, **settings: Any) -> Verdict:
        account = Account("111122223333", self.partition)
        report: CredentialReport | Gap
        if isinstance(self.row, Gap):
            report = self.row
        else:
            user = f"arn:{self.partition}:iam::111122223333:user/root"
            rows = {user: Credentials(True, mfa=False, password_used=NOW)}
            report = CredentialReport(rows | ({account.arn: self.row} if self.row else {}), NOW)
        held = {account: (self.organization, self.management)} | {
            Account(number, self.partition): both for number, both in self.others.items()
        }
        verdict = judge(
            account,
            self.summary,
            report,
            self.time,
            self.organization,
            self.management,
            {one: organization for one, (organization, _) in held.items()},
            {one: management for one, (_, management) in held.items()},
            **settings,
        )
        assert isinstance(verdict, Verdict)
        return verdict


def member(password: bool | None = False, *, keys: int | None = 0, mfa: bool | None = False, **more: Any) -> Case:
    """A member account; by default its root has neither password, key nor MFA."""
    given: dict[str, Any] = {"row": root(mfa=bool(mfa)), "organization": SHOP, "management": RootManagement(None)}
    return Case(AccountSummary(keys, mfa, password), **given | more)


@pytest.mark.parametrize("partition", ["aws", "aws-cn"])
def test_no_keys_mfa_and_no_use_pass(partition: str) -> None:
    verdict = Case(partition=partition).say()
    assert verdict.status is Status.PASS
    assert verdict.evidence["AccountAccessKeysPresent"] == 0
    assert verdict.evidence["AccountMFAEnabled"] == 1


def test_govcloud_shows_nothing_of_root() -> None:
    case = Case(DENIED, DENIED, DENIED, DENIED, partition="aws-us-gov")
    assert case.say().status is Status.NOT_APPLICABLE
    assert Case(AccountSummary(1, root_mfa=False), partition="aws-us-gov").say().status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("summary", "row", "severity"),
    [
        (AccountSummary(1, root_mfa=True, root_password=True), root(), Severity.CRITICAL),
        (AccountSummary(2, root_mfa=False, root_password=False), root(mfa=False), Severity.CRITICAL),
        (AccountSummary(0, root_mfa=False, root_password=True), root(mfa=False), Severity.HIGH),
        (AccountSummary(0, root_mfa=True, root_password=True), root(True, ago(3)), Severity.MEDIUM),
        (AccountSummary(0, root_mfa=False, root_password=True), root(False, ago(3)), Severity.HIGH),
    ],
)
def test_each_of_the_three_fails(summary: AccountSummary, row: Credentials, severity: Severity) -> None:
    verdict = Case(summary, row).say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, severity)


def test_the_message_names_all_that_is_wrong() -> None:
    key = AccessKey(True, OLD, ago(2))
    verdict = Case(AccountSummary(1, root_mfa=False, root_password=True), root(False, ago(5), key)).say()
    assert verdict.message.endswith(
        "it has an access key, it has no MFA device and its access key 1 was used 2 days ago."
    )


@pytest.mark.parametrize(
    ("days", "status"), [(0, Status.FAIL), (89.5, Status.FAIL), (90.5, Status.PASS), (-0.01, Status.FAIL)]
)
def test_use_counts_within_the_window(days: float, status: Status) -> None:
    assert Case(row=root(True, ago(days))).say().status is status
    used = AccessKey(False, OLD, ago(days))
    assert (Case(AccountSummary(1, True, True), root(True, None, used)).say().severity) is Severity.CRITICAL
    assert Case(row=root(True, ago(days), used)).say().status is status


def test_the_window_is_a_setting() -> None:
    assert Case(row=root(True, ago(40))).say(max_root_days=30).status is Status.PASS
    assert Case(row=root(True, ago(20))).say(max_root_days=30).status is Status.FAIL


@pytest.mark.parametrize(("age", "status"), [(6.9, Status.PASS), (7.1, Status.FAIL)])
def test_whoever_sets_up_an_account_uses_root(age: float, status: Status) -> None:
    verdict = Case(row=root(True, ago(1), created=ago(age))).say()
    assert verdict.status is status
    assert ("note" in verdict.evidence) is (status is Status.PASS)
    # Keys and MFA are no matter of time.
    assert Case(AccountSummary(0, False, True), root(False, ago(1), created=ago(age))).say().status is Status.FAIL
    # When the account was made must be known.
    assert Case(row=root(True, ago(1), created=None)).say().status is Status.FAIL


def test_a_report_without_roots_row_says_nothing_of_its_use() -> None:
    verdict = Case(row=None).say()
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "partial_data")
    assert verdict.missing_permission == "iam:GetCredentialReport"
    assert Case(row=DENIED).say().missing_permission == "aws:Nothing"
    assert Case(time=DENIED, row=root(True, ago(1))).say().missing_permission == "aws:Nothing"


def test_a_failure_wins_over_what_is_not_known() -> None:
    assert Case(AccountSummary(1, True, True), DENIED).say().severity is Severity.CRITICAL
    assert Case(AccountSummary(0, False, True), None).say().severity is Severity.HIGH


def test_where_the_summary_is_denied_the_report_says_it() -> None:
    assert Case(DENIED).say().status is Status.PASS
    assert Case(DENIED, root(True, None, AccessKey(False, OLD))).say().severity is Severity.CRITICAL
    assert Case(DENIED, root(mfa=False)).say().severity is Severity.HIGH
    assert Case(DENIED, None).say().missing_permission == "aws:Nothing"
    assert Case(DENIED, OTHER).say().missing_permission == "aws:Nothing"
    assert Case(AccountSummary(), None).say().missing_permission == "iam:GetAccountSummary"


def test_the_summary_is_newer_than_the_report() -> None:
    stale = root(False, None, AccessKey(True, OLD))
    assert Case(row=stale).say().status is Status.PASS


# Root users that the organisation manages


def manager(management: RootManagement | Gap = CENTRAL, organization: Organization | Gap = SHOP) -> dict[str, Any]:
    return {"others": {MANAGER: (organization, management)}}


def test_a_member_whose_root_has_no_credentials_passes_where_root_is_managed_centrally() -> None:
    assert member(**manager()).say().status is Status.PASS
    # However root was used before its credentials were deleted.
    assert member(**manager(), row=root(False, ago(5))).say().status is Status.PASS
    assert member(**manager(), row=None).say().status is Status.PASS


@pytest.mark.parametrize(
    "features", [RootManagement(()), RootManagement(("RootSessions",))], ids=["no features", "sessions only"]
)
def test_without_central_management_a_root_without_mfa_fails(features: RootManagement) -> None:
    assert member(**manager(features)).say().severity is Severity.HIGH


def test_the_name_of_the_feature_counts_in_any_case() -> None:
    assert member(**manager(RootManagement(("ROOTCREDENTIALSMANAGEMENT",)))).say().status is Status.PASS


def test_central_management_excuses_neither_password_nor_key() -> None:
    assert member(password=True, **manager()).say().severity is Severity.HIGH
    assert member(keys=1, **manager()).say().severity is Severity.CRITICAL


def test_it_does_not_reach_the_management_account_nor_others_outside() -> None:
    summary = AccountSummary(0, root_mfa=False, root_password=False)
    own = Organization("o-shop", "ALL", "111122223333")
    assert Case(summary, root(mfa=False), own, CENTRAL).say().severity is Severity.HIGH
    assert Case(summary, root(mfa=False), Organization(None), DENIED).say().severity is Severity.HIGH


def test_the_delegated_administrator_may_tell() -> None:
    assert member(management=CENTRAL).say().status is Status.PASS
    others = {"333344445555": (SHOP, CENTRAL), MANAGER: (SHOP, RootManagement(None))}
    assert member(others=others).say().status is Status.PASS


def test_another_organisations_answer_says_nothing() -> None:
    verdict = member(**manager(organization=Organization("o-other", "ALL", MANAGER))).say()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:ListOrganizationsFeatures")
    assert member(**manager(organization=DENIED)).say().status is Status.UNKNOWN


def test_where_nobody_may_tell_the_answer_is_open_unless_it_does_not_matter() -> None:
    verdict = member().say()
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "access_denied")
    assert verdict.missing_permission == "iam:ListOrganizationsFeatures"
    assert MANAGER in verdict.message
    assert member(mfa=True).say().status is Status.PASS
    assert member(password=True).say().severity is Severity.HIGH
    assert member(keys=1).say().severity is Severity.CRITICAL
    assert member(mfa=True, row=root(True, ago(5))).say().status is Status.UNKNOWN


def test_which_call_is_missing_is_told() -> None:
    assert member(organization=DENIED).say().missing_permission == "aws:Nothing"
    assert member(management=DENIED).say().missing_permission == "aws:Nothing"
    assert member(**manager(OTHER), management=DENIED).say().missing_permission == "aws:Other"
    # That the feature is off settles it, whoever manages.
    assert member(organization=DENIED, management=RootManagement(())).say().severity is Severity.HIGH


def test_a_password_that_nobody_tells_of_leaves_the_excuse_open() -> None:
    verdict = member(password=None, **manager()).say()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetAccountSummary")
    assert member(password=None, **manager(RootManagement(()))).say().severity is Severity.HIGH
    assert member(password=None, mfa=True).say().status is Status.PASS

"""alarm-table-deletion: both events noticed, by something that tells somebody. The chains are looked at here."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor import Severity, Status, Verdict, packs
from auditor import config as configuration
from auditor.config import Config
from auditor.errors import UsageError
from auditor.facts import (
    AlarmInfo,
    AlarmMetric,
    ClassicSelector,
    FieldSelector,
    Gap,
    TableNames,
    TopicSubscriptions,
    Trails,
    TrailSelectors,
    TrailStatus,
)
from auditor.facts.base import VANISHED
from auditor.resources import Account, EventRule, LogGroup, Region, Table, Topic
from tests.alarms import (
    CHINA,
    DELETION,
    DENIED,
    GOVERNMENT,
    alarm,
    api_calls,
    composite,
    detect,
    event_rule,
    group,
    metric_filter,
    topic,
    trail_info,
)
from tests.rules import REGION, load

NAMES = ["DeleteTable", "DeleteBackup"]
RULE = event_rule(api_calls("dynamodb", eventName=NAMES))
OTHER = Region(REGION.account, "us-east-1")


def judge(
    region: Region = REGION,
    config: Config | None = None,
    names: TableNames | Gap = TableNames(()),  # noqa: B008 - frozen
    **given: Any,
) -> Verdict:
    settings = {name: given.pop(name) for name in ("mandatory_events", "max_alarm_threshold") if name in given}
    config = config or Config()
    verdict = load("alarm-table-deletion")(region, detect(region, config=config, **given), config, names, **settings)
    assert isinstance(verdict, Verdict)
    return verdict


def chain(pattern: str = DELETION, one: AlarmInfo | None = None, **given: Any) -> Verdict:
    return judge(filters=[metric_filter(pattern)], alarms=[one or alarm()], **given)


def test_a_metric_filter_with_an_alarm_that_tells_somebody_passes() -> None:
    verdict = chain()
    assert verdict.status is Status.PASS, verdict
    (control,) = verdict.evidence["controls"]
    assert control["control"] == "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:watch"
    assert control["through"] == "metric filter filter"
    assert control["events"] == NAMES
    assert verdict.evidence["recommendedUncovered"] == [
        "backup:DeleteRecoveryPoint",
        "UpdateTable (replicaUpdates[0].delete)",
    ]


@pytest.mark.parametrize("region", [REGION, CHINA, GOVERNMENT])
def test_an_event_rule_passes_in_every_partition(region: Region) -> None:
    rule = event_rule(api_calls("dynamodb", eventName=NAMES), region=region)
    assert judge(region, rules=[rule]).status is Status.PASS
    assert judge(region, filters=[metric_filter(DELETION)], alarms=[alarm(region=region)]).status is Status.PASS


def test_nothing_at_all_fails() -> None:
    verdict = judge()
    assert verdict.status is Status.FAIL
    assert verdict.severity is None
    assert verdict.evidence["uncovered"] == NAMES
    assert verdict.message == "Nothing notices DeleteTable, DeleteBackup."


def test_one_of_two_events_is_not_enough() -> None:
    verdict = chain('{ ($.eventSource = "dynamodb.amazonaws.com") && ($.eventName = "DeleteTable") }')
    assert verdict.status is Status.FAIL
    assert verdict.evidence["uncovered"] == ["DeleteBackup"]


def test_two_controls_may_share_the_events() -> None:
    half = event_rule(api_calls("dynamodb", eventName=["DeleteBackup"]))
    assert chain('{ $.eventName = "DeleteTable" }', rules=[half]).status is Status.PASS


@pytest.mark.parametrize(
    "pattern",
    [
        '{ ($.eventSource = "glue.amazonaws.com") && ($.eventName = "Delete*") }',
        '{ ($.eventName = "DeleteTableReplica") || ($.eventName = "DeleteBackups") }',
        '{ ($.eventSource = "dynamodb") && ($.eventName = "Delete*") }',
        '{ ($.eventSource = "dynamodb.amazonaws.com") && ($.eventName = "Delete*") && ($.errorCode = "*") }',
        '{ ($.eventSource = "dynamodb.amazonaws.com") && ($.eventName = "Delete*") && ($.awsRegion = "us-east-1") }',
    ],
)
def test_patterns_that_only_look_right_fail(pattern: str) -> None:
    assert chain(pattern).status is Status.FAIL


def test_error_code_not_exists_is_fine() -> None:
    pattern = '{ ($.eventSource = "dynamodb.amazonaws.com") && ($.eventName = "Delete*") && ($.errorCode NOT EXISTS) }'
    assert chain(pattern).status is Status.PASS


def test_a_filter_without_event_source_passes_and_is_noisy() -> None:
    verdict = chain('{ ($.eventName = "DeleteTable") || ($.eventName = "DeleteBackup") }')
    assert verdict.status is Status.PASS
    assert "noisy" in verdict.evidence["controls"][0]
    assert "noisy" not in chain().evidence["controls"][0]
    rule = event_rule({"detail": {"eventName": NAMES}})
    assert "noisy" in judge(rules=[rule]).evidence["controls"][0]


@pytest.mark.parametrize(
    "other",
    [
        {"namespace": "audit"},
        {"namespace": "CloudTrailMetrics"},
        {"metric": "watch"},
        {"dimensions": (("Region", "eu-west-1"),)},
        {"unit": "Count"},
        {"threshold": 2.0},
        {"comparison": "GreaterThanThreshold"},
        {"comparison": "LessThanThreshold"},
        {"evaluation_periods": 3},
        {"evaluation_periods": 3, "datapoints": 2},
        {"missing": "breaching"},
        {"threshold": 0.0, "comparison": "GreaterThanOrEqualToThreshold", "missing": "breaching"},
    ],
)
def test_an_alarm_that_does_not_go_off_on_one_event_fails(other: dict[str, Any]) -> None:
    assert chain(one=alarm(**other)).status is Status.FAIL


@pytest.mark.parametrize(
    "other",
    [
        {"threshold": 0.0, "comparison": "GreaterThanThreshold"},
        {"statistic": "Maximum"},
        {"statistic": "SampleCount"},
        {"evaluation_periods": 3, "datapoints": 1},
        {"missing": "missing"},
        {"missing": "ignore"},
        {"period": 10, "threshold": 0.5},
    ],
)
def test_an_alarm_of_another_make_that_goes_off_passes(other: dict[str, Any]) -> None:
    assert chain(one=alarm(**other)).status is Status.PASS


def test_the_setting_admits_more_events() -> None:
    verdict = chain(one=alarm(threshold=5.0))
    assert verdict.status is Status.FAIL
    assert verdict.evidence["nearMisses"] == ["The alarm watch goes off at 5 events only."]
    verdict = chain(one=alarm(threshold=5.0), max_alarm_threshold=5)
    assert verdict.status is Status.PASS
    assert verdict.evidence["controls"][0]["eventsNeeded"] == 5


def test_dimensions_of_a_filter_need_an_alarm_with_them() -> None:
    filters = [metric_filter(DELETION, dimensions={"Event": "$.eventName"})]
    both = [alarm(name, dimensions=(("Event", name),)) for name in NAMES]
    assert judge(filters=filters, alarms=both).status is Status.PASS
    assert judge(filters=filters, alarms=both[:1]).evidence["uncovered"] == ["DeleteBackup"]
    verdict = judge(filters=filters, alarms=[alarm()])
    assert verdict.status is Status.FAIL
    assert "dimensions" in verdict.evidence["nearMisses"][0]


def test_an_alarm_on_another_accounts_metric_fails() -> None:
    metric = AlarmMetric("m1", namespace="Audit", name="Watch", statistic="Sum", period=300)
    own = alarm(namespace="", metric="", metrics=(replace(metric, account=REGION.account.id),))
    foreign = alarm(namespace="", metric="", metrics=(replace(metric, account="999988887777"),))
    assert chain(one=own).status is Status.PASS
    assert chain(one=foreign).status is Status.FAIL


def test_a_trail_that_is_not_logging_stops_both_chains() -> None:
    off = TrailStatus(logging=False)
    verdict = chain(status=off, rules=[RULE])
    assert verdict.status is Status.FAIL
    assert "logging" in verdict.message


def test_a_trail_that_cannot_deliver_to_its_log_group_stops_one() -> None:
    broken = TrailStatus(logging=True, log_group_error="AccessDenied")
    assert chain(status=broken).status is Status.FAIL
    assert chain(status=broken, rules=[RULE]).status is Status.PASS


def test_an_event_rule_needs_a_trail() -> None:
    verdict = judge(trails=Trails(()), rules=[RULE])
    assert verdict.status is Status.FAIL
    assert "without one EventBridge gets no calls" in verdict.message


def test_a_trail_of_another_region_that_is_not_multi_region_does_not_count() -> None:
    far = Trails((trail_info(region=OTHER, multi_region=False, log_group=group(OTHER)),))
    assert judge(trails=far, filters=[metric_filter(DELETION)], alarms=[alarm()]).status is Status.FAIL


def test_a_trail_without_writes_leaves_the_log_group_empty_and_event_rules_open() -> None:
    reads = TrailSelectors(classic=(ClassicSelector("ReadOnly", management=True),))
    assert chain(selectors=reads).status is Status.FAIL
    verdict = judge(selectors=reads, rules=[RULE])
    assert verdict.status is Status.UNKNOWN
    assert "not documented" in verdict.message


def test_selectors_that_cannot_be_evaluated_are_unknown() -> None:
    odd = TrailSelectors(
        advanced=((FieldSelector("eventCategory", equals=("Management",)), FieldSelector("userType")),)
    )
    assert chain(selectors=odd).status is Status.UNKNOWN


def test_alarms_live_in_the_region_of_the_log_group() -> None:
    verdict = judge(OTHER, home=REGION, filters=[metric_filter(DELETION)], alarms=[alarm()])
    assert verdict.status is Status.PASS
    assert ":eu-west-1:" in verdict.evidence["controls"][0]["control"]


def test_a_disabled_rule_fails_and_is_named() -> None:
    verdict = judge(rules=[event_rule(api_calls("dynamodb", eventName=NAMES), state="DISABLED")])
    assert verdict.status is Status.FAIL
    assert "The rule watch is disabled." in verdict.message


def test_rules_on_findings_of_other_services_do_not_count() -> None:
    hub = {"source": ["aws.securityhub"], "detail-type": ["Security Hub Findings - Imported"]}
    duty = {"source": ["aws.guardduty"], "detail-type": ["GuardDuty Finding"]}
    assert judge(rules=[event_rule(hub, "hub"), event_rule(duty, "duty")]).status is Status.FAIL


def test_a_log_group_of_an_account_that_is_not_audited_is_unknown_unless_something_else_covers() -> None:
    central = LogGroup(Region(Account("999900001111"), "eu-west-1"), "organization-trail")
    trails = Trails((trail_info(log_group=central),))
    verdict = judge(trails=trails, audited=False)
    assert verdict.status is Status.UNKNOWN
    assert verdict.reason == "partial_data"
    assert "999900001111, which is not audited" in verdict.message
    assert judge(trails=trails, audited=False, rules=[RULE]).status is Status.PASS
    stopped = judge(trails=trails, audited=False, status=TrailStatus(logging=False))
    assert stopped.status is Status.FAIL, "a trail that is not logging fills no log group"


@pytest.mark.parametrize("missing", ["trails", "filters", "alarms", "rules"])
def test_a_listing_that_is_missing_makes_it_unknown(missing: str) -> None:
    given: dict[str, Any] = {missing: DENIED}
    verdict = judge(**given)
    assert verdict.status is Status.UNKNOWN
    assert (verdict.reason, verdict.missing_permission) == ("access_denied", "svc:Operation")


def test_a_missing_listing_does_not_matter_where_the_other_chain_covers() -> None:
    assert chain(rules=DENIED).status is Status.PASS
    assert judge(rules=[RULE], alarms=DENIED, filters=DENIED).status is Status.PASS


def test_an_unreadable_status_of_the_only_trail_is_unknown() -> None:
    assert chain(status=DENIED).missing_permission == "svc:Operation"
    assert judge(status=DENIED, rules=[RULE]).status is Status.UNKNOWN
    assert judge(status=DENIED).status is Status.FAIL, "nothing watches what it may record"


def test_a_pattern_that_cannot_be_read_is_unknown_only_as_the_last_candidate() -> None:
    unreadable = "{ $.eventName = %Delete(?=Table)% && }"
    verdict = chain(unreadable)
    assert verdict.status is Status.UNKNOWN
    assert verdict.reason == "undecidable"
    assert chain(unreadable, rules=[RULE]).status is Status.PASS
    lonely = judge(filters=[metric_filter(unreadable)], alarms=[alarm(metric="Another")])
    assert lonely.status is Status.FAIL, "no alarm reads what it writes"
    assert judge(rules=[event_rule('{"detail": {"eventName": [{"sounds-like": "x"}]}}')]).status is Status.UNKNOWN


def test_filters_on_transformed_or_selected_logs_are_undecidable() -> None:
    for odd in ({"on_transformed": True}, {"selection": '@aws.account IN ["111122223333"]'}):
        verdict = judge(filters=[metric_filter(DELETION, **odd)], alarms=[alarm()])
        assert verdict.status is Status.UNKNOWN


def test_nobody_told_fails_as_detected_but_silent() -> None:
    nobody = {topic(): TopicSubscriptions(())}
    verdict = chain(subscriptions=nobody)
    assert verdict.status is Status.FAIL
    assert verdict.message.startswith("Noticed, but nobody is told: DeleteTable, DeleteBackup.")
    assert verdict.evidence["silent"] == NAMES
    assert verdict.severity is None


def test_an_uncovered_event_is_reported_before_a_silent_one() -> None:
    verdict = chain('{ $.eventName = "DeleteTable" }', subscriptions={topic(): TopicSubscriptions(())})
    assert verdict.evidence["uncovered"] == ["DeleteBackup"]
    assert verdict.message.startswith("Nothing notices DeleteBackup.")


def test_a_topic_that_cannot_be_read_is_unknown() -> None:
    verdict = chain(subscriptions={topic(): DENIED})
    assert verdict.status is Status.UNKNOWN
    assert verdict.missing_permission == "svc:Operation"


def test_a_mute_rule_is_a_mild_failure() -> None:
    rule = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm-mute-rule:nights"
    verdict = chain(mutes={rule: ("watch",)})
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert chain(mutes={rule: ("other",)}).status is Status.PASS
    assert chain(mutes=DENIED).status is Status.UNKNOWN


def test_a_composite_alarm_speaks_for_one_without_actions() -> None:
    quiet = alarm(actions=())
    assert chain(one=quiet).status is Status.FAIL
    filters = [metric_filter(DELETION)]
    parent = composite("incident", 'ALARM("watch") OR ALARM("logins")')
    assert judge(filters=filters, alarms=[quiet, parent]).status is Status.PASS
    strict = composite("incident", 'ALARM("watch") AND ALARM("logins")')
    assert judge(filters=filters, alarms=[quiet, strict]).status is Status.FAIL


def test_an_alarm_on_a_log_query_counts() -> None:
    query = 'filter eventSource = "dynamodb.amazonaws.com" and eventName in ["DeleteTable", "DeleteBackup"]'
    usual: dict[str, Any] = {"kind": "log", "metric": "", "namespace": "", "statistic": "count(*)", "query": query}
    assert judge(alarms=[alarm(**usual, log_groups=("trail",))]).status is Status.PASS
    assert judge(alarms=[alarm(**usual, log_groups=(group().arn,))]).status is Status.PASS
    assert judge(alarms=[alarm(**usual, log_groups=("application",))]).status is Status.FAIL
    late = usual | {"threshold": 3.0}
    assert judge(alarms=[alarm(**late, log_groups=("trail",))]).status is Status.FAIL
    odd = usual | {"query": "SOURCE = something | pattern @message"}
    assert judge(alarms=[alarm(**odd, log_groups=("trail",))]).status is Status.UNKNOWN


def test_external_detection_and_trusted_topics_are_attested() -> None:
    verdict = judge(config=Config(external_detection=("table-deletion",)))
    assert verdict.status is Status.PASS
    assert verdict.evidence["attested"] == "external_detection"
    assert judge(config=Config(external_detection=("data-exfiltration",))).status is Status.FAIL
    soc = Topic(Region(Account("999900001111"), "eu-west-1"), "soc")
    theirs = {soc: DENIED}
    config = Config(trusted_topics=("arn:aws:sns:*:999900001111:*",))
    given: dict[str, Any] = {"one": alarm(actions=(soc.arn,)), "subscriptions": theirs, "settings": theirs}
    assert chain(**given).status is Status.UNKNOWN
    verdict = chain(**given, config=config)
    assert (verdict.status, verdict.evidence["attested"]) == (Status.PASS, "trusted_topics")


def test_the_mandatory_events_can_be_chosen() -> None:
    verdict = chain(mandatory_events=("dynamodb:DeleteTable", "backup:DeleteRecoveryPoint"))
    assert verdict.evidence["uncovered"] == ["backup:DeleteRecoveryPoint"]


def test_hostile_documents_never_crash() -> None:
    for text in ("", "[]", "null", '{"detail": 1}', '{"detail-type": {"a": []}}', json.dumps({"source": []}), "\0"):
        assert judge(rules=[event_rule(text)]).status in (Status.FAIL, Status.UNKNOWN)
    for pattern in ("{", "{ $. }", "[a, b]", "%(%", "{ $.a = 1e999 }", "\0"):
        assert chain(pattern).status in (Status.FAIL, Status.UNKNOWN)


def deletion_of(names: list[Any]) -> list[Any]:
    detail = {"eventName": NAMES, "requestParameters": {"tableName": names}}
    backups = {"eventName": ["DeleteBackup"]}
    return [event_rule(api_calls("dynamodb", **detail)), event_rule(api_calls("dynamodb", **backups), "backups")]


def test_what_names_tables_must_name_every_one_of_the_region() -> None:
    both = TableNames((Table(REGION, "invoices"), Table(REGION, "orders")))
    assert judge(rules=deletion_of(["invoices", "orders"]), names=both).status is Status.PASS
    for names in (["orders"], ["invoices"]):
        verdict = judge(rules=deletion_of(names), names=both)
        assert (verdict.status, verdict.evidence["uncovered"]) == (Status.FAIL, ["DeleteTable"])
    # Without a list of tables a name proves nothing.
    assert judge(rules=deletion_of(["invoices", "orders"])).status is Status.FAIL


@pytest.mark.parametrize(
    ("left_out", "missed"),
    [
        ({"anything-but": ["orders"]}, ["DeleteTable on orders"]),
        ({"anything-but": {"prefix": "inv"}}, ["DeleteTable on invoices"]),
        ({"anything-but": {"prefix": "tmp-"}}, None),
    ],
)
def test_what_leaves_out_tables_must_leave_out_none_of_the_region(
    left_out: dict[str, Any], missed: list[str] | None
) -> None:
    both = TableNames((Table(REGION, "invoices"), Table(REGION, "orders")))
    verdict = judge(rules=deletion_of([left_out]), names=both)
    assert verdict.evidence.get("uncovered") == missed
    assert verdict.status is (Status.FAIL if missed else Status.PASS)
    # Something else that looks at no names makes up for it.
    assert judge(rules=[*deletion_of([left_out]), replace(RULE, rule=EventRule(REGION, "all"))], names=both).status is (
        Status.PASS
    )


def test_metric_filters_and_queries_that_leave_out_tables() -> None:
    both = TableNames((Table(REGION, "invoices"), Table(REGION, "orders")))
    condition = (
        '(($.eventName = "DeleteTable" && $.requestParameters.tableName != "orders") || $.eventName = DeleteBackup)'
    )
    verdict = chain(f'{{ ($.eventSource = "dynamodb.amazonaws.com") && {condition} }}', names=both)
    assert verdict.evidence["uncovered"] == ["DeleteTable on orders"]
    assert chain("?DeleteTable ?DeleteBackup", names=both).status is Status.PASS
    usual: dict[str, Any] = {"kind": "log", "metric": "", "namespace": "", "statistic": "count(*)"}
    query = (
        'filter eventName = "DeleteBackup" or (eventName = "DeleteTable" and requestParameters.tableName != "orders")'
    )
    watch = alarm(**usual, query=query, log_groups=("trail",))
    assert judge(alarms=[watch], names=both).evidence["uncovered"] == ["DeleteTable on orders"]


def test_without_a_list_of_tables_it_is_unknown_what_a_name_leaves_out() -> None:
    for pattern in (["invoices"], [{"anything-but": ["orders"]}]):
        verdict = judge(rules=deletion_of(pattern), names=DENIED)
        assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "svc:Operation")
    # Where nothing looks at names, they do not matter.
    assert judge(rules=[RULE], names=DENIED).status is Status.PASS
    assert judge(names=DENIED).status is Status.FAIL
    silent = judge(
        rules=deletion_of([{"anything-but": ["orders"]}]), names=DENIED, targets={"watch": (), "backups": ()}
    )
    assert silent.status is Status.FAIL


def test_a_rule_that_was_deleted_in_the_meantime_notices_nothing() -> None:
    assert judge(rules=[RULE], targets={"watch": VANISHED}).status is Status.FAIL
    other = replace(RULE, rule=EventRule(REGION, "other"))
    assert judge(rules=[RULE, other], targets={"watch": VANISHED}).status is Status.PASS


def test_a_dimension_may_be_a_field_of_a_list() -> None:
    one = metric_filter(DELETION, dimensions={"Account": "$.resources[0].accountId"})
    for account, expected in ((REGION.account.id, Status.PASS), ("999988887777", Status.FAIL)):
        assert judge(filters=[one], alarms=[alarm(dimensions=(("Account", account),))]).status is expected


@pytest.mark.parametrize(
    ("kind", "missed"),
    [
        ("AssumedRole", ["DeleteTable by an IAM user", "DeleteTable by root"]),
        ("IAMUser", ["DeleteTable", "DeleteBackup"]),
    ],
)
def test_attacks_by_users_and_by_root_must_be_noticed_as_those_by_roles_are(kind: str, missed: list[str]) -> None:
    detail = {"eventName": NAMES, "userIdentity": {"type": [kind]}}
    verdict = judge(rules=[event_rule(api_calls("dynamodb", **detail))])
    assert verdict.status is Status.FAIL
    assert set(missed) <= set(verdict.evidence["uncovered"])


def test_leaving_out_a_pipelines_role_is_no_hole() -> None:
    pattern = (
        '{ ($.eventSource = "dynamodb.amazonaws.com") && (($.eventName = "DeleteTable") || '
        '($.eventName = "DeleteBackup")) && ($.userIdentity.arn != "*:assumed-role/deploy/*") }'
    )
    assert chain(pattern).status is Status.PASS


def test_an_event_that_is_none_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "ddbaudit.yaml"
    path.write_text('rules:\n  alarm-table-deletion:\n    mandatory_events: ["dynamodb DeleteTable"]\n')
    config, root = configuration.load(path)
    with pytest.raises(UsageError, match=r"ddbaudit.yaml:3:24: .*mandatory_events\[0\]"):
        packs.configure(packs.built_in(), config, root, path)

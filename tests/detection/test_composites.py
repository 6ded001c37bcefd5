"""Alarm rules of composite alarms, with some alarms in ALARM and every other one OK."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.detection.composites import evaluate

ARN = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:deletion"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ALARM(deletion)", True),
        ('ALARM("deletion")', True),
        ("ALARM( deletion )", True),
        ("ALARM(other)", False),
        ("ALARM(Deletion)", False),
        ("OK(deletion)", False),
        ("OK(other)", True),
        ("INSUFFICIENT_DATA(deletion)", False),
        ("INSUFFICIENT_DATA(other)", False),
        ("NOT ALARM(deletion)", False),
        ("NOT ALARM(other)", True),
        ("NOT NOT ALARM(deletion)", True),
        ("NOT (ALARM(deletion) OR ALARM(other))", False),
        ("TRUE", True),
        ("FALSE", False),
        ("false", False),
        ("ALARM(deletion) AND ALARM(other)", False),
        ("ALARM(deletion) OR ALARM(other)", True),
        ("ALARM(deletion) AND NOT ALARM(maintenance)", True),
        ("ALARM(other) AND NOT ALARM(maintenance)", False),
        ("(ALARM(deletion) OR ALARM(other)) AND OK(network)", True),
        ("(ALARM(other) OR ALARM(more)) AND OK(network)", False),
        ("ALARM(deletion)OR ALARM(other)", True),
        ("((ALARM(deletion)))", True),
        # Both readings of AND and OR side by side come to the same, or not.
        ("ALARM(deletion) OR ALARM(other) AND OK(more)", True),
        ("ALARM(deletion) OR ALARM(other) AND ALARM(more)", None),
        ("ALARM(other) AND ALARM(more) OR ALARM(deletion)", True),
        ("AT_LEAST(1, ALARM, (deletion, other))", True),
        ("AT_LEAST(2, ALARM, (deletion, other))", False),
        ("AT_LEAST(50%, ALARM, (deletion, other))", True),
        ("AT_LEAST(51%, ALARM, (deletion, other))", False),
        ("AT_LEAST(100%, ALARM, (deletion))", True),
        ("AT_LEAST(100%, ALARM, (deletion, other))", False),
        ('AT_LEAST(2, OK, ("deletion", "other", "more"))', True),
        ("NOT AT_LEAST(2, ALARM, (deletion, other))", True),
    ],
)
def test_rules(rule: str, expected: bool | None) -> None:
    assert evaluate(rule, {"deletion", ARN}) is expected


@pytest.mark.parametrize(
    ("rule", "alarm", "expected"),
    [
        (f"ALARM({ARN})", {ARN}, True),
        (f'ALARM("{ARN}")', {"deletion", ARN}, True),
        ("ALARM(deletion)", {ARN}, True),
        ("ALARM(deletion)", {"deletion"}, True),
        # Another account's alarm of the same name is another alarm.
        ("ALARM(arn:aws:cloudwatch:eu-west-1:999988887777:alarm:deletion)", {"deletion", ARN}, False),
        ("ALARM(arn:aws:cloudwatch:eu-west-1:999988887777:alarm:deletion)", {ARN}, False),
        # Of an alarm that is known by its name alone, the ARN is not known.
        (f"ALARM({ARN})", {"deletion"}, None),
        (f"OK({ARN})", {"deletion"}, None),
        (f"ALARM({ARN})", {"other"}, False),
        (f"AT_LEAST(1, ALARM, ({ARN}, other))", {"deletion"}, None),
        (f"AT_LEAST(1, ALARM, ({ARN}, other))", {"deletion", "other"}, True),
        (f"AT_LEAST(2, ALARM, ({ARN}, other))", {"deletion"}, False),
        (f"ALARM({ARN})", {"deletion", "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:other"}, None),
        (f"ALARM({ARN})", {"deletion", "x:alarm:deletion"}, None),
        ("ALARM(deletion)", set(), False),
        ("ALARM(arn:aws-cn:cloudwatch:cn-north-1:111122223333:alarm:deletion)", {ARN}, False),
    ],
)
def test_names_and_arns(rule: str, alarm: set[str], expected: bool | None) -> None:
    assert evaluate(rule, alarm) is expected


def test_names_with_spaces_and_signs() -> None:
    assert evaluate("ALARM(Table deletion: orders/eu)", {"Table deletion: orders/eu"}) is True
    assert evaluate('ALARM("Table deletion (orders), all")', {"Table deletion (orders), all"}) is True
    # Parentheses and commas outside of quotes could be part of the name or of the rule.
    assert evaluate("ALARM(Table deletion (orders))", {"Table deletion (orders)"}) is None


@pytest.mark.parametrize(
    "rule",
    [
        "",
        " ",
        "deletion",
        "ALARM",
        "ALARM()",
        'ALARM("")',
        "ALARM(deletion",
        "ALARM deletion",
        "ALARM(deletion) ALARM(other)",
        "ALARM(deletion) AND",
        "AND ALARM(deletion)",
        "ALARM(deletion) XOR ALARM(other)",
        "ALARM(deletion) && ALARM(other)",
        "NOT",
        "()",
        "(ALARM(deletion)",
        "ALARM(deletion))",
        "FIRES(deletion)",
        "AT_LEAST(ALARM, (deletion))",
        "AT_LEAST(1, ALARM, ())",
        "AT_LEAST(1, ALARM, deletion)",
        "AT_LEAST(1, TRUE, (deletion))",
        r'ALARM("dele\"tion")',
        "(" * 5000 + "TRUE" + ")" * 5000,
        "NOT " * 2000 + "TRUE",
        "ALARM(" + "x" * 20_000 + ")",
    ],
)
def test_what_is_no_rule(rule: str) -> None:
    assert evaluate(rule, {"deletion", ARN}) is None


def test_time_is_bounded() -> None:
    started = time.process_time()
    for rule in ("ALARM(a" + " " * 10_000, "ALARM(" + "a " * 5000, '"' * 10_000, " OR ".join(["ALARM(a)"] * 900)):
        evaluate(rule, {"a"})
    assert time.process_time() - started < 2


@given(st.text(alphabet='ALRMORKNDTFUES()"a%,12_ ', max_size=60))
def test_any_text(rule: str) -> None:
    for text in (rule, f"ALARM({rule})", f"ALARM(a) OR {rule}", f"AT_LEAST({rule})"):
        assert evaluate(text, {"a"}) in (True, False, None)


@given(
    st.recursive(st.booleans(), lambda below: st.tuples(st.sampled_from(["AND", "OR"]), below, below), max_leaves=10)
)
def test_any_tree(tree: object) -> None:
    def write(node: object) -> str:
        if isinstance(node, tuple):
            return f"({write(node[1])} {node[0]} {write(node[2])})"
        return "ALARM(a)" if node else "ALARM(b)"

    def value(node: object) -> bool:
        if isinstance(node, tuple):
            left, right = value(node[1]), value(node[2])
            return (left and right) if node[0] == "AND" else (left or right)
        return bool(node)

    assert evaluate(write(tree), {"a"}) is value(tree)
    assert evaluate(f"NOT {write(tree)}", {"a"}) is (not value(tree))

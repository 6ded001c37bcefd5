"""Queries of Logs Insights: plain filters are decided, everything else is not."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.detection import classes
from auditor.detection.queries import matches
from tests.detection import ACCOUNT, GONE, REGION, record


def on(condition: str, value: Any) -> bool | None:
    """Match a condition on a record whose only member is `a`."""
    return matches(f"filter {condition}", {} if value is GONE else {"a": value})


def test_a_query_of_a_company() -> None:
    query = """
    # What was deleted, and by whom
    fields @timestamp, eventName, userIdentity.arn as who
    | filter eventSource = "dynamodb.amazonaws.com"
        and eventName in ["DeleteTable", "DeleteBackup"]   # not backups of AWS Backup
    | sort @timestamp desc
    | limit 20
    """
    deletion = classes(ACCOUNT, REGION, "aws")["table-deletion"]
    assert [matches(query, one.body) for one in deletion.mandatory] == [True, True]
    assert [matches(query, one.body) for one in deletion.recommended] == [False, False]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("fields @timestamp, @message", True),
        ('filter eventName = "DeleteTable"', True),
        ("filter eventName = 'DeleteTable'", True),
        ('filter eventName = "DeleteBackup"', False),
        ('filter eventName = "deletetable"', False),
        ('filter EventName = "DeleteTable"', False),
        ('FILTER eventName = "DeleteTable" AND eventSource = "dynamodb.amazonaws.com"', True),
        ('filter eventName = "DeleteTable" | filter eventSource = "glue.amazonaws.com"', False),
        ("filter eventName like /^Delete/", True),
        ("filter eventName like /(?i)^delete(Table|Backup)$/", True),
        ("filter eventName =~ /^Describe/", False),
        ('filter eventName like "Table"', True),
        ('filter eventName like "table"', False),
        ('filter eventName like "Delete%"', None),
        ('filter eventName not like "Table"', False),
        ("filter eventName not like /^Describe/", True),
        ('filter @message like "DeleteTable"', True),
        ("filter @message like /DeleteTable/", True),
        ("filter @message not like /DeleteTable/", False),
        ("filter @message like /StopLogging/", False),
        ('filter @message like "\\"eventName\\":\\"DeleteTable\\""', None),
        ('filter @message = "DeleteTable"', None),
        ('filter @logStream = "DeleteTable"', None),
        ("filter `eventName` = 'DeleteTable'", True),
        ('filter userIdentity.sessionContext.sessionIssuer.type = "Role"', True),
        ('filter requestParameters = "x"', None),
        ("filter ispresent(errorCode)", False),
        ("filter not ispresent(errorCode)", True),
        ("filter ispresent(requestParameters.tableName)", True),
        ("filter ispresent(requestParameters)", None),
        ("filter isempty(errorCode)", True),
        ("filter isblank(eventName)", False),
        ('filter errorCode = "AccessDenied"', False),
        ('filter errorCode != "AccessDenied"', None),
        ("filter errorCode not like /Denied/", None),
        ('filter eventName = "DeleteTable" | stats count(*)', True),
        ('filter eventName = "DeleteTable" | stats count(*) as n by bin(5m)', True),
        ('filter eventName = "DeleteTable" | stats count() by eventName, userIdentity.arn, bin(1h)', True),
        ('filter eventName = "StopLogging" | stats count() by eventName', False),
        ('filter eventName = "DeleteTable" | stats count(*) by userIdentity.userName', None),
        ('filter eventName = "DeleteTable" | stats count(*) as n | filter n > 5', None),
        ('filter eventName = "DeleteTable" | stats sum(size)', None),
        ('filter eventName = "DeleteTable" | stats count_distinct(eventID)', None),
        ('filter eventName = "DeleteTable" | stats count(*), max(size)', None),
        ('limit 100 | filter eventName = "DeleteTable"', None),
        ('filter eventName = "DeleteTable" | limit 0', None),
        ('filter eventName = "DeleteTable" | limit 1', True),
        ('filter eventName = "DeleteTable" | dedup eventName', None),
        ('filter eventName = "StopLogging" | dedup eventName', None),
        ("parse @message '\"eventName\":\"*\"' as eventName | filter eventName = 'DeleteTable'", None),
        ("parse @message '\"eventName\":\"*\"' as name | filter eventName = 'DeleteTable'", True),
        ("parse @message /(?<name>Delete[a-z]+)/ | filter name = 'DeleteTable'", None),
        ("parse eventName /(?<name>Delete[a-z]+)/ | filter eventSource = 'glue.amazonaws.com'", False),
        ("parse eventName 'Delete*' as kind, eventSource | filter eventSource = 'x'", None),
        ("parse eventName 'Delete*T*' as kind, sort | filter sort = 'able'", None),
        ("fields eventName as name | filter name = 'DeleteTable'", None),
        ("fields strlen(eventName) / 2 as half | filter half > 3", None),
        ("fields strlen(eventName) / 2 as half | filter eventName = 'DeleteTable'", True),
        ("display eventName | filter eventName = 'DeleteTable'", None),
        ("source = cloudtrail | where eventName = 'DeleteTable'", None),
        ("SELECT eventName FROM cloudtrail WHERE eventName = 'DeleteTable'", None),
        ("filter strcontains(eventName, 'Delete')", None),
        ("filter tolower(eventName) = 'deletetable'", None),
        ("filterIndex eventName = 'DeleteTable'", None),
        ("", None),
        ("filter", None),
        ("filter eventName", None),
        ("filter eventName =", None),
        ("filter eventName = DeleteTable", None),
        ("filter eventName in []", None),
        ("filter eventName in ['DeleteTable'", None),
        ("filter (eventName = 'DeleteTable'", None),
        ("filter eventName = 'DeleteTable')", None),
        ("filter eventName = 'DeleteTable", None),
        ("filter eventName = 'DeleteTable' |", None),
        ("| filter eventName = 'DeleteTable'", None),
        ("filter eventName = 'DeleteTable' ; drop", None),
        ("filter eventName like /(?=Delete)/", None),
        ("filter not eventName = 'StopLogging'", True),
    ],
)
def test_on_a_deletion(query: str, expected: bool | None) -> None:
    assert matches(query, record()) is expected


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ("a = 'x'", GONE, False),
        ("a = 'x'", None, None),
        ("a = 'x'", 5, False),
        ("a = '5'", 5, None),
        ("a = 'x'", ["x"], None),
        ("a.0 = 'x'", ["x"], True),
        ("a.1 = 'x'", ["x"], False),
        ("a.b = 'x'", [{"b": "x"}], None),
        ("a.0.b = 'x'", [{"b": "x"}], True),
        ("a.b = 'x'", "x", False),
        ("a = 5", 5, True),
        ("a = 5", 6, False),
        ("a = 5", "5", None),
        ("a = 5", "x", False),
        ("a = 5.5", 5.5, True),
        ("a != 5", 6, True),
        ("a != 'x'", "y", True),
        ("a != 'x'", "x", False),
        ("a = 0", False, None),
        ("a = 1", False, False),
        ("a = 'false'", False, None),
        ("a = 'x'", False, False),
        ("a > 5", 6, True),
        ("a >= 5", 4, False),
        ("a < 5", 5, False),
        ("a <= 5", 5, True),
        ("a > 5", 5, False),
        ("a >= 5", 5, True),
        ("a < 5", "4", None),
        ("a <= 5", GONE, False),
        ("a in ['x', 'y']", "y", True),
        ("a in ['x', 'y']", "z", False),
        ("a in ['x', 'y']", GONE, False),
        ("a not in ['x', 'y']", "z", True),
        ("a not in ['x', 'y']", "x", False),
        ("a not in ['x', 'y']", GONE, None),
        ("a in [5, 6]", 6, True),
        ("a like 'x'", 5, None),
        ("a like /x/", GONE, False),
        ("not a = 'x'", "y", True),
        ("a = 'x' or a = 'y'", "y", True),
        ("(a = 'x' or a = 'y') and a = 'z'", "y", False),
        ("a = 'y' or a = 'x' and a = 'z'", "y", None),
        ("a = 'x' and a = 'z' or a = 'y'", "y", True),
        ("a = 0 or a = 'x'", False, None),
        ("isblank(a)", "  ", True),
        ("isempty(a)", "  ", False),
        ("isempty(a)", "", True),
        ("ispresent(a)", "", True),
        ("ispresent(a)", None, None),
    ],
)
def test_operators(condition: str, value: Any, expected: bool | None) -> None:
    assert on(condition, value) is expected


@pytest.mark.parametrize(
    "query",
    [
        "filter " + "(" * 3000 + "a = 1" + ")" * 3000,
        "filter " + "not " * 2000 + "a = 1",
        "filter a = '" + "x" * 100_000 + "'",
        "filter a like /" + "(x*)*" * 20 + "y/",
        "filter a like /" + "(" * 100 + "x" + ")" * 100 + "/",
        "filter a like /((x{50}){50}){50}/",
        "#" * 9000,
        "filter " + " and ".join(["a = 1"] * 800),
        "'" * 9000,
        "\\" * 9000,
    ],
)
def test_hostile_queries(query: str) -> None:
    started = time.process_time()
    assert matches(query, {"a": "x" * 3000}) in (None, False)
    assert time.process_time() - started < 2


@settings(max_examples=300)
@given(
    st.text(alphabet="filter a='x|/[](),stcounby#<>!~*1 \n", max_size=60),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
)
def test_any_text(query: str, value: Any) -> None:
    for text in (query, f"filter a {query}", f"stats {query}", f"parse a {query}", f"filter a = 'x' | {query}"):
        assert matches(text, {"a": value}) in (True, False, None)

"""Event patterns: each operator, what is documented not to match, and what stays undecidable."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.detection import Unparsable, classes
from auditor.detection.patterns import parse
from tests.detection import ACCOUNT, GONE, REGION, call


def on(alternatives: Any, value: Any) -> bool | None:
    """Match the alternatives of the member `a` on a value of it."""
    return parse(json.dumps({"a": alternatives})).matches({} if value is GONE else {"a": value})


class TestRealPatterns:
    """Patterns that companies have, on the calls of the classes."""

    def test_the_documented_remedy_covers_its_class(self) -> None:
        pattern = parse(
            json.dumps(
                {
                    "source": ["aws.dynamodb"],
                    "detail-type": ["AWS API Call via CloudTrail"],
                    "detail": {
                        "eventSource": ["dynamodb.amazonaws.com"],
                        "eventName": ["UpdateTable", "UpdateContinuousBackups", "PutResourcePolicy"],
                    },
                }
            )
        )
        weakening = classes(ACCOUNT, REGION, "aws")["control-weakening"].mandatory
        matched = {one.label for one in weakening if pattern.matches(one.envelope)}
        assert matched == {
            "UpdateTable (deletionProtectionEnabled=false)",
            "UpdateContinuousBackups",
            "PutResourcePolicy",
        }
        assert {pattern.matches(one.envelope) for one in weakening} == {True, False}

    def test_unauthorized_calls_by_prefix(self) -> None:
        pattern = parse(
            '{"source": ["aws.dynamodb"], "detail-type": ["AWS API Call via CloudTrail"],'
            ' "detail": {"errorCode": [{"prefix": "AccessDenied"}]}}'
        )
        for one in classes(ACCOUNT, REGION, "aws")["unauthorized-calls"].mandatory:
            assert pattern.matches(one.envelope) is True
        assert pattern.matches(call("dynamodb:DeleteTable").envelope) is False

    def test_successful_calls_only(self) -> None:
        pattern = parse('{"detail": {"eventName": ["DeleteTable"], "errorCode": [{"exists": false}]}}')
        assert pattern.matches(call().envelope) is True
        assert pattern.matches(call("dynamodb:DeleteTable!AccessDenied").envelope) is False

    def test_a_boolean_is_no_text(self) -> None:
        off = call("dynamodb:UpdateTable[deletionProtectionEnabled=false]").envelope
        path = '{{"detail": {{"requestParameters": {{"deletionProtectionEnabled": {}}}}}}}'
        assert parse(path.format("[false]")).matches(off) is True
        assert parse(path.format('["false"]')).matches(off) is False
        assert parse(path.format("[true]")).matches(off) is False
        assert parse(path.format("[false]")).matches(call("dynamodb:UpdateTable").envelope) is False

    def test_another_source_or_kind_of_event(self) -> None:
        for source, kind, expected in [
            ("aws.dynamodb", "AWS API Call via CloudTrail", True),
            ("aws.glue", "AWS API Call via CloudTrail", False),
            ("dynamodb.amazonaws.com", "AWS API Call via CloudTrail", False),
            ("aws.dynamodb", "AWS Service Event via CloudTrail", False),
        ]:
            text = json.dumps({"source": [source], "detail-type": [kind]})
            assert parse(text).matches(call().envelope) is expected

    def test_the_elements_of_an_array(self) -> None:
        created = call("dynamodb:UpdateTable[replicaUpdates[0].create]").envelope
        region = '{{"detail": {{"requestParameters": {{"replicaUpdates": {{"create": {{"regionName": {}}}}}}}}}}}'
        assert parse(region.format('[{"exists": true}]')).matches(created) is True
        assert parse(region.format('["ap-southeast-1"]')).matches(created) is True
        assert parse(region.format('[{"anything-but": ["eu-west-1", "eu-central-1"]}]')).matches(created) is True
        assert parse(region.format('["us-east-1"]')).matches(created) is False
        assert parse(region.format('[{"exists": true}]')).matches(call("dynamodb:UpdateTable").envelope) is False

    def test_resources_are_empty(self) -> None:
        pattern = parse(json.dumps({"resources": [{"prefix": "arn:aws:dynamodb:"}]}))
        assert pattern.matches(call().envelope) is False

    @pytest.mark.parametrize(
        "text",
        [
            '{"source": ["aws.s3"]}',
            '{"source": ["aws.securityhub"], "detail-type": ["Security Hub Findings - Imported"]}',
            '{"source": ["aws.guardduty"], "detail-type": ["GuardDuty Finding"], "detail": {"severity": [7, 8]}}',
        ],
    )
    def test_patterns_of_other_events(self, text: str) -> None:
        assert parse(text).matches(call().envelope) is False


class TestOperators:
    """Every operator on every kind of value."""

    @pytest.mark.parametrize(
        ("alternatives", "value", "expected"),
        [
            (["x"], "x", True),
            (["x"], "X", False),
            (["x"], "xy", False),
            (["x", "y"], "y", True),
            (["x"], GONE, False),
            (["x"], None, False),
            (["x"], ["y", "x"], True),
            (["x"], ["y"], False),
            (["x"], [], False),
            (["x"], {"x": "x"}, False),
            (["x"], [["x"]], None),
            ([""], "", True),
            ([5], 5, True),
            ([5], 5.0, None),
            ([5], 6, False),
            ([5], "5", False),
            (["5"], 5, False),
            ([True], True, True),
            ([True], 1, False),
            ([1], True, False),
            ([False], "false", False),
            (["false"], False, False),
            ([None], None, True),
            ([None], GONE, False),
            ([None], "", False),
            ([{"prefix": "x"}], "xyz", True),
            ([{"prefix": "x"}], "Xyz", False),
            ([{"prefix": "x"}], GONE, False),
            ([{"prefix": "x"}], 5, False),
            ([{"prefix": "x"}], None, False),
            ([{"prefix": "x"}], ["y", "xy"], True),
            ([{"prefix": {"equals-ignore-case": "X"}}], "xyz", True),
            ([{"prefix": {"equals-ignore-case": "Y"}}], "xyz", False),
            ([{"suffix": "z"}], "xyz", True),
            ([{"suffix": "y"}], "xyz", False),
            ([{"suffix": {"equals-ignore-case": "Z"}}], "xyz", True),
            ([{"equals-ignore-case": "XyZ"}], "xYz", True),
            ([{"equals-ignore-case": "xy"}], "xyz", False),
            ([{"wildcard": "x*z"}], "xyz", True),
            ([{"wildcard": "*"}], "", True),
            ([{"wildcard": "x*"}], "yx", False),
            ([{"wildcard": "x\\*"}], "x*", True),
            ([{"wildcard": "x\\*"}], "xy", False),
            ([{"wildcard": "x\\\\*"}], "x\\y", True),
            ([{"wildcard": "x"}], "xx", False),
            ([{"wildcard": "*"}], 5, False),
            ([{"exists": True}], "x", True),
            ([{"exists": True}], None, True),
            ([{"exists": True}], GONE, False),
            ([{"exists": True}], {"b": 1}, None),
            ([{"exists": True}], [], None),
            ([{"exists": True}], ["x"], True),
            ([{"exists": True}], [{"b": 1}], None),
            ([{"exists": False}], GONE, True),
            ([{"exists": False}], "x", False),
            ([{"exists": False}], None, False),
            ([{"exists": False}], {"b": 1}, None),
            ([{"exists": False}, "x"], "x", True),
            ([{"exists": False}, "x"], "y", False),
            ([{"exists": False}, "x"], GONE, True),
            ([{"anything-but": "x"}], "y", True),
            ([{"anything-but": "x"}], "x", False),
            ([{"anything-but": "x"}], GONE, False),
            ([{"anything-but": "x"}], 5, None),
            ([{"anything-but": "x"}], None, None),
            ([{"anything-but": ["x", "y"]}], "y", False),
            ([{"anything-but": ["x", "y"]}], "z", True),
            ([{"anything-but": "x"}], ["x", "y"], None),
            ([{"anything-but": "x"}], ["x", "x"], False),
            ([{"anything-but": "x"}], ["y", "z"], True),
            ([{"anything-but": 5}], 6, True),
            ([{"anything-but": [5, 6]}], 6, False),
            ([{"anything-but": 5}], "5", None),
            ([{"anything-but": 5}], 5.0, None),
            ([{"anything-but": {"prefix": "x"}}], "xy", False),
            ([{"anything-but": {"prefix": ["x", "y"]}}], "yx", False),
            ([{"anything-but": {"prefix": ["x", "y"]}}], "zx", True),
            ([{"anything-but": {"suffix": "x"}}], "xy", True),
            ([{"anything-but": {"suffix": "x"}}], GONE, False),
            ([{"anything-but": {"suffix": "x"}}], 5, None),
            ([{"anything-but": {"equals-ignore-case": ["X", "y"]}}], "x", False),
            ([{"anything-but": {"wildcard": "*y*"}}], "xyz", False),
            ([{"anything-but": {"wildcard": ["*y*", "*z"]}}], "xx", True),
            ([{"numeric": [">", 5]}], 6, True),
            ([{"numeric": [">", 5]}], 5, False),
            ([{"numeric": ["=", 5]}], 5.0, True),
            ([{"numeric": [">", 0, "<=", 5]}], 5, True),
            ([{"numeric": [">", 0, "<=", 5]}], 0, False),
            ([{"numeric": [">=", 0.5, "<", 1e2]}], 0.5, True),
            ([{"numeric": ["<", 5]}], 5, False),
            ([{"numeric": ["<=", 5]}], 5, True),
            ([{"numeric": [">=", 5]}], 5, True),
            ([{"numeric": [">", 5]}], "6", False),
            ([{"numeric": [">", 5]}], GONE, False),
            ([{"numeric": [">", 0]}], True, False),
            ([{"cidr": "10.0.0.0/24"}], "10.0.0.9", True),
            ([{"cidr": "10.0.0.0/24"}], "10.0.1.9", False),
            ([{"cidr": "10.0.0.7/24"}], "10.0.0.9", True),
            ([{"cidr": "10.0.0.0/24"}], "AWS Internal", False),
            ([{"cidr": "10.0.0.0/24"}], 5, False),
            ([{"cidr": "2001:db8::/32"}], "2001:db8::1", True),
            ([{"cidr": "2001:db8::/32"}], "10.0.0.9", False),
            ([{"prefix": "x"}, {"suffix": "y"}], "zy", True),
        ],
    )
    def test_one(self, alternatives: Any, value: Any, expected: bool | None) -> None:
        assert on(alternatives, value) is expected

    def test_numbers_are_compared_as_written(self) -> None:
        for text in ("300.0", "3.0e2", "3e2"):
            assert parse(f'{{"a": [{text}]}}').matches({"a": 300}) is None
            assert parse(f'{{"a": [{text}]}}').matches({"a": 301}) is False
        assert parse('{"a": [300.5]}').matches({"a": 300.5}) is True

    def test_below_what_is_not_there(self) -> None:
        assert parse('{"a": {"b": ["x"]}}').matches({}) is False
        assert parse('{"a": {"b": ["x"]}}').matches({"a": None}) is False
        assert parse('{"a": {"b": ["x"]}}').matches({"a": "x"}) is False
        assert parse('{"a": {"b": [{"exists": false}]}}').matches({"a": {}}) is True
        lacking: list[dict[str, Any]] = [{}, {"a": None}, {"a": "x"}, {"a": []}]
        for event in lacking:
            assert parse('{"a": {"b": [{"exists": false}]}}').matches(event) is None

    def test_arrays_of_objects(self) -> None:
        pattern = parse('{"a": {"b": ["x"], "c": ["y"]}}')
        assert pattern.matches({"a": [{"b": "x", "c": "y"}]}) is True
        assert pattern.matches({"a": [{"b": "x"}]}) is False
        assert pattern.matches({"a": [{"b": "x"}, {"c": "y"}]}) is None
        assert pattern.matches({"a": [{"b": "x", "c": "y"}, {"b": "x", "c": "y"}]}) is True
        assert pattern.matches({"a": ["x"]}) is None
        assert pattern.matches({"a": []}) is False

    def test_or(self) -> None:
        pattern = parse('{"a": ["x"], "$or": [{"b": ["y"]}, {"c": {"d": [{"exists": true}]}}]}')
        assert pattern.matches({"a": "x", "b": "y"}) is True
        assert pattern.matches({"a": "x", "c": {"d": 1}}) is True
        assert pattern.matches({"a": "x", "b": "z"}) is False
        assert pattern.matches({"a": "z", "b": "y"}) is False
        nested = parse('{"a": {"$or": [{"b": ["x"]}, {"$or": [{"c": ["x"]}, {"d": ["x"]}]}]}}')
        assert nested.matches({"a": {"d": "x"}}) is True
        assert nested.matches({"a": {"e": "x"}}) is False

    def test_what_decides_needs_nothing_else(self) -> None:
        unclear = {"a": {"inner": 1}}
        assert parse('{"a": [{"exists": true}], "b": ["x"]}').matches({**unclear, "b": "y"}) is False
        assert parse('{"a": [{"exists": true}], "b": ["x"]}').matches({**unclear, "b": "x"}) is None
        assert parse('{"$or": [{"a": [{"exists": true}]}, {"b": ["x"]}]}').matches({**unclear, "b": "x"}) is True


class TestHostile:
    """Nothing crashes, and nothing takes long."""

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            "[]",
            '"x"',
            "{}",
            "{",
            '{"a": "x"}',
            '{"a": 5}',
            '{"a": null}',
            '{"a": []}',
            '{"a": {}}',
            '{"a": [[]]}',
            '{"a": [["x"]]}',
            '{"a": [{}]}',
            '{"a": [{"prefix": "x", "suffix": "y"}]}',
            '{"a": [{"unknown": "x"}]}',
            '{"a": [{"Prefix": "x"}]}',
            '{"a": [{"prefix": 5}]}',
            '{"a": [{"prefix": ["x"]}]}',
            '{"a": [{"prefix": {"wildcard": "x"}}]}',
            '{"a": [{"equals-ignore-case": ["x"]}]}',
            '{"a": [{"equals-ignore-case": 5}]}',
            '{"a": [{"wildcard": "x**y"}]}',
            '{"a": [{"wildcard": "x\\\\y"}]}',
            '{"a": [{"wildcard": "x\\\\"}]}',
            '{"a": [{"exists": "true"}]}',
            '{"a": [{"exists": null}]}',
            '{"a": [{"anything-but": []}]}',
            '{"a": [{"anything-but": true}]}',
            '{"a": [{"anything-but": ["x", 5]}]}',
            '{"a": [{"anything-but": [null]}]}',
            '{"a": [{"anything-but": {"numeric": [">", 5]}}]}',
            '{"a": [{"anything-but": {"prefix": []}}]}',
            '{"a": [{"anything-but": {"prefix": {"equals-ignore-case": "x"}}}]}',
            '{"a": [{"anything-but": {}}]}',
            '{"a": [{"numeric": [">"]}]}',
            '{"a": [{"numeric": [">", "5"]}]}',
            '{"a": [{"numeric": ["!=", 5]}]}',
            '{"a": [{"numeric": [">", 0, ">", 5]}]}',
            '{"a": [{"numeric": ["=", 0, "<", 5]}]}',
            '{"a": [{"numeric": [">", 0, "<", 5, "<", 6]}]}',
            '{"a": [{"numeric": 5}]}',
            '{"a": [{"cidr": "10.0.0.0/33"}]}',
            '{"a": [{"cidr": 5}]}',
            '{"a": ["x"], "a": ["y"]}',
            '{"a": {"b": ["x"], "b": ["x"]}}',
            '{"a": [NaN]}',
            '{"a": [1e999999999]}',
            '{"a": [' + "1" * 5000 + "]}",
            '{"$or": [{"a": ["x"]}]}',
            '{"$or": {"a": ["x"]}}',
            '{"$or": ["x", "y"]}',
            '{"$or": []}',
            '{"a": ["x"]} tail',
            '{"a": ' * 2000 + '["x"]' + "}" * 2000,
            '{"a": ' * 100 + '["x"]' + "}" * 100,
            '{"a": ["' + "x" * 100_000 + '"]}',
            "[" * 10_000,
        ],
    )
    def test_what_is_no_pattern(self, text: str) -> None:
        with pytest.raises(Unparsable) as refused:
            parse(text)
        assert refused.value.reason

    def test_time_is_bounded(self) -> None:
        started = time.process_time()
        assert on([{"wildcard": "*x" * 1500 + "y"}] * 2, "x" * 100_000) is False
        assert on([{"anything-but": {"wildcard": ["*x" * 100 + "y"] * 10}}], "x" * 10_000) is True
        assert time.process_time() - started < 2

    def test_strange_events(self) -> None:
        deep: Any = "x"
        for _ in range(100_000):
            deep = {"a": deep}
        assert parse('{"a": {"a": ["x"]}}').matches(deep) is False
        assert on([5], 10**5000) is False
        assert on([{"numeric": [">", 5]}], float("nan")) is False
        assert on(["x"], object()) is False
        assert on([{"anything-but": "x"}], object()) is None

    @settings(max_examples=300)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["x", "*", ""]),
            lambda below: (
                st.lists(below, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["a", "b", "$or", "prefix", "suffix", "anything-but", "numeric", "exists", "wildcard", "cidr"]
                    ),
                    below,
                    max_size=3,
                )
            ),
            max_leaves=10,
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.sampled_from(["x", ""]),
            lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), below, max_size=2),
            max_leaves=6,
        ),
    )
    def test_any_pattern_on_any_event(self, tree: Any, value: Any) -> None:
        for each in (tree, {"a": tree}, {"a": [tree]}):
            with contextlib.suppress(Unparsable):
                assert parse(json.dumps(each)).matches({"a": value}) in (True, False, None)

    @given(st.sampled_from(["x", 5, None, True, "yy"]), st.sampled_from(["x", 5, None, True, "yy"]))
    def test_more_alternatives_never_match_less(self, first: Any, second: Any) -> None:
        for value in ("x", 5, None, True, ["x", 5]):
            if on([first], value) is True:
                assert on([first, second], value) is True

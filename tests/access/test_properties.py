"""What holds of every request and every set of policies, whatever they say."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.access import (
    ALLOWED,
    EXPLICIT,
    FULL,
    IMPLICIT,
    INDEX,
    OUTSIDE_ROLE,
    OUTSIDE_ROOT,
    OUTSIDE_SESSION,
    OUTSIDE_USER,
    ROLE,
    ROOT,
    SESSION,
    TABLE,
    TABLES,
    USER,
    allow,
    deny,
    doc,
    grant,
    judge,
    merge,
    outcome,
    outcome_of,
    refuse,
    when,
)

Case = dict[str, Any]

exhaust = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

# -- Requests and policies of a small world -----------------------------------------------------------------------

VPCE, TEAM, MFA, IP = "aws:SourceVpce", "aws:PrincipalTag/team", "aws:MultiFactorAuthPresent", "aws:SourceIp"
AGE, KEYS = "aws:MultiFactorAuthAge", "dynamodb:LeadingKeys"

# Every key with the values that a request may bring; None is its absence. Some stand in no policy.
VALUES: dict[str, list[Any]] = {
    VPCE: ["vpce-a", "vpce-b", "red", "orders", "other", "", None],
    TEAM: ["orders", "red", "*", None],
    MFA: ["true", "false", None],
    IP: ["10.1.2.3", "192.0.2.1", "2001:db8::1", None],
    AGE: ["60", "3600", "never", None],
    KEYS: [["u1"], ["u1", "u2"], ["u3"], [], None],
}
CONDITIONS = [
    *(when(operator, VPCE, "vpce-a") for operator in ("StringEquals", "StringNotEquals", "StringEqualsIfExists")),
    *(when(operator, VPCE, ["vpce-b", "vpce-c*"]) for operator in ("StringLike", "StringNotLike", "StringEquals")),
    *(when("Null", key, value) for key in (VPCE, MFA, KEYS) for value in ("true", "false")),
    *(when(operator, MFA, value) for operator in ("Bool", "BoolIfExists") for value in ("true", "false")),
    *(when(operator, IP, "10.0.0.0/8") for operator in ("IpAddress", "NotIpAddress", "IpAddressIfExists")),
    *(when(operator, AGE, "300") for operator in ("NumericLessThan", "NumericGreaterThan", "NumericNotEquals")),
    *(when(operator, TEAM, "red") for operator in ("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase")),
    when("StringEquals", VPCE, f"${{{TEAM}}}"),
    when("StringNotEquals", VPCE, f"${{{TEAM}}}"),
    *(when(f"{sets}:StringEquals", KEYS, ["u1"]) for sets in ("ForAllValues", "ForAnyValue")),
    *(when(f"{sets}:StringNotEquals", KEYS, ["u1", "u2"]) for sets in ("ForAllValues", "ForAnyValue")),
    when("StringEquals", KEYS, "u1"),
]
PRINCIPALS = [USER, SESSION, ROLE, ROOT, OUTSIDE_USER, OUTSIDE_SESSION, OUTSIDE_ROOT]
NAMED = ["*", *(({"AWS": name}) for name in (*PRINCIPALS, OUTSIDE_ROLE))]
ACTIONS = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PartiQLSelect", "dynamodb:ListTables"]
ACTION_PATTERNS = ["*", "dynamodb:*", "dynamodb:Get*", "dynamodb:Query", "dynamodb:PartiQL*", "s3:*"]
RESOURCE_PATTERNS = ["*", TABLE, INDEX, f"{TABLES}/*", f"{TABLES}/o*", f"{TABLES}/${{{TEAM}}}", f"{TABLES}/bills"]
OTHERS = {"Action": "s3:*", "Resource": f"{TABLES}/bills"}

some_condition = st.one_of(
    st.none(),
    st.sampled_from(CONDITIONS),
    st.tuples(st.sampled_from(CONDITIONS), st.sampled_from(CONDITIONS)).map(lambda pair: pair[0] | pair[1]),
)


@st.composite
def statements(draw: st.DrawFn, effects: tuple[str, ...] = ("Allow", "Deny"), named: bool = False) -> Case:
    """Draw a statement, with a principal if asked for. Most reach the request, or little would differ."""
    made: Case = {"Effect": draw(st.sampled_from(effects))}
    negated = draw(st.sampled_from(["", "", "", "", "", "", "Action", "Resource"]))
    for element, patterns in (("Action", ACTION_PATTERNS), ("Resource", RESOURCE_PATTERNS)):
        chosen = draw(st.one_of(st.just("*"), st.sampled_from(patterns)))
        if negated == element:
            made[f"Not{element}"] = [chosen, OTHERS[element]] if chosen != "*" else OTHERS[element]
        else:
            made[element] = draw(st.sampled_from([[chosen], [OTHERS[element], chosen]]))
    condition = draw(st.sampled_from(CONDITIONS) if made["Effect"] == "Deny" else some_condition)
    if condition is not None:
        made["Condition"] = condition
    if named:
        made["Principal"] = draw(st.one_of(st.just("*"), st.sampled_from(NAMED)))
    return made


@st.composite
def documents(draw: st.DrawFn, effects: tuple[str, ...] = ("Allow", "Allow", "Deny"), named: bool = False) -> Case:
    """Draw a document of one to three statements."""
    made = draw(st.lists(statements(effects=effects, named=named), min_size=1, max_size=3))
    return doc(*made, version=draw(st.sampled_from(["2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17"])))


@st.composite
def worlds(draw: st.DrawFn) -> Case:
    """Draw a request and its policies, as arguments of `judge`; context and unknown keys are left to the caller."""
    principal = draw(st.one_of(st.sampled_from([USER, SESSION]), st.sampled_from(PRINCIPALS)))
    limit = st.one_of(st.none(), st.none(), st.just(FULL), documents())
    level = documents(effects=("Deny",)).map(lambda document: [FULL, document])
    whole = grant("*", "*")
    shared = documents(named=True).map(lambda document: merge(whole, document))
    return {
        "principal": principal,
        "action": draw(st.one_of(st.just("dynamodb:GetItem"), st.sampled_from(ACTIONS))),
        "resource": draw(st.sampled_from([TABLE, TABLE, INDEX])),
        "identity": draw(st.lists(st.one_of(st.just(FULL), documents(), documents()), min_size=1, max_size=2)),
        "boundary": draw(limit),
        "session": draw(limit) if "assumed-role" in principal else None,
        "scps": draw(
            st.one_of(st.just([]), st.lists(st.one_of(level, documents().map(lambda one: [one])), max_size=2))
        ),
        "rcps": draw(st.lists(st.lists(documents(effects=("Deny",), named=True), max_size=1), max_size=1)),
        "resource_policy": draw(st.one_of(st.none(), documents(named=True), shared)),
        "endpoint": draw(st.sampled_from([None, None, None, whole]))
        or draw(st.one_of(st.none(), documents(named=True))),
    }


@st.composite
def contexts(draw: st.DrawFn) -> Case:
    """Draw a context in which every key has a value or is absent."""
    drawn = {key: draw(st.sampled_from(values)) for key, values in VALUES.items()}
    return {key: value for key, value in drawn.items() if value is not None}


unknown_keys = st.lists(st.sampled_from(sorted(VALUES)), unique=True, min_size=2, max_size=3)

RANKS = {"denied": 0, "conditional": 1, "allowed": 2}


def rank(case: Case) -> int:
    """Return how much a request is allowed: not at all, perhaps, surely."""
    decision = judge(**case)
    outcome(decision)
    return RANKS[decision.verdict]


def put(case: Case, place: str, statement: Case) -> Case:
    """Return the case with one more statement in that policy, or in every policy of that kind."""
    extended = dict(case)
    added = doc(statement)
    if place == "identity":
        extended["identity"] = [*case["identity"], added]
    elif place in ("scps", "rcps"):
        extended[place] = [[*level, added] for level in case[place]]
    elif case[place] is not None:
        extended[place] = {**case[place], "Statement": [*case[place]["Statement"], statement]}
    return extended


# -- Properties ---------------------------------------------------------------------------------------------------


@exhaust
@given(worlds(), contexts(), unknown_keys, st.data())
def test_one_more_allow_never_lowers_a_verdict(
    case: Case, context: Case, unknown: list[str], data: st.DataObject
) -> None:
    """RCPs are left out: those of customers have no Allow."""
    case |= {"context": context, "unknown": unknown}
    place = data.draw(st.sampled_from(["identity", "boundary", "session", "scps", "resource_policy", "endpoint"]))
    added = data.draw(statements(effects=("Allow",), named=place in ("resource_policy", "endpoint")))
    assert rank(put(case, place, added)) >= rank(case)


@exhaust
@given(worlds(), contexts(), unknown_keys, st.data())
def test_one_more_deny_never_raises_a_verdict(
    case: Case, context: Case, unknown: list[str], data: st.DataObject
) -> None:
    case |= {"context": context, "unknown": unknown}
    place = data.draw(
        st.sampled_from(["identity", "boundary", "session", "scps", "rcps", "resource_policy", "endpoint"])
    )
    added = data.draw(statements(effects=("Deny",), named=place in ("rcps", "resource_policy", "endpoint")))
    assert rank(put(case, place, added)) <= rank(case)


@exhaust
@given(worlds(), contexts(), unknown_keys)
def test_a_sure_verdict_over_unknown_keys_holds_for_every_value(case: Case, context: Case, unknown: list[str]) -> None:
    known = {key: value for key, value in context.items() if key not in unknown}
    verdict = judge(**case, context=known, unknown=unknown).verdict
    if verdict == "conditional":
        return
    for values in itertools.product(*(VALUES[key] for key in unknown)):
        concrete = {key: value for key, value in zip(unknown, values, strict=True) if value is not None}
        assert judge(**case, context=known | concrete).verdict == verdict, concrete


@exhaust
@given(worlds(), contexts(), st.sampled_from(sorted(VALUES)))
def test_no_longer_knowing_a_key_makes_a_verdict_at_most_conditional(case: Case, context: Case, key: str) -> None:
    before = judge(**case, context=context).verdict
    context.pop(key, None)
    assert judge(**case, context=context, unknown=[key]).verdict in (before, "conditional")


@exhaust
@given(worlds(), contexts())
def test_without_unknown_keys_nothing_is_conditional_but_sessions_of_a_role(case: Case, context: Case) -> None:
    """A policy that names one session leaves open what holds of the role."""
    if case["principal"] != ROLE:
        assert judge(**case, context=context).verdict != "conditional"


@exhaust
@given(documents(), contexts(), unknown_keys, st.sampled_from(ACTIONS), st.sampled_from(["Action", "Resource"]))
def test_statements_may_be_split(document: Case, context: Case, unknown: list[str], action: str, element: str) -> None:
    split = [
        {**statement, element: [value]}
        for statement in document["Statement"]
        for value in statement.get(element, [None])
        if value is not None
    ]
    split += [statement for statement in document["Statement"] if element not in statement]
    other = {**document, "Statement": split}
    case: Case = {"action": action, "context": context, "unknown": unknown}
    assert outcome_of(**case, identity=[document]) == outcome_of(**case, identity=[other])
    guarded: Case = {"identity": [FULL], "scps": [[FULL, document]]}
    assert outcome_of(**case, **guarded) == outcome_of(**case, **(guarded | {"scps": [[other, FULL]]}))


@exhaust
@given(worlds(), contexts(), unknown_keys, st.randoms(use_true_random=False))
def test_the_order_of_statements_policies_and_levels_does_not_matter(
    case: Case, context: Case, unknown: list[str], random: Any
) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            made = {**value, "Statement": shuffled(value["Statement"])} if "Statement" in value else value
            return dict(random.sample(list(made.items()), len(made)))
        return random.sample([shuffled(item) for item in value], len(value)) if isinstance(value, list) else value

    mixed = {name: shuffled(value) for name, value in case.items()}
    given_keys: Case = {"context": context, "unknown": unknown}
    before, after = judge(**case, **given_keys), judge(**mixed, **given_keys)
    assert (before.result, before.verdict) == (after.result, after.verdict)
    assert sorted(before.blocked_by) == sorted(after.blocked_by)


@exhaust
@given(worlds(), contexts(), unknown_keys)
def test_texts_and_the_case_of_names_do_not_matter(case: Case, context: Case, unknown: list[str]) -> None:
    expected = outcome_of(**case, context=context, unknown=unknown)

    def text(value: Any) -> Any:
        if isinstance(value, list):
            return [text(item) for item in value]
        return json.dumps(value) if isinstance(value, dict) else value

    written = {name: text(value) for name, value in case.items()}
    loud = {key.upper(): value for key, value in context.items()}
    written["action"] = case["action"].upper()
    assert outcome_of(**written, context=loud, unknown={key.lower() for key in unknown}) == expected


@exhaust
@given(worlds(), contexts(), unknown_keys)
def test_a_plain_denial_beats_everything(case: Case, context: Case, unknown: list[str]) -> None:
    case |= {"context": context, "unknown": unknown}
    assert outcome_of(**(case | {"identity": [*case["identity"], deny("*")]})) == EXPLICIT
    assert outcome_of(**(case | {"resource_policy": refuse("*", "*")})) == EXPLICIT
    assert outcome_of(**(case | {"scps": [[FULL, deny("*")]]})) == EXPLICIT
    assert outcome_of(**(case | {"rcps": [[refuse("*", "*")]]})) == EXPLICIT


# -- The combination, in every composition ------------------------------------------------------------------------

STANCES: dict[str, Any] = {
    "none": None,
    "silent": allow("s3:*"),
    "allows": FULL,
    "denies": merge(allow("*"), deny("*")),
}
GRANTS: dict[str, Any] = {"none": None, "silent": grant("*", "s3:*"), "denies": refuse("*", "*")}


@pytest.mark.parametrize("named", ["none", "silent", "denies", "everyone", "exact", "role", "account"])
@pytest.mark.parametrize("principal", [USER, SESSION, ROOT, OUTSIDE_USER, OUTSIDE_SESSION, OUTSIDE_ROOT])
def test_every_composition_of_policies(principal: str, named: str) -> None:
    outside = principal in (OUTSIDE_USER, OUTSIDE_SESSION, OUTSIDE_ROOT)
    root = principal in (ROOT, OUTSIDE_ROOT)
    session_of = {SESSION: ROLE, OUTSIDE_SESSION: OUTSIDE_ROLE}.get(principal)
    if (named == "role" and session_of is None) or (named == "exact" and root):
        return
    listed = {"everyone": "*", "exact": principal, "role": session_of, "account": OUTSIDE_ROOT if outside else ROOT}
    policy = grant(listed[named], "*") if named in listed else GRANTS[named]

    for identity, boundary, session, scp, endpoint in itertools.product(STANCES, repeat=5):
        if root and (identity, boundary, session) != ("none", "none", "none"):
            continue
        if session != "none" and session_of is None:
            continue
        by_identity = root or identity == "allows"
        within = all(stance in ("none", "allows") for stance in (boundary, session))
        if outside:
            granted = named in listed and by_identity and within
        else:
            granted = by_identity and within
            granted |= named in ("everyone", "exact") or (named == "role" and within)
        denied = named == "denies" or "denies" in (identity, boundary, session, scp, endpoint)
        allowed = granted and scp in ("none", "allows") and endpoint in ("none", "allows")
        decision = outcome_of(
            principal=principal,
            identity=[] if identity == "none" else [STANCES[identity]],
            boundary=STANCES[boundary],
            session=STANCES[session],
            scps=[] if scp == "none" else [[FULL], [STANCES[scp]]],
            endpoint={**GRANTS, "allows": grant("*", "*")}[endpoint],
            resource_policy=policy,
        )
        expected = EXPLICIT if denied else ALLOWED if allowed else IMPLICIT
        assert decision == expected, (identity, boundary, session, scp, endpoint)


# -- Hostile input ------------------------------------------------------------------------------------------------

WORDS = [
    "Version",
    "Statement",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "NotPrincipal",
]
WORDS += ["Condition", "AWS", "Service", "Federated", "StringEquals", "ForAllValues:", "Null", "aws:SourceIp", "Bool"]
TEXTS = [
    "Allow",
    "Deny",
    "2012-10-17",
    "*",
    "dynamodb:*",
    TABLE,
    "${",
    "${}",
    "${aws:username",
    "${,'",
    "${*",
    "::::::",
]
TEXTS += ["\ud800", "\x00", "10.0.0.0/8", "1e999", "arn:", "${aws:PrincipalTag/${aws:username}}", "9" * 5000]
words = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(TEXTS), st.text(max_size=20))
anything = st.recursive(
    leaves, lambda part: st.one_of(st.lists(part, max_size=4), st.dictionaries(words, part, max_size=4)), max_leaves=15
)
almost = st.fixed_dictionaries(
    {"Effect": st.one_of(st.sampled_from(["Allow", "Deny"]), anything)},
    optional={word: st.one_of(st.sampled_from(TEXTS), anything) for word in WORDS[3:9]}
    | {
        "Condition": st.one_of(
            anything,
            st.dictionaries(
                st.one_of(st.sampled_from(["StringLike", "ForAnyValue:ArnLike", "DateLessThan", "IpAddress"]), words),
                st.dictionaries(st.sampled_from([*VALUES, "aws:x"]), anything, max_size=2),
                max_size=2,
            ),
        )
    },
)
policies = st.one_of(anything, almost.map(doc), st.text(), anything.map(json.dumps))


@exhaust
@given(policies, policies, contexts(), unknown_keys)
def test_no_policy_makes_it_fall_over(first: Any, second: Any, context: Case, unknown: list[str]) -> None:
    for principal in (USER, None, "lambda.amazonaws.com"):
        case = {"principal": principal, "context": context, "unknown": unknown}
        outcome_of(**case, identity=[FULL, first], resource_policy=second)
        outcome_of(**case, identity=[FULL], boundary=first, session=second, endpoint=first)
        outcome_of(**case, identity=[FULL], scps=[[FULL, first], [second]], rcps=[[first, second]])
        outcome_of(**case, action="sts:AssumeRole", resource=ROLE, resource_policy=first)


@exhaust
@given(st.text(), st.text(), st.text(), st.dictionaries(st.text(), st.one_of(st.text(), st.lists(st.text()))))
def test_no_request_makes_it_fall_over(principal: str, action: str, resource: str, context: Case) -> None:
    for named in (principal, f"arn:aws:iam::{principal}", f"arn:aws:sts::{principal}:assumed-role/{action}"):
        outcome_of(
            principal=named,
            action=action,
            resource=resource,
            context=context,
            unknown=list(context)[:1],
            identity=[FULL],
            resource_policy=grant("*", "*"),
        )


def reference_match(pattern: str, text: str) -> bool:
    """Match a pattern with `*` and `?` in the plainest way: a row of states per character."""
    states = {0}
    for character in text:
        stars = {state for state in skip(pattern, states) if state < len(pattern) and pattern[state] == "*"}
        moved = {
            state + 1
            for state in skip(pattern, states)
            if state < len(pattern) and pattern[state] in ("?", character) and pattern[state] != "*"
        }
        states = moved | stars
    return len(pattern) in skip(pattern, states)


def skip(pattern: str, states: set[int]) -> set[int]:
    """Return the states and those behind stars, which may stand for nothing."""
    reached = set(states)
    for state in states:
        behind = state
        while behind < len(pattern) and pattern[behind] == "*":
            behind += 1
            reached.add(behind)
    return reached


@exhaust
@given(st.text("ab*?/", max_size=10), st.text("ab/", max_size=14))
def test_wildcards_are_those_of_the_reference(pattern: str, text: str) -> None:
    expected = ALLOWED if reference_match(pattern, text) else IMPLICIT
    like = allow(condition=when("StringLike", VPCE, pattern))
    assert outcome_of(identity=[like], context={VPCE: text}) == expected
    named = allow(resource=f"{TABLES}/x{pattern}")
    assert outcome_of(resource=f"{TABLES}/x{text}", identity=[named]) == expected
    acting = allow(f"dynamodb:x{pattern}")
    assert outcome_of(action=f"dynamodb:x{text}", identity=[acting]) == expected


@pytest.mark.parametrize(
    "pattern", ["*a" * 30 + "b", "*a*a*a*a*a*a*?b", "*" * 3000 + "b", "a*" * 2000 + "b", "?*" * 40 + "b"]
)
def test_patterns_made_to_be_slow(pattern: str) -> None:
    """With a matcher that goes back and tries again these would not end."""
    text = "a" * 20_000
    assert outcome_of(identity=[allow(condition=when("StringLike", VPCE, pattern))], context={VPCE: text}) == IMPLICIT
    assert outcome_of(identity=[allow(resource=f"{TABLES}/{pattern}")], resource=f"{TABLES}/{text}") == IMPLICIT
    assert outcome_of(identity=[allow(f"dynamodb:{pattern}")], action=f"dynamodb:{text}") == IMPLICIT
    arn = allow(condition=when("ArnLike", "aws:SourceArn", f"arn:aws:sns:::{pattern}"))
    assert outcome_of(identity=[arn], context={"aws:SourceArn": f"arn:aws:sns:::{text}"}) == IMPLICIT
    held = allow(resource=f"{TABLES}/{pattern}${{aws:username}}")
    assert judge(identity=[held], resource=f"{TABLES}/{text}", unknown=["aws:username"]).verdict == "denied"


def test_alternatives_that_multiply_do_not_blow_up() -> None:
    """Twenty levels of three unknown alternatives are three thousand million ways."""
    names = [[f"aws:PrincipalTag/t{level}x{way}" for way in range(3)] for level in range(20)]
    levels = [[allow(condition=when("StringEquals", name, "v")) for name in level] for level in names]
    decision = judge(identity=[FULL], scps=levels, unknown=[name for level in names for name in level])
    assert outcome(decision) == "conditional"
    assert len(decision.conditions) < 20_000

"""Formulas in words, for people: "only through vpce-1 and only own partition keys"."""

from __future__ import annotations

from auditor.access.formula import Atom, Formula, Not, clauses

#: Alternatives that a sentence lists before it says that there are more.
ALTERNATIVES = 4

#: What the caller chooses in the request itself: such conditions limit the scope of what is allowed.
SCOPES = {
    "dynamodb:leadingkeys": "partition keys",
    "dynamodb:firstpartitionkeyvalues": "partition keys",
    "dynamodb:secondpartitionkeyvalues": "second partition keys",
    "dynamodb:thirdpartitionkeyvalues": "third partition keys",
    "dynamodb:fourthpartitionkeyvalues": "fourth partition keys",
    "dynamodb:attributes": "attributes",
}

_PHRASES = {
    "aws:sourcevpce": ("only through {}", "not through {}"),
    "aws:sourcevpc": ("only from {}", "not from {}"),
    "aws:sourceip": ("only from {}", "not from {}"),
    "aws:vpcsourceip": ("only from {} inside a VPC", "not from {} inside a VPC"),
    "aws:principalorgid": ("only for principals of the organisation {}", "not for the organisation {}"),
    "aws:requestedregion": ("only in {}", "not in {}"),
    "sts:externalid": ("only with the external id {}", "not with the external id {}"),
    "dynamodb:select": ("only with Select {}", "not with Select {}"),
    "dynamodb:returnvalues": ("only with ReturnValues {}", "not with ReturnValues {}"),
    "dynamodb:enclosingoperation": ("only inside {}", "not inside {}"),
}

#: Names of condition keys as AWS spells them.
_SPELLED = (
    *("aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge", "aws:SourceVpce", "aws:SourceVpc", "aws:SourceIp"),
    *("aws:VpcSourceIp", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalArn", "aws:PrincipalAccount"),
    *("aws:ResourceAccount", "aws:ResourceOrgID", "aws:RequestedRegion", "aws:ViaAWSService", "aws:CalledVia"),
    *("aws:SourceAccount", "aws:SourceArn", "aws:SourceOrgID", "aws:CurrentTime", "aws:TokenIssueTime", "aws:TagKeys"),
    *("aws:PrincipalIsAWSService", "aws:PrincipalServiceName", "aws:SourceIdentity", "aws:UserAgent", "aws:Referer"),
    *("sts:ExternalId", "sts:RoleSessionName", "kms:ViaService", "kms:CallerAccount", "dynamodb:LeadingKeys"),
    *("dynamodb:Attributes", "dynamodb:Select", "dynamodb:ReturnValues", "dynamodb:EnclosingOperation"),
    *("dynamodb:FullTableScan", "dynamodb:ReturnConsumedCapacity"),
)
_SPELLING = {name.lower(): name for name in _SPELLED}
_SPELLED_PREFIXES = {
    "aws:principaltag/": "aws:PrincipalTag/",
    "aws:resourcetag/": "aws:ResourceTag/",
    "aws:requesttag/": "aws:RequestTag/",
    "kms:encryptioncontext:": "kms:EncryptionContext:",
}


def spelled(key: str) -> str:
    """Return the name of a condition key as AWS spells it."""
    for prefix, name in _SPELLED_PREFIXES.items():
        if key.startswith(prefix):
            return name + key[len(prefix) :]
    return _SPELLING.get(key, key)


_TRUTHS = {
    ("aws:multifactorauthpresent", "true"): ("only with MFA", "only without MFA"),
    ("aws:multifactorauthpresent", "false"): ("only without MFA", "only with MFA"),
    ("aws:securetransport", "true"): ("only over TLS", "only without TLS"),
    ("aws:securetransport", "false"): ("only without TLS", "only over TLS"),
    ("aws:viaawsservice", "true"): ("only through an AWS service", "only directly"),
    ("aws:viaawsservice", "false"): ("only directly", "only through an AWS service"),
}


def in_words(formula: Formula) -> str:
    """Return the conditions of a formula as one phrase without a full stop.

    Returns:
        An empty text for True; at most :data:`ALTERNATIVES` alternatives.
    """
    if formula is True:
        return ""
    if formula is False:
        return "never"
    found = clauses(formula, ALTERNATIVES)
    if found is None:
        return "under several conditions, too many to list"
    return "; or ".join(" and ".join(dict.fromkeys(_phrase(one) for one in _telling(clause))) for clause in found)


def _telling(clause: tuple[Atom | Not, ...]) -> tuple[Atom | Not, ...]:
    """Leave out "the key is there" where another condition on the key says more."""
    told = {one.key for one in clause if isinstance(one, Atom) and one.test != "absent"}
    told |= {one.part.key for one in clause if isinstance(one, Not) and one.part.test == "Bool"}
    present = {Not(Atom(key, "absent")) for key in told}
    return tuple(one for one in clause if one not in present)


def _phrase(literal: Atom | Not) -> str:
    negated = isinstance(literal, Not)
    atom = literal.part if isinstance(literal, Not) else literal
    if atom.test == "note":
        return f"unless {atom.key}" if negated else f"if {atom.key}"
    if atom.test == "absent":
        return f"only with{'' if negated else 'out'} {spelled(atom.key)} in the request"
    listed = " or ".join(atom.values)
    if atom.test == "Bool" and len(atom.values) == 1 and (atom.key, atom.values[0]) in _TRUTHS:
        return _TRUTHS[atom.key, atom.values[0]][negated]
    if atom.key in SCOPES:
        return _scope(atom, negated)
    if atom.key in _PHRASES and atom.test in ("StringEquals", "StringLike", "IpAddress", "StringEqualsIgnoreCase"):
        return _PHRASES[atom.key][negated].format(listed)
    if atom.quantifier:
        some = "matches" if atom.quantifier == "any" else "does not match"
        who = "no value" if negated else "some value"
        return f"only if {who} of {spelled(atom.key)} {some} {listed}"
    return f"only if {spelled(atom.key)} is {'not ' if negated else ''}{_RELATIONS.get(atom.test, '')}{listed}"


def _scope(atom: Atom, negated: bool) -> str:
    noun = SCOPES[atom.key]
    own = all("${" in value for value in atom.values)
    listed = "own " + noun if own else f"{noun} {' or '.join(atom.values)}"
    if atom.quantifier == "other":
        return f"only {listed}" if negated else f"only with other than {listed}"
    if atom.quantifier == "any":
        return f"not with {listed}" if negated else f"only if {listed} are among them"
    return f"not with {listed}" if negated else f"only {listed}"


_RELATIONS = {
    "NumericLessThan": "below ",
    "NumericLessThanEquals": "at most ",
    "NumericGreaterThan": "above ",
    "NumericGreaterThanEquals": "at least ",
    "DateLessThan": "before ",
    "DateLessThanEquals": "no later than ",
    "DateGreaterThan": "after ",
    "DateGreaterThanEquals": "no earlier than ",
    "StringLike": "like ",
    "ArnLike": "like ",
}

"""Tests of the access engine, and the words in which they write policies and requests.

Each of `allow`, `deny`, `grant`, `refuse` and `trust` gives a whole document with one statement; `merge` joins
documents.
"""

from collections.abc import Iterable
from typing import Any

from auditor.access import Decision, Policies, Request, evaluate

Doc = dict[str, Any]

ACCOUNT = "111122223333"
OUTSIDE = "444455556666"

USER = f"arn:aws:iam::{ACCOUNT}:user/ana"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/worker"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
FEDERATED_USER = f"arn:aws:sts::{ACCOUNT}:federated-user/visitor"
LINKED_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/dax.amazonaws.com/AWSServiceRoleForDAX"
OUTSIDE_USER = f"arn:aws:iam::{OUTSIDE}:user/zoe"
OUTSIDE_ROLE = f"arn:aws:iam::{OUTSIDE}:role/remote"
OUTSIDE_SESSION = f"arn:aws:sts::{OUTSIDE}:assumed-role/remote/job"
OUTSIDE_ROOT = f"arn:aws:iam::{OUTSIDE}:root"
GITHUB = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
SAML = f"arn:aws:iam::{ACCOUNT}:saml-provider/directory"
COGNITO = "cognito-identity.amazonaws.com"
REPLICATION = "replication.dynamodb.amazonaws.com"

GET = "dynamodb:GetItem"
TABLES = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table"
TABLE = f"{TABLES}/orders"
INDEX = f"{TABLE}/index/by-date"
STREAM = f"{TABLE}/stream/2024-05-01T12:30:00.123"
CLUSTER = f"arn:aws:dax:eu-west-1:{ACCOUNT}:cache/orders"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
FULL: Doc = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

ALLOWED = "allowed"
CONDITIONAL = "conditional"
IMPLICIT = "ImplicitlyDenied"
EXPLICIT = "ExplicitlyDenied"


def doc(*statements: Doc, version: str | None = "2012-10-17") -> Doc:
    """Return a document of these statements; without a Version element if `version` is None."""
    head = {} if version is None else {"Version": version}
    return {**head, "Statement": list(statements)}


def merge(*documents: Doc) -> Doc:
    """Return one document with the statements of all of them."""
    return doc(*(statement for document in documents for statement in document["Statement"]))


def allow(action: Any = "dynamodb:*", resource: Any = "*", condition: Doc | None = None, **more: Any) -> Doc:
    """Return a document that allows; `more` are further elements of the statement."""
    return _single("Allow", {"Action": action, "Resource": resource, **more}, condition)


def deny(action: Any = "dynamodb:*", resource: Any = "*", condition: Doc | None = None, **more: Any) -> Doc:
    """Return a document that denies."""
    return _single("Deny", {"Action": action, "Resource": resource, **more}, condition)


def grant(
    principal: Any, action: Any = "dynamodb:*", resource: Any = "*", condition: Doc | None = None, **more: Any
) -> Doc:
    """Return a resource policy that allows this principal (an ARN or account stands for `{"AWS": …}`)."""
    return allow(action, resource, condition, Principal=_named(principal), **more)


def refuse(
    principal: Any, action: Any = "dynamodb:*", resource: Any = "*", condition: Doc | None = None, **more: Any
) -> Doc:
    """Return a resource policy that denies this principal."""
    return deny(action, resource, condition, Principal=_named(principal), **more)


def trust(principal: Any, action: Any = "sts:AssumeRole", condition: Doc | None = None) -> Doc:
    """Return a trust policy: its statements have no Resource."""
    return _single("Allow", {"Action": action, "Principal": _named(principal)}, condition)


def when(operator: str, key: str, values: Any) -> Doc:
    """Return a Condition with one operator and one key."""
    return {operator: {key: values}}


def judge(
    *,
    principal: str | None = USER,
    action: str = GET,
    resource: str = TABLE,
    resource_account: str | None = None,
    context: dict[str, Any] | None = None,
    unknown: Iterable[str] = (),
    resource_policy: Any = None,
    **policies: Any,
) -> Decision:
    """Evaluate one request; `policies` are the other fields of Policies."""
    request = Request(
        principal=principal,
        action=action,
        resource=resource,
        resource_account=resource_account,
        context=context or {},
        unknown_keys=unknown,
    )
    return evaluate(request, Policies(resource=resource_policy, **policies))


def outcome(decision: Decision) -> str:
    """Return "allowed", "conditional" or the kind of denial, after a check that the fields agree with one another."""
    assert (decision.verdict == "denied") == (decision.result != "Allowed")
    assert (decision.verdict == "conditional") == bool(decision.conditions)
    return decision.result if decision.verdict == "denied" else decision.verdict


def outcome_of(**case: Any) -> str:
    """Return the outcome of `judge`."""
    return outcome(judge(**case))


def _single(effect: str, elements: Doc, condition: Doc | None) -> Doc:
    kept = {name: value for name, value in elements.items() if value is not None}
    return doc({"Effect": effect, **kept, **({} if condition is None else {"Condition": condition})})


def _named(principal: Any) -> Any:
    if isinstance(principal, dict) or principal == "*":
        return principal
    return {"AWS": principal}

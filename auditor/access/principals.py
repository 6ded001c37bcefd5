"""Who makes a request, and how far a policy's ``Principal`` names them.

Source: IAM User Guide, "AWS JSON policy elements: Principal" and "NotPrincipal".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from auditor.access.conditions import Context
from auditor.access.formula import Atom, Formula, every, negate, some

#: Calls that federated identities make without AWS credentials.
FEDERATED_ACTIONS = ("sts:assumerolewithwebidentity", "sts:assumerolewithsaml")


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal of a request, taken apart.

    Attributes:
        kind: ``user``, ``role``, ``session``, ``federated-user``, ``root``, ``service``, ``federated`` (of a web
            identity or SAML provider) or ``anonymous``.
        arn: As given; for a service or provider its name; empty for anonymous.
        account: Account number, or an empty text.
        name: User or role name without its path; of a session the role's; of a federated user its name.
        session: Name of the session.
        service_linked: It is a service-linked role.
    """

    kind: str
    arn: str
    account: str = ""
    name: str = ""
    session: str = ""
    service_linked: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """How far a policy names a caller.

    Attributes:
        exact: By ``*``, by the user's or session's own ARN, as a service or provider.
        role: By the ARN of the role that the session is of.
        account: By the account.
    """

    exact: Formula = False
    role: Formula = False
    account: Formula = False

    @property
    def at_all(self) -> Formula:
        """In any of the three ways."""
        return some([self.exact, self.role, self.account])


def caller(principal: str | None, action: str, context: Context) -> Caller:
    """Take a principal apart.

    Args:
        principal: An IAM, session or root ARN, a service name, a federated provider, or None.
        action: The action, lower case; it tells a provider from a service.
        context: For the path of a session's role (``aws:PrincipalArn``).
    """
    if principal is None:
        if action in FEDERATED_ACTIONS:
            provider = (context.known.get("aws:federatedprovider") or ("",))[0]
            return Caller("federated", provider)
        return Caller("anonymous", "")
    segments = principal.split(":", 5)
    if action in FEDERATED_ACTIONS and (
        len(segments) != 6 or segments[5].startswith(("oidc-provider/", "saml-provider/"))
    ):
        return Caller("federated", principal)
    if len(segments) != 6 or segments[0] != "arn":
        if principal.isdigit() and len(principal) == 12:
            return Caller("root", principal, principal)
        return Caller("service", principal)
    account, rest = segments[4], segments[5]
    kind, _, path = rest.partition("/")
    if rest == "root":
        return Caller("root", principal, account)
    if kind == "user":
        return Caller("user", principal, account, path.rpartition("/")[2])
    if kind == "role":
        linked = path.startswith("aws-service-role/")
        return Caller("role", principal, account, path.rpartition("/")[2], service_linked=linked)
    if kind == "assumed-role":
        name, _, session = path.partition("/")
        role = (context.known.get("aws:principalarn") or ("",))[0]
        return Caller("session", principal, account, name, session, ":role/aws-service-role/" in role)
    if kind == "federated-user":
        return Caller("federated-user", principal, account, path)
    return Caller("other", principal, account)


def named(entries: Iterable[tuple[str, str]], who: Caller, context: Context) -> Named:
    """Return how far some principals of a policy name a caller.

    Args:
        entries: (kind, value) pairs of ``Principal``.
        who: The caller.
        context: The request's keys.
    """
    exact: list[Formula] = []
    role: list[Formula] = []
    account: list[Formula] = []
    for kind, value in entries:
        if value == "*" and kind == "AWS":
            exact.append(True)
        elif kind == "Service":
            exact.append(who.kind == "service" and (value == "*" or value.lower() == who.arn.lower()))
        elif kind == "Federated":
            exact.append(_provider(value, who, context))
        elif kind == "AWS":
            found = _aws(value, who, context)
            exact.append(found.exact)
            role.append(found.role)
            account.append(found.account)
    return Named(some(exact), some(role), some(account))


def _provider(value: str, who: Caller, context: Context) -> Formula:
    if who.kind != "federated":
        return False
    if who.arn:
        return value in ("*", who.arn)
    host = value.rpartition("oidc-provider/")[2].lower() + ":"
    if any(key.startswith(host) for key in context.known):
        return True
    return Atom(f"the caller comes from the provider {value}", "note")


def _aws(value: str, who: Caller, context: Context) -> Named:
    if not who.account:
        return Named()
    segments = value.split(":", 5)
    if value == who.account or (len(segments) == 6 and segments[4] == who.account and segments[5] == "root"):
        return Named(exact=who.kind == "root", account=True)
    if len(segments) != 6 or segments[4] != who.account:
        return Named()
    kind, _, path = segments[5].partition("/")
    if who.kind in ("role", "session"):
        return _role_named(value, kind, path, who, context)
    if who.kind == "federated-user" and kind == "user":
        return Named(role=path.rpartition("/")[2] == who.name)
    return Named(exact=value == who.arn)


def _role_named(value: str, kind: str, path: str, who: Caller, context: Context) -> Named:
    if kind == "assumed-role":
        if who.kind == "session":
            return Named(exact=value == who.arn)
        name, _, session = path.partition("/")
        if name != who.name or not session or "*" in session:
            return Named()
        return Named(exact=Atom(f"the role session is named {session}", "note"))
    if kind != "role":
        return Named()
    if who.kind == "role":
        return Named(role=value == who.arn)
    full = (context.known.get("aws:principalarn") or ("",))[0]
    same = value == full if ":role/" in full else path.rpartition("/")[2] == who.name
    return Named(role=same)


def denied_by_exclusion(
    entries: tuple[tuple[str, str], ...], who: Caller, context: Context, *, boundary: bool
) -> Formula:
    """Return whether a Deny with ``NotPrincipal`` is about a caller.

    A caller with a permissions boundary is always denied. One that is listed without its account "might" be, AWS
    says.

    Args:
        entries: What ``NotPrincipal`` lists.
        who: The caller.
        context: The request's keys.
        boundary: The caller has a permissions boundary.
    """
    if boundary:
        return True
    if ("AWS", "*") in entries:
        return False
    found = named(entries, who, context)
    listed = some([found.exact, found.role])
    if who.kind not in ("user", "role", "session", "federated-user"):
        return negate(listed)
    note = Atom("NotPrincipal lists the caller without its account, and AWS then may deny", "note")
    return some([negate(listed), every([listed, negate(found.account), note])])

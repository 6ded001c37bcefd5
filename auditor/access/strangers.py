"""Those outside an estate: principals of other accounts, and identities that providers vouch for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from auditor.access.estate import Estate, Principal, Table
from auditor.access.outsiders import SHARED_PROVIDERS as TENANTED_PROVIDERS
from auditor.access.outsiders import is_cognito
from auditor.access.policy import EVERYTHING, Named

#: Allows everything: what is assumed of principals whose own policies are another account's business.
ALLOW_ALL = Named("the policies of the caller's own account", EVERYTHING)

#: Issuers of web identities that serve many customers, so that a role must say whose identities may assume it.
SHARED_PROVIDERS = (
    *TENANTED_PROVIDERS,
    *("accounts.google.com", "www.amazon.com", "graph.facebook.com"),
    *("api.bitbucket.org", "oidc.circleci.com", "vstoken.dev.azure.com"),
)


#: An account number that AWS has not given to anybody.
STRANGER = "000000000000"


def stranger_of(account: str, table: Table) -> Principal:
    """Return any principal of an account outside the estate."""
    partition = table.arn.split(":")[1]
    return Principal(f"arn:{partition}:iam::{account}:role/anyone", "role", (ALLOW_ALL,))


def outside_principal(estate: Estate, arn: str) -> Principal | None:
    """Return a principal that the estate does not hold, by its ARN.

    Returns:
        The root user, a session of a role of the estate, or a principal of another account, of which is assumed that
        its own account's policies allow everything; None for what cannot be a principal or should be in the estate.
    """
    segments = arn.split(":", 5)
    if len(segments) != 6 or not segments[4]:
        return None
    account, (what, _, rest) = segments[4], segments[5].partition("/")
    if segments[5] == "root":
        return Principal(arn, "root")
    if what == "assumed-role" and account in estate.accounts:
        name = rest.partition("/")[0]
        roles = [one for one in estate.principals.values() if one.kind == "role" and one.account == account]
        role = next((one for one in roles if one.name == name), None)
        return replace(role, caller=arn) if role else None
    if account in estate.accounts or what not in ("user", "role", "assumed-role"):
        return None
    return Principal(arn, "user" if what == "user" else "role", (ALLOW_ALL,))


def outside_of(kind: str, value: str, table: Table) -> tuple[str, Principal | None]:
    """Return how to call a principal that a policy names, and the principal; None for services and the like."""
    if kind != "AWS":
        return value, None
    if value == "*":
        return "public: any AWS principal", stranger_of(STRANGER, table)
    segments = value.split(":", 5)
    account = value if value.isdigit() else segments[4] if len(segments) == 6 else ""
    if not account or account == table.account:
        return value, None
    if value.isdigit() or segments[5] == "root":
        return f"any principal of account {account}", stranger_of(account, table)
    what = segments[5].partition("/")[0]
    if what not in ("role", "user", "assumed-role") or "*" in value:
        return value, None
    return value, Principal(value, "user" if what == "user" else "role", (ALLOW_ALL,))


def _audience(keys: Iterable[str]) -> bool:
    return any(key.endswith(":aud") and is_cognito(key.removesuffix(":aud")) for key in keys)


def federation(provider: str, keys: set[str]) -> tuple[str, str]:
    """Return how to call the identities of a provider, and the action with which they assume a role."""
    if ":saml-provider/" in provider:
        account = provider.split(":")[4]
        who = f"federated: identities of {provider.rpartition('/')[2]} (SAML, account {account})"
        return who, "sts:AssumeRoleWithSAML"
    host = provider.rpartition("oidc-provider/")[2]
    if is_cognito(host):
        who = "federated: identities of a Cognito identity pool" if _audience(keys) else "public: any identity pool"
        return who, "sts:AssumeRoleWithWebIdentity"
    pinned = any(key.startswith(host.lower() + ":") and not key.endswith(":aud") for key in keys)
    shared = any(host == one or host.startswith(one + "/") for one in SHARED_PROVIDERS)
    who = f"public: any user of {host}" if shared and not pinned else f"federated: users of {host}"
    return who, "sts:AssumeRoleWithWebIdentity"

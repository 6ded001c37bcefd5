"""The placeholders of remediation commands, filled in with what a finding's resource answers.

A reader copies these commands into a shell, and names come from the audited account: a value that a shell
could take for anything but one word is quoted, and where quoting cannot be right the placeholder stays.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from auditor.resources import (
    DaxCluster,
    Function,
    Group,
    IamResource,
    IdentityPool,
    Instance,
    Key,
    RegionalResource,
    Resource,
    Role,
    Subnet,
    Table,
    Trail,
    User,
    Vpc,
    VpcEndpoint,
    account_of,
    region_of,
)

#: What the name of a resource answers, by its kind.
NAMED: Mapping[type[Resource], str] = {
    Table: "TABLE",
    DaxCluster: "CLUSTER",
    Key: "KEY_ID",
    Vpc: "VPC",
    Subnet: "SUBNET",
    Trail: "TRAIL",
    VpcEndpoint: "ENDPOINT",
    IdentityPool: "POOL",
    Instance: "INSTANCE",
    Function: "FUNCTION",
    # Not $USER, which every shell has already.
    User: "USER_NAME",
    Group: "GROUP_NAME",
    Role: "ROLE_NAME",
}

#: What the ARN of a resource answers, by its kind.
LOCATED: Mapping[type[Resource], str] = {Table: "TABLE_ARN", Key: "KEY_ARN", DaxCluster: "CLUSTER_ARN"}

_PLACEHOLDER = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)


def answers(resource: Resource) -> dict[str, str]:
    """Return the placeholders that a resource answers, with their values."""
    known = {"ACCOUNT": account_of(resource).id}
    region = region_of(resource)
    if region is not None:
        known["REGION"] = region.name
    if isinstance(resource, RegionalResource | IamResource):
        for placeholders, value in ((NAMED, resource.name), (LOCATED, resource.arn)):
            if type(resource) in placeholders:
                known[placeholders[type(resource)]] = value
    return known


def filled(command: str, resource: Resource) -> str:
    """Return a command with the placeholders filled in that the resource answers; all others stay."""
    known = answers(resource)
    parts: list[str] = []
    quote, done = "", 0
    for match in _PLACEHOLDER.finditer(command):
        between = command[done : match.start()]
        quote = _quote_after(between, quote)
        parts.append(between)
        parts.append(_word(known.get(match[1] or match[2]), quote) or match[0])
        done = match.end()
    return "".join([*parts, command[done:]])


def _word(value: str | None, quote: str) -> str | None:
    """Return a value as a shell takes it for one word; None where that cannot be had.

    A value with a leading dash would be an option, one with unprintable characters is shown escaped and would
    name something else; inside the command's own quotes, a second pair would end the first.
    """
    if not value or value.startswith("-") or not value.isprintable():
        return None
    quoted = shlex.quote(value)
    return quoted if quoted == value or not quote else None


def _quote_after(text: str, quote: str) -> str:
    """Return the kind of quote (or nothing) that is open at the end of a piece of a command."""
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
    return quote

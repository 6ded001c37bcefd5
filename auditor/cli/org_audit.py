"""``ddbaudit org-audit``: what AWS Step Functions needs to audit an organisation."""

from __future__ import annotations

from typing import Any

import click

from auditor.cli.options import manners, selection, settle
from auditor.errors import UsageError


@click.group()
def org_audit() -> None:
    """Audit an organisation with AWS Step Functions and AWS Lambda, by the clock."""


@org_audit.command(short_help="Print the CloudFormation template.")
@click.option(
    "--kind",
    type=click.Choice(["state-machine", "role"]),
    default="state-machine",
    show_default=True,
    help="The audit itself, or the role that it takes in each account.",
)
@selection
@manners
@click.pass_context
def template(context: click.Context, /, kind: str, **_: Any) -> int:
    """Print the CloudFormation template: state machine, functions, bucket, topic, roles, schedule.

    Deploy it in the management account or in that of a delegated administrator of AWS Organizations; the role in every
    account, with a stack set. Both functions take the package of `ddbaudit config-rule package --reports`.
    """
    from auditor.config_rule import template as templates

    settings = settle(context)
    if settings["rules_dir"]:
        raise UsageError("rules of other folders are not in the package.", "Leave --rules-dir out.")
    event = {"rules": " ".join(settings["rule"]), "skip": " ".join(settings["skip"])}
    event |= {"severity": settings["severity"] or ""}
    given = {name: value for name, value in event.items() if value}
    is_role = kind == "role"
    made = templates.audit_role(settings.rules) if is_role else templates.organisation_audit(settings.rules, given)
    click.echo(templates.as_yaml(made), nl=False)
    return 0

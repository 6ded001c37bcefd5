"""``ddbaudit config-rule``: what AWS Config needs to call the auditor, and a trial of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from auditor.cli.audit import check_file
from auditor.cli.options import Text, manners, selection, settle, together
from auditor.errors import UsageError
from auditor.inventory import write_atomically


@click.group()
def config_rule() -> None:
    """Deploy the auditor as a custom rule of AWS Config, or try it."""


_chosen = together(
    click.option(
        "--kind",
        type=click.Choice(["account", "stack-set", "organization", "member-role", "conformance-pack"]),
        default="account",
        show_default=True,
        help="What to deploy.",
    ),
    click.option(
        "--parameter",
        multiple=True,
        metavar="NAME=VALUE",
        type=Text(),
        help="One more of the ruleParameters, such as excludeTables=scratch-* (repeatable).",
    ),
)


@config_rule.command(short_help="Print the CloudFormation template.")
@_chosen
@selection
@manners
@click.pass_context
def template(context: click.Context, /, kind: str, parameter: tuple[str, ...], **_: Any) -> int:
    """Print the CloudFormation template: function, least role, rules, dead letters, alarm.

    Changes of tables call the rules that look at nothing but the table; the clock calls all others. For several
    accounts: a stack set with a function in each, or one function for about sixty accounts (organization, and
    member-role in each of them).
    """
    from auditor.config_rule import template as templates
    from auditor.config_rule.selection import select

    settings = settle(context)
    if settings["rules_dir"]:
        raise UsageError("rules of other folders are not in the package.", "Leave --rules-dir out.")
    given = {}
    for one in parameter:
        name, equals, value = one.partition("=")
        if not equals:
            raise UsageError(f'--parameter: "{one}" is not NAME=VALUE.', "For example excludeTables=scratch-*.")
        if name in ("rules", "skip", "severity", "executionRoleName"):
            raise UsageError(f"--parameter: {name} is given otherwise.", "--rule, --skip, --severity, MemberRoleName.")
        given[name] = value
    select(given, Path("ddbaudit.yaml-is-not-read-here"))  # a bad one is told now, not by the function
    chosen = templates.Chosen(
        settings.rules, tuple(settings["rule"]), tuple(settings["skip"]), settings["severity"] or "", given
    )
    click.echo(templates.as_yaml(templates.KINDS[kind](chosen)), nl=False)
    return 0


@config_rule.command(short_help="Write the zip for AWS Lambda.")
@click.option("--output", metavar="FILE", type=Text(), default="ddbaudit-config-rule.zip", show_default=True)
@click.option("--config", metavar="FILE", type=Text(), help="Settings that the function reads.")
@click.option(
    "--libraries", metavar="DIR", type=Text(), help="What pip installed for AWS Lambda, if this is not Linux."
)
@click.option("--reports", is_flag=True, help="With what renders reports: for the scheduled audit (init --ci aws).")
def package(output: str, config: str | None, libraries: str | None, *, reports: bool) -> int:
    """Write the zip for AWS Lambda: the auditor, its rules, and the libraries that Lambda does not have."""
    from auditor.config_rule.package import build, made_for

    path = Path(output)
    check_file(path, "--output")
    data = build(Path(config) if config else None, Path(libraries) if libraries else None, reports=reports)
    runtime, architecture = made_for(data)
    write_atomically(path, data)
    click.echo(f"Wrote {path}: {len(data) / 1e6:.1f} MB, for Runtime={runtime} Architecture={architecture}.")
    return 0


@config_rule.command(short_help="Run the function here, as a trial.")
@click.option("--event", required=True, metavar="FILE", type=Text(), help="An event of AWS Config, as JSON.")
@click.option("--config", metavar="FILE", type=Text(), default="ddbaudit.yaml", show_default=True, help="Settings.")
@click.option("--profile", metavar="NAME", type=Text(), help="AWS profile; default: boto3's credential chain.")
def invoke(event: str, config: str, profile: str | None) -> int:
    """Run the function here with an event, and print what AWS Config would be told; it keeps nothing of that."""
    import functools

    import boto3

    from auditor.config_rule import Undecided, evaluate
    from auditor.config_rule.event import TEST_TOKEN
    from auditor.sources.aws.session import open_session

    path = Path(event)
    try:
        held = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.", "Name a file with an event.") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}.", "An event of AWS Config is a JSON object.") from None
    if not isinstance(held, dict):
        raise UsageError(f"{path}: is no event of AWS Config.", "An event of AWS Config is a JSON object.")
    open_session(profile)  # a profile that is not there is told clearly
    session = functools.partial(boto3.Session, profile_name=profile) if profile else boto3.Session
    undecided = None
    try:
        told = evaluate({**held, "resultToken": TEST_TOKEN}, session, settings=Path(config))
    except Undecided as error:
        told, undecided = error.told, error
    click.echo(json.dumps([one.parameters() for one in told], indent=2, default=str))
    if undecided is not None:
        raise undecided
    return 0

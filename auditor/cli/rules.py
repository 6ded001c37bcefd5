"""``ddbaudit rules list | show | new`` and ``ddbaudit permissions``."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import click

from auditor import packs
from auditor import permissions as policies
from auditor.cli.audit import check_folder
from auditor.cli.options import Text, check_source, option, origin, selection, settle
from auditor.config import suggest
from auditor.errors import UsageError
from auditor.inventory import write_atomically


@click.group()
def rules() -> None:
    """List rules, show a rule's page, write a new one."""


@rules.command("list")
@selection
@click.pass_context
def list_rules(context: click.Context, /, **_: Any) -> int:
    """List the selected rules: id, severity, side, practices, title."""
    chosen = settle(context).rules
    rows = [(rule.id, rule.severity.label, rule.side.value, ",".join(rule.practices)) for rule in chosen.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    # A pipe gets whole titles, a terminal what fits into its lines.
    room = shutil.get_terminal_size((10_000, 24)).columns - sum(widths) - 2 * len(widths)
    for row, rule in zip(rows, chosen.values(), strict=True):
        title = rule.title if room < 12 or len(rule.title) <= room else rule.title[: room - 1] + "…"
        click.echo("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=True)), title]))
    return 0


@rules.command()
@click.argument("rule_id", metavar="RULE")
@option("--rules-dir", multiple=True, metavar="DIR", help="A folder with more rules (repeatable).")
def show(rule_id: str, rules_dir: tuple[str, ...]) -> int:
    """Show a rule's page: what and why, settings, remediation, permissions, API calls."""
    known = packs.load(Path(folder) for folder in rules_dir)
    if rule_id not in known:
        raise UsageError(
            f'there is no rule "{rule_id}".{suggest(rule_id, list(known))}', "`ddbaudit rules list` lists them."
        )
    from auditor.render import rule_page

    click.echo(rule_page(known[rule_id]), nl=False)
    return 0


@rules.command()
@click.argument("rule_id", metavar="ID")
@click.option(
    "--output", metavar="DIR", type=Text(), default=".", show_default=True, help="Where rules/ and tests/ are."
)
def new(rule_id: str, output: str) -> int:
    """Write a rule and its test: rules/<domain>/<name>.py and tests/rules/<domain>/test_<name>.py.

    ID is words with dashes, the first of which is the domain: table-name-prefix.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", rule_id):
        raise UsageError(
            f'"{rule_id}" is no rule id.',
            "An id is lower-case words with dashes, the domain first: table-name-prefix.",
        )
    if rule_id in packs.built_in():
        raise UsageError(f'there is already a rule "{rule_id}".', f"`ddbaudit rules show {rule_id}` shows it.")
    domain, name = rule_id.partition("-")[0], rule_id.replace("-", "_")
    files = {
        Path(output, "rules", domain, f"{name}.py"): RULE_TEMPLATE,
        Path(output, "tests", "rules", domain, f"test_{name}.py"): TEST_TEMPLATE,
    }
    for path in files:
        if path.exists():
            raise UsageError(f"{path}: there is already such a file.", "Choose another id, or remove it.")
        check_folder(path.parent, "--output")
    for path, template in files.items():
        write_atomically(path, template.replace("RULE_ID", rule_id).replace("RULE_NAME", name).encode())
        click.echo(f"Wrote {path}")
    folder = Path(output, "rules")
    pack = "" if folder.resolve() == packs.bundled("rules").resolve() else f" --rules-dir {shlex.quote(str(folder))}"
    click.echo(f"Try it: ddbaudit demo{pack} --rule {rule_id}")
    return 0


@click.command()
@selection
@click.option("--org", is_flag=True, help="For who audits an organisation: its accounts, and the role in each.")
@click.option("--role-name", metavar="NAME", type=Text(), help="The role in each account; needs --org.")
@origin
@click.pass_context
def permissions(context: click.Context, /, *, org: bool, role_name: str | None, **_: Any) -> int:
    """Print the least IAM policy for the selected rules, as JSON.

    It lets nobody read an item, unless the configuration turns item sampling on. The roles in the accounts of an
    organisation need what stands there without --org.
    """
    if org != bool(role_name):
        raise UsageError(
            "--org needs --role-name, and --role-name --org.", "Name the role that is there in each account."
        )
    settings = settle(context)
    check_source(settings)
    made = policies.policy(
        settings.rules.values(),
        sampling=settings.config.sampling.items_per_table > 0,
        role_name=role_name or "",
        source=settings["source"],
        aggregator=bool(settings["aggregator"]),
    )
    click.echo(json.dumps(made, indent=2))
    return 0


RULE_TEMPLATE = '''\
from typing import Annotated

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule
from auditor.facts import TableSettings
from auditor.resources import Table


@rule(
    severity=Severity.LOW,
    side=Side.AMAZON,
    practices=["B"],
    controls={},
    remediation=Remediation(
        text="Say how the good state is reached.",
        cli="aws dynamodb describe-table --table-name $TABLE --region $REGION",
        terraform="# the resource in its good state",
        cloudformation="# the resource in its good state",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Introduction.html"],
)
def RULE_NAME(
    table: Table,
    settings: TableSettings,
    *,
    prefix: Annotated[str, "What names begin with."] = "",
) -> Verdict:
    """Table names begin with the agreed prefix.

    Say why it matters, how the rule decides, and what it cannot see.
    """
    if not settings.settled:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    if table.name.startswith(prefix):
        return passed("The name begins with the prefix.", TableName=table.name)
    return failed(f"The name does not begin with {prefix!r}.", TableName=table.name)
'''

TEST_TEMPLATE = '''\
"""RULE_ID by plain calls: no mock, no AWS."""

from pathlib import Path

from auditor import Status, packs
from auditor.facts import TableSettings
from auditor.resources import Account, Region, Table

judge = packs.read_folder(Path(__file__).parents[3] / "rules")["RULE_ID"].function

TABLE = Table(Region(Account("111122223333"), "eu-west-1"), "shop-orders")
ACTIVE = TableSettings(status="ACTIVE")


def test_a_name_with_the_prefix_passes() -> None:
    assert judge(TABLE, ACTIVE, prefix="shop-").status is Status.PASS


def test_another_name_fails() -> None:
    assert judge(TABLE, ACTIVE, prefix="bank-").status is Status.FAIL


def test_a_table_in_transition_is_not_judged() -> None:
    assert judge(TABLE, TableSettings(status="CREATING")).status is Status.NOT_APPLICABLE
'''

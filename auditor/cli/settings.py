"""``ddbaudit init`` and ``ddbaudit schema``."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from auditor import packs
from auditor.cli.options import Text
from auditor.config import Config, Level
from auditor.errors import UsageError
from auditor.inventory import write_atomically


@click.command()
@click.option(
    "--output", metavar="FILE", type=Text(), help="The file to write.  [default: ddbaudit.yaml, or the job's]"
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option(
    "--ci", type=click.Choice(["github", "gitlab", "codebuild", "aws"]), help="Write a scheduled job instead."
)
@click.option(
    "--install-from", metavar="REF", type=Text(), help="What the job installs: a wheel, or git+https://...@COMMIT."
)
@click.option("--role-arn", metavar="ARN", type=Text(), help="The role that the job takes.")
@click.option("--region", multiple=True, metavar="R", type=Text(), help="Region that the job audits (repeatable).")
def init(
    output: str | None,
    *,
    force: bool,
    ci: str | None,
    install_from: str | None,
    role_arn: str | None,
    region: tuple[str, ...],
) -> int:
    """Write a commented ddbaudit.yaml: every setting with its default. With --ci: the job that audits every night."""
    if ci is None:
        if install_from or role_arn or region:
            raise UsageError("--install-from, --role-arn and --region are about a job.", "Add --ci.")
        path, text = Path(output or "ddbaudit.yaml"), template()
        done = "Every line is commented out: what stands there is the default."
    elif ci == "aws":
        from auditor.config_rule.template import as_yaml, schedule

        if install_from or role_arn:
            raise UsageError(
                "--install-from and --role-arn mean nothing to a function of AWS.",
                "It takes the package (`ddbaudit config-rule package --reports`), and its role comes with it.",
            )
        _check_regions(region)
        path = Path(output or "ddbaudit-schedule.yaml")
        text = as_yaml(schedule(packs.built_in(), {"regions": " ".join(region)} if region else {}))
        done = "Deploy it with CloudFormation, with the package of `ddbaudit config-rule package --reports`."
    else:
        from auditor.ci import SYSTEMS, job

        if not install_from or not role_arn:
            missing = "--role-arn" if install_from else "--install-from"
            raise UsageError(
                f"--ci needs {missing}.",
                "The job installs a wheel or a commit (--install-from), and takes a role of AWS (--role-arn).",
            )
        _check_regions(region)
        name, done = SYSTEMS[ci]
        path, text = Path(output or name), job(ci, install_from, role_arn, region)
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, and a file must be written there.", "Name a file with --output.")
    if path.exists() and not force:
        raise UsageError(f"{path}: there is already such a file.", "--force replaces it.")
    write_atomically(path, text.encode())
    click.echo(f"Wrote {path}. {done}")
    return 0


def _check_regions(names: tuple[str, ...]) -> None:
    if names:
        from auditor.sources.aws.account import check_regions

        check_regions(list(names))


@click.command()
@click.argument("which", metavar="report|config", type=click.Choice(["report", "config"]))
def schema(which: str) -> int:
    """Print the JSON Schema of report.json or of ddbaudit.yaml."""
    if which == "report":
        from auditor.render import report_schema

        document = report_schema()
    else:
        document = config_schema()
    click.echo(json.dumps(document, indent=2))
    return 0


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of ddbaudit.yaml, the settings of every built-in rule included."""
    (reference,), components = msgspec.json.schema_components([Config], ref_template="#/$defs/{name}")
    known = packs.built_in().values()
    hints = [setting.type for rule in known for setting in rule.settings]
    (*types, level), more = msgspec.json.schema_components([*hints, Level], ref_template="#/$defs/{name}")
    answers = iter(types)
    rules: dict[str, Any] = {}
    for rule in known:
        own = {
            one.name: {**next(answers), "description": one.help, "default": _plain(one.default)}
            for one in rule.settings
        }
        own |= {"enabled": {"type": "boolean", "default": True}, "severity": {**level, "default": rule.severity.label}}
        rules[rule.id] = {
            "type": "object",
            "description": rule.title,
            "properties": own,
            "additionalProperties": False,
        }
    components["Config"]["properties"]["rules"] = {"type": "object", "properties": rules}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:ddbaudit:schema:config-1.0",
        **reference,
        "$defs": {**components, **more},
    }


def template() -> str:
    """Return the text of a configuration file with every key, all commented out.

    One ``# `` is taken from the lines of a block to make it count; explanations keep one of their own.
    """
    lines = [
        "# Settings of ddbaudit. Every line is commented out and shows the default: remove `# ` where you change it.",
        "# `ddbaudit schema config` prints the JSON Schema for your editor.",
        "",
    ]
    lines += [f"# {line}" if line else "" for line in _struct(Config, "")]
    lines += ["", "# # Settings of single rules. Any rule can have these two.", "# rules:"]
    for rule in packs.built_in().values():
        lines.append(f"#   # {rule.title}")
        lines.append(f"#   {rule.id}:")
        lines += ["#     enabled: true", f"#     severity: {rule.severity.label}"]
        for setting in rule.settings:
            lines.append(f"#     # {setting.help}")
            lines.append(f"#     {setting.name}: {_flow(setting.default)}")
    return "\n".join(lines) + "\n"


def _struct(cls: type[msgspec.Struct], indent: str) -> Iterator[str]:
    hints = typing.get_type_hints(cls, include_extras=True)
    defaults = cls()
    for field, name in zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True):
        if name == "rules":
            continue
        value = getattr(defaults, field)
        texts = [text for text in getattr(hints[field], "__metadata__", ()) if isinstance(text, str)]
        if isinstance(value, msgspec.Struct):
            if not indent:
                yield ""
            yield f"{indent}# {(type(value).__doc__ or '').splitlines()[0]}"
            yield f"{indent}{name}:"
            yield from _struct(type(value), indent + "  ")
        else:
            if texts:
                yield f"{indent}# {texts[0]}"
            yield f"{indent}{name}: {_flow(value)}"


def _flow(value: Any) -> str:
    text = yaml.safe_dump(_plain(value), default_flow_style=True, width=10_000, sort_keys=False).strip()
    return text.removesuffix("...").strip()


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)

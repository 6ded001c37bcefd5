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
    "--output", metavar="FILE", type=Text(), default="ddbaudit.yaml", show_default=True, help="The file to write."
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def init(output: str, force: bool) -> int:
    """Write a commented ddbaudit.yaml: every setting with its default and what it does."""
    path = Path(output)
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, and a file must be written there.", "Name a file with --output.")
    if path.exists() and not force:
        raise UsageError(f"{path}: there is already such a file.", "--force replaces it.")
    write_atomically(path, template().encode())
    click.echo(f"Wrote {path}. Every line is commented out: what stands there is the default.")
    return 0


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

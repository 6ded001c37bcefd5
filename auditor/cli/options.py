"""The options of the commands, and where their values come from: option, environment, file, default."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from auditor import config as configuration
from auditor import packs
from auditor.config import Config
from auditor.errors import UsageError
from auditor.packs import Rules
from auditor.rule_api import Severity

_F = TypeVar("_F", bound=Callable[..., Any])

LEVELS = [severity.label for severity in sorted(Severity, reverse=True)]


def option(*names: str, **attributes: Any) -> Callable[[_F], _F]:
    """Return a click option that also reads ``DDBAUDIT_<NAME>``."""
    flag = names[-1].removeprefix("--")
    variable = "DDBAUDIT_" + flag.upper().replace("-", "_")
    return click.option(*names, envvar=variable, **attributes)


def together(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    """Return one decorator that applies several options, in their order in the help."""

    def apply(function: _F) -> _F:
        for one in reversed(options):
            function = one(function)
        return function

    return apply


selection = together(
    option("--rule", multiple=True, metavar="ID", help="Only these rules (repeatable; globs)."),
    option("--skip", multiple=True, metavar="ID", help="Not these rules (repeatable; globs)."),
    option("--severity", type=click.Choice(LEVELS), help="Only rules of this base severity or above."),
    option("--rules-dir", multiple=True, metavar="DIR", help="A folder with more rules (repeatable)."),
    option("--config", metavar="FILE", help="Settings.  [default: ./ddbaudit.yaml if present]"),
)

scope = together(
    option("--profile", metavar="NAME", help="AWS profile; default: boto3's credential chain."),
    option("--region", multiple=True, metavar="R", help="Region to audit (repeatable); default: all enabled."),
    option(
        "--pace",
        type=click.Choice(["documented", "adaptive", "off"]),
        default="documented",
        show_default=True,
        help="Request rates: below AWS's documented ones, rising while nothing is throttled, or unlimited.",
    ),
    option(
        "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes; one account takes one."
    ),
)

manners = together(
    option("--quiet", is_flag=True, help="No summary and no progress, only the last line."),
    option("--no-color", is_flag=True, help="No colour (also NO_COLOR)."),
    option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="warning",
        show_default=True,
        help="What goes to the log on stderr.",
    ),
)


@dataclass(frozen=True)
class Settings:
    """What a command works with.

    Attributes:
        options: Every option by its name with underscores, after environment and file.
        config: The global parameters.
        rules: The selected rules, configured.
    """

    options: dict[str, Any]
    config: Config
    rules: Rules

    def __getitem__(self, name: str) -> Any:
        """Return an option's value."""
        return self.options[name]


def settle(context: click.Context, default_config: Path | None = None) -> Settings:
    """Return the settings of a command from its options, the environment and the configuration file.

    Args:
        context: The command's context.
        default_config: The file to read without ``--config``; default ``./ddbaudit.yaml`` if it is there.

    Raises:
        UsageError: the file, a rule pack or the selection of rules is wrong; says where.
    """
    options = dict(context.params)
    named = options.pop("config", None)
    path = Path(named) if named else default_config or Path("ddbaudit.yaml")
    config, root = Config(), None
    if named or path.is_file():
        config, root = configuration.load(path)
    for name in options:
        given = getattr(config.run, name, None)
        source = context.get_parameter_source(name)
        if given not in (None, (), False) and source in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
            if name == "rules_dir" and not named:
                raise UsageError(
                    f"{path}: run.rules_dir names code, so it counts only in a file given with --config.",
                    f"Call with --config {path}, or with --rules-dir.",
                )
            options[name] = given
    logging.getLogger("auditor").setLevel(options.get("log_level", "warning").upper())
    everything = packs.load(Path(folder) for folder in options.get("rules_dir", ()))
    configured = packs.configure(everything, config, root, path)
    severity = Severity[options["severity"].upper()] if options.get("severity") else None
    rules = packs.select(configured, options.get("rule", ()), options.get("skip", ()), severity)
    return Settings(options, config, rules)

"""The options of the commands, and where their values come from: option, environment, file, default."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from auditor import config as configuration
from auditor import packs
from auditor.config import Config
from auditor.errors import UsageError
from auditor.packs import Rules
from auditor.rule_api import Severity

if TYPE_CHECKING:
    from auditor.sources.aws.session import ConfigSource

log = logging.getLogger(__name__)

_F = TypeVar("_F", bound=Callable[..., Any])

LEVELS = [severity.label for severity in sorted(Severity, reverse=True)]


def option(*names: str, **attributes: Any) -> Callable[[_F], _F]:
    """Return a click option that also reads ``DDBAUDIT_<NAME>``; an empty text is refused, not taken for none."""
    flag = names[0].removeprefix("--")
    variable = "DDBAUDIT_" + flag.upper().replace("-", "_")
    if "is_flag" not in attributes:
        attributes.setdefault("type", Text())
    return click.option(*names, envvar=variable, **attributes)


class Text(click.types.StringParamType):
    """A text that is not empty: ``--from "$SNAPSHOT"`` with an unset variable must not audit AWS instead."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        if not value:
            self.fail("it is empty.", param, ctx)
        return str(value)


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
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Processes.  [default: 1; with --org as many as there are cores]",
    ),
)

organisation = together(
    option("--org", is_flag=True, help="Every account of the organisation, through a role in each."),
    option("--role-name", metavar="NAME", help="The role to take in each account; needs --org."),
    option("--external-id", metavar="ID", help="What the roles want to hear; needs --org."),
    option("--account", multiple=True, metavar="ID", help="With --org: only these accounts (repeatable)."),
    option("--ou", multiple=True, metavar="ID", help="With --org: only accounts below these units (repeatable)."),
)

origin = together(
    option(
        "--source",
        type=click.Choice(["live", "config"]),
        default="live",
        show_default=True,
        help="Ask each service, or AWS Config where it records tables: fast, and as old as what it recorded.",
    ),
    option("--aggregator", metavar="NAME", help="Ask this aggregator of AWS Config; needs --source config."),
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
        origins: Where the value of an option comes from, if not from the command line or the default:
            ``DDBAUDIT_REGION`` or ``ddbaudit.yaml: run.region``.
    """

    options: dict[str, Any]
    config: Config
    rules: Rules
    origins: Mapping[str, str] = field(default_factory=dict)

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
    # The level of the command line or the environment counts from here on, the file's only once it is read.
    _set_log_level(options)
    named = options.pop("config", None)
    path = Path(named) if named else default_config or Path("ddbaudit.yaml")
    config, root = Config(), None
    if named or path.is_file():
        config, root = configuration.load(path)
    origins = {
        name: f"DDBAUDIT_{_public(name).upper()}"
        for name in options
        if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT
    }
    for name in configuration.given_options(root):
        value = getattr(config.run, name)
        if name in ("rules_dir", "template") and value and not named:
            raise UsageError(
                f"{path}: run.{name} names code, so it counts only in a file given with --config.",
                f"Call with --config {path}, or with --{name.replace('_', '-')}.",
            )
        # `collect --output` is another thing than the folder of the reports.
        if name not in options or value in (None, ()) or (name == "output" and context.command.name == "collect"):
            continue
        if context.get_parameter_source(name) is ParameterSource.DEFAULT:
            options[name] = value
            origins[name] = f"{path}: run.{_public(name)}"
    if "baseline" in options and not options["baseline"] and config.baseline:
        options["baseline"] = config.baseline
        origins["baseline"] = f"{path}: baseline"
    _set_log_level(options)
    for name, value in sorted(options.items()):
        log.debug("%s = %r (%s)", _public(name), value, origins.get(name, "option or default"))
    with blaming(origins, "rules_dir"):
        everything = packs.load(Path(folder) for folder in options.get("rules_dir", ()))
    configured = packs.configure(everything, config, root, path)
    severity = Severity[options["severity"].upper()] if options.get("severity") else None
    with blaming(origins, "rule", "skip"):
        rules = packs.select(
            configured,
            options.get("rule", ()),
            options.get("skip", ()),
            severity,
            disabled=everything.keys() - configured.keys(),
        )
    return Settings(options, config, rules, origins)


def check_source(settings: Settings) -> None:
    """See that the options on where facts come from fit together.

    Raises:
        UsageError: one is missing, or has no meaning.
    """
    from_config = settings["source"] == "config"
    if settings["aggregator"] and not from_config:
        with blaming(settings.origins, "aggregator"):
            raise UsageError("--aggregator needs --source config.", "Add --source config, or leave it out.")
    if settings["aggregator"] and not re.fullmatch(r"[\w-]{1,256}", settings["aggregator"], re.ASCII):
        with blaming(settings.origins, "aggregator"):
            raise UsageError(
                f'--aggregator: "{settings["aggregator"]}" is no name of an aggregator.', "A name, not an ARN."
            )
    source_is_mere_default = "source" in settings.origins and "snapshot" not in settings.origins
    if from_config and settings.options.get("snapshot") and not source_is_mere_default:
        with blaming(settings.origins, "source", "snapshot"):
            raise UsageError("--source config and --from exclude each other.", "A snapshot is audited without AWS.")


def config_source(settings: Settings) -> ConfigSource | None:
    """Return how AWS Config is asked for what it recorded; None: it is not."""
    from auditor.sources.aws.session import ConfigSource

    return ConfigSource(settings["aggregator"] or "") if settings.options.get("source") == "config" else None


def _set_log_level(options: Mapping[str, Any]) -> None:
    """Apply ``--log-level``; a command without it keeps what the environment says."""
    if "log_level" in options:
        logging.getLogger("auditor").setLevel(options["log_level"].upper())


def _public(name: str) -> str:
    """Return the name of an option's parameter as users know it: ``from`` can be no name in Python."""
    return "from" if name == "snapshot" else name


@contextmanager
def blaming(origins: Mapping[str, str], *names: str) -> Iterator[None]:
    """Add to an error about an option's value where that came from, if it is not on the command line."""
    try:
        yield
    except UsageError as error:
        places = [origins[name] for name in names if name in origins]
        if not places:
            raise
        raise UsageError(f"{error.message} ({', '.join(places)})", error.hint) from None

"""The command line: parse, call, print.

What is heavy (boto3, jinja2, moto) is imported by the command that needs it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Sequence
from typing import IO

import click

from auditor import __version__
from auditor.errors import AuditError

COMMANDS = {
    "run": ("auditor.cli.audit", "Audit an account and write reports."),
    "demo": ("auditor.cli.audit", "The same on the embedded example organisation (needs no AWS)."),
    "collect": ("auditor.cli.audit", "Collect the inventory only, into a snapshot file."),
    "rules": ("auditor.cli.rules", "List rules, show a rule's page, write a new one."),
    "permissions": ("auditor.cli.rules", "Print the least IAM policy for the selected rules."),
    "access": ("auditor.cli.access", "Say who can do what to a table, and why."),
    "diff": ("auditor.cli.diff", "Compare two reports: new, fixed, unchanged findings."),
    "baseline": ("auditor.cli.baseline", "Write or check the file of accepted findings."),
    "config-rule": ("auditor.cli.config_rule", "Deploy the auditor as a rule of AWS Config, or try it."),
    "org-audit": ("auditor.cli.org_audit", "Audit an organisation with AWS Step Functions."),
    "init": ("auditor.cli.settings", "Write a commented ddbaudit.yaml."),
    "schema": ("auditor.cli.settings", "Print the JSON Schema of the report or of the configuration."),
}


#: What a disk says that takes no more.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not when help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the documentation."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        import importlib

        module = importlib.import_module(COMMANDS[cmd_name][0])
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may be meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from auditor.config import suggest

            ctx.fail(f'No such command "{args[0]}".{suggest(args[0], list(COMMANDS))}')
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ddbaudit", message="%(prog)s %(version)s")
def cli() -> None:
    """Audit DynamoDB in AWS accounts: settings, keys, network paths, trails, guardrails.

    Every verdict is proved by what AWS answered; what could not be found out is `unknown`, never a pass.
    """


def begin_log(level: int) -> None:
    """Let another process of ours write to the log on stderr."""
    logger = logging.getLogger("auditor")
    logger.addHandler(_Log())
    logger.setLevel(level)


def run_main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see the README's table); never a traceback for bad input."""
    logger = logging.getLogger("auditor")
    handler = _Log()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(_level(os.environ.get("DDBAUDIT_LOG_LEVEL", "")))
    try:
        return _run(arguments)
    except (BrokenPipeError, SystemExit):
        # The reader of our output has gone (click and rich turn that into SystemExit); nobody is left to tell.
        _give_up(sys.stdout, sys.stderr)
        return 141
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = cli.main(args=arguments, prog_name="ddbaudit", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _end("interrupted.", "", 130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return _end("a command is missing.", "", 2)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "ddbaudit"
        return _end(error.format_message() + _variable(error), f"`{command} --help` lists the options.", 2)
    except click.ClickException as error:
        return _end(error.format_message(), "", 2)
    except AuditError as error:
        return _end(error.message, error.hint, error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno not in FULL:
            return _internal(error)
        _give_up(sys.stdout)
        return _end(f"the output cannot be written: {error.strerror}.", "Make room where it is sent to.", 2)
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code == 1:
            raise  # what click and rich make of a broken pipe
        return _internal(error)
    return result if isinstance(result, int) else 0


def _internal(error: BaseException) -> int:
    logging.getLogger(__name__).debug("internal error", exc_info=error)
    text = " ".join(str(error).split())
    return _end(
        f"internal error: {type(error).__name__}: {text}",
        "DDBAUDIT_LOG_LEVEL=debug in the environment shows where; please report it.",
        1,
    )


def _give_up(*streams: IO[str]) -> None:
    """Send what is left in streams that take no more to nowhere: Python's own flush at exit keeps quiet then."""
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Log(logging.Handler):
    """The log on stderr: whatever stands in a message, it moves no cursor and starts no line of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, a traceback included."""
        from auditor.text import plain

        with contextlib.suppress(OSError, ValueError):
            click.echo("\n".join(plain(line) for line in self.format(record).splitlines()), err=True)


def _level(name: str) -> int:
    """Return a level of the log by its name; ``warning`` for what is none (the option's check says so)."""
    return {"debug": logging.DEBUG, "info": logging.INFO, "error": logging.ERROR}.get(name, logging.WARNING)


def _variable(error: click.UsageError) -> str:
    """Return which environment variable a bad value comes from, if it does."""
    parameter = getattr(error, "param", None)
    if error.ctx is None or parameter is None or not parameter.envvar:
        return ""
    source = error.ctx.get_parameter_source(parameter.name)
    return f" ({parameter.envvar})" if source is click.core.ParameterSource.ENVIRONMENT else ""


def _end(message: str, hint: str, code: int) -> int:
    from auditor.text import plain

    for index, line in enumerate(message.splitlines() or [""]):
        click.echo(f"{'ddbaudit: ' if index == 0 else '  '}{plain(line.expandtabs(2))}", err=True)
    if hint:
        click.echo(f"  {plain(hint)}", err=True)
    click.echo(f"ddbaudit: exit {code}", err=True)
    return code

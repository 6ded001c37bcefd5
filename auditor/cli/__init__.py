"""The command line: parse, call, print.

What is heavy (boto3, jinja2, moto) is imported by the command that needs it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import click

from auditor import __version__
from auditor.errors import AuditError

COMMANDS = {
    "run": ("auditor.cli.audit", "Audit an account and write reports."),
    "demo": ("auditor.cli.audit", "The same on the embedded example organisation (needs no AWS)."),
    "collect": ("auditor.cli.audit", "Collect the inventory only, into a snapshot file."),
    "rules": ("auditor.cli.rules", "List rules, show a rule's page, write a new one."),
    "permissions": ("auditor.cli.rules", "Print the least IAM policy for the selected rules."),
    "init": ("auditor.cli.settings", "Write a commented ddbaudit.yaml."),
    "schema": ("auditor.cli.settings", "Print the JSON Schema of the report or of the configuration."),
}


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
        command = getattr(module, cmd_name)
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
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "auto_envvar_prefix": "DDBAUDIT",
    },
)
@click.version_option(__version__, prog_name="ddbaudit", message="%(prog)s %(version)s")
def cli() -> None:
    """Audit DynamoDB in AWS accounts: settings, keys, network paths, trails, guardrails.

    Every verdict is proved by what AWS answered; what could not be found out is `unknown`, never a pass.
    """


def run_main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see the README's table); never a traceback for bad input."""
    try:
        result = cli.main(args=arguments, prog_name="ddbaudit", standalone_mode=False)
    except click.exceptions.Abort:
        return _end("interrupted.", "", 130)
    except KeyboardInterrupt:
        return _end("interrupted.", "", 130)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "ddbaudit"
        return _end(error.format_message(), f"`{command} --help` lists the options.", 2)
    except click.ClickException as error:
        return _end(error.format_message(), "", 2)
    except AuditError as error:
        return _end(error.message, error.hint, error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone; nobody is left to tell. Keep Python's own flush at exit quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        logging.getLogger(__name__).debug("internal error", exc_info=True)
        return _end(
            f"internal error: {type(error).__name__}: {error}", "`--log-level debug` shows where; please report it.", 1
        )
    return result if isinstance(result, int) else 0


def _end(message: str, hint: str, code: int) -> int:
    from auditor.text import plain

    for index, line in enumerate(message.splitlines() or [""]):
        click.echo(f"{'ddbaudit: ' if index == 0 else '  '}{plain(line)}", err=True)
    if hint:
        click.echo(f"  {plain(hint)}", err=True)
    click.echo(f"ddbaudit: exit {code}", err=True)
    return code

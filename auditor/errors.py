"""Errors that a user can act on: what went wrong, where, and what to do next."""

from __future__ import annotations


class AuditError(Exception):
    """A problem that ends the command with a message instead of a traceback.

    Args:
        message: What is wrong and where, one sentence.
        hint: What the user can do about it; printed on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the message and the hint apart, so that a command can print them as it likes."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message and, on further lines, the hint."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(AuditError):
    """Bad option, configuration, snapshot, rule pack or output folder (exit code 2)."""

    exit_code = 2


class CredentialsError(AuditError):
    """No usable AWS credentials (exit code 2); the hint names the command that fixes it."""

    exit_code = 2

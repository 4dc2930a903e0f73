"""How a command ends when it cannot do what was asked: a text that says why, and an exit code."""

from __future__ import annotations

import click


class Failure(click.ClickException):
    """The command could not finish; exit code 1."""


class Mistake(click.ClickException):
    """Something on the command line cannot be done; exit code 2."""

    exit_code = 2


class Interrupted(click.ClickException):
    """The command was stopped by hand; exit code 130."""

    exit_code = 130

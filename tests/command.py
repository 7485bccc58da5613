"""The `gauntlet` command, put together once for all tests.

typer's runner puts it together anew for each call, which takes three quarters of what `gauntlet show --help` does.
"""

import functools

import typer.main
from typer import testing

from cli.commands import app

whole = functools.cache(typer.main.get_command)
# Its method takes nothing that is put together already.
testing._get_command = whole  # type: ignore[attr-defined]  # it is its own import


def run(*arguments: object) -> testing.Result:
    """What the command says to these words, in this process."""
    return testing.CliRunner().invoke(app, [str(argument) for argument in arguments])

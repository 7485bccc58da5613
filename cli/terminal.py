"""The terminal: what is written to it, how a text that someone else wrote is shown, and how a command gives up.

Exit statuses that scripts can rely on: `DONE`, `FAILED`, `MISUSED`, `UNANSWERED` and `INTERRUPTED`.
"""

import sys
from io import TextIOWrapper
from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.text import Text

DONE: Final = 0
# What was asked for failed, was refused, or has faults.
FAILED: Final = 1
# The command line is not understood; nothing was asked for. The command's own library ends with it too.
MISUSED: Final = 2
# No service answers, or what answers is none.
UNANSWERED: Final = 3
# Ctrl-C, as shells count it.
INTERRUPTED: Final = 130

# Joiners, which several scripts and emoji need, and spaces that do not break.
_PART_OF_WORDS = "\u200c\u200d\u00a0\u202f"


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # Not what FORCE_COLOR makes of it: tables and bars depend on whether somebody looks at a screen.
    return Console(stderr=stderr, force_terminal=None if stream.isatty() else False, highlight=False)


console = _console(stderr=False)
errors = _console(stderr=True)


def write_any_letter() -> None:
    """Have letters that the output's encoding lacks written out, where they would end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def visible(text: str) -> str:
    r"""The text with what would move the cursor, reorder the line or break it written out, such as `\x1b`.

    Names of files and classes, and what a service says, may hold anything.
    """
    return "".join(
        letter if letter.isprintable() or letter in _PART_OF_WORDS else letter.encode("unicode_escape").decode()
        for letter in text
    )


def say(text: str | Text, to: Console = console, style: str = "") -> None:
    """Write lines of text: wrapped between words on a screen, and as long as they are elsewhere."""
    lines = text.split("\n") if isinstance(text, Text) else map(visible, text.split("\n"))
    for line in lines:
        to.print(Text(line) if isinstance(line, str) else line, style=style, soft_wrap=not to.is_terminal)


def tell_id(identifier: str) -> None:
    """Write an id, or another word to be copied, on a line of its own, for a person or a script to take."""
    typer.echo(identifier)


def inaccessible(error: OSError) -> str:
    """What a command says of a file that it cannot open, read or write."""
    return f"{error.filename or 'A file'} cannot be read or written: {error.strerror or error}."


def give_up(message: str, status: int = FAILED) -> NoReturn:
    """End the command with a message on standard error."""
    say(message, errors, "red")
    raise typer.Exit(status)

"""`gauntlet log`."""

import sys
import time
from typing import Annotated

import typer

from cli.connection import open_client
from cli.identifiers import AnyId, kind_of
from cli.json_output import AsJson, print_plain
from cli.terminal import give_up
from gauntlet.client import GauntletClient
from gauntlet.resources import TERMINAL

_LOOK_EVERY_S = 1.0
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Stay, and write what comes until the job ends.")]


def log(
    identifier: AnyId,
    *,
    follow: Follow = False,
    json: AsJson = False,
) -> None:
    """Write what the attempts of a run or an evaluation logged."""
    kind = kind_of(identifier)
    if kind not in ("a run", "an evaluation"):
        give_up(f"{identifier} is the id of {kind}; a run or an evaluation has a log.")
    if json and follow:
        raise typer.BadParameter("--json writes the log so far; it does not go with --follow.")
    with open_client() as client:
        lines: list[str] = []
        while True:
            ended = not follow or _has_ended(client, identifier)
            while more := _lines(client, identifier, len(lines)):
                lines += more
                if not json:
                    sys.stdout.writelines(f"{line}\n" for line in more)
                    sys.stdout.flush()
            if ended:
                break
            time.sleep(_LOOK_EVERY_S)
    if json:
        print_plain({"id": identifier, "lines": lines})


def _lines(client: GauntletClient, identifier: str, after: int) -> list[str]:
    read = client.run_log if kind_of(identifier) == "a run" else client.evaluation_log
    return read(identifier, after=after).split("\n")[:-1]


def _has_ended(client: GauntletClient, identifier: str) -> bool:
    read = client.run if kind_of(identifier) == "a run" else client.evaluation
    return read(identifier).status in {*TERMINAL, "paused"}

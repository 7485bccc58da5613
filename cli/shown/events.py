"""`gauntlet events`: what happened, and what happens."""

import sys
from typing import Annotated, get_args

import typer

from cli.connection import open_client
from cli.json_output import AsJson, print_json
from cli.shown.tables import at_time
from cli.terminal import say
from gauntlet.resources import Event, EventType

SomeSubject = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="Only what happened to this experiment, run or evaluation.")
]


def events(
    of: SomeSubject = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay and tell what happens, a line each, until that has ended.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Tell what happened, a line each: changes of status, epochs, attacks, warnings. Followed, JSON is one a line."""
    with open_client() as client:
        # A run's own list is its notes and alarms; here it is asked for all.
        found = client.events(of, follow=True) if follow else client.events(of, types=get_args(EventType))
        if json and not follow:
            print_json(found)
            return
        for event in found:
            if json:
                print_json(event, indent=None)
            else:
                _say(event)
            sys.stdout.flush()


def _say(event: Event) -> None:
    say(f"{at_time(event.created_at)} {event.subject} {event.type}: {event.message}")

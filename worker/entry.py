"""Where the process of a job begins. What needs torch is imported there: the worker itself stays free of it."""

import socket
from collections.abc import Sequence
from multiprocessing.connection import Connection

from store.queue.helpers import Help
from store.queue.jobs import Claim
from worker.settings import WorkerSettings


def enter(settings: WorkerSettings, claims: Sequence[Claim | Help], spans: socket.socket | None) -> None:
    """Do what was claimed; spans of it go to the worker by `spans`, if any are wanted."""
    from worker.jobs.child import help_out, main

    attempts = [held for held in claims if isinstance(held, Claim)]
    if attempts:
        main(settings, attempts, spans)
    for helped in claims:
        if isinstance(helped, Help):
            help_out(settings, helped, spans)


def probe(settings: WorkerSettings, tells: Connection) -> None:
    """Tell the kind of the device, and the networks that there are or why there are none."""
    from worker.jobs import child

    tells.send(child.probe(settings))

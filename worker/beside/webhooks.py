"""Tells webhooks of events: signed, tried again, and never at an address of an internal network.

Each webhook is told in a thread of its own while there is something to tell it, so that none waits for another's
answer. No redirect is followed, and no proxy asked. What an answer says is not read, but for its status.
"""

import base64
import hashlib
import hmac
import json
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpcore2
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

import gauntlet
from store import webhooks
from store.database import Database
from store.webhooks import SECRET_PREFIX, Due
from worker.beside.outgoing import Checked

logger = logging.getLogger(__name__)

_WITHIN_S: Final = 10.0
# So many of a webhook's deliveries are taken at a time, which are tried one after the other.
_TURN: Final = 4
# Longer than that takes, also where a name server does not answer.
_HEARD_WITHIN_S: Final = 300.0
# While some webhooks are waited for, what else there is to do is looked for so often, as it is otherwise.
_LOOK_EVERY_S: Final = 2.0


def _never() -> bool:
    return False


def deliver(
    database: Database,
    networks: Sequence[str],
    *,
    within_s: float = _WITHIN_S,
    stopped: Callable[[], bool] = _never,
) -> None:
    """Make deliveries of new events, and try those that are due, until there are none.

    Once it is `stopped`, no more are begun: those that were taken go back. The database is this thread's alone, however
    many are told at once.
    """
    # Of each webhook what is to be tried, the first now.
    turns: dict[str, deque[Due]] = {}
    told: dict[Future[_Outcome], Due] = {}
    with ThreadPoolExecutor(webhooks.MOST, "webhook") as senders:
        while True:
            if stopped():
                _put_back(database, turns)
            else:
                turns |= _taken(database, (*turns, *(due.webhook for due in told.values())))
            for webhook in turns.keys() - {due.webhook for due in told.values()}:
                due = turns[webhook].popleft()
                told[senders.submit(_try, networks, within_s, due)] = due
            turns = {webhook: turn for webhook, turn in turns.items() if turn}
            if not told:
                return
            ended, _ = wait(told, _LOOK_EVERY_S, FIRST_COMPLETED)
            for future in ended:
                _note(database, told.pop(future), future.result(), patience_s=within_s)


def _taken(database: Database, told: Sequence[str]) -> Mapping[str, deque[Due]]:
    """What to tell by webhook, of those that are not being told; nothing while the database is away."""
    found: dict[str, deque[Due]] = {}
    try:
        with database.looking() as session:
            if not webhooks.has_work(session, apart_from=told):
                return found
        with database.writing() as session:
            webhooks.gather(session)
            due = webhooks.take_due(
                session, most=webhooks.MOST, most_of_each=_TURN, within_s=_HEARD_WITHIN_S, apart_from=told
            )
    except OperationalError:
        if not told:
            raise
        # What became of those that are being told is still to be noted.
        return found
    for one in due:
        found.setdefault(one.webhook, deque()).append(one)
    return found


def _put_back(database: Database, turns: dict[str, deque[Due]]) -> None:
    with database.writing() as session:
        for turn in turns.values():
            for due in turn:
                webhooks.put_back(session, due)
    turns.clear()


class _Outcome(NamedTuple):
    """What became of a try: the status of its answer, or why it failed, or both."""

    answer: int | None
    fault: str | None


def _try(networks: Sequence[str], within_s: float, due: Due) -> _Outcome:
    try:
        answer = send(due, networks, within_s)
    except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, OSError, ValueError) as error:
        return _Outcome(None, str(error) or f"No answer ({type(error).__name__}).")
    return _Outcome(answer, None if 200 <= answer < 300 else f"It answered {answer}.")  # noqa: PLR2004  # HTTP's success


def _note(database: Database, due: Due, outcome: _Outcome, *, patience_s: float) -> None:
    """Write down what became of a try; one of which nothing could be written is made again (`_HEARD_WITHIN_S`)."""

    def note(session: Session) -> bool:
        if outcome.fault is None and outcome.answer is not None:
            webhooks.note_delivered(session, due, outcome.answer)
            return False
        return webhooks.note_fault(session, due, outcome.answer, outcome.fault or "")

    try:
        given_up = database.write(note, patience_s=patience_s)
    except OperationalError as error:
        logger.warning("What became of the webhook delivery %s could not be noted: %s", due.id, error)
        return
    if given_up:
        logger.warning("The webhook delivery %s is given up after %d tries: %s", due.id, due.attempts, outcome.fault)


def send(due: Due, networks: Sequence[str], within_s: float) -> int:
    """Send a delivery once; returns the status of the answer, of which nothing else is read.

    Raises:
        httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, OSError: it did not arrive, or was
            not answered in time.
        ValueError: its address is not one that may be connected to.
    """
    body = json.dumps(due.body, ensure_ascii=False, separators=(",", ":")).encode()
    moment = str(int(time.time()))
    headers: dict[bytes | str, bytes | str] = {
        "Host": urlsplit(due.url).netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": f"Gauntlet/{gauntlet.__version__}",
        "Connection": "close",
        "webhook-id": due.id,
        "webhook-timestamp": moment,
        "webhook-signature": signature(due.secret, due.id, moment, body),
    }
    backend = Checked(networks, time.monotonic() + within_s)
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), within_s)
    with (
        httpcore2.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend) as pool,
        pool.stream("POST", due.url, headers=headers, content=body, extensions={"timeout": timeout}) as answer,
    ):
        return int(answer.status)


def signature(secret: str, identifier: str, moment: str, body: bytes) -> str:
    """The header `webhook-signature`, as Standard Webhooks has it: HMAC-SHA256 over id, time and body."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b".".join((identifier.encode(), moment.encode(), body))
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"

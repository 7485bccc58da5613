"""Tells webhooks of events: signed, tried again, and never at an address of an internal network.

Each webhook has a thread of its own while there is something to tell it, so that none waits for another's answer. No
redirect is followed, and no proxy asked. What an answer says is not read, but for its status.
"""

import base64
import hashlib
import hmac
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Final
from urllib.parse import urlsplit

import httpcore2

import gauntlet
from store import webhooks
from store.database import Database
from store.webhooks import SECRET_PREFIX, Due
from worker.beside.outgoing import Checked

logger = logging.getLogger(__name__)

_WITHIN_S: Final = 10.0
# So many of a webhook's deliveries are taken at a time, which its thread tries one after the other.
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

    Once it is `stopped`, no more are begun: those that were taken go back.
    """
    attempt = partial(_try_each, database, networks, within_s, stopped)
    told: dict[Future[None], str] = {}
    with ThreadPoolExecutor(webhooks.MOST, "webhook") as senders:
        while True:
            for webhook, due in ({} if stopped() else _taken(database, tuple(told.values()))).items():
                told[senders.submit(attempt, due)] = webhook
            if not told:
                return
            ended, _ = wait(told, _LOOK_EVERY_S, FIRST_COMPLETED)
            for future in ended:
                del told[future]
                future.result()


def _taken(database: Database, told: Sequence[str]) -> Mapping[str, Sequence[Due]]:
    """What to tell by webhook, of those that are not being told."""
    with database.reading() as session:
        if not webhooks.has_work(session, apart_from=told):
            return {}
    with database.writing() as session:
        webhooks.gather(session)
        due = webhooks.take_due(
            session, most=webhooks.MOST, most_of_each=_TURN, within_s=_HEARD_WITHIN_S, apart_from=told
        )
    # Sorting keeps the order of each one's.
    each = attrgetter("webhook")
    return {webhook: tuple(found) for webhook, found in groupby(sorted(due, key=each), each)}


def _try_each(
    database: Database, networks: Sequence[str], within_s: float, stopped: Callable[[], bool], due: Sequence[Due]
) -> None:
    for one in due:
        _try(database, networks, within_s, stopped, one)


def _try(database: Database, networks: Sequence[str], within_s: float, stopped: Callable[[], bool], due: Due) -> None:
    if stopped():
        with database.writing() as session:
            webhooks.put_back(session, due)
        return
    answer: int | None = None
    try:
        answer = send(due, networks, within_s)
        fault = None if 200 <= answer < 300 else f"It answered {answer}."  # noqa: PLR2004  # HTTP's success
    except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, OSError, ValueError) as error:
        fault = str(error) or f"No answer ({type(error).__name__})."
    with database.writing() as session:
        if fault is None and answer is not None:
            webhooks.note_delivered(session, due, answer)
        elif webhooks.note_fault(session, due, answer, fault or ""):
            logger.warning("The webhook delivery %s is given up after %d tries: %s", due.id, due.attempts, fault)


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

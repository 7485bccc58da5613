"""The wake-up line: a Celery app without tasks. The database row is the queue; a lost message loses nothing."""

import logging
from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError

from store import failpoints

logger = logging.getLogger(__name__)

# Published by name, so that the service needs nothing of the worker.
TASK: Final = "gauntlet.work"


def create_celery(broker_url: str, *, socket_timeout_s: float = 30) -> Celery:
    """A Celery app on `broker_url` with the settings both sides share.

    `socket_timeout_s` bounds how long a broker that hangs can hold its caller.
    """
    app = Celery("gauntlet", broker=broker_url)
    app.conf.update(
        task_default_queue="gauntlet",
        task_ignore_result=True,
        # A message is acknowledged when its job ends, so that a busy worker does not hoard the next one.
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        task_publish_retry=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "visibility_timeout": 86_400,
            # One try: a request must not wait seconds for a broker that is down when the reconciler repeats it anyway.
            "max_retries": 0,
            "socket_timeout": socket_timeout_s,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
        },
    )
    return app


def wake(app: Celery, jobs: int) -> None:
    """Tell the workers that so many jobs wait. Call after the commit; where the broker is down they find out anyway.

    A message names no job: whoever receives it takes the one whose turn it is (`store.queue.turns`).
    """
    failpoints.reach("waking")
    for _ in range(jobs):
        try:
            app.send_task(TASK)
        except OperationalError as error:
            logger.warning("The broker did not take a wake-up: %s", error)
            return

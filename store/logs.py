"""Log lines on stderr, alike in every process: when, how grave, who, what; a line each, but for tracebacks.

As JSON every record is one line, its traceback too, for programs that gather logs.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Literal

from store.texts import masked, plain, without_paths

Form = Literal["text", "json"]

# The request that is being answered, in the API.
REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
# The job that is at work, by id and attempt, in a process that has several.
JOB: ContextVar[tuple[str, int] | None] = ContextVar("job", default=None)

_LONGEST_MESSAGE: Final = 4_000
_LONGEST_TRACEBACK: Final = 10_000
# Of each message Celery tells by an id of its own when it comes and goes; the worker tells of the job.
_LESS_OF = ("celery.app.trace", "celery.worker.strategy", "celery.worker.control")


def configure(who: str, form: Form = "text", *, job: str | None = None, attempt: int | None = None) -> None:
    """Log to stderr from now on; `who` speaks stands in every line, such as `api` or a job's id and attempt.

    In a process of several jobs those lines that are one's have its id and attempt.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_OfAJob(who) if form == "text" else _Json(who, job, attempt))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in _LESS_OF:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


@contextmanager
def about(job: str, attempt: int) -> Iterator[None]:
    """What is logged inside is of this job, in a process that has several."""
    before = JOB.set((job, attempt))
    try:
        yield
    finally:
        JOB.reset(before)


class _Lines(logging.Formatter):
    """`2026-11-27T10:00:00.123Z INFO [who] what`; without passwords, and bounded."""

    converter = staticmethod(time.gmtime)

    def __init__(self, who: str) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s [%(who)s] %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._who = who

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        record.message = plain(record.message, at_most=_LONGEST_MESSAGE, one_line=True)
        record.who = self._speaker()
        return super().formatMessage(record)

    def _speaker(self) -> str:
        return self._who

    def formatException(self, ei: "logging._SysExcInfoType") -> str:  # noqa: N802  # logging's name
        # Its end says what the error was. Escapes may make it longer than it is, up to six times.
        text = masked(super().formatException(ei)[-2 * _LONGEST_TRACEBACK :])
        return plain(text[-_LONGEST_TRACEBACK:], at_most=6 * _LONGEST_TRACEBACK)


class _OfAJob(_Lines):
    """The same, spoken by the job that is at work where a process has several."""

    def _speaker(self) -> str:
        job = JOB.get()
        return self._who if job is None else f"{job[0]} attempt {job[1]}"


class _Json(_Lines):
    """An object a line: `time`, `level`, `logger`, `process`, `message`, and what there is of the others."""

    def __init__(self, who: str, job: str | None, attempt: int | None) -> None:
        super().__init__(who)
        self._job = job
        self._attempt = attempt

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        job, attempt = JOB.get() or (self._job, self._attempt)
        said = {
            "time": f"{self.formatTime(record, self.datefmt)}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "process": self._who,
            "message": plain(record.getMessage(), at_most=_LONGEST_MESSAGE, one_line=True),
            "request": REQUEST.get(),
            "job": job,
            "attempt": attempt,
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({name: value for name, value in said.items() if value is not None}, ensure_ascii=False)


class ForUsers(_Lines):
    """The same for readers who have no business with the machine: no paths of it, no lines of code."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, or more where a message has line breaks of its own."""
        shown = logging.makeLogRecord(record.__dict__ | {"exc_info": None, "exc_text": None, "stack_info": None})
        text = without_paths(super().format(shown))
        return f"{text} (The worker's own log says where in the code.)" if record.exc_info else text


def complain(message: str) -> None:
    """Write to standard error what a handler of log lines has to say of itself."""
    sys.stderr.write(f"{message}\n")

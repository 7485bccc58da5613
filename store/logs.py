"""Log lines on stderr, alike in every process: when, how grave, who, what; a line each, but for tracebacks."""

import logging
import sys
import time
from typing import Final

from store.texts import masked, plain, without_paths

_LONGEST_MESSAGE: Final = 4_000
_LONGEST_TRACEBACK: Final = 10_000
# Of each message Celery tells by an id of its own when it comes and goes; the worker tells of the job.
_LESS_OF = ("celery.app.trace", "celery.worker.strategy", "celery.worker.control")


def configure(who: str) -> None:
    """Log to stderr from now on; `who` speaks stands in every line, such as `api` or a job's id and attempt."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines(who))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in _LESS_OF:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


class _Lines(logging.Formatter):
    """`2026-11-27T10:00:00.123Z INFO [who] what`; without passwords, and bounded."""

    converter = staticmethod(time.gmtime)

    def __init__(self, who: str) -> None:
        super().__init__(
            f"%(asctime)s.%(msecs)03dZ %(levelname)s [{who.replace('%', '%%')}] %(message)s", "%Y-%m-%dT%H:%M:%S"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        record.message = plain(record.message, at_most=_LONGEST_MESSAGE, one_line=True)
        return super().formatMessage(record)

    def formatException(self, ei: "logging._SysExcInfoType") -> str:  # noqa: N802  # logging's name
        # Its end says what the error was. Escapes may make it longer than it is, up to six times.
        text = masked(super().formatException(ei)[-2 * _LONGEST_TRACEBACK :])
        return plain(text[-_LONGEST_TRACEBACK:], at_most=6 * _LONGEST_TRACEBACK)


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

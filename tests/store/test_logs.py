"""What a process's log looks like."""

import json
import re
import subprocess
import sys

_PROCESS = r"""
import logging, warnings
from store import logs

logs.configure("run_01 attempt 2, 100% ours")
logger = logging.getLogger("any")
logger.info("Experiment %s of %s.", "a\nb", "redis://:secret@queue")
for name in ("celery.app.trace", "celery.worker.strategy"):
    logging.getLogger(name).info("Task gauntlet.train[1-2-3] succeeded in 2 s: None")
    logging.getLogger(name).error("Task gauntlet.train[1-2-3] raised.")
warnings.warn("Mind the gap.")
try:
    raise ValueError("postgresql://me:secret@db " + "x" * 100_000 + "\udcff the end")
except ValueError:
    logger.exception("It failed.")
"""
_STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_a_log_is_lines_that_say_when_who_and_what() -> None:
    """A name's line break is escaped, passwords are masked, a warning comes too, a huge traceback keeps its end.

    What Celery says when a message comes and goes names no job, and is left out; its errors are there.
    """
    ended = subprocess.run([sys.executable, "-c", _PROCESS], capture_output=True, check=True, text=True)
    lines = ended.stderr.splitlines()
    said = [re.fullmatch(rf"{_STAMP} (\w+) \[run_01 attempt 2, 100% ours\] (.*)", line) for line in lines]
    found = [(line[1], line[2]) for line in said if line is not None]
    assert found[:3] == [
        ("INFO", r"Experiment a\nb of redis://:***@queue."),
        ("ERROR", "Task gauntlet.train[1-2-3] raised."),
        ("ERROR", "Task gauntlet.train[1-2-3] raised."),
    ]
    assert found[3][0] == "WARNING"
    assert "Mind the gap." in found[3][1]
    assert found[4:] == [("ERROR", "It failed.")]
    assert lines[-1].endswith(r"x\udcff the end")
    assert "secret" not in ended.stderr
    assert len(ended.stderr) < 30_000


def test_as_json_every_record_is_one_line() -> None:
    """With the same fields for programs: when, how grave, what, which job and attempt; the traceback in the line."""
    process = _PROCESS.replace(
        'logs.configure("run_01 attempt 2, 100% ours")',
        'logs.configure("run_01 attempt 2", "json", job="run_01", attempt=2); logs.REQUEST.set("f00")',
    ).replace('"Experiment %s of %s."', '"Experiment %s of %s by gauntlet_aaaaaaaaaaaaaaaaaaaaaaaaaaaa."')
    ended = subprocess.run([sys.executable, "-c", process], capture_output=True, check=True, text=True)
    said = [json.loads(line) for line in ended.stderr.splitlines()]
    assert len(said) == 5
    assert re.fullmatch(_STAMP, said[0].pop("time"))
    assert said[0] == {
        "level": "INFO",
        "logger": "any",
        "process": "run_01 attempt 2",
        "message": r"Experiment a\nb of redis://:***@queue by gauntlet_***.",
        "request": "f00",
        "job": "run_01",
        "attempt": 2,
    }
    assert said[4]["message"] == "It failed."
    assert said[4]["exception"].endswith(r"x\udcff the end")
    assert "secret" not in ended.stderr

"""Child processes that never outlive their supervisor and come back when they fall."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# Found before any fork: to load a library after it takes locks and memory, and may fail.
_PRCTL: Final = getattr(ctypes.CDLL(None), "prctl", None)
_PR_SET_PDEATHSIG: Final = 1
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# A child that stayed up this long has recovered, and its next fall is a first one again.
_STEADY_S = 60.0
_LONGEST_LOG = 10 << 20


@dataclass
class Child:
    """One supervised process: what it runs, and where its output goes."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _pause_s: float = _FIRST_PAUSE_S
    _restart_at: float | None = None

    def start(self) -> None:
        """Start the process; its output is appended to the log, of which one that is long becomes `<name>.1`."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LONGEST_LOG:
            self.log.replace(f"{self.log}.1")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own commands
                self.command,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # called from the main thread only
            )
        self._started = time.monotonic()
        self._restart_at = None

    def tend(self) -> str | None:
        """Start the process again if it fell, after a pause that doubles; returns a sentence where it fell or cannot.

        A log that grew long is set aside meanwhile.
        """
        self._shorten_log()
        now = time.monotonic()
        if self._restart_at is not None:
            return self._start_again(now) if now >= self._restart_at else None
        if self._process is None or self._process.poll() is None:
            return None
        if now - self._started > _STEADY_S:
            self._pause_s = _FIRST_PAUSE_S
        self._wait(now)
        return f"The {self.name} ended with {self._process.returncode}; it starts again. Its log: {self.log}"

    def _start_again(self, now: float) -> str | None:
        """A machine that has no room for it now may have it later; the others are to be tended meanwhile."""
        try:
            self.start()
        except (OSError, subprocess.SubprocessError) as error:
            pause_s = self._wait(now)
            # The latter is of what runs between fork and exec.
            why = error.strerror if isinstance(error, OSError) else error
            return f"The {self.name} cannot be started ({why}); it is tried again in {pause_s:g} s."
        return None

    def _wait(self, now: float) -> float:
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._restart_at = now + pause_s
        return pause_s

    def _shorten_log(self) -> None:
        """Set a long log aside while the process writes to it: it appends to whatever is there.

        One that cannot be, as on a disk that has become read-only, stays as it is.
        """
        if not self.log.exists() or self.log.stat().st_size <= _LONGEST_LOG:
            return
        # Where there is no room for both, the older lines are lost.
        with contextlib.suppress(OSError):
            shutil.copyfile(self.log, f"{self.log}.1")
        with contextlib.suppress(OSError):
            os.truncate(self.log, 0)

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process's id while it lives."""
        return self._process.pid if self._process is not None and self.is_running else None

    def stop(self, grace_s: float) -> None:
        """End the process: SIGTERM, and SIGKILL if it has not gone after `grace_s`."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def die_with_parent() -> None:
    """Ask Linux to send this process SIGTERM when its parent dies; elsewhere it does nothing. Runs after the fork."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""Makes data sets of uploaded archives, one at a time beside the worker's jobs, each in a process of its own.

An archive waits behind no training: that may take days, and what is waited for here is its user's next step.
"""

import errno
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from gauntlet.checks.description import DatasetContents
from gauntlet.data.uploads.bounds import Bounds
from gauntlet.data.uploads.entries import too_many_bytes
from store import dataset_files, failpoints, files
from store.database import Database
from store.errors import LeaseLost
from store.queue import unpacking
from store.queue.unpacking import Unpacking
from store.storage import StorageAway, is_the_storages, met_there
from store.traces import attempts
from worker.beside import unpacking_process
from worker.forked import NotStarted
from worker.settings import WorkerSettings
from worker.spans import Tell

T = TypeVar("T")

logger = logging.getLogger(__name__)

_INTERNAL_ERROR = "A fault of the service; its worker's log has it under this data set's id."
# Room on a disk, and the right to write there, come of somebody's doing; a storage that is away comes back.
_UNTIL_MENDED_S = 300.0
_WHILE_AWAY_S = 30.0
# Measured of 60,000 pictures: 147 MB, which grow with their number; the picture that takes most adds 520.
_MOST_MEMORY = 1 << 30
# Measured on a busy core: pictures of 300 bytes take it 2 s a MB, photographs 0.03.
_FREE_S, _SLOWEST = 60.0, 100_000.0
_BEGUN = ("unpacking", 0, 0)
# Why an attempt that ended so is over, as the API says it.
_REASONS: Mapping[str, str | None] = {
    "made": None,
    "refused": "archive_refused",
    "failed": "internal_error",
    "storage": "storage",
    "stopped": "worker_shutdown",
    "unstarted": "not_started",
    # Which nobody has written down yet: its lease still runs.
    "lost": "worker_lost",
}
# It tells twice a second how far it is, but not while the disk takes what was unpacked.
_MOST_SILENT_S = 600.0


class _Stopping(Exception):
    """The worker stops."""


class Unpacker:
    """What a worker does about archives; `look` is called again and again."""

    def __init__(
        self,
        database: Database,
        settings: WorkerSettings,
        tell: Tell | None = None,
        may_judge: Callable[[float], bool] = lambda _: True,
    ) -> None:
        """`tell` sends spans, if any are wanted; `may_judge` says whether leases that had run out say anything."""
        self._database = database
        self._tell = tell
        self._settings = settings
        self._may_judge = may_judge
        self._stopping = threading.Event()

    def look(self) -> None:
        """Unpack the archives that wait, one after the other."""
        while not self._stopping.is_set():
            with self._database.looking() as session:
                if not unpacking.any_waits(session):
                    return
            with self._database.writing() as session:
                name, lease_s = self._settings.worker_name, self._settings.lease_s
                held = unpacking.claim_next(session, name, lease_s, self._may_judge)
            if held is None:
                return
            try:
                self._unpack(held)
            except LeaseLost as error:
                logger.warning("%s", error)
                with self._database.reading() as session:
                    status = unpacking.status_of(session, held)
                if status is None:
                    # The sweeper may have been there before the last of it was sent.
                    self._delete(held)
            finally:
                dataset_files.discard_attempt(self._settings.storage, held.id, held.attempt)

    def stop(self) -> None:
        """Leave what is begun to another attempt, at once."""
        self._stopping.set()

    def _unpack(self, held: Unpacking) -> None:
        logger.info("The archive of %s (%s) is unpacked, attempt %d.", held.id, held.name, held.attempt)
        began = time.time()
        answer, publish = self._made(held)
        try:
            answer, status = self._record(held, answer, publish)
        except OSError as error:
            # It was not to be published.
            answer, status = self._record(held, {"storage": error}, publish)
        told = next(iter(answer))
        failed = told not in ("made", "stopped")
        if self._tell is not None:
            for span in attempts.unpacked(held, self._settings.worker_name, began, status, _REASONS[told]):
                self._tell(span)
        logger.log(
            logging.WARNING if failed else logging.INFO,
            "The archive of %s: %s%s.",
            held.id,
            told,
            f", {answer[told]}" if failed else "",
        )
        failpoints.reach("unpacking_recorded")
        if told == "made":
            # What is left is deleted by the sweeper.
            with suppress(OSError):
                dataset_files.tidy(self._settings.storage, held.id)
        elif told in ("refused", "failed"):
            self._delete(held)

    def _delete(self, held: Unpacking) -> None:
        try:
            dataset_files.delete(self._settings.storage, held.id)
        except OSError as error:
            logger.warning("What was sent of %s is left to the sweeper: %s", held.id, error)

    def _record(
        self, held: Unpacking, answer: dict[str, Any], publish: Callable[[], None]
    ) -> tuple[dict[str, Any], str | None]:
        """Write down what became of the archive; returns that, as what was made may be too much to be published.

        With it comes the data set's status.

        Raises:
            LeaseLost: another attempt has it, or it was deleted.
            OSError: what was made of it cannot be published; nothing is written down.
        """
        publish_once = cache(publish)

        def become(session: Session) -> dict[str, Any]:
            match answer:
                case {"made": made}:
                    # In the transaction, which holds the row: nobody else publishes meanwhile.
                    unpacking.hold(session, held)
                    contents = DatasetContents.model_validate(made)
                    room = unpacking.room_for(session, held)
                    if room is not None and contents.bytes > room:
                        # Others of the owner's came meanwhile.
                        refused = str(too_many_bytes(room))
                        unpacking.fail(session, held, "archive_refused", refused)
                        return {"refused": refused}
                    publish_once()
                    unpacking.complete(session, held, contents)
                case {"refused": str(why)}:
                    unpacking.fail(session, held, "archive_refused", why)
                case {"failed": _}:
                    unpacking.fail(session, held, "internal_error", _INTERNAL_ERROR)
                case {"storage": OSError() as error}:
                    why = files.fault(error, "data set")
                    wait_s = _WHILE_AWAY_S if isinstance(error, StorageAway) else _UNTIL_MENDED_S
                    put_back = unpacking.postpone if is_the_storages(error) else unpacking.give_up
                    put_back(session, held, "storage", why, wait_s=wait_s)
                case {"stopped": _}:
                    unpacking.postpone(session, held, "worker_shutdown", None, wait_s=0)
                case {"unstarted": str(why)}:
                    said = f"What unpacks it could not be started ({why})."
                    unpacking.postpone(session, held, "not_started", said, wait_s=self._settings.retry_s)
            # Of one that is lost the lease runs out, and another attempt is made, as where the worker is lost.
            return answer

        def write(session: Session) -> tuple[dict[str, Any], str | None]:
            return become(session), unpacking.status_of(session, held)

        return self._database.write(write, patience_s=self._settings.database_patience_s)

    def _made(self, held: Unpacking) -> tuple[dict[str, Any], Callable[[], None]]:
        """What becomes of the archive, and what publishes that where something was made of it.

        Raises:
            LeaseLost: another attempt has it, or it was deleted.
        """
        storage = self._settings.storage
        try:
            archive = self._renewing(held, lambda: dataset_files.archive(storage, held.id, held.archive_sha256))
            answer = self._ask(held, archive)
            if "made" in answer:
                return answer, self._renewing(held, lambda: dataset_files.prepare(storage, held.id, held.attempt))
        except _Stopping:
            answer = {"stopped": True}
        except NotStarted as why:
            answer = {"unstarted": str(why)}
        except OSError as error:
            answer = {"storage": self._at_fault(error)}
        return answer, lambda: None

    def _at_fault(self, error: OSError) -> OSError:
        """What is wrong: not the file that is missed, where the whole storage is."""
        if not is_the_storages(error):
            try:
                self._settings.storage.require()
            except OSError as away:
                return StorageAway(away.errno, away.strerror or type(away).__name__)
        return error

    def _renewing(self, held: Unpacking, work: Callable[[], T]) -> T:
        """What comes of work that the network may hold up, while the lease is renewed.

        Raises:
            LeaseLost: another attempt has it, or it was deleted; the work is done.
            NotStarted: there is no room for a thread that does it.
            _Stopping: the work goes on until the process ends, which does not wait for it.
        """
        at_work = _in_a_thread(work)

        def goes_on() -> bool:
            return not wait([at_work], timeout=self._settings.heartbeat_s).done

        try:
            while goes_on():
                if self._stopping.is_set():
                    raise _Stopping
                self._renew(held, _BEGUN)
        finally:
            # Whoever then deletes what was sent deletes all of it.
            while not self._stopping.is_set() and goes_on():
                pass
        return at_work.result()

    def _ask(self, held: Unpacking, archive: Path) -> dict[str, Any]:
        """What the process answers, while the lease is renewed.

        Raises:
            LeaseLost: another attempt has it, or it was deleted.
            NotStarted: there is no process.
        """
        settings = self._settings
        room = self._database.write(partial(unpacking.room_for, held=held), patience_s=settings.database_patience_s)
        most_bytes = settings.max_unpacked_bytes if room is None else min(settings.max_unpacked_bytes, room)
        seconds = self._seconds_for(held.archive_bytes)
        order = {
            "archive": str(archive),
            "folder": str(dataset_files.workplace(settings.storage, held.id, held.attempt)),
            "name": held.name,
            "draw": held.draw.model_dump() if held.draw else None,
            "bounds": asdict(Bounds(most_bytes=most_bytes)),
            "memory": _MOST_MEMORY,
            "seconds": seconds,
        }
        progress = _BEGUN
        heard = time.monotonic()
        with unpacking_process.at_work(order) as process:
            told = unpacking_process.told_by(process)
            while not self._stopping.is_set():
                try:
                    answer = told.get(timeout=settings.heartbeat_s)
                except queue.Empty:
                    if time.monotonic() - heard > _MOST_SILENT_S:
                        return {"lost": f"its process said nothing for {_MOST_SILENT_S:g} s"}
                    answer = {"progress": progress}
                else:
                    heard = time.monotonic()
                match answer:
                    case None:
                        return unpacking_process.why_it_ended(process.wait(), seconds)
                    case {"progress": [str(phase), int(completed), int(total)]}:
                        progress = (phase, completed, total)
                    case {"storage": str(why), "errno": number, "path": path}:
                        met = OSError(number, why, path)
                        if _is_in_the_storage(met, archive, Path(str(order["folder"]))):
                            met = met_there(met)
                        return {"storage": self._at_fault(met)}
                    case _:
                        return answer
                self._renew(held, progress)
        return {"stopped": True}

    def _renew(self, held: Unpacking, progress: tuple[str, int, int]) -> None:
        """Extend the lease. Where the database is away nobody else gets the archive either, and the work goes on.

        Raises:
            LeaseLost: another attempt has it, or it was deleted.
        """
        try:
            with self._database.writing() as session:
                unpacking.renew(session, held, self._settings.lease_s, progress)
        except OperationalError as error:
            logger.warning("The database did not take a heartbeat of %s: %s", held.id, error)

    def _seconds_for(self, size: int) -> int:
        """How long the archive may compute: by its size, so that a small hostile one holds up nobody for long."""
        return max(1, int(min(self._settings.max_unpacking_s, _FREE_S + size / _SLOWEST)))


def _is_in_the_storage(error: OSError, archive: Path, folder: Path) -> bool:
    """Whether the process that unpacks was told it of its archive, its folder, or what it makes the folder in."""
    if error.filename is None:
        # Of what was open before; it is its folder alone that it writes to. Any other errno may be of anything.
        return error.errno == errno.EROFS
    path = Path(error.filename)
    return path.is_relative_to(archive) or path.is_relative_to(folder) or folder.is_relative_to(path)


def _in_a_thread(work: Callable[[], T]) -> Future[T]:
    """What comes of the work. The end of the process does not wait for it, as it would for a pool's.

    Raises:
        NotStarted: there is no room for a thread that does it.
    """
    outcome: Future[T] = Future()

    def do() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001  # it is raised where the outcome is asked for
            outcome.set_exception(error)

    try:
        threading.Thread(target=do, name="transfer", daemon=True).start()
    except RuntimeError as error:
        # Python has no other for it.
        raise NotStarted(str(error)) from error
    return outcome

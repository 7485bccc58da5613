"""A fork server that dies, or cannot be reached, costs no job, and what is said of it is so."""

import errno
import gc
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from multiprocessing import connection, current_process, forkserver, util
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import select

from store.database import Database, db_now
from tests.e2e.system import await_that
from tests.worker.processes.attempts import NEVER, expire, found, hang, is_there, started, trains
from worker import fork_server
from worker import forked as module
from worker.beside.reconciler import reconcile
from worker.forked import Forked, ForkServerLost
from worker.processes import JobProcesses

pytestmark = [pytest.mark.long(seconds=40), pytest.mark.thorough]


def killed_server() -> None:
    """Kill the fork server, and return when it is gone."""
    server = server_pid()
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)


def server_pid() -> int:
    pid: int = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # as the worker looks
    return pid


def test_a_job_outlives_its_fork_server(
    database: Database, processes: JobProcesses, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps its lease and its slot; stopped by its worker it goes back to the queue, without a crash or a fault."""
    processes._settings = processes._settings.model_copy(update={"stop_grace_s": 60})
    pid = started(database, processes, run_id)
    killed_server()
    await_that(lambda: "The process goes on." in caplog.text)
    before = found(database, run_id).completed
    await_that(lambda: found(database, run_id).completed != before)
    assert (processes.free_slots, found(database, run_id).attempt) == (0, 1)

    processes.shut_down()
    await_that(lambda: not processes._jobs)
    run = found(database, run_id)
    assert (run.status, run.status_reason, run.crashes) == ("queued", "worker_shutdown", 0)
    assert not is_alive(pid)
    assert "The process of attempt 1" not in caplog.text


def test_a_job_that_outlived_its_fork_server_is_given_back_when_it_is_killed(
    database: Database, processes: JobProcesses, run_id: str
) -> None:
    """Once it is gone, not when its fork server is; that nobody can tell how it ended is said. Then it is done anew."""
    pid = started(database, processes, run_id)
    killed_server()
    os.kill(pid, signal.SIGKILL)
    await_that(lambda: processes.free_slots == 1)
    run = found(database, run_id)
    assert (run.status, run.status_reason, run.crashes) == ("queued", "worker_lost", 1)
    assert run.status_detail == (
        "The process of attempt 1 ended, and as the fork server had died before it, nobody can tell how."
    )
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: trains(database, run_id, 2))


def test_a_job_that_hangs_and_has_no_fork_server_is_ended(
    database: Database, processes: JobProcesses, run_id: str
) -> None:
    """As one that has: nothing of it computes when the job is given back."""
    pid = started(database, processes, run_id)
    hang(database, pid)
    killed_server()
    expire(database, run_id)
    processes.end_hung()
    await_that(lambda: processes.free_slots == 1)
    assert not is_alive(pid)
    assert found(database, run_id).status_detail == "The process of attempt 1 was ended by SIGKILL."


def test_a_fork_server_that_is_killed_while_it_loads_is_started_anew(
    processes: JobProcesses, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What happened is said in a sentence. Where it is killed each time, for want of memory, nothing is claimed."""
    killed_server()
    start = Forked.start
    # How often the next fork servers are killed as soon as they are there.
    kills = iter([True, False, True, True])

    def start_and_kill(forked: Forked) -> None:
        if next(kills):
            killing = threading.Thread(target=kill_a_new_server, args=(server_pid(),))
            killing.start()
        start(forked)

    monkeypatch.setattr(Forked, "start", start_and_kill)
    processes.preparation.make()
    assert fork_server.lives()
    assert [record.getMessage() for record in caplog.records] == [
        "The fork server, from which jobs' processes come, was ended while it loaded what jobs need. It starts anew."
    ]
    caplog.clear()

    killed_server()
    processes.start()
    await_that(lambda: "No job could be claimed: The fork server" in caplog.text)
    assert "Traceback" not in caplog.text


def kill_a_new_server(old: int) -> None:
    await_that(lambda: server_pid() not in (old, None))
    os.kill(server_pid(), signal.SIGKILL)


def test_a_fork_server_whose_folder_was_tidied_away_is_started_anew(
    database: Database, processes: JobProcesses, run_id: str
) -> None:
    """Who keeps /tmp clean takes what it is reached by, and where that lies: no job is lost by it, nor the worker."""
    server = server_pid()
    shutil.rmtree(util.get_temp_dir())
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: found(database, run_id).status_reason == "not_started" and processes.free_slots == 1)
    assert found(database, run_id).crashes == 0
    assert not is_alive(server)
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: trains(database, run_id, 2))


def test_a_fork_server_that_took_the_place_of_a_lost_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever met the old one, and is late to hear so, ends nothing that another has started meanwhile."""
    fork_server.start()

    def start_another(_: object) -> None:
        killed_server()
        assert not fork_server.lives()
        fork_server.start()
        raise FileNotFoundError

    with monkeypatch.context() as patch:
        patch.setattr(module, "Popen", start_another)
        with pytest.raises(ForkServerLost):
            Forked(do_nothing, (), "late").start()
    assert fork_server.lives()


@pytest.fixture
def no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a folder for what is temporary."""
    monkeypatch.delitem(current_process()._config, "tempdir", raising=False)  # type: ignore[attr-defined]  # as it was
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])


def test_a_machine_without_a_temporary_folder_is_told_so(
    database: Database,
    processes: JobProcesses,
    run_id: str,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not that the fork server was ended: it lives. The job goes back, and none is claimed while it is so.

    Nor is that one by any other worker before `retry_s` have gone by: it would come back every few seconds.
    """
    request.getfixturevalue("no_folder")
    server = server_pid()
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: found(database, run_id).status_reason == "not_started" and processes.free_slots == 1)
    assert found(database, run_id).crashes == 0
    with database.reading() as session:
        wait_s = (found(database, run_id).not_before or 0) - session.scalars(select(db_now())).one()
    assert wait_s == pytest.approx(30, abs=20)
    why = "No usable temporary directory found in ['/nowhere']"
    assert found(database, run_id).status_detail == f"The process of attempt 1 could not be started ({why})."
    processes.start()
    await_that(lambda: f"No job could be claimed: {why}" in caplog.text)
    assert "Traceback" not in caplog.text
    assert (server_pid(), fork_server.lives()) == (server, True)


class Watched(set[BaseProcess]):
    """Processes that multiprocessing knows of; another thread's start comes when one has ended, and at once."""

    def add(self, process: BaseProcess) -> None:
        super().add(process)
        connection.wait([process.sentinel])
        multiprocessing.active_children()


def test_nobody_else_asks_how_a_process_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """As multiprocessing does wherever another starts: of two that ask at once one hears that it failed."""
    monkeypatch.setattr(multiprocessing.process, "_children", Watched())
    forked = Forked(do_nothing, (), "nothing")
    forked.start()
    assert forked.has_ended(60.0)
    assert (forked.exit_code, forked.is_orphan) == (0, False)

    waiting = Forked(signal.pause, (), "waits")
    waiting.start()
    assert multiprocessing.active_children() == []
    assert not waiting.has_ended(0.0)
    waiting.kill()
    assert waiting.has_ended(60.0)
    assert waiting.exit_code == -signal.SIGKILL


@pytest.fixture(params=["a Python without", "a kernel without"])
def no_descriptors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes cannot be held by descriptors."""

    def refuse(pid: int) -> int:
        raise OSError(errno.ENOSYS, f"Function not implemented for {pid}")

    if request.param == "a kernel without":
        monkeypatch.setattr(os, "pidfd_open", refuse)
    else:
        monkeypatch.delattr(os, "pidfd_open")


@pytest.mark.usefixtures("no_descriptors")
def test_a_process_that_no_descriptor_holds_outlives_its_fork_server_too(caplog: pytest.LogCaptureFixture) -> None:
    """It has ended once it is gone, and no sooner; one that has its number later is not ended in its place."""
    forked = Forked(signal.pause, (), "waits")
    forked.start()
    pid = forked.pid
    assert pid is not None
    killed_server()
    assert not forked.has_ended(0.2)
    assert f"The fork server of process {pid} died. The process goes on." in caplog.text
    began, forked._began = forked._began, "0"
    forked.kill()
    forked._began = began
    assert not forked.has_ended(0.2)
    forked.kill()
    assert forked.has_ended(60.0)
    assert not is_alive(pid)
    assert (forked.exit_code, forked.is_orphan) == (None, True)


@pytest.mark.usefixtures("no_descriptors")
def test_a_process_that_no_descriptor_holds_ends_as_others() -> None:
    """By its fork server's word."""
    for target, code in ((do_nothing, 0), (signal.pause, -signal.SIGTERM)):
        forked = Forked(target, (), "any")
        forked.start()
        if target is signal.pause:
            forked.terminate()
        assert forked.has_ended(60.0)
        assert forked.exit_code == code


def test_a_process_leaves_no_descriptor_behind() -> None:
    """Neither one that ended nor one that is let go of; what is sent to them then reaches nobody."""
    first = Forked(do_nothing, (), "first")
    first.start()
    assert first.has_ended(60.0)
    before = descriptors()
    for _ in range(3):
        forked = Forked(do_nothing, (), "nothing")
        forked.start()
        assert forked.has_ended(60.0)
        forked.kill()
        kept = Forked(signal.pause, (), "kept")
        kept.start()
        kept.kill()
        kept.let_go()
        kept.terminate()
        del kept
    assert descriptors() == before


def descriptors() -> int:
    """How many this process has, but for those of what nobody refers to any more."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_fork_server_that_dies_while_it_starts_a_process_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next start makes a new one."""
    first = Forked(do_nothing, (), "first")
    first.start()
    assert first.has_ended(60.0)
    server = server_pid()
    os.kill(server, signal.SIGSTOP)
    # Where the fork server is waited for.
    read = forkserver.read_signed

    def kill_and_read(pipe: int) -> int:
        os.kill(server, signal.SIGKILL)
        number: int = read(pipe)
        return number

    with monkeypatch.context() as patch:
        patch.setattr(forkserver, "read_signed", kill_and_read)
        with pytest.raises(ForkServerLost):
            Forked(do_nothing, (), "second").start()
    third = Forked(do_nothing, (), "third")
    third.start()
    assert third.has_ended(60.0)
    assert third.exit_code == 0


def do_nothing() -> None:
    pass


def is_alive(pid: int) -> bool:
    """Whether it is there, and no mere remainder that nobody has asked after."""
    if not is_there(pid):
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False

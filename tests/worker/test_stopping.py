"""A worker is asked to stop by a signal, which comes in the middle of whatever it does."""

import signal
import threading
import time

from worker.stopping import Stopping


def test_a_signal_that_comes_within_a_lock_waits_for_nothing() -> None:
    """What it asks for takes that lock, and is done once the lock is free; it is waited for at the process's end."""
    lock, done = threading.Lock(), threading.Event()

    def work() -> None:
        with lock:
            # Who did not wait would be through by then.
            time.sleep(0.1)
        done.set()

    stopping = Stopping(work)
    stopping.start()
    before = signal.signal(signal.SIGUSR1, lambda *_: stopping.ask())
    try:
        with lock:
            signal.raise_signal(signal.SIGUSR1)
            assert not done.is_set()
        stopping.await_end()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert done.is_set()


def test_who_was_not_asked_waits_for_nothing_at_the_end() -> None:
    """As a worker that ends by a fault."""
    done = threading.Event()
    stopping = Stopping(done.set)
    stopping.await_end()
    stopping.start()
    stopping.await_end()
    assert not done.is_set()
    # It goes with its thread.
    stopping.ask()
    stopping.await_end()
    assert done.is_set()

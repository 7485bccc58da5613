"""`python -m worker`: a worker until SIGTERM."""

from worker.app import run_worker
from worker.settings import WorkerSettings

if __name__ == "__main__":
    run_worker(WorkerSettings())

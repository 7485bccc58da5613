"""`python -m worker`: a worker until SIGTERM."""

import sys
from collections.abc import Sequence

from store.loading import without_collections

with without_collections(freezing=__name__ == "__main__"):
    from gauntlet.settings import SettingsInvalid, require_no_arguments
    from store import logs
    from worker.app import run_worker
    from worker.forked import NotStarted
    from worker.preparation import DeviceUnusable, NetworksUnusable
    from worker.settings import WorkerSettings


def main(arguments: Sequence[str] = ()) -> None:
    """Work on the environment's settings."""
    try:
        require_no_arguments(arguments)
        settings = WorkerSettings.from_environment()
        logs.configure(f"worker {settings.worker_name}", settings.log_format)
        run_worker(settings)
    except (SettingsInvalid, DeviceUnusable, NetworksUnusable) as error:
        sys.exit(str(error))
    except NotStarted as error:
        sys.exit(f"No job's process can be started: {error}.")


if __name__ == "__main__":
    main(sys.argv[1:])

"""What must be known before a worker claims: that its fork server has torch, and what its device and networks are."""

import logging
import threading
from collections.abc import Mapping

from worker import fork_server
from worker.entry import probe
from worker.forked import CONTEXT, Forked, ForkServerLost
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

# torch has been loaded within three seconds, and a GPU answered within ten; a driver that hangs does not.
_PROBE_WITHIN_S = 120.0


class DeviceUnusable(Exception):
    """The device that the settings name is not there or does not work."""


class NetworksUnusable(Exception):
    """What `GAUNTLET_ARCHITECTURES` names is not there or of no use."""


class Preparation:
    """Made before the first job, and again once a fork server is gone. Thread-safe."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._making = threading.Lock()
        self._is_made = False
        # Of a team's own, by name, each with its package; known once it is made, as is the device's type.
        self.networks: Mapping[str, str] = {}
        self.device_type = ""

    def make(self) -> None:
        """Start the fork server and wait until it has torch, so that no job's lease runs while it loads.

        Raises:
            DeviceUnusable: no job of this worker could run; better to claim none.
            NetworksUnusable: the packages that are to have networks do not.
            ForkServerLost: it was ended twice while it loaded, as where there is too little memory.
            NotStarted: this machine has no room for it, or no folder.
        """
        with self._making:
            if not self._is_made or not fork_server.lives():
                # The probe starts a fork server, whatever comes of it.
                self._is_made = False
                try:
                    self._probe()
                except ForkServerLost as lost:
                    logger.warning("%s while it loaded what jobs need. It starts anew.", lost)
                    self._probe()
                self._is_made = True

    def doubt(self) -> None:
        """Have it made again before the next job, as no process could be started."""
        self._is_made = False

    def _probe(self) -> None:
        told, tells = CONTEXT.Pipe(duplex=False)
        with told:
            with tells:
                probing = Forked(probe, (self._settings, tells), "probe")
                probing.start()
            if not probing.has_ended(_PROBE_WITHIN_S):
                probing.kill()
                probing.let_go()
            elif probing.exit_code is None:
                raise ForkServerLost
            if probing.exit_code != 0:
                raise DeviceUnusable(f"The device {self._settings.device!r} (GAUNTLET_DEVICE) cannot be used here.")
            self.device_type, found = told.recv()
        if isinstance(found, str):
            raise NetworksUnusable(found)
        self.networks = found

"""Where a job's images lie."""

import errno
from pathlib import Path

from gauntlet.spec.kinds import AnyDataset, Uploaded
from worker.settings import WorkerSettings


def root_of(settings: WorkerSettings, dataset: AnyDataset) -> Path:
    """The folder that the data set lies below.

    Raises:
        OSError: it is the storage, and that is away, which must not be taken for a data set that is lost.
    """
    root = settings.root_of(dataset)
    if isinstance(dataset, Uploaded) and not root.is_dir():
        raise FileNotFoundError(errno.ENOENT, "The storage is away", str(root))
    return root

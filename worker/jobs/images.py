"""Where a job's images lie, and where those that memory should not hold are kept decoded."""

import errno
from pathlib import Path

from gauntlet.data.decoded.decoded_cache import DecodedCache
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


def decoded_cache(settings: WorkerSettings) -> DecodedCache | None:
    """The worker's cache of decoded pictures, None where it is to have none."""
    if settings.max_decoded_bytes == 0:
        return None
    return DecodedCache(settings.home / "decoded", settings.max_decoded_bytes, settings.mapped_from_bytes)

"""Where a job's images lie, and where those that memory should not hold are kept decoded."""

from pathlib import Path

from gauntlet.data.decoded.decoded_cache import DecodedCache
from gauntlet.spec.kinds import AnyDataset, Uploaded
from worker.settings import WorkerSettings


def root_of(settings: WorkerSettings, dataset: AnyDataset) -> Path:
    """The folder that the data set lies below.

    Raises:
        OSError: it is the storage's, and that is away, which must not be taken for a data set that is lost.
    """
    if isinstance(dataset, Uploaded):
        settings.storage.require()
    return settings.root_of(dataset)


def decoded_cache(settings: WorkerSettings) -> DecodedCache | None:
    """The worker's cache of decoded pictures, None where it is to have none."""
    if settings.max_decoded_bytes == 0:
        return None
    return DecodedCache(settings.home / "decoded", settings.max_decoded_bytes, settings.mapped_from_bytes)

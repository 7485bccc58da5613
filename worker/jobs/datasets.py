"""The data sets of a process's jobs, each looked at and read once."""

from functools import cache

from gauntlet.checks.description import DatasetDescription
from gauntlet.data.datasets import Dataset, Watch, read_dataset
from gauntlet.data.survey import survey
from gauntlet.spec.kinds import AnyDataset
from worker.jobs.images import decoded_cache, root_of
from worker.settings import WorkerSettings


def read_again(settings: WorkerSettings, dataset: AnyDataset) -> Dataset:
    """What another process of the same job reads, which nobody hears of."""
    return DataSets(settings, lambda _read, _total: None).read(dataset)[0]


class DataSets:
    """What `survey` and `read_dataset` find, kept for whoever asks next; `watch` is told how much is read."""

    def __init__(self, settings: WorkerSettings, watch: Watch) -> None:
        self._settings = settings
        self._watch = watch
        self.survey = cache(self._survey)
        self.read = cache(self._read)

    def _survey(self, dataset: AnyDataset) -> DatasetDescription | None:
        return survey(dataset, root_of(self._settings, dataset))

    def _read(self, dataset: AnyDataset) -> tuple[Dataset, DatasetDescription]:
        root = root_of(self._settings, dataset)
        return read_dataset(dataset, root, self._watch, cache=decoded_cache(self._settings))

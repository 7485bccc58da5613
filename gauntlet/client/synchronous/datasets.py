"""Data sets: what specs may name, and pictures that are uploaded to become one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gauntlet.client.addresses import place
from gauntlet.client.synchronous.connection import Connection
from gauntlet.client.uploads import Archive, Watch, opened
from gauntlet.resources import Dataset, DatasetDetails


class Datasets:
    _http: Connection

    def datasets(self) -> Iterator[Dataset]:
        """Uploaded data sets, newest first; then the digits and what lies in the service's data root."""
        return self._http.all(Dataset, "/v1/datasets")

    def dataset(self, identifier: str) -> DatasetDetails:
        """One data set: its classes, counts and sizes, what was passed over, small pictures."""
        return self._http.read(DatasetDetails, "GET", place("datasets", identifier))

    def upload_dataset(
        self,
        archive: Path | Archive,
        *,
        name: str,
        notes: str = "",
        test_fraction: float | None = None,
        seed: int | None = None,
        watch: Watch | None = None,
    ) -> Dataset:
        """Upload a zip or tar of pictures, or something to read one from, such as a `PackedFolder`; never in memory.

        The same archive again is the same data set, so what is not answered is sent again. `test_fraction` says how
        much of each class is for test where the archive holds class folders; `watch` is told of bytes sent, of all.

        Raises:
            OSError: it cannot be read.
        """
        said = {"notes": notes or None, "test_fraction": test_fraction, "seed": seed}
        data = {"name": name} | {key: str(value) for key, value in said.items() if value is not None}
        with opened(archive, watch) as file:
            request: dict[str, Any] = {"files": {"archive": ("archive", file)}, "data": data}
            return self._http.read(Dataset, "POST", "/v1/datasets", **request)

    def dataset_thumbnail(self, identifier: str, number: int) -> bytes:
        """A small picture of a data set, as PNG; `dataset` says how many there are."""
        answer = self._http.send("GET", f"{place('datasets', identifier, 'thumbnails', str(number))}.png")
        return answer.content

    def delete_dataset(self, identifier: str) -> None:
        """Delete an uploaded data set that nothing stands on."""
        self._http.send("DELETE", place("datasets", identifier))

"""An evaluation's attacked pictures on their way to its files: a part with each batch, and the whole at its end."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gauntlet.data.datasets import ImageSet
from gauntlet.evaluation.kept_pictures import gather
from gauntlet.events import BatchAttacked
from gauntlet.resources import PictureForm
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from store import files, pictures
from store.database import Database
from store.models import EvaluationBatch
from store.queue.jobs import Claim
from store.storage import Storage, StoredFile
from store.subjects import evaluations


class PictureKeeper:
    """Writes one attempt's files, once what no row knows of earlier ones is gone.

    Whoever has a batch or the evaluation recorded has its files recorded with it.
    """

    def __init__(self, database: Database, held: Claim, storage: Storage, spec: EvaluationSpec) -> None:
        self._database = database
        self._held = held
        self._storage = storage
        self._spec = spec
        self._written = 0
        self.tidy()

    def write_part(self, batch: BatchAttacked) -> StoredFile | None:
        """The file of a batch's pictures; None where none of them are kept.

        Raises:
            OSError: it cannot be written.
        """
        if batch.attacked is None:
            return None
        content = io.BytesIO()
        np.save(content, batch.attacked.numpy(), allow_pickle=False)
        self._written += 1
        return self._write(f"part-{self._written}.npy", content.getvalue())

    def write_whole(self, test: ImageSet, about: Mapping[str, Any]) -> dict[PictureForm, StoredFile]:
        """The files of all pictures, by form; none where none are kept.

        Raises:
            OSError: a part cannot be read, or a file not be written.
        """
        if not self._spec.keep_images:
            return {}
        with self._database.reading() as session:
            batches = evaluations.batches(session, self._held.id)
            parts = pictures.parts(session, self._held.id)
        found: dict[str, dict[int, Any]] = {}
        for batch in batches:
            if (part := parts.get(pictures.part(batch.stage, batch.batch))) is not None:
                found.setdefault(batch.stage, {}).update(self._read(part, batch))
        kept = gather(self._spec, test, batches, found, about)
        return {"npz": self._write("pictures.npz", kept.as_npz()), "png": self._write("pictures.zip", kept.as_png())}

    def tidy(self) -> None:
        """Delete the files of this attempt and earlier ones that no row knows."""
        if not self._spec.keep_images:
            return
        with self._database.reading() as session:
            recorded = pictures.paths_of(session, self._held.id)
        files.sweep(self._storage, self._held, recorded)

    def _write(self, name: str, content: bytes) -> StoredFile:
        return self._storage.write(f"{files.attempt_folder(self._held)}/{name}", content)

    def _read(self, part: StoredFile, batch: EvaluationBatch) -> Mapping[int, Any]:
        """A batch's pictures by their positions in the test set."""
        kept: Sequence[Any] = np.load(files.checked(self._storage, part.path, part.sha256), allow_pickle=False)
        # Those that are kept are the first ones.
        return dict(zip(batch.images, kept, strict=False))

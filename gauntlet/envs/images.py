"""Which labelled images an environment shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from gauntlet.data.datasets import Dataset, ImageSet, MappedSet, TrainingImages, load_split
from gauntlet.errors import EnvironmentMisused
from gauntlet.spec.kinds import AnyDataset, DatasetSpec, Split

# A data set's name, its spec or the fields of one; or images that are read already.
DatasetChoice = str | AnyDataset | Mapping[str, Any] | Dataset | ImageSet

_SPEC: TypeAdapter[AnyDataset] = TypeAdapter(DatasetSpec)
_FEWEST_CLASSES = 2


@dataclass(frozen=True)
class NamedImages:
    """Labelled images and the names of their classes; a label is an index into `classes`."""

    labelled: TrainingImages
    classes: tuple[str, ...]


def choose_images(dataset: DatasetChoice, split: Split, data_root: Path) -> NamedImages:
    """The images of `split`, read below `data_root` unless they are given, in memory or mapped.

    An `ImageSet` is taken whole, whatever `split` says, and its classes are 0 to its largest label.

    Raises:
        EnvironmentMisused: there is no image, or only one class.
        DatasetUnavailable: the data set is missing, empty or damaged below `data_root`.
        pydantic.ValidationError: there is no data set of that name or with these fields.
    """
    match dataset:
        case ImageSet():
            found = NamedImages(dataset, tuple(map(str, range(int(dataset.labels.max()) + 1 if len(dataset) else 0))))
        case Dataset():
            chosen = dataset.train if split == "train" else dataset.test
            # Test images are mapped from the disk where training images are.
            if isinstance(dataset.train, MappedSet) and isinstance(chosen, ImageSet):
                chosen = MappedSet.whole(chosen)
            found = NamedImages(chosen, dataset.classes)
        case _:
            spec = _SPEC.validate_python({"name": dataset} if isinstance(dataset, str) else dataset)
            found = NamedImages(*load_split(spec, split, data_root))
    if not len(found.labelled) or len(found.classes) < _FEWEST_CLASSES:
        raise EnvironmentMisused(
            f"An environment needs images of at least two classes, and was given {len(found.labelled)} images of "
            f"{len(found.classes)}."
        )
    return found

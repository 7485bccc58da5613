"""The attacked pictures of an evaluation as data: what a file of them holds, and how they are put together.

A file is a `.npz` of NumPy's, without pickles: `images` uint8, `labels` and `natural` (what the model takes each for)
int64, for each attack `attacked_0` float32, exactly as the model saw them, and `predicted_0` int64, and `about`, a JSON
text that says which attacks, of which evaluation, weights and test set.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gauntlet.data.datasets import ImageSet
from gauntlet.errors import PicturesInvalid
from gauntlet.events import BatchAttacked
from gauntlet.results.stage_results import NATURAL, StageBatch, by_stage
from gauntlet.spec.eps import format_eps
from gauntlet.spec.evaluations.attacks import AnyAttack, Norm, attack_label
from gauntlet.spec.evaluations.ensembles import parts_of
from gauntlet.spec.evaluations.evaluation import MOST_KEPT_BYTES, EvaluationSpec

FORMAT = 1
# Of a file that anyone may have made.
_MOST_BYTES = 2 * MOST_KEPT_BYTES
_MOST_ATTACKS = 100
# By stage and position in the test set: float32 [c, h, w].
Pictures = Mapping[str, Mapping[int, NDArray[np.float32]]]


@dataclass(frozen=True)
class UnderAttack:
    """Pictures that an attack made, float32 [n, c, h, w], and what the model takes each for, int64 [n]."""

    label: str
    norm: Norm
    eps: Fraction
    pictures: NDArray[np.float32]
    predicted: NDArray[np.int64]


@dataclass(frozen=True)
class KeptPictures:
    """The first test images, uint8 [n, c, h, w], their classes, and what became of them; `about` is plain data."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    natural: NDArray[np.int64]
    attacks: tuple[UnderAttack, ...]
    about: Mapping[str, Any]

    def as_npz(self) -> bytes:
        """The file that holds them exactly."""
        attacks = [
            {"label": attack.label, "norm": attack.norm, "eps": format_eps(attack.eps)} for attack in self.attacks
        ]
        about = {"format": FORMAT, **self.about, "attacks": attacks}
        arrays: dict[str, Any] = {"images": self.images, "labels": self.labels, "natural": self.natural}
        for number, attack in enumerate(self.attacks):
            arrays |= {f"attacked_{number}": attack.pictures, f"predicted_{number}": attack.predicted}
        content = io.BytesIO()
        np.savez(content, about=np.array(json.dumps(about)), **arrays)
        return content.getvalue()

    def as_png(self) -> bytes:
        """A zip archive of them to look at, a folder for each attack; rounded to 8 bits, so not what the model saw."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for position, image in enumerate(self.images):
                archive.writestr(f"natural/{position:04}.png", _png(image))
            for number, attack in enumerate(self.attacks):
                folder = f"{number:02} {attack.label}".replace("/", "∕")
                for position, picture in enumerate(attack.pictures):
                    archive.writestr(f"{folder}/{position:04}.png", _png(np.rint(picture * 255).astype(np.uint8)))
        return content.getvalue()


def pictures_of(batches: Iterable[BatchAttacked]) -> Pictures:
    """The pictures that came with an evaluation's batches."""
    found: dict[str, dict[int, NDArray[np.float32]]] = {}
    for batch in batches:
        if batch.attacked is not None:
            # Those that are kept are a batch's first ones.
            found.setdefault(batch.stage, {}).update(zip(batch.images, batch.attacked.numpy(), strict=False))
    return found


def gather(
    spec: EvaluationSpec, test: ImageSet, batches: Iterable[StageBatch], pictures: Pictures, about: Mapping[str, Any]
) -> KeptPictures:
    """The kept pictures of a finished evaluation, of its batches and of what each stage made of its images.

    Of an ensemble there is the picture of the part that broke an image, or else of its last; where the image is
    misclassified without any attack, the image itself.
    """
    count = min(spec.keep_images, spec.samples, len(test))
    stages = by_stage(batches)
    images = test.images[:count].cpu().numpy()
    labels = test.labels[:count].cpu().numpy().astype(np.int64)
    natural = np.array([stages[NATURAL].predicted[position] for position in range(count)], dtype=np.int64)
    attacks = []
    for attack in spec.attacks:
        found = np.empty(images.shape, dtype=np.float32)
        predicted = natural.copy()
        for position in range(count):
            found[position] = images[position].astype(np.float32) / np.float32(255)
            for stage in _stages(attack):
                seen = stages[stage].predicted.get(position) if stage in stages else None
                if seen is not None:
                    found[position], predicted[position] = pictures[stage][position], seen
        attacks.append(UnderAttack(attack_label(attack), attack.norm, attack.eps, found, predicted))
    return KeptPictures(images, labels, natural, tuple(attacks), about)


def read_kept(path: Path) -> KeptPictures:
    """What `KeptPictures.as_npz` wrote, which anyone may have made.

    Raises:
        PicturesInvalid: it is no such file, or its arrays do not belong together.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
                raise PicturesInvalid(f"{path.name} claims to hold more than {_MOST_BYTES >> 20} MiB.")
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            attacks = [
                UnderAttack(
                    str(attack["label"]),
                    "L2" if attack["norm"] == "L2" else "Linf",
                    Fraction(attack["eps"]),
                    arrays[f"attacked_{number}"],
                    arrays[f"predicted_{number}"],
                )
                for number, attack in enumerate(about["attacks"][:_MOST_ATTACKS])
            ]
            kept = KeptPictures(arrays["images"], arrays["labels"], arrays["natural"], tuple(attacks), about)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError, ZeroDivisionError) as error:
        raise PicturesInvalid(f"{path.name} is no file of an evaluation's pictures, or is damaged.") from error
    if (fault := _fault(kept)) is not None:
        raise PicturesInvalid(f"{path.name} does not hold what it should: {fault}.")
    return kept


def _stages(attack: AnyAttack) -> tuple[str, ...]:
    """An attack's stages in their order: a later one is given only what all before it left right."""
    label, parts = attack_label(attack), parts_of(attack)
    return tuple(f"{label}:{part}" for part in parts) if parts else (label,)


def _fault(kept: KeptPictures) -> str | None:
    shape, count = kept.images.shape, len(kept.images)
    if kept.images.dtype != np.uint8 or len(shape) != 4 or not count:  # noqa: PLR2004  # [n, c, h, w]
        return "images are uint8 [n, c, h, w]"
    classes = kept.about.get("classes")
    if not isinstance(classes, list) or not classes:
        return "about has no classes"
    for name, seen in (
        ("labels", kept.labels),
        ("natural", kept.natural),
        *((f"predicted of {attack.label}", attack.predicted) for attack in kept.attacks),
    ):
        if seen.dtype != np.int64 or seen.shape != (count,) or not ((seen >= 0) & (seen < len(classes))).all():
            return f"{name} are int64 [{count}] below {len(classes)}"
    for attack in kept.attacks:
        if (
            attack.pictures.dtype != np.float32
            or attack.pictures.shape != shape
            or not np.isfinite(attack.pictures).all()
        ):
            return f"attacked of {attack.label} are finite float32 {list(shape)}"
    return None if kept.attacks else "there is no attack"


def _png(image: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    channels = image.shape[0]
    Image.fromarray(image[0] if channels == 1 else np.moveaxis(image, 0, -1)).save(content, "PNG")
    return content.getvalue()

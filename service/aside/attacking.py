"""What the process for pictures does beyond looking at them: it attacks one, and finds those of data sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from gauntlet.data.datasets import to_unit
from gauntlet.data.decoded.picture_digests import PictureDigests
from gauntlet.data.decoded.single_images import read_example, read_test_image
from gauntlet.errors import DatasetUnavailable
from gauntlet.evaluation.stages import Victim, stages_of
from gauntlet.models.checkpoints import LoadedModel
from gauntlet.spec.evaluations.attacks import AnyAttack, AttackSpec
from gauntlet.spec.kinds import DatasetSpec, ImageFolder, Parquet
from service.aside.bounds import Answer

_CPU = torch.device("cpu")
# Of the random starts of attacks, the same as an evaluation's by default.
_SEED = 0
_ATTACK: TypeAdapter[AnyAttack] = TypeAdapter(AttackSpec)
_ANOTHER = "The data set is no longer the one whose images were attacked."
_DATASET: TypeAdapter[DatasetSpec] = TypeAdapter(DatasetSpec)


def attack(loaded: LoadedModel, order: Mapping[str, Any], pixels: bytes) -> Answer:
    """The picture under the order's "attack", away from the class at "label": probabilities, and the picture as uint8.

    It is the very code that evaluations run, on a batch of one.
    """
    images = to_unit(torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(1, *loaded.card.image_shape))
    victim = Victim(loaded.model, len(loaded.card.classes), _CPU, {})
    (stage,) = stages_of(_ATTACK.validate_python(order["attack"]), victim, _SEED)
    attacked = stage.perturb(images, torch.tensor([order["label"]]))
    with torch.inference_mode():
        logits = loaded.model(attacked)[0]
    if not logits.isfinite().all():
        return {"refused": "under the attack is infinite or not a number"}, ()
    shown = (attacked[0] * 255).round().to(torch.uint8).contiguous()
    return {}, [logits.softmax(dim=0).numpy().tobytes(), shown.numpy().tobytes()]


class DatasetImages:
    """Finds pictures of data sets."""

    def __init__(self) -> None:
        self._digests = PictureDigests()

    def find(self, order: Mapping[str, Any]) -> Answer:
        """The picture of the order's "dataset" that is asked for, of so many bytes ("size").

        At a "position" of the test set it should be of the class "label", and in a folder whose pictures had the digest
        "sha256", if any is known: refused where it is not, for then the data set is another than the one that was
        attacked. As an "example" it is the first of the class of that number.
        """
        dataset, root = _DATASET.validate_python(order["dataset"]), Path(order["data_root"])
        try:
            if "example" in order:
                found = read_example(dataset, order["example"], root)
            elif self._has_changed(dataset, root, order["sha256"]):
                found = None
            else:
                found = read_test_image(dataset, order["position"], root)
        except DatasetUnavailable as error:
            return {"refused": str(error)}, ()
        if found is None and "example" in order:
            none = f"The data set has no test image of a class {order['example']}; classes count from 0."
            return {"refused": none}, ()
        if found is None or found.label != order.get("label", found.label) or found.pixels.nbytes != order["size"]:
            return {"refused": _ANOTHER}, ()
        return {}, [found.pixels.tobytes()]

    def _has_changed(self, dataset: DatasetSpec, root: Path, sha256: str | None) -> bool:
        # What was uploaded never changes, and archives are checked where they are read.
        if sha256 is None or not isinstance(dataset, ImageFolder | Parquet):
            return False
        return self._digests.of_tests(dataset, root) != sha256

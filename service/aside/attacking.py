"""What the process for pictures does beyond looking at them: it attacks one, and finds a test image of a data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from gauntlet.data.datasets import to_unit
from gauntlet.data.single_images import read_test_image
from gauntlet.errors import DatasetUnavailable
from gauntlet.evaluation.stages import Victim, stages_of
from gauntlet.models.checkpoints import LoadedModel
from gauntlet.spec.attacks import AnyAttack, AttackSpec
from gauntlet.spec.kinds import DatasetSpec
from service.aside.bounds import Answer

_CPU = torch.device("cpu")
# Of the random starts of attacks, the same as an evaluation's by default.
_SEED = 0
_ATTACK: TypeAdapter[AnyAttack] = TypeAdapter(AttackSpec)
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


def find_image(order: Mapping[str, Any]) -> Answer:
    """The image of the order's "dataset" at "position", which should be of the class "label" and of so many bytes.

    Refused with "changed" where it is not, for then the data set is another than the one that was attacked.
    """
    try:
        found = read_test_image(_DATASET.validate_python(order["dataset"]), order["position"], Path(order["data_root"]))
    except DatasetUnavailable as error:
        return {"refused": str(error)}, ()
    if found is None or found.label != order["label"] or found.pixels.nbytes != order["size"]:
        return {"refused": "The data set is no longer the one whose images were attacked."}, ()
    return {}, [found.pixels.tobytes()]

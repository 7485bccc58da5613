"""Classifying pictures with stored checkpoints. Loads torch, on its first use, as `service.importing` does."""

from collections import OrderedDict
from pathlib import Path

import torch

from gauntlet.data.datasets import to_unit
from gauntlet.errors import OutputNotFinite
from gauntlet.models.checkpoints import LoadedModel, load_model
from gauntlet.resources import Classification, ClassProbability
from service.images import Seen

_CPU = torch.device("cpu")


class Classifier:
    """Keeps the models used last, by their weights' sha256. For one thread at a time: its caller sees to that."""

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()

    def classify(self, seen: Seen, name: str, *, checkpoint: str, sha256: str, file: Path) -> Classification:
        """What the checkpoint makes of a picture, which is of its model's shape.

        Raises:
            CheckpointInvalid: the file is missing or damaged.
            OutputNotFinite: the model answers this picture with infinity or NaN.
        """
        loaded = self._model(sha256, file)
        pixels = torch.frombuffer(bytearray(seen.pixels), dtype=torch.uint8).reshape(1, *loaded.card.image_shape)
        with torch.inference_mode():
            logits = loaded.model(to_unit(pixels))[0]
        if not logits.isfinite().all():
            raise OutputNotFinite("classification")
        probabilities = logits.softmax(dim=0).tolist()
        ranked = sorted(zip(loaded.card.classes, probabilities, strict=True), key=lambda item: -item[1])
        return Classification(
            image=name,
            checkpoint=checkpoint,
            label=ranked[0][0],
            probability=ranked[0][1],
            probabilities=tuple(ClassProbability(label=label, probability=value) for label, value in ranked),
            remarks=seen.remarks,
        )

    def _model(self, sha256: str, file: Path) -> LoadedModel:
        loaded = self._models.pop(sha256, None)
        if loaded is None:
            self._make_room()
            loaded = load_model(file, _CPU)
        self._models[sha256] = loaded
        return loaded

    def _make_room(self) -> None:
        """Drop the models used longest ago until the others have few enough bytes."""
        while sum(map(_size, self._models.values())) > self._most_bytes:
            self._models.popitem(last=False)


def _size(loaded: LoadedModel) -> int:
    return sum(tensor.nbytes for tensor in loaded.model.state_dict().values())

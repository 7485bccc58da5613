"""Classifying pictures with stored checkpoints. Loads torch, on its first use, as `service.importing` does."""

from collections import OrderedDict
from pathlib import Path

import torch

from gauntlet.data.datasets import to_unit
from gauntlet.data.pictures import Picture
from gauntlet.errors import OutputNotFinite
from gauntlet.models.checkpoints import LoadedModel, load_model
from gauntlet.resources import Classification, ClassProbability

_CPU = torch.device("cpu")


class Classifier:
    """Keeps the models used last, by their weights' sha256. For one thread at a time: its caller sees to that."""

    def __init__(self, models_kept: int) -> None:
        self._models_kept = models_kept
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()

    def classify(self, picture: Picture, name: str, *, checkpoint: str, sha256: str, file: Path) -> Classification:
        """What the checkpoint makes of a picture.

        Raises:
            CheckpointInvalid: the file is missing or damaged.
            OutputNotFinite: the model answers this picture with infinity or NaN.
        """
        loaded = self._model(sha256, file)
        channels, height, width = loaded.card.image_shape
        pixels = torch.from_numpy(picture.pixels(channels=channels, height=height, width=width))
        with torch.inference_mode():
            logits = loaded.model(to_unit(pixels[None]))[0]
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
        )

    def _model(self, sha256: str, file: Path) -> LoadedModel:
        loaded = self._models.pop(sha256, None) or load_model(file, _CPU)
        self._models[sha256] = loaded
        while len(self._models) > self._models_kept:
            self._models.popitem(last=False)
        return loaded

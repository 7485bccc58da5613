"""`python -m service.aside.classifying`: the process that computes what models make of pictures. Loads torch.

An order is pictures' pixels, uint8 [n, channels, height, width], with the "file" of a checkpoint and its "sha256", and
the "precision" to compute in. The answer is empty, and behind it are the probabilities of the classes, float32
[n, classes]; or it is refused, "damaged" where the file is, or for the picture at "position".
With an "attack" it is of the picture under attack, whose pixels come behind it too; with a "dataset" no model is asked
(`service.aside.attacking`).
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gauntlet.data.datasets import to_unit
from gauntlet.errors import CheckpointInvalid, ModelUnfit
from gauntlet.models.checkpoints import LoadedModel, load_model
from gauntlet.models.inference import prepared
from gauntlet.models.memory import is_out_of_memory
from gauntlet.models.own_networks import take_from
from gauntlet.models.precision import Model
from gauntlet.spec.runs.training import InferencePrecision
from service.aside.attacking import DatasetImages, attack
from service.aside.bounds import Answer, serve
from store.settings import StoreSettings

_CPU = torch.device("cpu")
# What is read once a request at most is kept for the next one: a ResNet-18 has 45 MB, the paper's CNN 5.
_MOST_BYTES_OF_MODELS = 64 << 20
# 32 pictures of 32 × 32 pixels. Of 64 the paper's CNN fills a core's cache twice over: 1,500 to 1,700 pictures a second
# in the place of 2,000 to 2,100.
_VALUES_TOGETHER = 32 * 3 * 32 * 32


@dataclass
class _Kept:
    """A model, and what was made of it to classify with, by precision."""

    loaded: LoadedModel
    prepared: dict[InferencePrecision, Model] = field(default_factory=dict)

    def in_precision(self, precision: InferencePrecision) -> Model:
        """The model, ready to classify."""
        if precision not in self.prepared:
            self.prepared[precision] = prepared(self.loaded.model, precision)
        return self.prepared[precision]

    @property
    def bytes(self) -> int:
        """About what it takes at most; what was prepared may have the weights once more."""
        once: int = sum(tensor.nbytes for tensor in self.loaded.model.state_dict().values())
        return once * (1 + len(self.prepared))


class Models:
    """Keeps the models used last, by their weights' sha256."""

    def __init__(self, *, most_bytes: int = _MOST_BYTES_OF_MODELS) -> None:
        self._most_bytes = most_bytes
        self._models: OrderedDict[str, _Kept] = OrderedDict()
        self._images = DatasetImages()

    def answer(self, order: Mapping[str, Any], pixels: bytes) -> Answer:
        """What the checkpoint makes of pictures, which are of its model's shape."""
        if "dataset" in order:
            return self._images.find(order)
        try:
            kept = self._model(order["sha256"], Path(order["file"]))
            return attack(kept.loaded, order, pixels) if "attack" in order else _classify(kept, order, pixels)
        except (CheckpointInvalid, ModelUnfit) as error:
            return {"refused": str(error), "damaged": True}, ()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise MemoryError from error
            raise

    def _model(self, sha256: str, file: Path) -> _Kept:
        kept = self._models.pop(sha256, None)
        if kept is None:
            self._make_room()
            kept = _Kept(load_model(file, _CPU))
        self._models[sha256] = kept
        return kept

    def _make_room(self) -> None:
        """Drop the models used longest ago until the others have few enough bytes."""
        while sum(kept.bytes for kept in self._models.values()) > self._most_bytes:
            self._models.popitem(last=False)


def _classify(kept: _Kept, order: Mapping[str, Any], pixels: bytes) -> Answer:
    images = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(-1, *kept.loaded.card.image_shape)
    together = max(1, _VALUES_TOGETHER // images[0].numel())
    with torch.inference_mode():
        model = kept.in_precision(order["precision"])
        images = images.contiguous(memory_format=torch.channels_last)
        logits = torch.cat([model(to_unit(some)) for some in images.split(together)])
        # One sum tells of all whether they are numbers, unless they are very large.
        if not logits.sum().isfinite():
            finite = logits.isfinite().all(dim=1).tolist()
            if not all(finite):
                return {"refused": "is infinite or not a number", "position": finite.index(False)}, ()
        return {}, [logits.softmax(dim=1).numpy().tobytes()]


if __name__ == "__main__":
    take_from(StoreSettings.from_environment().architectures)
    serve(Models().answer, beyond_memory="takes more than {} MiB of memory")

"""torchvision's classifiers by their names, untrained."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gauntlet.errors import ModelUnfit
from gauntlet.spec.runs.architectures import Torchvision, TorchvisionName
from gauntlet.torchvision_ops import declare_missing_operators

# Training would give them further outputs.
_WITHOUT_AUXILIARY: dict[str, Any] = {"aux_logits": False, "init_weights": True}


def shapes_only(name: TorchvisionName) -> AbstractContextManager[Any]:
    """Inside it such a network is built without memory, for its shapes."""
    return _LayersOnly() if name.startswith("regnet_") else torch.device("meta")


class _LayersOnly(TorchFunctionMode):
    """Layers without memory, and all else with: a RegNet reckons its widths with tensors while it builds."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Have what layers are made of lie nowhere."""
        further = {"device": "meta"} if function in {torch.empty, torch.zeros, torch.ones} else {}
        return function(*args, **(kwargs or {}) | further)


class TorchvisionClassifier(nn.Module):
    """The network that torchvision builds under a name, for grey images too: it then sees three equal channels.

    Raises:
        ModelUnfit: it takes no images of that size.
    """

    def __init__(self, spec: Torchvision, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self._name, self._shape, self._classes = spec.name, image_shape, classes
        self._require_size()
        self.network = self._built()

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights anew as torchvision does, in place."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            self.network.load_state_dict(self._built().state_dict())

    def forward(self, images: Tensor) -> Tensor:
        """From float32 [n, 1 or 3, h, w] to logits [n, classes]."""
        logits: Tensor = self.network(images.expand(-1, 3, -1, -1))
        return logits

    def _require_size(self) -> None:
        """Try images of nothing but a shape: many of these networks shrink them until nothing is left."""
        with shapes_only(self._name):
            tried = self._built().eval()
            _, height, width = self._shape
            try:
                tried(torch.empty(2, 3, height, width))
            except (ValueError, RuntimeError, AssertionError) as error:
                raise _unfit(self._name, height, width) from error

    def _built(self) -> nn.Module:
        declare_missing_operators()
        from torchvision.models import get_model

        _, height, width = self._shape
        further: dict[str, Any] = {}
        if self._name in {"googlenet", "inception_v3"}:
            further = _WITHOUT_AUXILIARY
        elif self._name.startswith("vit_"):
            further = {"image_size": height}
        elif self._name == "maxvit_t":
            further = {"input_size": (height, width)}
        try:
            built: nn.Module = get_model(self._name, weights=None, num_classes=self._classes, **further)
        except (ValueError, RuntimeError, AssertionError) as error:
            raise _unfit(self._name, height, width) from error
        return built


def _unfit(name: str, height: int, width: int) -> ModelUnfit:
    return ModelUnfit(
        f"torchvision's {name} takes no images of {height} × {width} pixels: choose larger images, or another network."
    )

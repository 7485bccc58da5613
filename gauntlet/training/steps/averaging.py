"""A moving average of a network's weights, as a network of its own."""

import copy

import torch
from torch import Tensor, nn

from gauntlet.models import checkpoints
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.runs.regularizers import Averaging


class WeightAverage:
    """`network` has the average of `model`'s weights so far, and its other tensors as they are now.

    a ← decay · a + (1 − decay) · w at each `update`, from the weights that the model has at first. Where none is
    wanted, `network` is None and nothing is done.
    """

    def __init__(self, spec: Averaging | None, model: nn.Module) -> None:
        self._decay = 0.0 if spec is None else spec.decay
        self._model = model
        self.network = None if spec is None else copy.deepcopy(model).requires_grad_(requires_grad=False)

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's weights into the average; nothing waits for the device."""
        if self.network is None:
            return
        for average, weights in zip(self.network.parameters(), self._model.parameters(), strict=True):
            average.lerp_(weights, 1 - self._decay)
        for own, buffer in zip(self.network.buffers(), self._model.buffers(), strict=True):
            own.copy_(buffer)

    def captured(self) -> dict[str, Tensor]:
        """Copies of the average's tensors on the CPU; none where there is none."""
        return {} if self.network is None else checkpoints.copied(self.network)

    def restore(self, state: TrainingState) -> None:
        """The average as it was in that state.

        Raises:
            CheckpointInvalid: the state has none, or one of another architecture.
        """
        if self.network is not None:
            checkpoints.load_weights(self.network, state.average)

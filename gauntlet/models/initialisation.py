"""What weights begin as. Normalised networks learn the slower the longer their weights are, so it is part of a recipe.

Batch normalisation begins at scale 1, shift 0 and the statistics of a standard normal wherever it stands.
"""

import torch
from torch import nn


class TorchInitialised(nn.Sequential):
    """A network whose layers begin as torch begins them, but for what has a beginning of its own."""

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights anew, in place."""
        initialise_as_torch(self, generator)


class HeInitialised(nn.Sequential):
    """A network whose weights begin as its paper says: He-normal over the outputs, zero biases (He et al. 2015)."""

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights anew, in place."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
                nn.init.zeros_(module.bias)


def initialise_as_torch(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights as torch's layers do where nothing is said: uniform within ±1/√(fan in), biases too.

    Attention's biases begin at zero there.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())
        for module in network.modules():
            # torch's layers have it, and attention under a name of its own.
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if reset is not None:
                reset()
        for module in network.modules():
            # Its own beginning, which that of the layer within it has undone.
            if isinstance(module, nn.MultiheadAttention) and module.out_proj.bias is not None:
                nn.init.zeros_(module.out_proj.bias)


def initialise_as_keras(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of its convolutions and dense layers as Keras does: Glorot-uniform, and zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

"""RMSprop of all runs at once, each with its own rate: one kernel of Triton's for each weight."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gauntlet.spec.runs.optimizers import RmsProp
from gauntlet.training.fused import kernels

# In the interpreter a program takes about as long whatever its size.
_AT_ONCE = 2**16 if kernels.INTERPRETED else 1024


class StackedRmsProp:
    """Updates weights [runs, …] in place, as the blocks' own optimisers of torch's would; their state is its state.

    A block's learning rate is from here on a part of a tensor, and is set as before.

    Args:
        specs: of each block.
        places: of each block's runs among all.
        optimizers: of each block, whose averages are parts of `squares`.
        weights: of all runs, float32.
        squares: of all runs, the averages of the squared gradients, which lie in memory as the weights do.
    """

    def __init__(
        self,
        specs: Sequence[RmsProp],
        places: Sequence[slice],
        optimizers: Sequence[torch.optim.Optimizer],
        weights: Sequence[Tensor],
        squares: Sequence[Tensor],
    ) -> None:
        self._weights, self._squares, device = weights, squares, weights[0].device
        rows = [[spec.lr, spec.rho, 1 - spec.rho, spec.epsilon, spec.weight_decay] for spec in specs]
        self._constants = torch.tensor(rows, device=device)
        self._blocks = torch.empty(len(weights[0]), dtype=torch.int32, device=device)
        for block, (where, optimizer) in enumerate(zip(places, optimizers, strict=True)):
            self._blocks[where] = block
            for group in optimizer.param_groups:
                self._constants[block, 0] = group["lr"]
                group["lr"] = self._constants[block, 0]
        self._steps = [state["step"] for optimizer in optimizers for state in optimizer.state.values()]

    def step(self, gradients: Sequence[Tensor]) -> None:
        """One update with the weights' gradients, [runs, …] in any type."""
        torch._foreach_add_(self._steps, 1)
        for weight, square, gradient in zip(self._weights, self._squares, gradients, strict=True):
            size = weight[0].numel()
            kernels.rmsprop[-(-size // _AT_ONCE), len(weight)](
                weight, square, _lying_as(weight, gradient), self._constants, self._blocks, size, BLOCK=_AT_ONCE
            )


def _lying_as(weight: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the order in memory that the weight has."""
    steps = zip(weight.shape, weight.stride(), gradient.stride(), strict=True)
    if all(size == 1 or step == its for size, step, its in steps):
        return gradient
    return torch.empty_like(weight, dtype=gradient.dtype).copy_(gradient)

"""The paper's network for all runs by Triton's kernels, with the weights of one step."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gauntlet.spec.runs.training import Precision
from gauntlet.training.fused import kernels
from gauntlet.training.fused.features import Dropping, Features, Plan, layers_of, multiplied
from gauntlet.training.fused.head import Head

_CONVOLUTIONS = 4
# In the interpreter a program takes about as long whatever its size.
_DRAWN_AT_ONCE = 2**16 if kernels.INTERPRETED else 1024


class TritonNetwork:
    """Made at the beginning of a step, of weights [runs, …] in the order of the network's parameters.

    They are brought to the type that is multiplied, and convolutions' to the kernels' order, once for all of the step's
    passes. `leaves` are what its gradients are to be taken of, one for each weight and in its shape; that of a linear
    layer's weights has its gradient in the type that is multiplied, all others in float32.
    """

    def __init__(self, weights: Sequence[Tensor], precision: Precision) -> None:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._precision = "tf32" if precision == "tf32" else "ieee"
        self._convolutions = tuple(multiplied(weight, dtype) for weight in weights[: 2 * _CONVOLUTIONS : 2])
        linear = {2 * _CONVOLUTIONS, 2 * _CONVOLUTIONS + 2}
        self.leaves = tuple(
            (weight.detach().to(dtype) if place in linear else weight.detach()).requires_grad_()
            for place, weight in enumerate(weights)
        )

    def logits(self, images: Tensor, words: Tensor | None, rates: tuple[float, float], *, learns: bool) -> Tensor:
        """Of images float32 [runs · n, c, h, w], in the type that is multiplied, [runs · n, classes].

        `words`, int32 [runs, …], say what is dropped, layer by layer, at the rates of blocks and of the hidden layer;
        None is no dropout. Only with `learns` has a leaf a gradient: torch cannot tell which of them are asked for.
        """
        leaves = self.leaves if learns else [leaf.detach() for leaf in self.leaves]
        channels = [weight.shape[-1] for weight in self._convolutions]
        count, shape = len(images) // len(leaves[0]), (images.shape[1], images.shape[2], images.shape[3])
        layers = layers_of(shape, channels)
        firsts = [0]
        for layer in layers:
            if layer.pooled:
                firsts.append(firsts[-1] + whole_words(count * layer.outs * layer.kept[0] * layer.kept[1]))
        dropping = None if words is None else Dropping(words, tuple(firsts), rates[0])
        plan = Plan(layers, self._convolutions, self._precision, dropping)
        features = Features.apply(images, plan, *leaves[: 2 * _CONVOLUTIONS])  # type: ignore[no-untyped-call]  # torch has no type for it
        left = None if words is None else words[:, firsts[-1] :]
        logits: Tensor = Head.apply(features, left, rates[1], *leaves[2 * _CONVOLUTIONS :])  # type: ignore[no-untyped-call]  # as above
        return logits.flatten(0, 1)


def whole_words(count: int) -> int:
    """How many int32 so many elements take of words of 64 bits."""
    return count + count % 2


def drawn(seeds: Tensor, count: int) -> Tensor:
    """Random int32 [runs, at least `count`] of each run's seed, int64 [runs]: the same whoever its neighbours are."""
    count = -(-count // 4) * 4
    words = torch.empty(len(seeds), count, dtype=torch.int32, device=seeds.device)
    kernels.draw[-(-count // (4 * _DRAWN_AT_ONCE)), len(seeds)](words, seeds, count, BLOCK=_DRAWN_AT_ONCE)
    return words

"""The paper's network many times over: weights stacked by run, convolutions in groups, products batched."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.models.architectures import Normalise
from gauntlet.models.layers import kept_of
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.normalisation import Normalisation
from gauntlet.spec.runs.training import Precision

if TYPE_CHECKING:
    from gauntlet.training.fused.triton_network import TritonNetwork

# Dropout after each block of two convolutions and after the hidden layer (arXiv 2012.04353, Figure 1).
_BLOCK_RATE, _HIDDEN_RATE = 0.25, 0.5
_CONVOLUTIONS = 4


class StackedCnn(nn.Module):
    """`paper_cnn` for many runs; its parameters are theirs, [runs, …], and each of theirs becomes a part of them.

    All stand behind the same normalisation, or none.

    Images come as those of the runs one after the other, float32 [runs · n, c, h, w], and logits [runs · n, classes]
    go. In train mode dropout goes by the words that the step began with.

    With `by_triton` Triton's kernels compute it in `precision`, and in eval mode its weights have no gradients then;
    otherwise torch's do, in groups, in the precision of the context.
    """

    by_triton = False

    def __init__(
        self,
        spec: Cnn,
        models: Sequence[nn.Module],
        precision: Precision = "fp32",
        normalisation: Normalisation | None = None,
    ) -> None:
        super().__init__()
        self._runs = len(models)
        self._dropout = spec.dropout
        self._precision = precision
        self.weights = nn.ParameterList(
            joined(parameters) for parameters in zip(*(model.parameters() for model in models), strict=True)
        )
        self._normalise = None if normalisation is None else Normalise(normalisation).to(self.weights[0].device)
        self._words: Tensor | None = None
        self._triton: TritonNetwork | None = None

    def begin(self, words: Tensor) -> tuple[Tensor, ...]:
        """Begin a step with the weights as they are; returns what its gradients are taken of, one for each weight.

        `words` are random int64 [runs, `words_for(n)`], as a run alone draws them; where Triton computes they may be a
        seed of each run instead, int64 [runs], of which as many are drawn.
        """
        self._words, self._triton = words, None
        if not self.by_triton:
            return tuple(self.weights)
        # Triton may not be there.
        from gauntlet.training.fused.triton_network import TritonNetwork

        self._triton = TritonNetwork(tuple(self.weights), self._precision)
        return self._triton.leaves

    def forward(self, images: Tensor) -> Tensor:
        """Logits, as said above."""
        words = self._words if self.training and self._dropout else None
        if self._normalise is not None:
            images = self._normalise(images)
        if self._triton is not None:
            if words is not None:
                words = self.drawn(words, images).view(torch.int32)
            return self._triton.logits(images, words, (_BLOCK_RATE, _HIDDEN_RATE), learns=self.training)
        return self._by_torch(images, words)

    def drawn(self, words: Tensor, images: Tensor) -> Tensor:
        """The words for one pass over such images, int64 [runs, …], of seeds too; as they are where none are used."""
        if words.dim() > 1 or not self._dropout:
            return words
        # As above.
        from gauntlet.training.fused.triton_network import drawn

        count = self.words_for(len(images) // self._runs, (images.shape[2], images.shape[3]))
        return drawn(words, 2 * count).view(torch.int64)

    def _by_torch(self, images: Tensor, words: Tensor | None) -> Tensor:
        count = len(images) // self._runs
        dropped = _Dropped(words, count)
        x = images.unflatten(0, (self._runs, count)).transpose(0, 1).flatten(1, 2)
        for layer in range(_CONVOLUTIONS):
            weight, bias = self.weights[2 * layer], self.weights[2 * layer + 1]
            x = F.relu(F.conv2d(x, weight.flatten(0, 1), bias.flatten(), padding=1 - layer % 2, groups=self._runs))
            if layer % 2:
                x = dropped(F.max_pool2d(x, 2).unflatten(1, (self._runs, -1)), _BLOCK_RATE).flatten(1, 2)
        w1, b1, w2, b2 = (self.weights[place] for place in range(2 * _CONVOLUTIONS, 2 * _CONVOLUTIONS + 4))
        features = x.unflatten(1, (self._runs, -1)).flatten(2).transpose(0, 1)
        hidden = F.relu(torch.baddbmm(b1[:, None], features, w1.transpose(1, 2)))
        hidden = dropped(hidden.transpose(0, 1), _HIDDEN_RATE).transpose(0, 1)
        return torch.baddbmm(b2[:, None], hidden, w2.transpose(1, 2)).flatten(0, 1)

    def words_for(self, images: int, side: tuple[int, int]) -> int:
        """How many random words a run draws in one pass over so many images of that height and width."""
        if not self._dropout:
            return 0
        first, second = (_pooled(side, blocks) for blocks in (1, 2))
        channels = self.weights[2].shape[1], self.weights[6].shape[1]
        counts = first * channels[0], second * channels[1], self.weights[8].shape[1]
        return sum((images * count + 1) // 2 for count in counts)


class _Dropped:
    """Dropout of one pass, layer by layer, each with the words after those of the layer before."""

    def __init__(self, words: Tensor | None, images: int) -> None:
        self._words, self._images, self._used = words, images, 0

    def __call__(self, values: Tensor, rate: float) -> Tensor:
        """Values [n, runs, …], those of images [n, runs, c, h, w]."""
        if self._words is None:
            return values
        count = values[:, 0].numel()
        words = self._words[:, self._used : self._used + (count + 1) // 2]
        self._used += (count + 1) // 2
        kept = kept_of(words, rate)[:, :count]
        n, runs, channels, *side = values.shape
        # A run alone draws them channels-last.
        kept = kept.reshape(runs, n, *side, channels).movedim(-1, 2).transpose(0, 1)
        return torch.where(kept, values * (1 / (1 - rate)), 0)


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors as one, [runs, …]; each becomes a part of it, with its own order in memory."""
    first = tensors[0].detach()
    whole = torch.empty_strided(
        (len(tensors), *first.shape), (first.numel(), *first.stride()), dtype=first.dtype, device=first.device
    )
    for part, tensor in zip(whole, tensors, strict=True):
        part.copy_(tensor.detach())
        tensor.data = part
    return whole


def _pooled(side: tuple[int, int], blocks: int) -> int:
    height, width = side
    for _ in range(blocks):
        height, width = (height - 2) // 2, (width - 2) // 2
    return height * width

"""One step of many runs at once: each has the gradients, the update and the tally that it has alone."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.func import vmap

from gauntlet.attacks.gradient import Budget
from gauntlet.data.datasets import to_unit
from gauntlet.models.layers import drawn_words
from gauntlet.models.precision import fp32_products, in_precision
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.kinship import Kernels
from gauntlet.spec.runs.objectives import LossSpec
from gauntlet.spec.runs.optimizers import RmsProp
from gauntlet.training.fused.choice import computed_by_triton, warn_once
from gauntlet.training.fused.network import StackedCnn, joined
from gauntlet.training.fused.trial import disagreement
from gauntlet.training.steps import tally
from gauntlet.training.steps.adversaries import attack
from gauntlet.training.steps.cuda_graph import CapturedStep, unchanged
from gauntlet.training.steps.objectives import objective_loss
from gauntlet.training.steps.optimizers import build_optimizer, set_learning_rate, set_momentum
from gauntlet.training.updates import Batch

if TYPE_CHECKING:
    from gauntlet.training.fused.rmsprop import StackedRmsProp

# What says nothing of the kernels: torch's would fare no better. Earlier versions of torch have no AcceleratorError.
_OF_THE_DEVICE: Final = (torch.OutOfMemoryError, getattr(torch, "AcceleratorError", torch.OutOfMemoryError))


@dataclass(frozen=True)
class _Block:
    """Neighbours with one objective and one way to be updated: their places, and the optimiser of their weights."""

    spec: RunSpec
    places: slice
    optimizer: torch.optim.Optimizer
    weights: tuple[nn.Parameter, ...]


class Program:
    """Computes the next steps of runs that are `kin`, all after as many updates as the others.

    From here on each run's weights, optimiser's state and tally are parts of larger tensors, and the count of updates
    that an optimiser keeps is one for a block: a run makes none by itself as long as it is in the program. They stay
    where they are when the program is given up.

    Where `kernels` and the device are for it, Triton's compute the network, and RMSprop where all runs descend by it.
    They are tried first: if they fail, or do not do what torch's do, the log says so, once as long as `told` is the
    same set, and torch's go on. A device that fails, or has not the memory, raises as ever.
    """

    def __init__(self, batches: Sequence[Batch], kernels: Kernels = "auto", told: set[str] | None = None) -> None:
        self._told: set[str] = set() if told is None else told
        # Those that are alike beside each other.
        self.order = sorted(range(len(batches)), key=lambda place: str(_likeness(batches[place].spec)))
        runs = [batches[place] for place in self.order]
        self._spec = runs[0].spec
        assert isinstance(self._spec.architecture, Cnn), "Only these have kin."
        precision, first = self._spec.training.precision, runs[0].images
        models = [run.model for run in runs]
        self._network = StackedCnn(self._spec.architecture, models, precision, self._spec.normalisation).train()
        shape = (first.shape[1], first.shape[2], first.shape[3])
        self._network.by_triton = computed_by_triton(kernels, precision, first.device, (len(first), *shape), self._told)
        self._parameters = tuple(self._network.parameters())
        self._moments: dict[tuple[int, str], Tensor] = {}
        self._totals = joined([run.totals for run in runs])
        self._strength = torch.ones((), device=runs[0].images.device)
        self._blocks = [
            self._block(runs, list(places))
            for _, places in groupby(range(len(runs)), lambda at: _likeness(runs[at].spec))
        ]
        self._captured: CapturedStep | None = None
        self._tried, self._failed = False, False
        self._rmsprop: StackedRmsProp | None = None

    @property
    def by_triton(self) -> bool:
        """Whether Triton's kernels compute it: once a step is done, whether they do what torch's do."""
        return self._network.by_triton

    @property
    def failed(self) -> bool:
        """Whether Triton's kernels were tried here, and did not do what torch's do."""
        return self._failed

    def _block(self, runs: Sequence[Batch], places: list[int]) -> _Block:
        spec, where = runs[places[0]].spec, slice(places[0], places[-1] + 1)
        weights = nn.ParameterList(nn.Parameter(parameter.detach()[where]) for parameter in self._parameters)
        optimizer = build_optimizer(spec.training.optimizer, weights)
        for index, state in enumerate(optimizer.state.values()):
            owned = [list(runs[place].optimizer.state.values())[index] for place in places]
            for entry, value in list(state.items()):
                if value.dim():
                    # All runs' lie together, as their weights do.
                    every = self._moments.setdefault((index, entry), torch.zeros_like(self._parameters[index]))
                    state[entry] = every[where]
                whole = state[entry]
                for part, own in zip(whole if whole.dim() else [whole] * len(owned), owned, strict=True):
                    part.copy_(own[entry])
                    own[entry].data = part
        return _Block(spec, where, optimizer, tuple(weights))

    def do(self, batches: Sequence[Batch]) -> None:
        """The next step of each run, which come in the order in which they were given at first."""
        first, inputs = batches[self.order[0]], self.inputs(batches)
        for block in self._blocks:
            one = batches[self.order[block.places.start]]
            set_learning_rate(block.optimizer, one.rate)
            set_momentum(block.optimizer, one.momentum)
        self._strength.fill_(first.strength)
        with fp32_products(self._spec.training.precision):
            if self.by_triton and not self._tried:
                self._try(*inputs)
                # Torch's kernels take other draws.
                inputs = inputs if self.by_triton else self.inputs(batches)
            whole = len(first.images) == self._spec.training.batch_size
            if first.images.device.type == "cpu" or self._spec.training.compile == "off" or not whole:
                self._step(*inputs)
                return
            if self._captured is None:
                self._captured = CapturedStep(self._step, inputs, self._changed())
            self._captured(*inputs)

    def _try(self, *inputs: Tensor) -> None:
        """Do the step by Triton's kernels, undo it, and hold them against torch's."""
        self._tried = True
        trace: Exception | None = None
        try:
            with unchanged(self._changed()):
                self._rmsprop = self._stacked_rmsprop()
                self._step(*inputs)
            images, labels, words, *_ = inputs
            fault = disagreement(self._network, self._spec.training.precision, to_unit(images), labels, words)
        except _OF_THE_DEVICE:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, torch's kernels do it instead, or raise it again
            trace = error
            fault = f"{type(error).__name__}: {(str(error).strip() or 'no more is said').splitlines()[0]}"
        self._network.by_triton = fault is None
        if fault is not None:
            self._rmsprop, self._failed = None, True
            warn_once(
                self._told,
                f"Torch's kernels compute these runs, for Triton's do not do here what they should: {fault}.",
                trace,
            )

    def _stacked_rmsprop(self) -> "StackedRmsProp | None":
        blocks, specs = self._blocks, [block.spec.training.optimizer for block in self._blocks]
        descents = [spec for spec in specs if isinstance(spec, RmsProp)]
        if len(descents) < len(specs):
            return None
        # Triton is not everywhere.
        from gauntlet.training.fused.rmsprop import StackedRmsProp

        places, optimizers = [block.places for block in blocks], [block.optimizer for block in blocks]
        squares = [self._moments[index, "square_avg"] for index in range(len(self._parameters))]
        return StackedRmsProp(descents, places, optimizers, self._parameters, squares)

    def inputs(self, batches: Sequence[Batch]) -> tuple[Tensor, ...]:
        """What `gradients` takes, of the runs in the program's `order`."""
        runs = [batches[place] for place in self.order]
        noise = [torch.stack([run.noise for run in runs[block.places]]) for block in self._blocks]
        images, labels = torch.cat([run.images for run in runs]), torch.stack([run.labels for run in runs])
        return images, labels, self._words(runs), *noise

    def _words(self, runs: Sequence[Batch]) -> Tensor:
        """What a step begins with."""
        first = runs[0].images
        if self.by_triton and first.device.type == "cuda":
            seeds = torch.tensor([run.seed for run in runs]).pin_memory()
            return seeds.to(first.device, non_blocking=True)
        words = self._network.words_for(len(first), (first.shape[2], first.shape[3]))
        generators = [torch.Generator(first.device).manual_seed(run.seed) for run in runs]
        return torch.stack([drawn_words(2 * words, generator) for generator in generators])

    def gradients(self, images: Tensor, labels: Tensor, words: Tensor, *noise: Tensor) -> tuple[Tensor, ...]:
        """Those of all parameters, [runs, …], by each run's own loss; adds the batch to the tallies.

        Args:
            images: uint8 [runs · n, c, h, w].
            labels: int64 [runs, n].
            words: int64, what `StackedCnn.begin` takes.
            noise: of each block of runs with one objective, float32 [its runs, 2, group, n, classes + 1].
        """
        natural, forward = to_unit(images), in_precision(self._network, self._spec.training.precision)
        if self.by_triton:
            natural = natural.contiguous(memory_format=torch.channels_last)
        weights = self._network.begin(words)

        def losses(logits: Tensor, drawn: int, totals: Tensor | None = None) -> Tensor:
            """The sum of all runs' losses, so that each has the gradient of its own."""
            values = logits.unflatten(0, labels.shape)
            found = [
                _losses(block.spec.loss, values[block.places], labels[block.places], own[:, drawn],
                        None if totals is None else totals[block.places])
                for block, own in zip(self._blocks, noise, strict=True)
            ]  # fmt: skip
            return torch.cat(found).sum()

        budget: Budget = self._strength * float(self._spec.adversary.eps)
        attacked = attack(
            self._spec.adversary,
            self._network,
            forward,
            natural,
            labels.flatten(),
            eps=budget,
            objective=lambda logits: losses(logits, 0),
        )
        return torch.autograd.grad(losses(forward(attacked), 1, self._totals), weights)

    def _step(self, images: Tensor, labels: Tensor, words: Tensor, *noise: Tensor) -> None:
        found = self.gradients(images, labels, words, *noise)
        if self._rmsprop is not None:
            self._rmsprop.step(found)
            return
        for block in self._blocks:
            for weight, gradient in zip(block.weights, found, strict=True):
                # Into what the optimiser began with: its kernels want gradients that lie in memory as the weights do.
                assert weight.grad is not None, "An optimiser is built with them."
                weight.grad.copy_(gradient[block.places])
            block.optimizer.step()

    def _changed(self) -> list[Tensor]:
        states = [state for block in self._blocks for state in block.optimizer.state.values()]
        return [*self._parameters, self._totals, *(tensor for state in states for tensor in state.values())]


def _likeness(spec: RunSpec) -> tuple[Hashable, ...]:
    training = spec.training
    return spec.objective, training.optimizer, training.schedule, training.epochs


def _losses(spec: LossSpec, logits: Tensor, labels: Tensor, noise: Tensor, totals: Tensor | None) -> Tensor:
    """The loss of each run of a block, [its runs]; where `totals` are given, the batch is added to them."""

    def one(logits: Tensor, labels: Tensor, noise: Tensor, totals: Tensor | None) -> Tensor:
        loss = objective_loss(spec, logits, labels, noise=noise)
        if totals is not None:
            tally.add_batch(totals, loss, logits, labels)
        return loss.value

    mapped = vmap(one, in_dims=(0, 0, 0, None if totals is None else 0))
    values: Tensor = mapped(logits, labels, noise, totals)
    return values

"""Epochs of steps that descend a loss: what is drawn for each batch, and which form of the step does it."""

from collections.abc import Iterator
from functools import partial
from typing import assert_never

import torch
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.data.datasets import Dataset
from gauntlet.models.precision import fp32_products
from gauntlet.models.sharding import Sharded
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.adversaries import AdversarySpec, NoAdversary
from gauntlet.spec.runs.architectures import Custom
from gauntlet.spec.runs.objectives import CrossEntropy, ExpectedReward, Mart, PolicyGradient, Trades
from gauntlet.training.steps import tally
from gauntlet.training.steps.augmentation import Changes, augmented, draw_changes
from gauntlet.training.steps.compilation import accelerate, compiles
from gauntlet.training.steps.objectives import action_noise
from gauntlet.training.steps.optimizers import (
    build_optimizer,
    learning_rate,
    momentum_share,
    set_learning_rate,
    set_momentum,
)
from gauntlet.training.steps.step import Step, build_step, rows
from gauntlet.training.updates import Batch, Update

# Reading the loss waits for the device, so it is looked at every so many batches and at the end of the epoch. On a
# GPU, where an epoch is short and waiting is dear, only at the end.
_GUARD_EVERY = 50


class Epochs:
    """Trains `model` in place, epoch by epoch; all that a batch leaves to chance depends on (seed, epoch, batch).

    `optimizer` and `totals`, the tally of the epoch under way (float64 on the device), are the rest of its state.
    `compiled` says how full batches are done; an epoch's last batch, when it is smaller, is done as it is.

    Raises:
        CompilerMissing: the spec insists on a compiled step, which needs a compiler that is not there.
    """

    critic: nn.Module | None = None
    packages = ()

    def __init__(self, spec: RunSpec, data: Dataset, model: nn.Module) -> None:
        self._spec = spec
        self._model = model
        self.optimizer = build_optimizer(spec.training.optimizer, model)
        self._device = next(model.parameters()).device
        self.images = data.train.to(self._device)
        self._classes = len(data.classes)
        self.totals = tally.empty_tally(self._device)
        warmed_up = not isinstance(spec.adversary, NoAdversary) and spec.adversary.warmup_epochs > 0
        self._strength = torch.ones((), device=self._device) if warmed_up else None
        self._plain = build_step(spec, model, self.optimizer, self.totals, self._strength)
        plain = isinstance(spec.architecture, Custom) or isinstance(model, Sharded)
        plain = plain or (
            self._device.type == "cpu" and (spec.training.grad_align is not None or spec.training.awp is not None)
        )
        self.compiled = not plain and compiles(spec.training, data, self._device)
        self._fast: Step | None = None
        self._captured_at = 0
        self._changes: tuple[int, Changes] | None = None

    def attack_with(self, adversary: AdversarySpec) -> None:
        """Train on what this adversary makes from the next batch on; nothing where it is the one that does already."""
        if adversary == self._spec.adversary:
            return
        self._spec = self._spec.model_copy(update={"adversary": adversary})
        self._plain, self._fast = build_step(self._spec, self._model, self.optimizer, self.totals, self._strength), None

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.images) // self._spec.training.batch_size)

    def images_after(self, batches: int) -> int:
        """How many images of an epoch come after its first `batches`."""
        return max(0, len(self.images) - batches * self._spec.training.batch_size)

    def updates(self, epoch: int, done: int) -> Iterator[Update]:
        """The updates of `epoch` after the first `done`, each of which is to be done before the next is asked for.

        Raises:
            TrainingDiverged: a loss was not finite, or beyond ±1e3 times the largest reward.
        """
        if done == 0:
            self.totals.copy_(tally.empty_tally(self._device))
        if done == self.batches:
            return  # it was stopped while its end was measured
        order = torch.randperm(len(self.images), generator=seeding.generator("cpu", self._spec.seed, "order", epoch))
        size = self._spec.training.batch_size
        chosen = order.to(self._device).split(size)
        self._model.train()
        for number, images in enumerate(self.images.gather(order[done * size :], size), done):
            batch = self._batch(epoch, number, chosen[number], images)
            yield Update(number + 1, partial(self._do, batch), batch)
            last = number == self.batches - 1
            if last or (number % _GUARD_EVERY == _GUARD_EVERY - 1 and self._device.type == "cpu"):
                tally.check(self.totals, epoch, number + 1, largest=self._largest_loss)

    @property
    def _largest_loss(self) -> float:
        match self._spec.loss:
            case CrossEntropy():
                scale = 1.0
            case Trades(beta=beta) | Mart(beta=beta):
                scale = max(beta, 1.0)
            case PolicyGradient(reward=reward) | ExpectedReward(reward=reward):
                scale = reward.largest
            case _:
                assert_never(self._spec.loss)
        return tally.LARGEST_LOSS * scale

    def learning_rate(self, epoch: int, batch: int) -> float:
        """Of the update with `batch` (from 0) of `epoch` (from 1)."""
        return learning_rate(self._spec.training, (epoch - 1) * self.batches + batch, self.batches)

    def strength(self, epoch: int, batch: int) -> float:
        """The share of the adversary's budget in that batch."""
        adversary = self._spec.adversary
        if isinstance(adversary, NoAdversary) or adversary.warmup_epochs == 0:
            return 1.0
        return min(1.0, ((epoch - 1) * self.batches + batch + 1) / (adversary.warmup_epochs * self.batches))

    def _batch(self, epoch: int, number: int, indices: Tensor, images: Tensor) -> Batch:
        seed = self._spec.seed
        generator = seeding.generator(self._device, seed, "actions", epoch, number)
        loss = self._spec.loss
        group = loss.group if isinstance(loss, PolicyGradient) else 1
        iteration = (epoch - 1) * self.batches + number
        return Batch(
            spec=self._spec,
            model=self._model,
            optimizer=self.optimizer,
            totals=self.totals,
            images=self._changed(epoch, indices, images),
            labels=self.images.labels[indices],
            noise=action_noise((2, group, rows(self._spec, len(indices)), self._classes), generator),
            iteration=iteration,
            left=self._spec.training.epochs * self.batches - iteration,
            rate=self.learning_rate(epoch, number),
            momentum=momentum_share(self._spec.training, iteration, self.batches),
            strength=self.strength(epoch, number),
            seed=seeding.derive(seed, "dropout", epoch, number),
        )

    def _do(self, batch: Batch) -> None:
        set_learning_rate(self.optimizer, batch.rate)
        set_momentum(self.optimizer, batch.momentum)
        if self._strength is not None:
            self._strength.fill_(batch.strength)
        inputs = batch.images, batch.labels, batch.noise
        with fp32_products(self._spec.training.precision):
            step = self._step_for(inputs)
            with seeding.torch_seeded(self._device, batch.seed):
                step(*inputs)

    def _changed(self, epoch: int, indices: Tensor, images: Tensor) -> Tensor:
        """The images at these positions, changed as the augmentation has it."""
        spec = self._spec.training.augmentation
        if spec is None:
            return images
        if self._changes is None or self._changes[0] != epoch:
            _, _, height, width = images.shape
            side, seed = (height, width), self._spec.seed
            changes = draw_changes(spec, len(self.images), side, seed=seed, epoch=epoch, device=self._device)
            self._changes = epoch, changes
        return augmented(spec, images, self._changes[1].of(indices))

    def _step_for(self, inputs: tuple[Tensor, Tensor, Tensor]) -> Step:
        if not self.compiled or len(inputs[0]) < self._spec.training.batch_size:
            return self._plain
        # A CUDA graph changes the very memory that it was captured with, and runs that were together had theirs moved.
        at = next(self._model.parameters()).data_ptr() if self._device.type == "cuda" else 0
        if self._fast is None or self._captured_at != at:
            self._captured_at = at
            moments = [tensor for state in self.optimizer.state.values() for tensor in state.values()]
            changed = [*self._model.parameters(), *self._model.buffers(), *moments, self.totals]
            # To be captured it is tried out, which draws random numbers.
            with seeding.torch_seeded(self._device, 0):
                self._fast = accelerate(self._plain, inputs, changed)
        return self._fast

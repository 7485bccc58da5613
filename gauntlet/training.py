"""Adversarial training as a generator: it yields what happened, and its caller does the rest."""

import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet import checkpoints, seeding
from gauntlet.architectures import build_model, initialise, logits_of
from gauntlet.attacks import LogitLoss, fgsm, mode
from gauntlet.checkpoints import TrainingState
from gauntlet.datasets import Dataset, ImageSet, to_unit
from gauntlet.errors import TrainingDiverged
from gauntlet.evaluation import measure
from gauntlet.events import BatchFinished, CheckpointReady, EpochFinished, Resumed, TrainingEvent, Warned
from gauntlet.objectives import Loss, objective_loss
from gauntlet.optimizers import build_optimizer, learning_rate
from gauntlet.spec import PolicyGradient, RunSpec
from gauntlet.suspicions import suspicions

# A policy gradient that runs away stays finite (−1.6e11 was seen), so finiteness alone is no guard.
_LARGEST_LOSS = 1e3
# Reading the loss waits for the device, so it is looked at every so many batches and at the end of the epoch.
_GUARD_EVERY = 50


def train(
    spec: RunSpec, data: Dataset, *, device: torch.device, resume: TrainingState | None = None
) -> Iterator[TrainingEvent]:
    """Train one run, from its beginning or from a captured state.

    Randomness depends on (seed, epoch, batch) alone, so the events after a resume equal those of an uninterrupted run
    bit by bit where torch, device and thread count are the same (but for times). On a GPU that is not promised: its
    kernels are not asked to be deterministic.

    Raises:
        TrainingDiverged: the loss or the weights are no longer finite, or the loss is beyond ±1e3.
        CheckpointInvalid: `resume` belongs to another architecture.
    """
    model = build_model(spec.architecture, data.image_shape, len(data.classes))
    initialise(model, spec.seed)
    model.to(device)
    optimizer = build_optimizer(spec.training.optimizer, model)
    done, warnings = 0, frozenset[str]()
    if resume is not None:
        checkpoints.restore(resume, model, optimizer)
        done, warnings = resume.epoch, frozenset(resume.warnings)
        yield Resumed(done, bit_identical=checkpoints.bit_identical(resume, device))

    train_set, test_set = data.train.to(device), data.test.to(device)
    # As many training images as there are for test, always the same: both accuracies have the same error.
    train_sample = train_set.take(len(test_set))
    last = spec.training.epochs
    for epoch in range(done + 1, last + 1):
        started = time.perf_counter()
        tally = yield from _train_epoch(spec, model, optimizer, train_set, epoch)
        seconds = time.perf_counter() - started

        natural = measure(model, test_set)
        metrics = tally.means() | {
            "learning_rate": float(optimizer.param_groups[0]["lr"]),
            "train_accuracy": measure(model, train_sample).accuracy,
            "train_accuracy_n": float(len(train_sample)),
            "test_accuracy": natural.accuracy,
            "test_fgsm_accuracy": measure(model, test_set, eps=spec.adversary.eps).accuracy,
            "mean_confidence": natural.mean_confidence,
            "mean_uniformity": natural.mean_uniformity,
            "predicted_classes": float(natural.predicted_classes),
        }
        weights, moments = checkpoints.capture(model, optimizer)
        if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
            raise TrainingDiverged(epoch, tally.batches, math.inf)
        yield EpochFinished(epoch, metrics, seconds, len(train_set) / seconds)

        found = suspicions(metrics)
        for kind in sorted(found.keys() - warnings):
            yield Warned(epoch, kind, found[kind])
        warnings = frozenset(found)

        state = TrainingState(epoch, weights, moments, tuple(sorted(warnings)), checkpoints.environment(device))
        yield CheckpointReady(epoch, epoch % spec.training.checkpoint_every == 0 or epoch == last, state)


def _train_epoch(
    spec: RunSpec, model: nn.Module, optimizer: torch.optim.Optimizer, images: ImageSet, epoch: int
) -> Generator[BatchFinished, None, "_Tally"]:
    device = images.images.device
    order = torch.randperm(len(images), generator=seeding.generator("cpu", spec.seed, "order", epoch)).to(device)
    batches = order.split(spec.training.batch_size)
    tally = _Tally(device)
    model.train()
    for batch, indices in enumerate(batches):
        iteration = (epoch - 1) * len(batches) + batch
        optimizer.param_groups[0]["lr"] = learning_rate(spec.training.optimizer, iteration)
        inputs, labels = to_unit(images.images[indices]), images.labels[indices]
        with _randomness(device, spec.seed, epoch, batch) as generator:
            attacked, targets = training_inputs(spec, model, inputs, labels, generator)
            logits = logits_of(model, attacked)
            loss = objective_loss(
                spec.objective,
                logits,
                targets,
                generator=generator,
                action_logits=_action_logits(spec, model, attacked),
            )
            optimizer.zero_grad(set_to_none=True)
            loss.value.backward()
            optimizer.step()
        tally.add(loss, logits.detach(), targets)
        if batch % _GUARD_EVERY == _GUARD_EVERY - 1 or batch == len(batches) - 1:
            tally.check(epoch)
        yield BatchFinished(epoch, batch + 1, len(batches))
    return tally


def training_inputs(
    spec: RunSpec, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """What one update trains on: images float32 [m, c, h, w] in [0, 1] and labels int64 [m].

    m is n (all attacked, or the first half attacked) or 2n (each image natural and attacked), as `training.mix` says.
    """
    match spec.training.mix:
        case "adversarial":
            return _attack(spec, model, images, labels, generator), labels
        case "half":
            half = len(images) // 2
            attacked = _attack(spec, model, images[:half], labels[:half], generator)
            return torch.cat([attacked, images[half:]]), labels
        case "both":
            attacked = _attack(spec, model, images, labels, generator)
            return torch.cat([images, attacked]), torch.cat([labels, labels])
        case _:
            assert_never(spec.training.mix)


def _attack(spec: RunSpec, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    with mode(model, training=spec.adversary.mode == "train"):
        return fgsm(model, images, labels, spec.adversary.eps, loss=_adversary_loss(spec, labels, generator))


def _adversary_loss(spec: RunSpec, labels: Tensor, generator: torch.Generator) -> LogitLoss | None:
    match spec.adversary.loss:
        case "true_label":
            return None
        case "predicted_label":
            return lambda logits: F.cross_entropy(logits, logits.detach().argmax(dim=1))
        case "objective":
            return lambda logits: objective_loss(spec.objective, logits, labels, generator=generator).value
        case _:
            assert_never(spec.adversary.loss)


def _action_logits(spec: RunSpec, model: nn.Module, images: Tensor) -> Tensor | None:
    if not isinstance(spec.objective, PolicyGradient) or spec.objective.action_forward == "train":
        return None
    with mode(model, training=False), torch.no_grad():
        return logits_of(model, images)


@contextmanager
def _randomness(device: torch.device, seed: int, epoch: int, batch: int) -> Iterator[torch.Generator]:
    """One batch's randomness: a generator for actions, and torch's own state for dropout, restored afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seeding.derive(seed, "dropout", epoch, batch))
        yield seeding.generator(device, seed, "actions", epoch, batch)


class _Tally:
    """Sums over one epoch, kept on the device until they are read."""

    def __init__(self, device: torch.device) -> None:
        zero = torch.zeros((), device=device)
        self._loss, self._right, self._reward = zero, zero, zero
        self._least_log_prob = torch.full((), math.inf, device=device)
        self._worst_loss = zero
        self._images = 0
        self._rewarded = False
        self.batches = 0

    def add(self, loss: Loss, logits: Tensor, labels: Tensor) -> None:
        value = loss.value.detach()
        self._loss = self._loss + value * len(labels)
        self._right = self._right + (logits.argmax(dim=1) == labels).sum()
        self._least_log_prob = torch.minimum(self._least_log_prob, loss.log_probs.min())
        # torch.maximum propagates NaN, so one bad batch is seen at the next look.
        self._worst_loss = torch.maximum(self._worst_loss, value.abs())
        if loss.rewards is not None:
            self._reward = self._reward + loss.rewards.sum()
            self._rewarded = True
        self._images += len(labels)
        self.batches += 1

    def check(self, epoch: int) -> None:
        worst = self._worst_loss.item()
        if not worst <= _LARGEST_LOSS:
            raise TrainingDiverged(epoch, self.batches, worst)

    def means(self) -> dict[str, float]:
        found = {
            "loss": self._loss.item() / self._images,
            "train_adversarial_accuracy": self._right.item() / self._images,
            "min_log_prob": self._least_log_prob.item(),
        }
        if self._rewarded:
            found["mean_reward"] = self._reward.item() / self._images
        return found

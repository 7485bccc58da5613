"""Adversarial training as a generator: it yields what happened, and its caller does the rest."""

import itertools
import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from gauntlet.data.datasets import Dataset, MappedSet, TrainingImages, hold_out
from gauntlet.errors import TrainingDiverged
from gauntlet.events import (
    BatchFinished,
    CheckpointReady,
    EpochFinished,
    Resumed,
    StateReady,
    TrainingEvent,
    Warned,
)
from gauntlet.models import checkpoints
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import TrainingState
from gauntlet.models.precision import fp32_products, require_precision
from gauntlet.results.suspicions import suspicions
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.objectives import AgentSpec, CrossEntropy, PairedSpec
from gauntlet.training import tally
from gauntlet.training.agents import AgentEpochs
from gauntlet.training.epochs import Epochs
from gauntlet.training.measurement import (
    Measurement,
    Probe,
    batches_of,
    build_probe,
    compiled_probe,
    measure,
    natural_accuracy,
)


def train(
    spec: RunSpec,
    data: Dataset,
    *,
    device: torch.device,
    resume: TrainingState | None = None,
    initial_weights: dict[str, Tensor] | None = None,
    wants_state: Callable[[], bool] = lambda: False,
    watch: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[TrainingEvent]:
    """Train one run, from its beginning or from a captured state.

    Randomness depends on (seed, epoch, batch) alone, so the events after a resume equal those of an uninterrupted run
    bit by bit where torch, device, thread count and compiling are the same (but for times). On a GPU that is not
    promised: its kernels are not asked to be deterministic.

    Args:
        initial_weights: where the run begins instead of at random weights; what `training.initial_checkpoint` names.
        wants_state: asked after every batch but an epoch's last; where it says yes, a `StateReady` follows.
        watch: told after each batch that is measured at an epoch's end how many of them are; may raise to end training.

    Raises:
        TrainingDiverged: the loss or the weights are no longer finite, or the loss is beyond ±1e3, more where rewards
            are larger than 1.
        CheckpointInvalid: `resume` or `initial_weights` belong to another architecture.
        PrecisionUnsupported: the device cannot compute in the precision that the spec asks for.
        CompilerMissing: the spec insists on a compiled step, which needs a compiler that is not there.
        DatasetUnavailable: the spec holds all training images out for validation.
    """
    require_precision(spec.training.precision, device)
    data, validation = hold_out(data, spec.evaluation.held_out(len(data.train)))
    model = build_model(spec.architecture, data.image_shape, len(data.classes))
    initialise(model, spec.seed)
    if initial_weights is not None:
        checkpoints.load_weights(model, initial_weights)
    model.to(device)
    epochs = build_epochs(spec, data, model)
    environment = checkpoints.environment(
        device, compiled=epochs.compiled, packages=epochs.packages, network=spec.architecture
    )
    done, batches, warnings = 0, 0, frozenset[str]()
    if resume is not None:
        checkpoints.restore(resume, model, epochs.optimizer, epochs.totals, epochs.critic)
        done, batches, warnings = resume.epoch, resume.batch, frozenset(resume.warnings)
        yield Resumed(done, batches, bit_identical=checkpoints.bit_identical(resume, device, environment))

    def state(epoch: int, batch: int) -> TrainingState:
        weights, moments = checkpoints.capture(model, epochs.optimizer)
        return TrainingState(
            epoch=epoch,
            batch=batch,
            model=weights,
            critic={} if epochs.critic is None else checkpoints.copied(epochs.critic),
            optimizer=moments,
            totals=epochs.totals.cpu().clone(),
            warnings=tuple(sorted(warnings)),
            environment=environment,
        )

    test = MappedSet.whole(data.test) if isinstance(data.train, MappedSet) else data.test
    test_set, validation_set = test.to(device), validation.to(device)
    # As many training images as there are for test, always the same: both accuracies have the same error.
    train_sample = epochs.images.take(len(test_set))
    last, precision = spec.training.epochs, spec.training.precision
    measured = sum(map(batches_of, (train_sample, test_set, validation_set)))
    probe = build_probe(model, spec.adversary.eps, precision, spec.adversary.norm)
    if epochs.compiled and device.type == "cpu":
        probe = compiled_probe(probe)
    for epoch in range(done + 1, last + 1):
        started, first = time.perf_counter(), batches if epoch == done + 1 else 0
        for batch in epochs.run(epoch, first):
            yield BatchFinished(epoch, batch, epochs.batches, measured)
            if batch < epochs.batches and wants_state():
                yield StateReady(state(epoch - 1, batch))
        seconds = time.perf_counter() - started

        metrics = tally.means(epochs.totals, rewarded=not isinstance(spec.objective, CrossEntropy | PairedSpec))
        metrics["learning_rate"] = epochs.learning_rate(epoch, epochs.batches - 1)
        tick = _counting(watch, measured)
        with fp32_products(precision):
            metrics["train_accuracy"] = natural_accuracy(model, train_sample, tick, precision=precision)
            metrics["train_accuracy_n"] = float(len(train_sample))
            metrics |= _test_metrics(measure(model, test_set, probe, tick))
            metrics |= _validation_metrics(model, validation_set, probe, tick)
        if not all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values()):
            raise TrainingDiverged(epoch, epochs.batches, math.inf)
        yield EpochFinished(epoch, metrics, seconds, epochs.images_after(first) / seconds)

        found = suspicions(metrics)
        for kind in sorted(found.keys() - warnings):
            yield Warned(epoch, kind, found[kind])
        warnings = frozenset(found)

        yield CheckpointReady(epoch, spec.training.keeps(epoch), state(epoch, 0))


def build_epochs(spec: RunSpec, data: Dataset, model: nn.Module) -> Epochs | AgentEpochs:
    """What trains `model` in place on `data.train`, epoch by epoch, by the objective of the spec.

    Raises:
        CompilerMissing: the spec insists on a compiled step, which needs a compiler that is not there.
    """
    if isinstance(spec.objective, AgentSpec):
        return AgentEpochs(spec, spec.objective, data, model)
    return Epochs(spec, data, model)


def _counting(watch: Callable[[int, int], None], total: int) -> Callable[[], None]:
    """Tells `watch` at each call how many calls there were, of `total`."""
    calls = itertools.count(1)
    return lambda: watch(next(calls), total)


def _test_metrics(test: Measurement) -> dict[str, float]:
    return {
        "test_accuracy": test.accuracy,
        "test_fgsm_accuracy": test.fgsm_accuracy,
        "mean_confidence": test.mean_confidence,
        "mean_uniformity": test.mean_uniformity,
        "predicted_classes": float(test.predicted_classes),
    }


def _validation_metrics(
    model: nn.Module, images: TrainingImages, probe: Probe, tick: Callable[[], None]
) -> dict[str, float]:
    if len(images) == 0:
        return {}
    validation = measure(model, images, probe, tick)
    return {
        "validation_accuracy": validation.accuracy,
        "validation_fgsm_accuracy": validation.fgsm_accuracy,
        "validation_accuracy_n": float(len(images)),
    }

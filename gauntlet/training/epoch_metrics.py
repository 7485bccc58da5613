"""What training tells of an epoch once its batches are done."""

import itertools
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from torch import nn

from gauntlet.data.datasets import TrainingImages
from gauntlet.models.architectures import normalised
from gauntlet.models.precision import fp32_products
from gauntlet.results.suspicions import AVERAGED, OVERFITTING
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.objectives import CrossEntropy, PairedSpec
from gauntlet.training.epochs import Epochs
from gauntlet.training.guard import TrainingGuard
from gauntlet.training.measurement import (
    Measurement,
    Probe,
    batches_of,
    build_probe,
    compiled_probe,
    measure,
    natural_accuracy,
)
from gauntlet.training.steps import tally
from gauntlet.training.steps.averaging import WeightAverage

if TYPE_CHECKING:
    from gauntlet.training.agents import AgentEpochs


class EpochMetrics:
    """Measures `model` after an epoch: on test and validation images, and on as many training images as for test.

    Those are always the same: both accuracies have the same error, unless fewer images are trained on. `guard` probes
    it where that is due.
    """

    def __init__(
        self,
        spec: RunSpec,
        model: nn.Module,
        epochs: "Epochs | AgentEpochs",
        average: WeightAverage,
        *,
        test: TrainingImages,
        validation: TrainingImages,
    ) -> None:
        device = epochs.images.device
        self._spec = spec
        self._rewarded = not isinstance(spec.objective, CrossEntropy | PairedSpec)
        self._precision = spec.training.precision
        self._model = model
        self._epochs = epochs
        self._probe = build_probe(model, spec.adversary.eps, self._precision, spec.adversary.norm)
        if epochs.compiled and device.type == "cpu":
            self._probe = compiled_probe(self._probe)
        self.guard = TrainingGuard(spec, epochs.images, model, self._probe)
        self._test, self._validation = test.to(device), validation.to(device)
        self._train = epochs.images.take(len(test))
        self._average = None if average.network is None else normalised(average.network, spec.normalisation)
        images = sum(map(batches_of, (self._train, self._test, self._validation)))
        self.batches = images * (1 if self._average is None else 2) + self.guard.batches

    def of(self, epoch: int, warnings: Collection[str], watch: Callable[[int], None]) -> dict[str, float]:
        """The metrics of `epoch`, after it; `warnings` were in force before, `watch` is told of each batch measured."""
        metrics = tally.means(self._epochs.totals, rewarded=self._rewarded)
        metrics["learning_rate"] = self._epochs.learning_rate(epoch, self._epochs.batches - 1)
        tick = _counting(watch, self.batches)
        with fp32_products(self._precision):
            metrics |= self._measured(self._model, self._probe, tick)
            metrics |= self.guard.probe(epoch, metrics, tick, alarmed=OVERFITTING in warnings)
            if self._average is not None:
                adversary = self._spec.adversary
                probe = build_probe(self._average, adversary.eps, self._precision, adversary.norm)
                averaged = self._measured(self._average, probe, tick)
                metrics |= {f"{AVERAGED}{name}": value for name, value in averaged.items()}
        return metrics

    def _measured(self, model: nn.Module, probe: Probe, tick: Callable[[], None]) -> dict[str, float]:
        train = natural_accuracy(model, self._train, tick, precision=self._precision)
        metrics = {"train_accuracy": train, "train_accuracy_n": float(len(self._train))}
        metrics |= _test_metrics(measure(model, self._test, probe, tick)) | {"test_accuracy_n": float(len(self._test))}
        return metrics | _validation_metrics(model, self._validation, probe, tick)


def _counting(watch: Callable[[int], None], total: int) -> Callable[[], None]:
    """Tells `watch` at each call how many calls there were, of `total`; a probe that was not foreseen adds none."""
    calls = itertools.count(1)
    return lambda: watch(min(next(calls), total))


def _test_metrics(test: Measurement) -> dict[str, float]:
    return {
        "test_accuracy": test.accuracy,
        "test_fgsm_accuracy": test.fgsm_accuracy,
        "mean_confidence": test.mean_confidence,
        "mean_uniformity": test.mean_uniformity,
        "predicted_classes": float(test.predicted_classes),
        "fgsm_lowered_loss": test.lowered_loss,
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

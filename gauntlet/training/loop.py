"""Adversarial training as a generator: it yields what happened, and its caller does the rest."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gauntlet.data.datasets import Dataset, MappedSet, TrainingImages, hold_out
from gauntlet.errors import TrainingDiverged
from gauntlet.events import (
    BatchFinished,
    EpochFinished,
    Resumed,
    StateReady,
    TrainingEvent,
    Warned,
)
from gauntlet.extras import needed
from gauntlet.models import checkpoints
from gauntlet.models.architectures import build_model, initialise, normalised
from gauntlet.models.checkpoints import TrainingState, Versions
from gauntlet.models.devices import found_device
from gauntlet.models.precision import require_precision
from gauntlet.models.sharding import Ranks, Sharded, with_whole_batch_norms
from gauntlet.results.suspicions import suspicions
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.objectives import AgentSpec
from gauntlet.training.epoch_metrics import EpochMetrics
from gauntlet.training.epochs import Epochs
from gauntlet.training.guard import TrainingGuard
from gauntlet.training.lone_images import try_lone_image
from gauntlet.training.steps.averaging import WeightAverage
from gauntlet.training.steps.cuda_graph import on_device
from gauntlet.training.updates import Update, doing

if TYPE_CHECKING:
    from gauntlet.training.agents import AgentEpochs

Watch = Callable[[Callable[[], TrainingState], int], None]


def train(
    spec: RunSpec,
    data: Dataset,
    *,
    device: torch.device | str,
    resume: TrainingState | None = None,
    initial_weights: dict[str, Tensor] | None = None,
    wants_state: Callable[[], bool] = lambda: False,
    watch: Watch = lambda _capture, _done: None,
) -> Iterator[TrainingEvent]:
    """Train one run, from its beginning or from a captured state.

    Randomness depends on (seed, epoch, batch) alone, so the events after a resume equal those of an uninterrupted run
    bit by bit where torch, device, thread count and compiling are the same (but for times). On a GPU that is not
    promised: its kernels are not asked to be deterministic.

    Args:
        spec: the run, such as one of `ExperimentSpec.runs()`.
        data: images to train on and to measure with after every epoch; float32 in [0, 1] is made of their 8-bit pixels.
        device: where it is computed; the states come on the CPU.
        resume: where an earlier attempt was, of the same spec and data.
        initial_weights: where the run begins instead of at random weights; what `training.initial_checkpoint` names.
        wants_state: asked after every batch but an epoch's last; where it says yes, a `StateReady` follows.
        watch: told after each batch that is measured at an epoch's end what captures the state, all of the epoch's
            training behind and nothing measured, and how many of these batches there were; may raise to end training.

    Raises:
        TrainingDiverged: the loss or the weights are no longer finite, or the loss is beyond ±1e3, more where rewards
            are larger than 1.
        CheckpointInvalid: `resume` or `initial_weights` belong to another architecture.
        DeviceUnavailable: torch finds no such device here.
        PrecisionUnsupported: the device cannot compute in the precision that the spec asks for.
        CompilerMissing: the spec insists on a compiled step, which needs a compiler that is not there.
        PackageMissing: the objective is an agent, and Stable-Baselines3 is not installed.
        DatasetUnavailable: the spec holds all training images out for validation.
        ModelUnfit: the network takes no images of that size, or not the single one that a batch comes to; or it is one
            of a team's own, and is not there or could not be built.
    """
    place = found_device(device)
    steps = course(
        spec,
        data,
        device=place,
        resume=resume,
        initial_weights=initial_weights,
        wants_state=wants_state,
        watch=watch,
    )
    yield from on_device(place, doing(steps))


def course(
    spec: RunSpec,
    data: Dataset,
    *,
    device: torch.device,
    resume: TrainingState | None = None,
    initial_weights: dict[str, Tensor] | None = None,
    wants_state: Callable[[], bool] = lambda: False,
    watch: Watch = lambda _capture, _done: None,
    parts: Callable[[int], tuple[Dataset, TrainingImages]] | None = None,
    fused: bool = False,
    ranks: Ranks | None = None,
) -> Iterator[TrainingEvent | Update]:
    """What `train` goes through: its events, and between them the updates, each to be done by whoever asks for more.

    `parts` is `hold_out` of the data where several share what it gives.
    `fused` says that updates may be done together with others', which differ from the run's own in their last bits.
    `ranks` is this process among those that go through it at the same time, each with a part of every batch.

    Raises:
        GauntletError: as `train` does.
    """
    require_precision(spec.training.precision, device)
    data, validation = (parts or partial(hold_out, data))(spec.evaluation.held_out(len(data.train)))
    # What is kept are the network's own tensors; what stands in front of it has none to keep.
    network = build_model(spec.architecture, data.image_shape, len(data.classes))
    initialise(network, spec.seed)
    if initial_weights is not None:
        checkpoints.load_weights(network, initial_weights)
    try_lone_image(spec, network, data.image_shape, len(data.train))
    model = normalised(network.to(device), spec.normalisation)
    computed = model if ranks is None else Sharded(with_whole_batch_norms(model), ranks)
    epochs = build_epochs(spec, data, computed)
    test = MappedSet.whole(data.test) if isinstance(data.train, MappedSet) else data.test
    average = WeightAverage(spec.training.averaging, network)
    measuring = EpochMetrics(spec, computed, epochs, average, test=test, validation=validation)
    guard = measuring.guard
    environment = checkpoints.environment(
        device,
        compiled=epochs.compiled,
        packages=epochs.packages,
        network=spec.architecture,
        fused=fused,
        processes=1 if ranks is None else ranks.count,
    )
    done, batches, warnings = 0, 0, frozenset[str]()
    if resume is not None:
        checkpoints.restore(resume, network, epochs.optimizer, epochs.totals, epochs.critic)
        done, batches, warnings = resume.epoch, resume.batch, frozenset(resume.warnings)
        guard.restore(resume)
        average.restore(resume)
        _replace_adversary(epochs, guard)
        yield Resumed(done, batches, bit_identical=checkpoints.bit_identical(resume, device, environment))

    def state(epoch: int, batch: int) -> TrainingState:
        weights, moments = checkpoints.capture(network, epochs.optimizer)
        return TrainingState(
            epoch=epoch,
            batch=batch,
            model=weights,
            critic={} if epochs.critic is None else checkpoints.copied(epochs.critic),
            optimizer=moments,
            totals=epochs.totals.cpu().clone(),
            warnings=tuple(sorted(warnings)),
            environment=environment,
            guard=guard.state,
            good=guard.good if batch else Versions(),
            average=average.captured(),
        )

    last = done if guard.has_ended else spec.training.epochs
    for epoch in range(done + 1, last + 1):
        started, first = time.perf_counter(), batches if epoch == done + 1 else 0
        for update in epochs.updates(epoch, first):
            yield update
            average.update()
            yield BatchFinished(epoch, update.number, epochs.batches, measuring.batches)
            if update.number < epochs.batches and wants_state():
                yield StateReady(state(epoch - 1, update.number))
        seconds = time.perf_counter() - started

        # Measuring changes nothing of the state.
        metrics = measuring.of(epoch, warnings, partial(watch, partial(state, epoch - 1, epochs.batches)))
        if not all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values()):
            raise TrainingDiverged(epoch, epochs.batches, math.inf)
        yield EpochFinished(epoch, metrics, seconds, epochs.images_after(first) / seconds)

        found = guard.judge(suspicions(metrics))
        for kind in sorted(found.keys() - warnings):
            yield Warned(epoch, kind, found[kind])
        warnings = frozenset(found)

        yield guard.checkpoint(ready := state(epoch, 0))
        if guard.has_ended:
            return
        guard.restore(ready)
        _replace_adversary(epochs, guard)


def _replace_adversary(epochs: "Epochs | AgentEpochs", guard: TrainingGuard) -> None:
    if isinstance(epochs, Epochs) and guard.replacement is not None:
        epochs.attack_with(guard.replacement)


def build_epochs(spec: RunSpec, data: Dataset, model: nn.Module) -> "Epochs | AgentEpochs":
    """What trains `model` in place on `data.train`, epoch by epoch, by the objective of the spec.

    Raises:
        CompilerMissing: the spec insists on a compiled step, which needs a compiler that is not there.
        PackageMissing: the objective is an agent, and Stable-Baselines3 is not installed.
    """
    if isinstance(spec.objective, AgentSpec):
        with needed("rl", "Training by PPO, A2C or DQN"):
            from gauntlet.training.agents import AgentEpochs
        return AgentEpochs(spec, spec.objective, data, model)
    return Epochs(spec, data, model)

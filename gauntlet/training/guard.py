"""Watching a run for catastrophic overfitting: the attack it trains on no longer fools it, and a stronger one does."""

from collections.abc import Callable, Mapping

from torch import nn

from gauntlet.data.datasets import TrainingImages
from gauntlet.events import CheckpointReady, EarlierWeights
from gauntlet.models.checkpoints import GuardState, TrainingState, Versions
from gauntlet.results.suspicions import OVERFITTING, attack_misses
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.adversaries import NFgsmAdversary, NoAdversary
from gauntlet.spec.runs.guard import GuardAction
from gauntlet.training.measurement import Probe, batches_of, measure, pgd_accuracy

_TOLD: Mapping[GuardAction, str] = {
    "off": "",
    "warn": "",
    "stop": " Training ends here, and where there is an epoch before, its weights are kept instead.",
    "n_fgsm": " From the next epoch on it trains on N-FGSM.",
}


class TrainingGuard:
    """Probes a run that trains `model` on `images` after its epochs; `state` and `good` are all that it remembers.

    One that the spec does not want, or that has no adversary to watch, does nothing.

    Args:
        fgsm: the model's probe at the adversary's budget.
    """

    def __init__(self, spec: RunSpec, images: TrainingImages, model: nn.Module, fgsm: Probe) -> None:
        self._spec = spec
        off = isinstance(spec.adversary, NoAdversary) or spec.training.guard.action == "off"
        self._wanted = None if off else spec.training.guard
        self._period = 0 if self._wanted is None else self._wanted.period(len(images))
        self._images = images.take(0 if self._wanted is None else self._wanted.images)
        self._model = model
        self._fgsm = fgsm
        self.state = GuardState()
        self.good = Versions()

    @property
    def batches(self) -> int:
        """How many batches it measures after every epoch; 0 where it is not every."""
        return 2 * batches_of(self._images) if self._period == 1 else 0

    @property
    def may_end(self) -> bool:
        """Whether it ends training at an alarm, and falls back on the weights of the epoch before."""
        return self._wanted is not None and self._wanted.action == "stop"

    @property
    def has_ended(self) -> bool:
        """Whether it ended training."""
        return self.may_end and self.state.acted

    @property
    def replacement(self) -> NFgsmAdversary | None:
        """What attacks training images since it replaced the adversary; None as long as it has not."""
        adversary = self._spec.adversary
        if isinstance(adversary, NoAdversary) or self.may_end or not self.state.acted:
            return None
        return NFgsmAdversary(eps=adversary.eps, warmup_epochs=adversary.warmup_epochs)

    def probe(
        self, epoch: int, metrics: Mapping[str, float], tick: Callable[[], None], *, alarmed: bool
    ) -> dict[str, float]:
        """Accuracies on the probed images where a probe is due after `epoch`, whose other `metrics` are given.

        It is due at its time, where the metrics are suspicious, and after every epoch while the alarm lasts. The random
        start is the same each time, so that the model alone makes the difference.
        """
        if self._wanted is None or (epoch % self._period and not alarmed and not attack_misses(metrics)):
            return {}
        under_fgsm = measure(self._model, self._images, self._fgsm, tick).fgsm_accuracy
        adversary, precision = self._spec.adversary, self._spec.training.precision
        under_pgd = pgd_accuracy(
            self._model,
            self._images,
            adversary.eps,
            norm=adversary.norm,
            steps=self._wanted.steps,
            seed=self._spec.seed,
            precision=precision,
            tick=tick,
        )
        best = max(self.state.best, under_pgd)
        self.state = GuardState(best, self.state.acted)
        return {
            "probe_accuracy": under_pgd,
            "probe_fgsm_accuracy": under_fgsm,
            "probe_best_accuracy": best,
            "probe_accuracy_n": float(len(self._images)),
        }

    def judge(self, found: Mapping[str, str]) -> dict[str, str]:
        """What is suspect after an epoch, kind → sentence; where the guard acts on it now, its sentence says how."""
        judged = dict(found)
        if self._wanted is None or self.state.acted or OVERFITTING not in judged:
            return judged
        self.state = GuardState(self.state.best, acted=self._wanted.action != "warn")
        judged[OVERFITTING] += _TOLD[self._wanted.action]
        return judged

    def checkpoint(self, state: TrainingState) -> CheckpointReady:
        """What is told of the state after an epoch: that weights of the epoch before are kept, where training ends."""
        if not self.has_ended:
            return CheckpointReady(state.epoch, self._spec.training.keeps(state.epoch), state)
        # In the first epoch there is nothing to fall back on.
        instead = EarlierWeights(state.epoch - 1, self.good) if self.good else None
        return CheckpointReady(state.epoch, instead is None, state, instead)

    def restore(self, state: TrainingState) -> None:
        """Remember what it knew in that state, and where it may fall back on them the weights after its last epoch."""
        self.state = state.guard
        if self.may_end:
            self.good = state.good if state.batch else state.kept(self._spec.training.averaging)

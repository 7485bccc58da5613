"""What PLAN.md measures beyond what the experiments' specs ask for: evaluations of their own, each asked for once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.studies.asked import Asked, AsSpecified, Measuring
from gauntlet.client import GauntletClient
from gauntlet.resources import TERMINAL, Checkpoint, Evaluation, Experiment, Run
from gauntlet.spec.asked.priorities import Priority

_EPS = "8/255"
# A GPU takes as many at once in little more time than a hundred.
_BATCH = 1_000
_SAMPLED, _WHOLE_TEST_SET = 1_000, 10_000
# Cross-entropy's accuracy passes the reward's best within so many epochs: it is ahead by eight points there.
_EARLY = 60


def measurements(client: GauntletClient, experiment: str) -> Measuring:
    """What the plan wants of that experiment.

    The replication is the one that holds training images out; what attacks the whole test set itself wants no more.
    """
    wanted = client.experiment(experiment).spec.evaluation
    if wanted.samples >= _WHOLE_TEST_SET:
        return AsSpecified(client, experiment)
    return (Replication if wanted.select_on == "validation" else Measurements)(client, experiment)


class Measurements:
    """The evaluations that the plan wants of one experiment.

    APGD-T on `sampled` images at every kept checkpoint; AutoAttack on the `whole_test_set` at the selected ones of the
    first seed; for every seed, each objective's best checkpoint attacked with the examples made on the others.
    """

    def __init__(
        self,
        client: GauntletClient,
        experiment: str,
        *,
        sampled: int = _SAMPLED,
        whole_test_set: int = _WHOLE_TEST_SET,
    ) -> None:
        self._client, self._experiment = client, experiment
        self._sampled, self._whole_test_set = sampled, whole_test_set
        self._asked = Asked(client)

    def ask(self) -> Experiment:
        """Ask for what is possible by now, while the experiment's runs go on too.

        What an earlier process asked for is found again by its key. Returned is the experiment as it was before: if it
        had ended then, all has been asked for.
        """
        experiment = self._client.experiment(self._experiment)
        runs = list(self._client.runs(self._experiment))
        selected = list(self._client.evaluations(experiment=self._experiment))
        best_of_seed: dict[int, list[str]] = {}
        for run in runs:
            chosen = {one.checkpoint: one for one in selected if one.run == run.id}
            kept = sorted(self._client.checkpoints(run.id), key=lambda checkpoint: checkpoint.epoch or 0)
            self._measure(experiment, run, kept, chosen)
            best_of_seed.setdefault(run.seed, []).extend(
                checkpoint for checkpoint, one in chosen.items() if "best_fgsm" in one.selection
            )
        for seed, best in best_of_seed.items():
            if len(best) > 1 and len(best) == len([run for run in runs if run.seed == seed]):
                self._transfer(seed, best)
        return experiment

    def look(self) -> list[Evaluation]:
        """All that were asked for, as they are now."""
        return self._asked.look()

    def _measure(
        self, experiment: Experiment, run: Run, kept: Sequence[Checkpoint], chosen: Mapping[str, Evaluation]
    ) -> None:
        for checkpoint in kept:
            self._attack(checkpoint.id, "apgd-t", self._sampled)
            sampled = chosen.get(checkpoint.id)
            # After the one on fewer images, whose results it takes over.
            if run.seed == experiment.spec.seeds[0] and sampled is not None and sampled.status in TERMINAL:
                # It is the longest, and the checkpoint stays: nothing else should wait for it.
                self._attack(sampled.checkpoint, "autoattack", self._whole_test_set, priority="low")

    def _attack(
        self, checkpoint: str, attack: str, samples: int, priority: Priority = "normal", **more: object
    ) -> None:
        request = {
            "checkpoint": checkpoint,
            "attacks": [{"kind": attack, "eps": _EPS}],
            "samples": samples,
            "batch_size": min(_BATCH, samples),
            "priority": priority,
        }
        self._asked.evaluate(f"claim-{attack}-{samples}-{checkpoint}", request | more)

    def _transfer(self, seed: int, checkpoints: Sequence[str]) -> None:
        request: Mapping[str, Any] = {
            "checkpoints": sorted(checkpoints),
            "eps": _EPS,
            "loss": "margin",
            "samples": self._sampled,
            "batch_size": min(_BATCH, self._sampled),
        }
        self._asked.transfer(f"claim-transfer-{self._experiment}-{seed}", request)


class Replication(Measurements):
    """The same of the replication, as far as its comparisons read it.

    Its experiment selects by held-out images, so AutoAttack is asked for at the best by the test set, too; APGD-T at
    that one of the reward, and at cross-entropy's early ones. The first seed's best and last have the whole test set.
    """

    def _measure(
        self, experiment: Experiment, run: Run, kept: Sequence[Checkpoint], chosen: Mapping[str, Evaluation]
    ) -> None:
        plain = run.objective == experiment.spec.objective_labels()[0]
        if plain:
            for checkpoint in kept:
                if (checkpoint.epoch or 0) <= _EARLY:
                    self._attack(checkpoint.id, "apgd-t", self._sampled)
        if len(experiment.spec.objectives) == 1 or run.status not in TERMINAL or not kept:
            return
        best = best_on_test(kept)
        if best.id not in chosen:
            self._attack(best.id, "autoattack", self._sampled, masking={})
        if not plain:
            self._attack(best.id, "apgd-t", self._sampled)
        if run.seed == experiment.spec.seeds[0]:
            for checkpoint in (best, kept[-1]):
                self._attack(checkpoint.id, "autoattack", self._whole_test_set)


def best_on_test(kept: Iterable[Checkpoint]) -> Checkpoint:
    """The checkpoint with the highest FGSM accuracy on the test set, the earliest of equals."""
    return max(kept, key=lambda checkpoint: (checkpoint.metrics["test_fgsm_accuracy"], -(checkpoint.epoch or 0)))

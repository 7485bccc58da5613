"""What PLAN.md measures beyond what the experiments ask for: APGD-T while cross-entropy's natural accuracy rises."""

from collections.abc import Iterable

from benchmarks.dial.rise import rising_part
from benchmarks.studies.asked import Asked
from gauntlet.client import GauntletClient
from gauntlet.resources import Checkpoint, Evaluation, Experiment


class KeptCheckpoints:
    """Those that cross-entropy kept in an experiment, under APGD-T as the experiment's own evaluation has it.

    Only the rising part is compared with, so nothing else is measured.
    """

    def __init__(self, client: GauntletClient, experiment: str) -> None:
        self._client, self._experiment = client, experiment
        self._asked = Asked(client)

    def ask(self) -> Experiment:
        """Ask for what is possible by now, while the experiment's runs go on too.

        Returned is the experiment as it was before: if it had ended then, all has been asked for.
        """
        experiment = self._client.experiment(self._experiment)
        spec = experiment.spec
        plain = (run for run in self._client.runs(self._experiment) if run.objective == spec.objective_labels()[0])
        for run in plain:
            for checkpoint in to_measure(self._client.checkpoints(run.id)):
                request = {
                    "checkpoint": checkpoint.id,
                    "attacks": [{"kind": "apgd-t", "eps": str(spec.adversary.eps)}],
                    "samples": spec.evaluation.samples,
                    "batch_size": spec.evaluation.batch_size,
                    # The runs and their own evaluations tell more, and sooner.
                    "priority": "low",
                }
                self._asked.evaluate(f"dial-{checkpoint.id}", request)
        return experiment

    def look(self) -> list[Evaluation]:
        """All that were asked for, as they are now."""
        return self._asked.look()


def to_measure(kept: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Those of a run's checkpoints that are compared with; whether one is does not depend on later ones."""
    by_epoch = sorted(kept, key=lambda checkpoint: checkpoint.epoch or 0)
    return rising_part(by_epoch, lambda checkpoint: checkpoint.metrics["test_accuracy"])

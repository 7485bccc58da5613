"""What PLAN.md measures beyond what the experiments ask for: cross-entropy where it is as accurate as another arm."""

from collections.abc import Iterable

from benchmarks.dial.rise import around, rising_part
from benchmarks.studies.asked import Asked
from gauntlet.client import GauntletClient
from gauntlet.resources import Checkpoint, Evaluation, Experiment, Run
from gauntlet.spec.evaluations.attacks import MinimumMargin


class Neighbours:
    """For each run that has ended, the two of its seed's cross-entropy between which its natural accuracy lies.

    They are attacked as the experiment's own evaluation attacks the last one, by MM. The judgement interpolates between
    these two, so that further measurements of cross-entropy's rising part would change no figure of it.
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
        ended = [run for run in self._client.runs(self._experiment) if run.status == "succeeded"]
        plain = {run.seed: run for run in ended if run.objective == spec.objective_labels()[0]}
        (attack,) = (one for one in spec.evaluation.attacks if isinstance(one, MinimumMargin))
        for run in ended:
            if run.seed not in plain:
                continue
            for checkpoint in neighbours(self._kept(plain[run.seed]), _natural(self._kept(run)[-1])):
                if checkpoint.epoch == spec.training.epochs:
                    continue  # the experiment's own evaluation has it
                request = {
                    "checkpoint": checkpoint.id,
                    "attacks": [attack.model_dump(mode="json")],
                    "samples": spec.evaluation.samples,
                    "batch_size": spec.evaluation.batch_size,
                }
                self._asked.evaluate(f"carry-{checkpoint.id}", request)
        return experiment

    def look(self) -> list[Evaluation]:
        """All that were asked for, as they are now."""
        return self._asked.look()

    def _kept(self, run: Run) -> list[Checkpoint]:
        return sorted(self._client.checkpoints(run.id), key=lambda checkpoint: checkpoint.epoch or 0)


def neighbours(kept: Iterable[Checkpoint], natural: float) -> list[Checkpoint]:
    """Of a run's checkpoints, in order, those of its rising part between which `natural` lies."""
    return around(rising_part(kept, _natural), natural, _natural)


def _natural(checkpoint: Checkpoint) -> float:
    return checkpoint.metrics["test_accuracy"]

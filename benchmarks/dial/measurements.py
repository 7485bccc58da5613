"""What PLAN.md measures beyond what the experiments ask for: APGD-T at every checkpoint that cross-entropy kept."""

from benchmarks.studies.asked import Asked
from gauntlet.client import GauntletClient
from gauntlet.resources import Evaluation, Experiment


class KeptCheckpoints:
    """Each one that cross-entropy kept in an experiment, under APGD-T as the experiment's own evaluation has it."""

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
            for checkpoint in self._client.checkpoints(run.id):
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

"""What PLAN.md measures beyond what the experiments' specs ask for: APGD-T at every kept checkpoint."""

from benchmarks.asked import Asked
from gauntlet.client import GauntletClient
from gauntlet.resources import Evaluation, Experiment


class KeptCheckpoints:
    """Every kept checkpoint of one experiment under APGD-T, on the images and at the budget of its own evaluation."""

    def __init__(self, client: GauntletClient, experiment: str) -> None:
        self._client, self._experiment = client, experiment
        self._asked = Asked(client)

    def ask(self) -> Experiment:
        """Ask for what is possible by now, while the experiment's runs go on too.

        Returned is the experiment as it was before: if it had ended then, all has been asked for.
        """
        experiment = self._client.experiment(self._experiment)
        spec = experiment.spec
        for run in self._client.runs(self._experiment):
            for checkpoint in self._client.checkpoints(run.id):
                request = {
                    "checkpoint": checkpoint.id,
                    "attacks": [{"kind": "apgd-t", "eps": str(spec.adversary.eps)}],
                    "samples": spec.evaluation.samples,
                    "batch_size": spec.evaluation.batch_size,
                }
                self._asked.evaluate(f"dial-{checkpoint.id}", request)
        return experiment

    def look(self) -> list[Evaluation]:
        """All that were asked for, as they are now."""
        return self._asked.look()

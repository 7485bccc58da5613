"""What PLAN.md measures beyond what the experiments' specs ask for: evaluations of their own, each asked for once."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.studies.asked import Asked
from gauntlet.client import GauntletClient
from gauntlet.resources import TERMINAL, Evaluation, Experiment, Run
from gauntlet.spec.asked.priorities import Priority

_EPS = "8/255"
# A GPU takes as many at once in little more time than a hundred.
_BATCH = 1_000
_SAMPLED, _WHOLE_TEST_SET = 1_000, 10_000
_WHOLE_TEST_SET_OF_SEED = 0


class Measurements:
    """The evaluations that the plan wants of one experiment.

    APGD-T on `sampled` images at every kept checkpoint; AutoAttack on the `whole_test_set` at the selected ones of
    seed 0; for every seed, each objective's best checkpoint attacked with the examples made on the others.
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
            for checkpoint in self._client.checkpoints(run.id):
                self._attack(checkpoint.id, "apgd-t", self._sampled)
                self._attack_whole_test_set(run, chosen.get(checkpoint.id))
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

    def _attack_whole_test_set(self, run: Run, sampled: Evaluation | None) -> None:
        # After the one on fewer images, whose results it takes over.
        if run.seed == _WHOLE_TEST_SET_OF_SEED and sampled is not None and sampled.status in TERMINAL:
            # It is the longest, and the checkpoint stays: nothing else should wait for it.
            self._attack(sampled.checkpoint, "autoattack", self._whole_test_set, priority="low")

    def _attack(self, checkpoint: str, attack: str, samples: int, priority: Priority = "normal") -> None:
        request = {
            "checkpoint": checkpoint,
            "attacks": [{"kind": attack, "eps": _EPS}],
            "samples": samples,
            "batch_size": min(_BATCH, samples),
            "priority": priority,
        }
        self._asked.evaluate(f"claim-{attack}-{samples}-{checkpoint}", request)

    def _transfer(self, seed: int, checkpoints: Sequence[str]) -> None:
        request: Mapping[str, Any] = {
            "checkpoints": sorted(checkpoints),
            "eps": _EPS,
            "loss": "margin",
            "samples": self._sampled,
            "batch_size": min(_BATCH, self._sampled),
        }
        self._asked.transfer(f"claim-transfer-{self._experiment}-{seed}", request)

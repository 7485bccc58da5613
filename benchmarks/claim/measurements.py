"""What PLAN.md measures beyond what the experiments' specs ask for: evaluations of their own, asked for once."""

import time
from collections.abc import Iterator
from typing import Any

from client import GauntletClient
from gauntlet.resources import TERMINAL, Checkpoint, Evaluation

_EPS = "8/255"
_SAMPLED, _WHOLE_TEST_SET = 1_000, 10_000
_WHOLE_TEST_SET_OF_SEED = 0
_LOOK_EVERY_S = 5.0


def measure(
    client: GauntletClient, experiment: str, *, sampled: int = _SAMPLED, whole_test_set: int = _WHOLE_TEST_SET
) -> list[Evaluation]:
    """Ask for what is not there yet of a finished experiment, and wait until all of it has ended.

    APGD-T on `sampled` images at every kept checkpoint; AutoAttack on the `whole_test_set` at the selected ones of
    seed 0; for every seed, each objective's best checkpoint attacked with the examples made on the others.
    """
    waiting = [evaluation.id for evaluation in _asked_for(client, experiment, sampled, whole_test_set)]
    ended = []
    for identifier in waiting:
        while (evaluation := client.evaluation(identifier)).status not in TERMINAL:
            time.sleep(_LOOK_EVERY_S)
        ended.append(evaluation)
    return ended


def _asked_for(client: GauntletClient, experiment: str, sampled: int, whole_test_set: int) -> Iterator[Evaluation]:
    selected = list(client.evaluations(experiment=experiment))
    best_of_seed: dict[int, list[str]] = {}
    for run in client.runs(experiment):
        chosen = {one.checkpoint: one.selection for one in selected if one.run == run.id}
        for checkpoint in client.checkpoints(run.id):
            yield _evaluate(client, checkpoint, "apgd-t", sampled)
            if checkpoint.id in chosen and run.seed == _WHOLE_TEST_SET_OF_SEED:
                yield _evaluate(client, checkpoint, "autoattack", whole_test_set)
            if "best_fgsm" in chosen.get(checkpoint.id, ()):
                best_of_seed.setdefault(run.seed, []).append(checkpoint.id)
    for seed, best in best_of_seed.items():
        if len(best) > 1:
            request = {"checkpoints": sorted(best), "eps": _EPS, "loss": "margin", "samples": sampled}
            yield from client.transfer(request, idempotency_key=f"claim-transfer-{experiment}-{seed}")


def _evaluate(client: GauntletClient, checkpoint: Checkpoint, attack: str, samples: int) -> Evaluation:
    request: dict[str, Any] = {
        "checkpoint": checkpoint.id,
        "attacks": [{"kind": attack, "eps": _EPS}],
        "samples": samples,
    }
    return client.evaluate(request, idempotency_key=f"claim-{attack}-{samples}-{checkpoint.id}")

"""The check that holds FGSM against the strongest attack, on the checkpoints of the committed records."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gauntlet.results.masking_checks import Sample, overstated

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def committed() -> Iterator[tuple[str, str]]:
    """Objective and result of every committed checkpoint that FGSM and AutoAttack were run on, sets nested."""
    for record in (
        "reproduction/results/gpu",
        "rewards/cifar10",
        *(f"rewards/digits{kind}" for kind in ("", "-early", "-slow")),
    ):
        rows = json.loads((BENCHMARKS / record / "report.json").read_text())["rows"]
        for row in {row["checkpoint"]: row for row in rows}.values():
            n = row["n"]
            left = {each["attack"]["kind"]: round(each["accuracy"]["value"] * n) for each in row["outcome"]["attacks"]}
            right = round(row["natural_accuracy"] * n)
            fgsm, strongest = (frozenset(range(right - left[kind])) for kind in ("fgsm", "autoattack"))
            yield f"{record} {row['objective']}", overstated(Sample(n, right), fgsm, strongest).result


def test_whom_the_committed_records_accuse() -> None:
    """All that is masked over 220 epochs, DQN and centred argmax; no cross-entropy of 14, and PPO twice in nine."""
    results = list(committed())
    accused = Counter(name for name, result in results if result == "suspect")
    assert accused == {
        "reproduction/results/gpu policy_gradient": 2,
        "rewards/digits dqn": 3,
        "rewards/cifar10 dqn": 1,
        "rewards/digits policy_gradient (action=argmax, baseline=batch_mean)": 3,
        "rewards/digits ppo": 1,
        "rewards/digits ppo (update_mode=train)": 1,
    }
    assert sum("cross_entropy" in name for name, _ in results) == 14

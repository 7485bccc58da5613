"""An evaluation as an entry of RobustBench's `model_info` (Croce et al. 2021, arXiv 2010.09670). No torch."""

from typing import Any

from gauntlet.errors import NotExportable
from gauntlet.exports.measured import Evaluated
from gauntlet.results.outcome import AttackOutcome, EvaluationOutcome
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.eps import format_eps
from gauntlet.spec.evaluations.attacks import AutoAttack

# As many as RobustBench attacks of each data set that it lists.
_ALL_IMAGES = 10_000


def robustbench_entry(
    card: CheckpointCard,
    evaluated: Evaluated,
    *,
    name: str,
    authors: str = "",
    link: str = "",
    venue: str = "Unpublished",
    additional_data: bool = False,
) -> dict[str, Any]:
    """The entry as JSON's values; accuracies are per cent with two decimals, as text.

    `unreliable` is true where there is any doubt about the numbers, and `footnote` says which, and on how many images
    they rest where these are fewer than RobustBench's 10,000. Of several budgets the first counts.

    Args:
        card: of the checkpoint that was evaluated.
        name: the paper's or the model's.
        additional_data: whether it was trained on more than the data set's own training images.

    Raises:
        NotExportable: the standard AutoAttack, which RobustBench ranks by, was not run.
    """
    found = standard_autoattack(evaluated.outcome)
    if found is None:
        raise NotExportable("RobustBench ranks by the standard AutoAttack, which this evaluation did not run.")
    n = found.accuracy.n
    notes = [] if n == _ALL_IMAGES else [f"Measured on the first {n:,} test images."]
    notes += [doubt.sentence for doubt in evaluated.doubts]
    robust = _per_cent(found.accuracy.value)
    entry: dict[str, Any] = {
        "link": link,
        "name": name,
        "authors": authors,
        "additional_data": additional_data,
        "number_forward_passes": 1,
        "dataset": found.protocol.dataset,
        "venue": venue,
        "architecture": card.architecture.kind,
        "eps": format_eps(found.attack.eps),
        "clean_acc": _per_cent(evaluated.outcome.natural.value),
        "reported": robust,
        "autoattack_acc": robust,
        "unreliable": bool(evaluated.doubts),
    }
    return entry | ({"footnote": " ".join(notes)} if notes else {})


def standard_autoattack(outcome: EvaluationOutcome) -> AttackOutcome | None:
    """What the standard AutoAttack found, under the first of its budgets; None where it was not run."""
    for found in outcome.attacks:
        if isinstance(found.attack, AutoAttack) and found.attack.version == "standard":
            return found
    return None


def _per_cent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"

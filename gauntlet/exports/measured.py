"""What a form says of a checkpoint's robustness: one evaluation, and why to doubt it. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from gauntlet.results.doubts import Doubt, doubts
from gauntlet.results.outcome import EvaluationOutcome


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of a checkpoint. The client's `Evaluation` has both fields, where its outcome is there."""

    outcome: EvaluationOutcome
    doubts: tuple[Doubt, ...]

    @classmethod
    def of(cls, outcome: EvaluationOutcome, metrics: Mapping[str, float] | None = None) -> "Evaluated":
        """With the doubts that follow from it, and from the `metrics` of the checkpoint's epoch if it has some."""
        return cls(outcome, doubts(outcome.findings, outcome.masking, metrics))

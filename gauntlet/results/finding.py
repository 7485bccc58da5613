"""What the checks of a model found. No torch: the API shows it."""

from typing import Literal

from gauntlet.spec.kinds import Spec

FindingKind = Literal[
    "class_count",
    "output_form",
    "non_finite_output",
    "constant_output",
    "probabilities",
    "coarse_output",
    "small_logits",
    "random_output",
    "unseeded_output",
    "batch_dependent",
    "zero_gradient",
    "non_finite_gradient",
    "chance_accuracy",
    "dataset_unavailable",
]
Severity = Literal["error", "warning"]


class Finding(Spec):
    """One fault: an error makes the model useless, a warning makes what is measured of it suspect."""

    kind: FindingKind
    severity: Severity
    message: str

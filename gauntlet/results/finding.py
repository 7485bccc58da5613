"""What the checks of a foreign model found. No torch: the API shows it."""

from typing import Literal

from gauntlet.spec.kinds import Spec

FindingKind = Literal[
    "class_count",
    "non_finite_output",
    "constant_output",
    "probabilities",
    "random_output",
    "zero_gradient",
    "chance_accuracy",
]


class Finding(Spec):
    """One fault: an error makes the model useless, a warning makes what is measured of it suspect."""

    kind: FindingKind
    severity: Literal["error", "warning"]
    message: str

"""What the checks of a model found. No torch: the API shows it."""

from collections.abc import Mapping, Sequence
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
    "doubtful_source",
    "dataset_unavailable",
]
Severity = Literal["error", "warning"]


class Finding(Spec):
    """One fault: an error makes the model useless, a warning makes what is measured of it suspect."""

    kind: FindingKind
    severity: Severity
    message: str


def non_finite_gradient(images: int, n: int, *, of: str = "cross-entropy") -> Finding:
    """Of so many of n images the gradient of something is infinite or no number at some pixel."""
    return Finding(
        kind="non_finite_gradient",
        severity="warning",
        message=f"For {images:,} of {n:,} images the gradient of {of} is infinite or not a number at some "
        "pixel: attacks that follow it take no step where it is no number, and under L2 hardly any but where it is "
        "infinite. A root or a logarithm of black is like that, in a branch that torch.where does not take too: clamp "
        "what it is given.",
    )


def doubtful_sources(found: Mapping[str, Sequence[Finding]]) -> tuple[Finding, ...]:
    """What is found of the models that examples are made on, as one finding of the model that is attacked with them.

    `found` is by the source's name. It is one, for whoever gathers what speaks against a model keeps one of a kind.
    """
    told = [f"{source}: {' '.join(each.message for each in of_it)}" for source, of_it in found.items() if of_it]
    if not told:
        return ()
    message = f"Transferred examples may be weak, for of what they are made on this was found. {' '.join(told)}"
    return (Finding(kind="doubtful_source", severity="warning", message=message),)

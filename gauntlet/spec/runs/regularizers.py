"""What may be added to a run whatever its objective and adversary; agents take an average only. No torch."""

from typing import Annotated, Literal

from pydantic import Field

from gauntlet.spec.kinds import Spec


class GradAlign(Spec):
    """Gradient alignment (Andriushchenko & Flammarion 2020, Eq. 4): λ · (1 − cos(∇ₓ ℓ(x), ∇ₓ ℓ(x + η))).

    ℓ is cross-entropy and η uniform in the adversary's ball, whose size is warmed up with it. It keeps FGSM from being
    learned by heart, at two to three times its cost.
    """

    weight: Annotated[float, Field(gt=0, le=100)] = Field(
        default=0.2, description="λ; the authors take 0.2 at 8/255 on CIFAR-10 and 2 at 16/255."
    )


class Awp(Spec):
    """Adversarial weight perturbation (Wu et al. 2020, Eq. 8 and 10): gradients are taken at weights moved uphill.

    Each layer's weights w are moved by γ · ‖w‖ along their gradient, biases and normalisation's are not.
    """

    gamma: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.01, description="γ; the authors take 0.01 for adversarial training and 0.005 for TRADES."
    )


class Averaging(Spec):
    """An exponential moving average of the weights (Gowal et al. 2020, §4.3), evaluated beside them.

    After every update each number a of the average becomes decay · a + (1 − decay) · w. It begins with the initial
    weights; statistics of normalisation are the network's own.
    """

    decay: Annotated[float, Field(gt=0, lt=1)] = 0.995
    keep: Literal["both", "average", "weights"] = Field(
        default="both",
        description="Which of the two is kept as checkpoints, selected by its own accuracies, and attacked; both: each "
        "epoch that is kept makes two checkpoints, and whatever is selected is selected of the one and of the other.",
    )

    @property
    def kept(self) -> tuple[bool, ...]:
        """The versions of the network that are kept, each by whether it is the average."""
        return {"both": (False, True), "average": (True,), "weights": (False,)}[self.keep]

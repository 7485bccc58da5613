"""The adversary inside training: what is done to a batch before it is learnt from. No torch.

Told apart by `kind`. Every one has a budget, `eps` under `norm`: FGSM within it is what each epoch is measured with.
"""

from typing import Annotated, Literal

from pydantic import Field

from gauntlet.spec.eps import PixelEps
from gauntlet.spec.evaluations.attacks import Norm
from gauntlet.spec.kinds import Spec, tag_required

Ratio = Annotated[float, Field(gt=0, le=10)]
AttackMode = Literal["eval", "train"]

_MODE = (
    "The model's mode in the attack's passes: in train mode dropout is on, and batch normalisation goes by the batch "
    "and takes the batch into its statistics."
)
_WARM_UP = "Epochs over which the budget grows from 0, batch by batch, in proportion; 0: it is whole from the start."
WarmUp = Annotated[float, Field(ge=0, le=10_000, description=_WARM_UP)]


class NoAdversary(Spec):
    """Natural images. `eps` is the budget that each epoch's accuracy under FGSM is measured at."""

    model_config = tag_required("kind")
    kind: Literal["none"] = "none"
    eps: PixelEps
    norm: Norm = "Linf"


class FgsmAdversary(Spec):
    """FGSM (Goodfellow et al. 2015): one gradient step on the model being trained, made anew for every batch.

    Under L∞ the step is along the gradient's sign, under L2 along the gradient itself.
    """

    model_config = tag_required("kind")
    kind: Literal["fgsm"] = "fgsm"
    eps: PixelEps
    norm: Norm = "Linf"
    loss: Literal["true_label", "predicted_label", "objective"] = Field(
        default="true_label",
        description="What the attack ascends: cross-entropy on the label or on the prediction, or the objective.",
    )
    mode: AttackMode = Field(default="eval", description=_MODE)
    warmup_epochs: WarmUp = 0.0


class FgsmRsAdversary(Spec):
    """FGSM from a random start (Wong et al. 2020, Algorithm 3): uniform in the ball, one step, back into the ball."""

    model_config = tag_required("kind")
    kind: Literal["fgsm_rs"] = "fgsm_rs"
    eps: PixelEps
    norm: Literal["Linf"] = "Linf"
    step: Ratio = Field(default=1.25, description="Of the step, in budgets.")
    mode: AttackMode = Field(default="train", description=_MODE)
    warmup_epochs: WarmUp = 0.0


class NFgsmAdversary(Spec):
    """N-FGSM (de Jorge et al. 2022, Algorithm 1): wide noise and one step, without a projection into the ball."""

    model_config = tag_required("kind")
    kind: Literal["n_fgsm"] = "n_fgsm"
    eps: PixelEps
    norm: Literal["Linf"] = "Linf"
    noise: Ratio = Field(default=2.0, description="Half the width of the uniform noise, in budgets.")
    step: Ratio = Field(default=1.0, description="Of the step, in budgets.")
    mode: AttackMode = Field(default="train", description=_MODE)
    warmup_epochs: WarmUp = 0.0


class PgdAdversary(Spec):
    """PGD (Madry et al. 2018, §2): gradient steps from a uniform random point of the ball, each back into the ball.

    Of several restarts each image keeps the one with the greatest loss. `divergence` is that of the prediction from
    the natural image's, which TRADES ascends (Zhang et al. 2019, Algorithm 1).
    """

    model_config = tag_required("kind")
    kind: Literal["pgd"] = "pgd"
    eps: PixelEps
    norm: Norm = "Linf"
    steps: Annotated[int, Field(ge=1, le=100)] = 10
    step: Ratio = Field(default=0.25, description="Of one step, in budgets.")
    restarts: Annotated[int, Field(ge=1, le=20)] = 1
    loss: Literal["true_label", "divergence"] = Field(
        default="true_label",
        description="What the attack ascends: cross-entropy on the label, or divergence from the natural prediction.",
    )
    mode: AttackMode = Field(default="eval", description=_MODE)
    warmup_epochs: WarmUp = 0.0


GradientAdversary = FgsmAdversary | FgsmRsAdversary | NFgsmAdversary | PgdAdversary
AdversarySpec = Annotated[NoAdversary | GradientAdversary, Field(discriminator="kind")]

"""Optimisers, and how their learning rate changes with time. Told apart by `kind`. No torch."""

from typing import Annotated, Literal

from pydantic import Field

from gauntlet.spec.kinds import Spec, tag_required
from gauntlet.spec.reading.lists import Listed

Rate = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(ge=0, lt=1)]
Decay = Annotated[float, Field(ge=0, le=1)]
Epsilon = Annotated[float, Field(gt=0, le=1)]

_COUPLED = "Added to the gradient, times the weight (an L2 penalty)."


class RmsProp(Spec):
    """RMSprop (Tieleman & Hinton 2012) as Keras computes it, with its time-based decay lr / (1 + decay · iteration)."""

    model_config = tag_required("kind")
    kind: Literal["rmsprop"] = "rmsprop"
    lr: Rate = 1e-4
    decay: Decay = 1e-6
    rho: Share = 0.9
    epsilon: Epsilon = 1e-7
    weight_decay: Decay = Field(default=0.0, description=_COUPLED)


class Sgd(Spec):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013), as torch computes it."""

    model_config = tag_required("kind")
    kind: Literal["sgd"] = "sgd"
    lr: Rate = 0.1
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: Decay = Field(default=5e-4, description=_COUPLED)


class Adam(Spec):
    """Adam (Kingma & Ba 2015)."""

    model_config = tag_required("kind")
    kind: Literal["adam"] = "adam"
    lr: Rate = 1e-3
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Epsilon = 1e-8
    weight_decay: Decay = Field(default=0.0, description=_COUPLED)


class AdamW(Spec):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    model_config = tag_required("kind")
    kind: Literal["adamw"] = "adamw"
    lr: Rate = 1e-3
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Epsilon = 1e-8
    weight_decay: Decay = Field(default=0.01, description="Of the weight, times the learning rate, in every update.")


OptimizerSpec = Annotated[RmsProp | Sgd | Adam | AdamW, Field(discriminator="kind")]

_WARM_UP = "Epochs in which the rate first grows from 0 to its whole, in proportion; the schedule begins after them."
WarmUp = Annotated[float, Field(ge=0, le=10_000, description=_WARM_UP)]
Milestones = Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Listed(1, 20, distinct=True)]


class Constant(Spec):
    """The optimiser's rate throughout."""

    model_config = tag_required("kind")
    kind: Literal["constant"] = "constant"
    warmup_epochs: WarmUp = 0.0


class TimeDecay(Spec):
    """lr / (1 + decay · iteration), as the optimisers of Keras had it (Chollet et al. 2015)."""

    model_config = tag_required("kind")
    kind: Literal["time_decay"] = "time_decay"
    decay: Decay
    warmup_epochs: WarmUp = 0.0


class Steps(Spec):
    """The rate times `factor` from each milestone on, a share of the training (He et al. 2016); TRADES has ½ and ¾."""

    model_config = tag_required("kind")
    kind: Literal["step"] = "step"
    milestones: Milestones = (0.5, 0.75)
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    warmup_epochs: WarmUp = 0.0


class Cosine(Spec):
    """Half a cosine from the whole rate to `final` of it (Loshchilov & Hutter 2017, without restarts)."""

    model_config = tag_required("kind")
    kind: Literal["cosine"] = "cosine"
    final: Share = 0.0
    warmup_epochs: WarmUp = 0.0


class OneCycle(Spec):
    """In proportion from 0 up to the whole rate at `peak`, a share of the training, and down to 0 (Smith 2018).

    As torch's CyclicLR counts, which Wong et al. (2020) use: the first update's rate is 0, but for a run of one update,
    which has the whole.
    """

    model_config = tag_required("kind")
    kind: Literal["one_cycle"] = "one_cycle"
    peak: Annotated[float, Field(gt=0, lt=1)] = 0.4
    lowest_momentum: Share | None = Field(
        default=None,
        exclude_if=lambda lowest: lowest is None,
        description="SGD's momentum at the peak, to which it falls from its own and from which it rises again, in "
        "proportion to the rate; null: it stays as it is.",
    )


ScheduleSpec = Annotated[Constant | TimeDecay | Steps | Cosine | OneCycle, Field(discriminator="kind")]

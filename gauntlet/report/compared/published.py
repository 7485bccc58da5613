"""Numbers that others have published, each with its source, to hold our own against."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gauntlet.spec.evaluations.attacks import Norm
from gauntlet.spec.evaluations.evaluation import Selected

_ROBUSTBENCH = "RobustBench (Croce et al. 2021), CIFAR-10 Linf leaderboard, robustbench.github.io"
_MAIR = "MAIR (Kim et al. 2023), github.com/Harry24k/MAIR"
_GUPTA = "Gupta 2020, arXiv 2012.04353"


class Published(BaseModel):
    """One model's accuracies as its source gives them: fractions of the test set, None where the source is silent.

    `robust` is accuracy under `attack`; `claimed` what the model's own authors had said of it under another attack.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    dataset: str = "CIFAR-10"
    norm: Norm = "Linf"
    eps: str = "8/255"
    attack: Literal["autoattack"] = "autoattack"
    natural: float | None
    fgsm: float | None = None
    robust: float | None
    claimed: float | None = None


_RL = Published(name="RL, epoch 220", source=_GUPTA, natural=0.5285, fgsm=0.3766, robust=0.3041)
_CE_BEST = Published(name="CE, epoch 60", source=_GUPTA, natural=0.5096, fgsm=0.3286, robust=0.2636)
_CE_LAST = Published(name="CE, epoch 220", source=_GUPTA, natural=0.5912, robust=0.1795)

# The paper's table by what we call its lines: an objective's kind and a selection. Its best RL checkpoint is its last.
PAPER: Mapping[tuple[str, Selected], Published] = {
    ("policy_gradient", "best_fgsm"): _RL,
    ("policy_gradient", "last"): _RL,
    ("cross_entropy", "best_fgsm"): _CE_BEST,
    ("cross_entropy", "last"): _CE_LAST,
}

# What AutoAttack leaves of well-known models; robust accuracy in ascending order.
ANCHORS: tuple[Published, ...] = (
    Published(name="Standard training, WRN-28-10", source=_ROBUSTBENCH, natural=0.9478, robust=0.0),
    _CE_LAST.model_copy(update={"name": "Gupta 2020, cross-entropy, small CNN, epoch 220"}),
    _CE_BEST.model_copy(update={"name": "Gupta 2020, cross-entropy, small CNN, epoch 60"}),
    Published(name="Wang & Zhang 2019", source=f"cited in {_GUPTA}", natural=None, robust=0.2935),
    _RL.model_copy(update={"name": "Gupta 2020, reward, small CNN, epoch 220"}),
    Published(
        name="FGSM-RS (Wong 2020), PreActResNet-18", source=_ROBUSTBENCH, natural=0.8334, robust=0.4321, claimed=0.4606
    ),
    Published(name="FGSM + GradAlign, PreActResNet-18", source=_ROBUSTBENCH, natural=0.7984, robust=0.4393),
    Published(name="MART, ResNet-18", source=_MAIR, natural=None, robust=0.4751),
    Published(name="PGD-AT, ResNet-18", source=_MAIR, natural=None, robust=0.4867),
    Published(name="Engstrom 2019, ResNet-50", source=_ROBUSTBENCH, natural=0.8703, robust=0.4925, claimed=0.5329),
    Published(name="TRADES, ResNet-18", source=_MAIR, natural=None, robust=0.4945),
    Published(name="TRADES + AWP, ResNet-18", source=_MAIR, natural=None, robust=0.5162),
    Published(name="Addepalli 2022, ResNet-18", source=_ROBUSTBENCH, natural=0.8571, robust=0.5248),
    Published(name="TRADES, WRN-34-10", source=_ROBUSTBENCH, eps="0.031", natural=0.8492, robust=0.5308),
    Published(name="Bartoldson 2024, WRN-94-16", source=_ROBUSTBENCH, natural=0.9368, robust=0.7371),
)

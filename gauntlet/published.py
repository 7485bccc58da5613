"""Published accuracies on CIFAR-10, to be shown beside measured ones and never ranked among them."""

from dataclasses import dataclass
from fractions import Fraction

from gauntlet.attack_specs import Norm


@dataclass(frozen=True)
class Published:
    """One published model. Accuracies are fractions in [0, 1]; None where the source does not state one."""

    name: str
    dataset: str
    norm: Norm
    eps: Fraction
    attack: str
    natural: float | None
    robust: float
    source: str


def _linf(name: str, natural: float | None, robust: float, source: str, eps: Fraction = Fraction(8, 255)) -> Published:
    return Published(name, "cifar10", "Linf", eps, "autoattack", natural, robust, source)


_THE_PAPER = "arXiv 2012.04353"

ANCHORS: tuple[Published, ...] = (
    _linf("standard WRN-28-10", 0.9478, 0.0, "RobustBench"),
    _linf("FGSM-RS PreActResNet-18 (Wong 2020)", 0.8334, 0.4321, "RobustBench"),
    _linf("FGSM + GradAlign PreActResNet-18", 0.7984, 0.4393, "RobustBench"),
    _linf("PGD-AT ResNet-18", None, 0.4867, "MAIR"),
    _linf("TRADES ResNet-18", None, 0.4945, "MAIR"),
    _linf("MART ResNet-18", None, 0.4751, "MAIR"),
    _linf("TRADES + AWP ResNet-18", None, 0.5162, "MAIR"),
    _linf("Addepalli 2022 ResNet-18", 0.8571, 0.5248, "RobustBench"),
    _linf("Engstrom ResNet-50", 0.8703, 0.4925, "RobustBench"),
    _linf("TRADES WRN-34-10", 0.8492, 0.5308, "RobustBench", eps=Fraction(31, 1000)),
    _linf("Bartoldson 2024 WRN-94-16", 0.9368, 0.7371, "RobustBench"),
    _linf("Wang & Zhang 2019", None, 0.2935, _THE_PAPER),
    _linf("policy gradient, small CNN", 0.5285, 0.3041, _THE_PAPER),
    _linf("cross-entropy, small CNN", 0.5096, 0.2636, _THE_PAPER),
)

"""Which parts an ensemble of attacks consists of, in the order in which they run. No torch."""

from dataclasses import dataclass
from typing import Final, assert_never

from gauntlet.spec.evaluations.attacks import (
    AnyAttack,
    AutoAttack,
    FastProtocol,
    MinimumMargin,
    PgdAttack,
    ProbabilityMargin,
    ScreenProtocol,
    Square,
    TargetLoss,
)

Protocolled = ScreenProtocol | FastProtocol

# As Croce & Hein's code has them, but for `few`.
_AUTOATTACK: Final[dict[str, tuple[str, ...]]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
    "few": ("apgd-ce", "mm", "fab-t", "square"),
}


@dataclass(frozen=True)
class _Made:
    """Steps of each of PMA's passes; of MM the classes, the steps for each, and the loss; queries of Square."""

    steps: int
    targets: int
    target_steps: int
    loss: TargetLoss
    queries: int


# By version. The second of `screen` was taken back before a release, and its number is not used again.
_SCREEN: Final[dict[int, _Made]] = {
    1: _Made(steps=20, targets=3, target_steps=10, loss="difference", queries=0),
    3: _Made(steps=20, targets=9, target_steps=5, loss="scaled", queries=100),
}
_FAST: Final[dict[int, _Made]] = {
    1: _Made(steps=100, targets=9, target_steps=20, loss="difference", queries=0),
    2: _Made(steps=100, targets=9, target_steps=20, loss="difference", queries=1_000),
    3: _Made(steps=60, targets=9, target_steps=40, loss="scaled", queries=1_000),
}


def parts_of(attack: AnyAttack) -> tuple[str, ...]:
    """The names of an ensemble's parts; none for an attack by itself."""
    match attack:
        case AutoAttack(version=version):
            return _AUTOATTACK[version]
        case ScreenProtocol() | FastProtocol():
            return tuple(part.kind for part in attacks_of(attack))
        case _:
            return ()


def attacks_of(protocol: Protocolled) -> tuple[ProbabilityMargin | PgdAttack | MinimumMargin | Square, ...]:
    """The attacks that a protocol by name stands for. Whatever changes here changes what its numbers mean.

    Square is for those images alone at which the margin has no gradient. The parts were chosen on some networks and
    tried on others: docs/experiments.md, "Protocols by name".
    """
    eps, norm, eot = protocol.eps, protocol.norm, protocol.eot
    match protocol:
        case ScreenProtocol(version=version):
            made = _SCREEN[version]
        case FastProtocol(version=version):
            made = _FAST[version]
        case _:
            assert_never(protocol)
    margins = MinimumMargin(eps=eps, norm=norm, targets=made.targets, steps=made.target_steps, loss=made.loss, eot=eot)
    if norm == "L2":
        return PgdAttack(eps=eps, norm=norm, steps=2 * made.steps, loss="margin", eot=eot), margins
    stuck = (Square(eps=eps, queries=made.queries),) if made.queries else ()
    return ProbabilityMargin(eps=eps, steps=made.steps, eot=eot), margins, *stuck

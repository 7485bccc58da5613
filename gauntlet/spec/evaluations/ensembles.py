"""Which parts an ensemble of attacks consists of, in the order in which they run. No torch."""

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
)

Protocolled = ScreenProtocol | FastProtocol

# As Croce & Hein's code has them, but for `few`.
_AUTOATTACK: Final[dict[str, tuple[str, ...]]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
    "few": ("apgd-ce", "mm", "fab-t", "square"),
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
        case ScreenProtocol():
            steps, targets, target_steps = 20, 3, 10
        case FastProtocol():
            steps, targets, target_steps = 100, 9, 20
        case _:
            assert_never(protocol)
    margins = MinimumMargin(eps=eps, norm=norm, targets=targets, steps=target_steps, eot=eot)
    if norm == "L2":
        return PgdAttack(eps=eps, norm=norm, steps=2 * steps, loss="margin", eot=eot), margins
    stuck = (Square(eps=eps, queries=1_000),) if isinstance(protocol, FastProtocol) and protocol.version > 1 else ()
    return ProbabilityMargin(eps=eps, steps=steps, eot=eot), margins, *stuck

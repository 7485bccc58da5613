"""Which parts an ensemble of attacks consists of, in the order in which they run. No torch."""

from typing import Final

from gauntlet.spec.attacks import AnyAttack, AutoAttack

# As Croce & Hein's code has them.
_AUTOATTACK: Final[dict[str, tuple[str, ...]]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}


def parts_of(attack: AnyAttack) -> tuple[str, ...]:
    """The names of an ensemble's parts; none for an attack by itself."""
    return _AUTOATTACK[attack.version] if isinstance(attack, AutoAttack) else ()

"""Attacks and budgets as a reader knows them. `gauntlet.spec.evaluations.attacks.attack_label` is how programs do."""

from collections.abc import Iterator
from fractions import Fraction

from gauntlet.spec.eps import format_eps
from gauntlet.spec.evaluations.attacks import AnyAttack, Norm, Transfer
from gauntlet.spec.reading.texts import exactly

NORMS: dict[Norm, str] = {"Linf": "L∞", "L2": "L2"}
_KINDS: dict[str, str] = {
    "fgsm": "FGSM",
    "pgd": "PGD",
    "apgd-ce": "APGD-CE",
    "apgd-t": "APGD-T",
    "fab-t": "FAB-T",
    "square": "Square",
    "autoattack": "AutoAttack",
    "noise": "random noise",
    "transfer": "transfer",
    "mm": "MM",
    "pma": "PMA",
    "multitargeted": "MultiTargeted",
    "screen": "screen",
    "fast": "fast",
}


def attack_title(attack: AnyAttack) -> str:
    """An attack without its budget, such as `FGSM` or `PGD (20 steps, margin)`; unlike attacks have unlike titles."""
    departures = ", ".join(_departures(attack))
    return _KINDS[attack.kind] + (f" ({departures})" if departures else "")


def attack_heading(attack: AnyAttack) -> str:
    """An attack with its budget, short enough for a column: `FGSM 8/255` or, under L2, `FGSM L2 0.5`."""
    return f"{attack_title(attack)} {short_budget(attack.norm, attack.eps)}"


def attack_name(attack: AnyAttack) -> str:
    """An attack with its budget in full, such as `FGSM at ε = 8/255 (L∞)`."""
    return f"{attack_title(attack)} at {budget(attack.norm, attack.eps)}"


def budget(norm: Norm, eps: Fraction) -> str:
    """A budget in full, such as `ε = 8/255 (L∞)`."""
    return f"ε = {format_eps(eps)} ({NORMS[norm]})"


def short_budget(norm: Norm, eps: Fraction) -> str:
    """A budget for a column, such as `8/255` or `L2 0.5`."""
    return format_eps(eps) if norm == "Linf" else f"{NORMS[norm]} {format_eps(eps)}"


def _departures(attack: AnyAttack) -> Iterator[str]:
    """The fields that are not at their defaults."""
    if isinstance(attack, Transfer):
        yield f"from {attack.source}"
    changed = attack.model_dump(exclude_defaults=True, exclude={"kind", "eps", "norm", "source"})
    for field, value in changed.items():
        if field == "eot":
            yield f"EOT {value}"
        elif isinstance(value, str):
            yield value.replace("_", " ")
        elif isinstance(value, float):
            yield f"{field} {exactly(value)}"
        elif field.endswith("s"):
            yield f"{value:,} {field if value != 1 else field.removesuffix('s')}"
        else:
            # It counts nothing: the third version is not three of them.
            yield f"{field} {value}"

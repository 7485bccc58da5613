"""How far protocols by name are from AutoAttack where both were run, in words."""

from collections.abc import Iterator, Sequence

from gauntlet.report.numbers import per_cent, points
from gauntlet.report.report_row import ReportRow
from gauntlet.results.outcome import AttackOutcome
from gauntlet.spec.evaluations.attack_titles import budget
from gauntlet.spec.evaluations.attacks import AutoAttack, FastProtocol, ScreenProtocol, attack_label, threat_model


def beside_autoattack(rows: Sequence[ReportRow]) -> Iterator[str]:
    """A sentence for each protocol and budget that the standard AutoAttack was run at too: the measured difference."""
    pairs: dict[str, list[tuple[AttackOutcome, AttackOutcome]]] = {}
    for row in {row.checkpoint: row for row in rows}.values():
        for ours in row.outcome.attacks:
            if isinstance(ours.attack, ScreenProtocol | FastProtocol):
                for theirs in row.outcome.attacks:
                    if _is_the_same_at(theirs, ours):
                        pairs.setdefault(attack_label(ours.attack), []).append((ours, theirs))
    for found in pairs.values():
        yield _sentence(found)


def _is_the_same_at(theirs: AttackOutcome, ours: AttackOutcome) -> bool:
    match theirs.attack:
        case AutoAttack(version="standard"):
            return threat_model(theirs.attack) == threat_model(ours.attack)
        case _:
            return False


def _sentence(found: Sequence[tuple[AttackOutcome, AttackOutcome]]) -> str:
    protocol = found[0][0].attack
    version = (
        f" (version {protocol.version})"
        if isinstance(protocol, ScreenProtocol | FastProtocol) and protocol.version > 1
        else ""
    )
    named = f"{protocol.kind}{version} at {budget(protocol.norm, protocol.eps)}"
    apart = [ours.accuracy.value - theirs.accuracy.value for ours, theirs in found]
    mean = sum(apart) / len(apart)
    if len(found) == 1:
        ours, theirs = found[0]
        return (
            f"{named} leaves {per_cent(ours.accuracy.value)} % right and AutoAttack "
            f"{per_cent(theirs.accuracy.value)} % of the same images ({points(mean)} points)."
        )
    return (
        f"On {len(found)} checkpoints {named} leaves {points(mean)} points beside AutoAttack on the same images, on "
        f"average ({points(min(apart))} to {points(max(apart))})."
    )
